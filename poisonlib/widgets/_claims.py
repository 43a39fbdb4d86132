"""Which of our cells measure which cell of a paper's table, as `papers.compare` decides it."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from .. import papers
from ..papers import Claim
from ._records import Cell

MEASURES = ("success", "clean accuracy")


@dataclass(frozen=True)
class Beside:
    """A printed cell and those of ours that measure it."""

    claim: Claim
    ours: tuple[Cell, ...]


@functools.cache
def tables() -> tuple[str, ...]:
    """Tables with rates under a defence that this package has a name for, as ``"PAPER TABLE"``."""
    every = [table for paper in papers.names() for table in papers.load(paper).tables.values()]
    return tuple(f"{table.paper} {table.name}" for table in every if any(_comparable(claim) for claim in table.claims))


def _comparable(claim: Claim) -> bool:
    return bool(claim.means.get("defence")) and claim.measure in MEASURES and claim.value is not None


def beside(cells: Sequence[Cell], table: str) -> list[Beside]:
    """The table's cells in their order, each with ours. Raises LookupError for an unknown table."""
    if table not in tables():
        raise LookupError(f"table={table!r}: choose one of: none, {', '.join(tables())}")
    paper, name = table.split()
    mine = belonging(tuple(cell.setting.text for cell in cells), table)
    claims = [claim for claim in papers.load(paper).table(name).claims if _comparable(claim)]
    return [Beside(claim, tuple(cells[i] for i in mine.get((claim.row, claim.column), ()))) for claim in claims]


@functools.lru_cache(maxsize=64)
def belonging(texts: tuple[str, ...], table: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """For (row, column) the settings that belong there, by their places: one blank trial each is compared, its place for a seed."""
    blank = {"success": [0, 1], "clean": [[0, 1]]}
    marked = [{"spec": json.loads(text) | {"seed": i}, "result": blank} for i, text in enumerate(texts)]
    return {(cell.claim.row, cell.claim.column): tuple(cell.outcomes) for cell in papers.compare(marked, *table.split()).cells}
