"""A table as the paper prints it, ours beside each number: from the long table, a row for each number, that a notebook stores."""

from dataclasses import dataclass

from .. import papers
from ..papers import Table


@dataclass(frozen=True)
class Entry:
    """What stands in one place: the printed number and ours, each "" where there is none."""

    paper: str = ""
    ours: str = ""
    interval: str = ""
    n: str = ""
    control: str = ""  # success of clean controls, per cent
    verdict: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    entries: tuple[Entry, ...]  # one a column
    printed: bool  # whether the paper has this row


@dataclass(frozen=True)
class Wide:
    """The whole table; rows that the paper lacks come last."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def wide(content: dict) -> Wide:
    """The table that ``outputs/tables/NAME.json`` holds. Of columns that no trial measures none is shown."""
    ours = {(cell["row"], cell["column"]): cell for cell in content["cells"]}
    claimed = _claimed(content)
    printed = {(claim.row, claim.column): claim.printed for claim in claimed.claims} if claimed else {}
    there, known = dict.fromkeys(column for _, column in ours), [column.name for column in claimed.columns] if claimed else []
    columns = tuple(column for column in dict.fromkeys([*known, *there]) if column in there)
    first = claimed.rows if claimed else ()
    rows = dict.fromkeys([*first, *(row for row, _ in ours)])
    made = [Row(row, tuple(_entry(printed, ours, row, column) for column in columns), row in first) for row in rows]
    return Wide(columns, tuple(row for row in made if any(entry.paper or entry.ours for entry in row.entries)))


def _claimed(content: dict) -> Table | None:
    """What the paper prints; None for a table of none of the papers."""
    found = [papers.load(name) for name in papers.names()]
    tables = [table for paper in found if paper.about["title"] == content["paper"] for table in paper.tables.values()]
    return next((table for table in tables if table.place == content["place"]), None)


def _entry(printed: dict, ours: dict, row: str, column: str) -> Entry:
    cell, paper = ours.get((row, column)), printed.get((row, column), "")
    if not cell:
        return Entry(paper)
    numbers = (str(cell[key]) for key in ("ours %", "95 % interval", "n", "chance %"))
    return Entry(paper or cell["paper"], *numbers, "" if cell["verdict"] == "-" else cell["verdict"])
