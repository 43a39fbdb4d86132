"""Ours beside the paper's: for every cell of a table our trials' interval, the printed value, and a verdict."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import files, paths
from ..experiments import Record, Trial, rules
from ..experiments.failures import Failure
from .averages import Averages, average, averages, named
from .belonging import alike, attacked_as, belongs, columns, same_setting
from .cells import Cell, cells, chance, failures, measured, trial_of
from .cells import judged as judged_mean
from .claims import Claim, Finding, Table, load
from .costs import worked
from .effects import Effect, effects
from .gaps import barred, gap
from .printed import printed
from .setting import caption, setting
from .statistics import Estimate
from .together import together
from .verdicts import Asked, CellVerdict, Question, Verdict, answered, judged

SHOWN = (  # columns of `Comparison.frame`
    *("row", "column", "ours %", "95 % interval", "n", "chance %", "paper"),
    *("paper's n", "printed value", "its count", "its n tells", "verdict"),
)


@dataclass(frozen=True)
class TableCell:
    """One cell: what the paper prints, what our trials measured (None: not run), the chance rate of clean controls."""

    claim: Claim  # of a further row: without a value
    ours: Estimate | None
    chance: Estimate | None
    verdict: CellVerdict | None
    same_setting: bool  # whether data, network and schedule are those of a profile ``paper``
    work: str = ""  # what a trial took, as `costs.worked` says it
    trials: Cell | None = field(default=None, repr=False)  # the cell of ours that measures it


@dataclass(frozen=True)
class Comparison:
    """A table of the paper beside our trials, what its findings come to, and what each defence does to the attack.

    ``cells`` holds the table's cells, then those of further rows: defences of our records that the paper's table lacks.
    """

    table: Table
    cells: tuple[TableCell, ...]
    findings: tuple[tuple[Finding, Verdict], ...]
    at_any_n: tuple[Verdict, ...]  # of the same findings, as if no number of trials had been planned
    effects: tuple[Effect, ...]
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

        return pd.DataFrame([_reader_row(cell) for cell in self.cells if cell.ours], columns=SHOWN)

    def findings_frame(self):
        """A pandas table, shown uncut: each finding in the paper's words, what its own cells and our trials say of it, and why."""
        from .findings import frame

        return frame(self.findings)

    def effects_frame(self):
        """A pandas table: each defence against each attack beside the undefended victims of the same seeds (`effects.Effect`)."""
        import pandas as pd

        return pd.DataFrame([each.shown() for each in self.effects])

    def save(self, name: str, records: Sequence[Record]) -> Path:
        """Write the comparison for the report, as ``outputs/tables/NAME.json``; returns the path. The evidence on each sentence of
        the paper goes to ``outputs/claims`` (`dossier.dossier`).

        ``records`` are all that were made for it, clean controls included: they decide the setting that is stored.
        """
        from .dossier import write

        write(self)
        path = paths.outputs() / "tables" / f"{name}.json"
        files.write_atomically(path, (json.dumps(self.content(records), indent=1, ensure_ascii=False) + "\n").encode())
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
            "effects": self.effects_frame().to_dict("records"),
            "missing": [_lacking(row, self.table, failures(records)) for row in self.table.rows if row not in used],
            "setting": setting(records),
        }

    def word(self, identity: str) -> str:
        """holds, contradicted, undecided or not tested, for one finding by its id. Raises LookupError."""
        for each, said in self.findings:
            if each.id == identity:
                return said.word
        raise LookupError(f"no finding {identity!r}; choose one of: {', '.join(f.id for f, _ in self.findings)}")


def compare(records: Sequence[Record], paper: str, table: str | Sequence[str]) -> Comparison:
    """A paper's table beside those of our records that belong to its cells, with verdicts by the rules of `experiments.rules`.
    Several tables stand together (`together`), and sentences are tested that compare a cell of one with a cell of another.

    A record belongs to a cell if its attack, defence and values are what the claim's ``means`` say; data and network may differ,
    and the cell then says that the setting is not the paper's. Records of the attack under a defence that the table lacks make
    further rows. Records of clean controls give the chance rate; records whose classes cannot be imported here are left out.
    Where the benchmark averages over networks, so do we over those of our victims (`averages`). Raises ValueError for records of
    several settings in one cell otherwise.
    """
    claimed, every = together(load(paper), [table] if isinstance(table, str) else table), cells(records)
    trials = {cell: trial for cell in every if (trial := trial_of(cell.setting.text))}
    claims, means = [*claimed.claims, *_further(claimed, list(trials.values()))], averages(every)
    mine = [_mine(claim, trials, means) for claim in claims]
    every = (*every, *means.values())
    trials |= {mean: trial_of(mean.members[0]) for mean in means.values()}
    compared = _compared(claims, mine, every, trials)
    by_name = {(cell.claim.row, cell.claim.column): cell for cell in compared}
    asked = {each: [by_name.get(claimed.place_of(place)) for place in each.places] for each in load(paper).findings}
    findings = [each for each, found in asked.items() if _measured(*found)]
    verdicts, at_any_n = (answered([_question(f, asked[f], every, planned) for f in findings]) for planned in (True, False))
    seen = effects([(cell.claim, cell.trials) for cell in compared if cell.trials], every)
    used = {text for own in mine if own for text in own.settings}
    behind = {record.key: record for record in records if record.setting in used}
    said = tuple(zip(findings, verdicts, strict=True))
    return Comparison(claimed, compared, said, tuple(at_any_n), seen, tuple(behind.values()))


def _lacking(row: str, table: Table, failed: Sequence[Failure]) -> str:
    """A row that was not measured, with the number of its trials that failed, if any did."""
    trials = [trial for each in failed if (trial := trial_of(each.setting))]
    count = sum(any(belongs(trial, claim) for claim in table.claims if claim.row == row) for trial in trials)
    return f"{row} ({count} trials failed)" if count else row


def _measured(*cells: TableCell | None) -> bool:
    return all(cell and cell.ours for cell in cells)


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


def _mine(claim: Claim, trials: Mapping[Cell, Trial], means: Averages) -> Cell | None:
    """The cell of ours that measures a claim."""
    found = named(claim, {cell: trial for cell, trial in trials.items() if belongs(trial, claim)})
    if mean := average(claim, found, means):
        return mean
    if len(found) > 1:
        raise ValueError(f"{claim.table}, {claim.row}: records of {len(found)} settings; give those of one")
    return next(iter(found), None)


def _compared(
    claims: Sequence[Claim], mine: Sequence[Cell | None], every: Sequence[Cell], trials: Mapping[Cell, Trial]
) -> tuple[TableCell, ...]:
    """The cells of the table with their verdicts, which are corrected over all of them."""
    made = [_cell(claim, own, every, trials) for claim, own in zip(claims, mine, strict=True)]
    asked = {i: one for i, cell in enumerate(made) if (one := _asked(cell, every))}
    said = dict(zip(asked, judged(list(asked.values())), strict=True))
    return tuple(replace(cell, verdict=said.get(i)) for i, cell in enumerate(made))


def _cell(claim: Claim, own: Cell | None, every: Sequence[Cell], trials: Mapping[Cell, Trial]) -> TableCell:
    if own is None:
        return TableCell(claim, None, None, None, False)
    rate = chance(own, every) if claim.measure == "success" else None
    return TableCell(claim, measured(own, claim.measure), rate, None, same_setting(trials[own], claim), worked(own), own)


def _asked(cell: TableCell, every: Sequence[Cell]) -> Asked | None:
    """What is asked of a cell; None where there is nothing to compare: no printed value, one trial, or an attack that fails."""
    if cell.trials is None or len(cell.trials.seeds) < 2 or _barred(cell, every):
        return None
    ours = judged_mean(cell.trials, cell.claim.measure)
    paper = printed(cell.claim, cell.trials.success if cell.claim.measure == "success" else cell.trials.accuracy)
    return Asked(ours, paper, rules().margin[cell.claim.measure]) if paper else None


def _barred(cell: TableCell, every: Sequence[Cell]) -> str:
    """Why nothing is said of a defence in this cell; "" where something can be said."""
    return barred(cell.trials, every) if cell.claim.measure == "success" and cell.trials.setting.defence != "none" else ""


def _question(each: Finding, found: Sequence[TableCell], every: Sequence[Cell], planned: bool) -> Question:
    """What a finding asks of its cells, in the same trials where they share seeds; without ``planned`` by what holds at any n."""
    order = [cell.trials for cell in (reversed(found) if each.kind == "higher" else found)]
    measure = found[0].claim.measure
    margin = rules().margin[measure] if each.within is None else each.within
    mine, others = ([replace(cell, planned=cell.planned and planned) for cell in group] for group in (order, every))
    means = [judged_mean(cell, measure) for cell in mine]
    if each.bound is not None:
        return Question(each.kind, None, margin, means[0], None, bound=each.bound)
    gate = "" if measure != "success" else _gate(mine, others)
    return Question(each.kind, gap(*mine, measure), margin, *means, gate)


def _gate(pair: Sequence[Cell], every: Sequence[Cell]) -> str:
    """Why nothing is said of two cells: with a defence, each attack must beat its control; of two undefended ones, the better."""
    if all(cell.setting.defence == "none" for cell in pair):
        pair = [max(pair, key=lambda cell: sum(cell.success) / len(cell.success))]
    return next(filter(None, (barred(cell, every) for cell in pair)), "")


def _reader_row(cell: TableCell) -> dict:
    claim, ours, said = cell.claim, cell.ours, cell.verdict
    word = said.word if said else ""
    values = (
        claim.row,
        claim.column,
        _percent(ours.value),
        f"{_percent(ours.low)} to {_percent(ours.high)}",
        f"{ours.trials} ({len(cell.trials.failed)} failed)" if cell.trials and cell.trials.failed else ours.trials,
        _percent(cell.chance.value) if cell.chance else "",
        claim.printed,
        claim.trials or "",
        said.value if said else "",
        said.count if said else "",
        f"{said.told:.0%}" if said else "",
        f"({word}: other setting)" if word and not cell.same_setting else word or "-",
    )
    return dict(zip(SHOWN, values, strict=True))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
