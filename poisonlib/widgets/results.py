"""The results explorer: recorded trials beside the papers' values, as trade-offs, as doses and responses, and planned."""

from dataclasses import dataclass
from pathlib import Path

import ipywidgets

from ..papers.belonging import beside, tables
from ..papers.cells import PARTS, Cell
from ..papers.costs import costs
from ..papers.dose import DOSES, Series, series
from ..plots.drawing import Drawing, blank
from ..plots.forest import cells_forest, table_forest
from . import _listing, _responses, _words
from ._controls import Choice, Real, Whole, Words
from ._panel import Panel, explained
from ._records import AUTO, load, sources

VIEWS = ("forest", "trade-off", "dose", "power")
EVERY, NONE = "all", "none"
LINES = 4  # doses and responses in one picture


@dataclass(frozen=True)
class State:
    """What is looked at: a view, and which cells of a source (trials that differ by their seed alone make a cell)."""

    view: str = "forest"
    source: str = AUTO  # yours, the name of a kept run, or auto: yours, or those of the run `quick` where you have none
    attack: str = EVERY  # an attack's name
    data: str = EVERY  # a data set as the table names it
    find: str = ""  # a cell is left out where none of its words holds this
    table: str = NONE  # a paper and its table for the forest: "strong_augmentation table1"
    dose: str = "share"
    rows: int = 12  # cells in a forest or a trade-off
    p1: float = 0.5  # rates that trials shall tell apart
    p2: float = 0.3
    power: float = 0.8  # the probability that they do
    cells: int = 2  # of the grid that is planned

    def __post_init__(self):
        for field, choices in (("view", VIEWS), ("dose", tuple(DOSES)), ("table", (NONE, *tables()))):
            if getattr(self, field) not in choices:
                raise ValueError(f"{field}={getattr(self, field)!r}: choose one of {', '.join(choices)}")


@dataclass(frozen=True)
class Scene:
    """The cells of a source, and those among them that a state chooses."""

    source: str
    every: tuple[Cell, ...]
    chosen: tuple[Cell, ...]

    def most(self, rows: int) -> tuple[Cell, ...]:
        """The chosen cells with the most trials, in their own order."""
        ranked = sorted(range(len(self.chosen)), key=lambda i: -len(self.chosen[i].seeds))
        return tuple(self.chosen[i] for i in sorted(ranked[:rows]))

    def lines(self, dose: str) -> list[Series]:
        return series(self.chosen, DOSES[dose])


def prepare(state: State) -> Scene:
    """Reads files only in folders that have changed. Raises LookupError or ValueError, with words for a reader."""
    source, every = load(state.source)
    return Scene(source, every, tuple(cell for cell in every if _wanted(cell, state)))


def _wanted(cell: Cell, state: State) -> bool:
    it = cell.setting
    named = state.find.lower() in " ".join(getattr(it, part) for part in PARTS).lower()
    return named and state.attack in (EVERY, it.kind) and state.data in (EVERY, it.data)


def render(state: State) -> Drawing:
    """The picture of a state; where nothing is recorded or chosen, words."""
    scene = prepare(state)
    if state.view == "power":
        return _responses.power(state.p1, state.p2, state.power, state.cells, costs(scene.chosen))
    if not scene.chosen or (state.view == "dose" and not scene.lines(state.dose)):
        return blank(words(state))
    if state.view == "trade-off":
        return _responses.trade_off(scene.most(state.rows))
    if state.view == "dose":
        return _responses.dose_response(DOSES[state.dose], scene.lines(state.dose)[:LINES])
    if state.table != NONE:
        return table_forest(beside(scene.chosen, state.table), scene.every)
    return cells_forest(scene.most(state.rows), scene.every)


def words(state: State) -> str:
    """What `render` shows, in a line."""
    scene = prepare(state)
    if state.view == "power":
        return _words.power(state.p1, state.p2, state.power, state.cells, costs(scene.chosen))
    if not scene.chosen:
        return _words.nothing(scene.source, scene.every)
    lead = _words.lead(scene.source, scene.every, scene.chosen)
    if state.view == "dose":
        return f"{lead} {_words.doses(state.dose, scene.lines(state.dose), LINES)}"
    if state.view == "forest" and state.table != NONE:
        return f"{lead} {_words.table(beside(scene.chosen, state.table))}"
    return f"{lead} {_words.extremes(scene.most(state.rows), len(scene.chosen) - state.rows)}"


def listing(state: State, rows: int = _listing.ROWS) -> str:
    """The chosen cells as an HTML table of at most ``rows``."""
    chosen = prepare(state).chosen
    return _listing.as_html(chosen, rows) if chosen else ""


def save(state: State, name: str = "results", suffix: str = "csv") -> Path:
    """Write all chosen cells to ``outputs/exports/NAME.csv``, or to ``NAME.tex`` where the suffix is ``tex``."""
    return _listing.save(prepare(state).chosen, name, suffix)


def controls() -> list:
    every = [cell.setting for name in sources() for cell in _sound(name)]
    attacks, data = (tuple(sorted({getattr(it, part) for it in every})) for part in ("kind", "data"))
    return [
        Choice("view", "View", "intervals, trade-off with clean accuracy, dose and response, or what more trials cost", VIEWS),
        Choice("source", "Records", "auto: yours, or those of the run quick where you have none", (AUTO, *sources())),
        Choice("attack", "Attack", "cells of this attack", (EVERY, *attacks)),
        Choice("data", "Data set", "cells of this data set", (EVERY, *data)),
        Choice("table", "Paper's table", "shown beside ours in the forest", (NONE, *tables())),
        Choice("dose", "Dose", "the number that a response is a response to", tuple(DOSES)),
        Words("find", "Find", "a part of a defence, an attack or a network"),
        Whole("rows", "Cells shown", "in the forest of measured cells and in the trade-off: those with the most trials", 2, 24),
        Real("p1", "First rate", "power: a success rate, as a share", 0.0, 1.0, 0.01),
        Real("p2", "Second rate", "power: the rate that it shall be told from", 0.0, 1.0, 0.01),
        Real("power", "Power", "power: the probability that the trials tell them apart", 0.5, 0.99, 0.01),
        Whole("cells", "Cells planned", "power: of the grid whose hours are counted", 1, 60),
    ]


def _sound(source: str) -> tuple[Cell, ...]:
    """The cells of a source; none where a record is broken, which the panel says as soon as it is chosen."""
    try:
        return load(source)[1]
    except (LookupError, TypeError, ValueError):
        return ()


def explorer(state: State = State()) -> Panel:
    """The panel that goes through all states, with the table of cells and two buttons that save it under the picture."""
    below = ipywidgets.HTML()

    def drawn(each: State) -> Drawing:
        picture, below.value = render(each), listing(each)
        return picture

    panel = Panel(state, controls(), drawn, words, notice)
    panel.children = (*panel.children, ipywidgets.HBox([_button(panel, "csv", "CSV"), _button(panel, "tex", "LaTeX")]), below)
    return panel


def notice(state: State) -> str:
    """What takes seconds, once: reading records, and finding those that belong to a paper's table."""
    compares = state.view == "forest" and state.table != NONE
    return (
        f"Finding the records {state.source} that belong to {state.table} ..."
        if compares
        else f"Reading the records {state.source} ..."
    )


def _button(panel: Panel, suffix: str, kind: str) -> ipywidgets.Button:
    """A button that saves what the panel shows and says where to."""
    button = ipywidgets.Button(description=f"Save as {kind}", tooltip=f"all chosen cells, to outputs/exports/results.{suffix}")

    def pressed(_) -> None:
        try:
            panel.say(f"Saved: {save(panel.state, suffix=suffix)}")
        except Exception as error:
            panel.say(f"Not saved: {explained(error)}")

    button.on_click(pressed)
    return button
