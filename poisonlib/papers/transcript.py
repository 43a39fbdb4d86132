"""The parts of a transcribed paper: tables of claims, stated results, settings, figures, findings. All frozen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MISSING = ("", "-")
MARKS = {"X": 1.0, "×": 0.0}


def number(printed: str, unit: str = "percent") -> tuple[float | None, float | None]:
    """``"92.00 ± 2.71"`` -> ``(0.92, 0.0271)``: value and standard error. Raises ValueError for any other text."""
    if printed in MISSING or unit == "text":
        return None, None
    if unit == "mark":
        if printed not in MARKS:
            raise ValueError(f"{printed!r}: write one of the marks {' '.join(MARKS)}")
        return MARKS[printed], None
    found = re.fullmatch(r"([+-]?\d+(?:\.\d+)?(?:e\d+)?)%?(?: ± (\d+(?:\.\d+)?))?", printed)
    if not found:
        raise ValueError(f"{printed!r}: write a number, such as 36%, 12.00 or 92.00 ± 2.71")
    scale = 100 if unit == "percent" else 1
    value, error = found.groups()
    return float(value) / scale, float(error) / scale if error else None


@dataclass(frozen=True)
class Note:
    """A remark on a table, a row, a column or one cell ("" where it concerns all of them)."""

    text: str
    kind: str = "layout"
    row: str = ""
    column: str = ""


@dataclass(frozen=True)
class Column:
    """A column's printed name, what it measures and in which unit."""

    name: str
    measure: str
    unit: str = "percent"  # or number, count, mark, text
    trials: int | None = None
    victims: int = 1


@dataclass(frozen=True)
class Claim:
    """One printed cell. ``value`` is a fraction for percents, None for words and for cells that do not exist."""

    paper: str
    table: str
    place: str
    row: str
    column: str
    measure: str
    printed: str
    value: float | None
    stderr: float | None
    trials: int | None
    victims: int
    binary: bool
    derived: bool
    means: dict[str, Any]  # the same in this package's words: attack, defence, data, poison_rate, ...
    notes: tuple[str, ...]

    @property
    def outcomes(self) -> int | None:
        """Hits and misses behind a success rate: trials times victims. None where a trial is itself a rate, or none is stated."""
        return self.trials * self.victims if self.binary and self.trials and self.measure == "success" else None


@dataclass(frozen=True)
class Table:
    """A printed table, or a figure's numbers."""

    paper: str
    name: str
    place: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[str, ...]
    claims: tuple[Claim, ...]  # row by row
    notes: tuple[Note, ...]
    origins: tuple[tuple[str, str, str], ...] = ()  # of several tables that stand together: each claim's place in the paper

    def place_of(self, cell: tuple[str, str, str]) -> tuple[str, str] | None:
        """Row and column here of a cell (table, row, column) of the paper; None for a cell of another table."""
        known = self.origins or [(claim.table, claim.row, claim.column) for claim in self.claims]
        here = dict(zip(known, self.claims, strict=True)).get(cell)
        return here and (here.row, here.column)

    def frame(self):
        """A pandas DataFrame of the cells exactly as printed."""
        import pandas

        cells = [claim.printed for claim in self.claims]
        wide = len(self.columns)
        grid = [cells[start : start + wide] for start in range(0, len(cells), wide)]
        return pandas.DataFrame(grid, index=list(self.rows), columns=[column.name for column in self.columns])


@dataclass(frozen=True)
class Stated:
    """A result in the running text. ``relation`` to its cells: equals, difference or below.

    ``agrees`` says whether the cells bear it out.
    """

    id: str
    place: str
    quote: str
    printed: str
    measure: str
    relation: str
    cells: tuple[tuple[str, str, str], ...]
    agrees: bool
    within: float | None = None  # a looser tolerance than the printed digits, for words such as "almost"
    note: str = ""

    @property
    def value(self) -> float | None:
        return number(self.printed, "percent")[0]


@dataclass(frozen=True)
class Setting:
    """A condition that the paper states, with the words that state it; ``note``: what it, its sequel or its code says otherwise."""

    name: str
    value: Any  # a number, a word as printed ("16/255", "1%"), or a tuple of them
    place: str
    quote: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """What a figure shows and which tables hold its numbers."""

    place: str
    caption: str
    tables: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """What a replication can check, between cells named (table, row, column).

    ``lower`` and ``higher``: ``less`` lies below ``more`` (the kind says which of them the sentence is about). ``similar``: they
    differ by less than the margin of their measure (`experiments.rules`), or ``within``. ``below``: ``less`` lies under ``bound``;
    ``above``: ``more`` lies over it. ``holds`` is False where the paper's own numbers do not bear its sentence out.
    """

    id: str
    place: str
    quote: str
    kind: str
    less: tuple[str, str, str] | None = None
    more: tuple[str, str, str] | None = None
    bound: float | None = None
    within: float | None = None
    holds: bool = True
    note: str = ""

    @property
    def places(self) -> tuple[tuple[str, str, str], ...]:
        """The cells that are compared, the lower one first; one alone with a ``bound``."""
        return tuple(cell for cell in (self.less, self.more) if cell)

    @property
    def checked(self) -> str:
        """The comparison in short: ``"mixup / Basic < Baseline / Basic"``, with the tables where there are two."""
        several = len({cell[0] for cell in self.places}) > 1
        names = [_cell(cell, several) if cell else f"{self.bound:g}" for cell in (self.less, self.more)]
        sign = {"lower": "{0} < {1}", "higher": "{1} > {0}", "similar": "{0} ≈ {1}", "below": "{0} < {1}", "above": "{1} > {0}"}
        return sign[self.kind].format(*names)


def _cell(cell: tuple[str, str, str], several: bool) -> str:
    """``"FC / Success Rate (%)"``, or ``"FC / Success Rate (%) (table 8)"``."""
    return " / ".join(cell[1:]) + f" ({cell[0].replace('table', 'table ')})" * several


@dataclass(frozen=True)
class Paper:
    """Everything one paper claims."""

    name: str
    about: dict[str, Any]
    tables: dict[str, Table]
    stated: tuple[Stated, ...]
    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    figures: tuple[Figure, ...]

    def table(self, name: str) -> Table:
        """One table. Raises LookupError that lists the choices."""
        return _pick(self.tables, name, f"table of {self.name}")

    def claim(self, table: str, row: str, column: str) -> Claim:
        """One cell. Raises LookupError that lists the choices."""
        return _pick({c.column: c for c in self._row(table, row)}, column, f"column of {self.name}'s {table}")

    def claims(self) -> Iterator[Claim]:
        """Every cell of every table."""
        for table in self.tables.values():
            yield from table.claims

    def _row(self, table: str, row: str) -> list[Claim]:
        found = self.table(table)
        _pick(dict.fromkeys(found.rows, True), row, f"row of {self.name}'s {table}")
        return [claim for claim in found.claims if claim.row == row]


def _pick(choices: dict, name: str, what: str):
    if name not in choices:
        raise LookupError(f"no {what} is called {name!r}; choose one of: {', '.join(choices)}")
    return choices[name]
