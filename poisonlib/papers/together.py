"""Several tables of a paper side by side, as it groups them: an ablation beside its baseline."""

from collections.abc import Sequence
from dataclasses import replace

from .transcript import Paper, Table


def together(paper: Paper, names: Sequence[str]) -> Table:
    """Several tables as one. Their columns are named ``"Table 8"``, or ``"Table 15: 3 × 3"`` where there are several with rates.

    Raises LookupError for a table that the paper lacks.
    """
    every = [paper.table(name) for name in names]
    if len(every) == 1:
        return every[0]
    columns = [replace(column, name=_heading(table, column.name)) for table in every for column in table.columns]
    claims = [replace(claim, column=_heading(table, claim.column)) for table in every for claim in table.claims]
    origins = [(claim.table, claim.row, claim.column) for table in every for claim in table.claims]
    rows = dict.fromkeys(row for table in every for row in table.rows)
    place = "Tables " + ", ".join(numbered(table.place).removeprefix("Table ") for table in every)
    notes, captions = (note for table in every for note in table.notes), " ".join(table.caption for table in every)
    return Table(paper.name, " + ".join(names), place, captions, *map(tuple, (columns, rows, claims, notes, origins)))


def numbered(place: str) -> str:
    """``"Table 8"`` of ``"Table 8, Appendix A.5"``."""
    return place.split(",")[0]


def _heading(table: Table, column: str) -> str:
    """What a column is called beside those of other tables."""
    rates = [each.name for each in table.columns if each.measure == "success"]
    return numbered(table.place) + f": {column}" * (rates != [column])
