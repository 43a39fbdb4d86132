"""What the results explorer shows: the state, and the cells that it selects."""

from dataclasses import dataclass

from ...papers.belonging import tables
from ...papers.cells import Cell
from ...papers.dose import DOSES, Series, series
from ...papers.telling import PARTS
from ._records import AUTO, load

VIEWS = ("forest", "trade-off", "dose", "power")
ALL, NONE = "all", "none"
FIRST_TABLE = "strong_augmentation table1"


@dataclass(frozen=True)
class State:
    """The choices of the explorer: a view, and some cells of one source. Trials that differ only in their seed are one cell."""

    view: str = "forest"
    source: str = AUTO  # "yours", the name of a kept run, or "auto": yours if you have any records, else the kept run `quick`
    attack: str = ALL  # the name of an attack
    data: str = ALL  # a data set as the table of cells shows it
    find: str = ""  # only cells whose description contains this
    table: str = FIRST_TABLE  # a paper and its table, beside which the forest shows ours; or "none"
    dose: str = "poison rate"
    rows: int = 12  # cells in a forest or a trade-off
    p1: float = 0.5  # two success rates that planned trials are to tell apart
    p2: float = 0.3
    power: float = 0.8  # the probability that they do
    cells: int = 2  # of the planned grid

    def __post_init__(self):
        for field, choices in (("view", VIEWS), ("dose", tuple(DOSES)), ("table", (NONE, *tables()))):
            if getattr(self, field) not in choices:
                raise ValueError(f"{field}={getattr(self, field)!r}: choose one of {', '.join(choices)}")


def useful(state: State) -> set[str]:
    """The fields that have an effect in a state."""
    forest = {"table"} if state.table != NONE else {"table", "rows"}
    views = {"forest": forest, "trade-off": {"rows"}, "dose": {"dose"}, "power": {"p1", "p2", "power", "cells"}}
    return {"view", "source", "attack", "data", "find"} | views[state.view]


@dataclass(frozen=True)
class Selection:
    """The cells of a source, those that a state selects, and why some records are left out."""

    source: str
    every: tuple[Cell, ...]
    chosen: tuple[Cell, ...]
    unreadable: tuple[str, ...]  # an error message for each record that cannot be read

    def most(self, rows: int) -> tuple[Cell, ...]:
        """The selected cells with the most trials, in the order of the table."""
        ranked = sorted(range(len(self.chosen)), key=lambda i: -len(self.chosen[i].seeds))
        return tuple(self.chosen[i] for i in sorted(ranked[:rows]))

    def lines(self, dose: str) -> list[Series]:
        """Series of selected cells that differ only in one dose."""
        return series(self.chosen, DOSES[dose])


def prepare(state: State) -> Selection:
    """The state's selection. Only folders that have changed are read. Raises LookupError for an unknown source."""
    found = load(state.source)
    return Selection(found.name, found.cells, tuple(cell for cell in found.cells if _selected(cell, state)), found.unreadable)


def _selected(cell: Cell, state: State) -> bool:
    setting = cell.setting
    named = state.find.lower() in " ".join(getattr(setting, part) for part in PARTS).lower()
    return named and state.attack in (ALL, setting.kind) and state.data in (ALL, setting.data)
