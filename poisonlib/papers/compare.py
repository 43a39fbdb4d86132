"""Ours beside the paper's: for every cell of a table our trials' interval, the printed value, and a verdict."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import paths
from ..experiments import Record, Trial
from .belonging import alike, attacked_as, belongs, columns, same_setting, trial_of
from .cells import Cell, cells, chance, measured, outcomes
from .claims import Claim, Finding, Table, load
from .costs import worked
from .setting import caption, setting
from .statistics import Estimate, Verdict, finding, from_paper, paired_difference, verdict


@dataclass(frozen=True)
class TableCell:
    """One cell: what the paper prints, what our trials measured (None: not run), the chance rate of clean controls."""

    claim: Claim  # of a further row: without a value
    outcomes: dict[int, float]  # seed -> share in [0, 1]
    ours: Estimate | None
    chance: Estimate | None
    verdict: Verdict | None
    same_setting: bool  # whether data, network and schedule are those of a profile ``paper``
    work: str = ""  # what a trial took, as `costs.worked` says it


@dataclass(frozen=True)
class Comparison:
    """A table of the paper beside our trials, and what its findings come to.

    ``cells`` holds the table's cells, then those of further rows: defences of our records that the paper's table lacks.
    """

    table: Table
    cells: tuple[TableCell, ...]
    findings: tuple[tuple[Finding, Verdict], ...]
    records: tuple[Record, ...] = field(default=(), repr=False)  # behind the cells, once for each

    @property
    def caption(self) -> str:
        """Data, network, trials a cell and kind of device, in a line for a figure's lower edge."""
        return caption(self.records)

    @property
    def rows(self) -> tuple[str, ...]:
        """The table's rows, then the further ones, which are named by the defence's label."""
        return tuple(dict.fromkeys([*self.table.rows, *(cell.claim.row for cell in self.cells)]))

    def cell(self, row: str, column: str) -> TableCell:
        """One cell by its row and column. Raises LookupError."""
        for cell in self.cells:
            if (cell.claim.row, cell.claim.column) == (row, column):
                return cell
        raise LookupError(f"{self.table.name} has no row {row!r} with a column {column!r}")

    def frame(self):
        """A pandas table for the reader: ours with its interval, trials, chance rate, the paper's value, the verdict."""
        import pandas as pd

        return pd.DataFrame([_reader_row(cell) for cell in self.cells if cell.ours])

    def findings_frame(self):
        """A pandas table, shown uncut: each finding in the paper's words, what its own cells and our trials say of it, and why."""
        from .findings import frame

        return frame(self.findings)

    def save(self, name: str, records: Sequence[Record]) -> Path:
        """Write the comparison for the report, as ``outputs/tables/NAME.json``; returns the path.

        ``records`` are all that were made for it, clean controls included: they decide the setting that is stored.
        """
        path = paths.outputs() / "tables" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.content(records), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def content(self, records: Sequence[Record]) -> dict:
        """What `save` writes, as JSON values: both tables, with what a trial took, the rows that were not run, and the setting of
        the records.
        """
        shown = [cell for cell in self.cells if cell.ours]
        used = {cell.claim.row for cell in shown}
        return {
            "paper": load(self.table.paper).about["title"],
            "place": self.table.place,
            "caption": self.table.caption,
            "cells": [_reader_row(cell) | {"time a trial": cell.work} for cell in shown],
            "findings": self.findings_frame().to_dict("records"),
            "missing": [row for row in self.table.rows if row not in used],
            "setting": setting(records),
        }

    def word(self, identity: str) -> str:
        """holds, contradicted or undecided, for one finding by its id. Raises LookupError."""
        for each, said in self.findings:
            if each.id == identity:
                return said.word
        raise LookupError(f"no finding {identity!r}; choose one of: {', '.join(f.id for f, _ in self.findings)}")


def compare(records: Sequence[Record], paper: str, table: str, margin: float = 0.10) -> Comparison:
    """A paper's table beside those of our records that belong to its cells, with verdicts at an equivalence margin (a share).

    A record belongs to a cell if its attack, defence and values are what the claim's ``means`` say; data and network may differ,
    and the cell then says that the setting is not the paper's. Records of the attack under a defence that the table lacks make
    further rows. Records of clean controls give the chance rate; records whose classes cannot be imported here are left out.
    Raises ValueError for records of several settings in one cell.
    """
    claimed, every = load(paper).table(table), cells(records)
    trials = {cell: trial for cell in every if (trial := trial_of(cell.setting.text))}
    claims = [*claimed.claims, *_further(claimed, list(trials.values()))]
    mine = [_mine(claim, trials) for claim in claims]
    compared = tuple(_cell(claim, own, every, trials, margin) for claim, own in zip(claims, mine, strict=True))
    by_name = {(table, cell.claim.row, cell.claim.column): cell for cell in compared}
    checks = (each for each in load(paper).findings if each.less in by_name and each.more in by_name)
    verdicts = ((each, _finding(each, by_name[each.less], by_name[each.more])) for each in checks)
    used = {own.setting.text for own in mine if own}
    behind = {record.key: record for record in records if record.setting in used}
    return Comparison(claimed, compared, tuple((each, said) for each, said in verdicts if said), tuple(behind.values()))


def _further(table: Table, trials: Sequence[Trial]) -> Iterator[Claim]:
    """Claims without a value, one a column, for each defence that the table lacks and under which its attack was run."""
    asking, found = columns(table), []
    for trial in trials:
        asked = any(attacked_as(trial, column) for column in asking)
        known = any(belongs(trial, claim) for claim in table.claims) or any(alike(trial.defence, other) for other in found)
        if asked and not known:
            found.append(trial.defence)
            for column in asking:
                yield replace(column, row=trial.defence.label, means=column.means | {"defence": trial.defence})


def _mine(claim: Claim, trials: Mapping[Cell, Trial]) -> Cell | None:
    """The cell of ours that measures a claim."""
    found = [cell for cell, trial in trials.items() if belongs(trial, claim)]
    if len(found) > 1:
        raise ValueError(f"{claim.table}, {claim.row}: records of {len(found)} settings; give those of one")
    return found[0] if found else None


def _cell(claim: Claim, own: Cell | None, every: Sequence[Cell], trials: Mapping[Cell, Trial], margin: float) -> TableCell:
    if own is None:
        return TableCell(claim, {}, None, None, None, False)
    ours = measured(own, claim.measure)
    paper = None if claim.value is None else from_paper(claim.value, claim.trials, claim.binary)
    said = verdict(ours, paper, margin) if paper and ours.trials > 1 else None
    rate = chance(own, every) if claim.measure == "success" else None
    same = same_setting(trials[own], claim)
    return TableCell(claim, outcomes(own, claim.measure), ours, rate, said, same, worked(own))


def _finding(each: Finding, less: TableCell, more: TableCell) -> Verdict | None:
    """The verdict on a finding, paired by seed where both cells share their seeds."""
    if not (less.ours and more.ours):
        return None
    first, second = (more, less) if each.kind == "higher" else (less, more)
    gap = None
    if first.outcomes.keys() == second.outcomes.keys() and len(first.outcomes) > 1:
        seeds = sorted(first.outcomes)
        method = "bounded" if each.kind != "similar" and first.claim.measure == "success" else "t"
        pair = [[cell.outcomes[seed] for seed in seeds] for cell in (first, second)]
        gap = paired_difference(*pair, method=method)
    return finding(each.kind, first.ours, second.ours, gap=gap)


def _reader_row(cell: TableCell) -> dict:
    claim, ours = cell.claim, cell.ours
    word = cell.verdict.word if cell.verdict else ""
    return {
        "row": claim.row,
        "column": claim.column,
        "ours %": _percent(ours.value),
        "95 % interval": f"{_percent(ours.low)} to {_percent(ours.high)}",
        "n": ours.trials,
        "chance %": _percent(cell.chance.value) if cell.chance else "",
        "paper": claim.printed,
        "paper's n": claim.trials or "",
        "verdict": f"({word}: other setting)" if word and not cell.same_setting else word or "-",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
