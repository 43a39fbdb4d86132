"""What `compare` returns: a paper's table beside our trials, and what is shown and kept of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import files, paths
from ..experiments import Record
from ..experiments.failures import Failure
from ..words import plural
from .belonging import belongs
from .cells import Cell, failures, trial_of
from .claims import Claim, Finding, Table, load
from .effects import Effect
from .setting import caption, setting
from .statistics import Estimate
from .verdicts import CellVerdict, Verdict

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


def _lacking(row: str, table: Table, failed: Sequence[Failure]) -> str:
    """A row that was not measured, with the number of its trials that failed, if any did."""
    trials = [trial for each in failed if (trial := trial_of(each.setting))]
    count = sum(any(belongs(trial, claim) for claim in table.claims if claim.row == row) for trial in trials)
    return f"{row} ({plural(count, 'trial')} failed)" if count else row


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
