"""The results explorer: recorded trials beside the papers' values, as trade-offs, over doses, and planned."""

from pathlib import Path

import ipywidgets

from ...papers.belonging import beside, tables
from ...papers.costs import costs
from ...papers.dose import DOSES
from ...plots.drawing import Drawing, blank
from ...plots.forest import cells_forest, table_forest
from .._controls import Choice, Control, Real, Whole, Words
from .._panel import Panel, message
from . import _listing, _pictures
from ._records import AUTO, load, sources
from ._state import ALL, FIRST_TABLE, NONE, useful
from ._state import VIEWS as VIEWS
from ._state import State as State
from ._state import prepare as prepare
from ._words import LINES, notice
from ._words import words as words

PRESETS = {
    "Strong augmentation, Table 1": State(table=FIRST_TABLE),
    "Strong augmentation, Table 2": State(table="strong_augmentation table2"),
    "DP-InstaHide, Table 5": State(table="dp_instahide table5"),
    "What a defence costs": State(view="trade-off", attack="patch"),
    "More poison, more success": State(view="dose"),
    "How many trials it takes": State(view="power"),
}


def render(state: State) -> Drawing:
    """The picture of a state; if nothing is recorded or selected, words."""
    selection = prepare(state)
    if state.view == "power":
        return _pictures.power(state.p1, state.p2, state.power, state.cells, costs(selection.chosen))
    if not selection.chosen or (state.view == "dose" and not selection.lines(state.dose)):
        return blank(words(state))
    if state.view == "trade-off":
        return _pictures.trade_off(selection.most(state.rows))
    if state.view == "dose":
        return _pictures.dose_response(DOSES[state.dose], selection.lines(state.dose)[:LINES])
    if state.table != NONE:
        return table_forest(beside(selection.chosen, state.table), selection.every)
    return cells_forest(selection.most(state.rows), selection.every)


def listing(state: State, rows: int = _listing.ROWS) -> str:
    """What is selected as HTML tables that unfold: a paper's table with its values and ours, and the first ``rows`` cells.

    "" if no cell is selected.
    """
    chosen = prepare(state).chosen
    if not chosen:
        return ""
    table = beside(chosen, state.table) if state.view == "forest" and state.table != NONE else []
    return (_listing.printed_html(table) if table else "") + _listing.as_html(chosen, rows)


def save(state: State, name: str = "results", suffix: str = "csv") -> Path:
    """Write all selected cells to ``outputs/exports/NAME.csv``, or ``NAME.tex`` with ``suffix="tex"``; returns the path."""
    return _listing.save(prepare(state).chosen, name, suffix)


def controls() -> list[Control]:
    """One control for each field of `State`."""
    every = [cell.setting for name in sources() for cell in load(name).cells]
    attacks, data = (tuple(sorted({getattr(setting, part) for setting in every})) for part in ("kind", "data"))
    return [
        Choice("view", "View", "intervals, trade-off with clean accuracy, dose and response, or what more trials cost", VIEWS),
        Choice("source", "Records", "auto: yours, or those of the run quick if you have none", (AUTO, *sources())),
        Choice("attack", "Attack", "only cells of this attack", (ALL, *attacks)),
        Choice("data", "Data set", "only cells of this data set", (ALL, *data)),
        Choice("table", "Paper's table", "shown beside your results in the forest", (NONE, *tables())),
        Choice("dose", "Dose", "dose view: the number that varies", tuple(DOSES)),
        Words("find", "Find", "a part of the name of an attack, defence, data set or network"),
        Whole("rows", "Cells shown", "forest and trade-off: the cells with the most trials", 2, 24),
        Real("p1", "First rate", "power view: a success rate, as a share", 0.0, 1.0, 0.01),
        Real("p2", "Second rate", "power view: the success rate to tell it from, as a share", 0.0, 1.0, 0.01),
        Real("power", "Power", "power view: the probability that the trials tell the rates apart", 0.5, 0.99, 0.01),
        Whole("cells", "Cells planned", "power view: the number of cells in the grid", 1, 60),
    ]


def explorer(state: State | None = None) -> Panel:
    """A panel with a control for each choice, two buttons that save the selected cells, and the table of these cells.

    ``state``: what it shows first, by default ``State()``.
    """
    below = ipywidgets.HTML()

    def drawn(each: State) -> Drawing:
        picture, below.value = render(each), listing(each)
        return picture

    panel = Panel(state or State(), controls(), drawn, words, notice, useful=useful, presets=PRESETS)
    panel.children = (*panel.children, ipywidgets.HBox([_button(panel, "csv", "CSV"), _button(panel, "tex", "LaTeX")]), below)
    return panel


def _button(panel: Panel, suffix: str, kind: str) -> ipywidgets.Button:
    """A button that saves the selected cells and says where."""
    button = ipywidgets.Button(description=f"Save as {kind}", tooltip=f"all selected cells, to outputs/exports/results.{suffix}")

    def pressed(_) -> None:
        try:
            panel.say(f"Saved: {save(panel.state, suffix=suffix)}")
        except Exception as error:
            panel.say(f"Not saved: {message(error)}", "error")

    button.on_click(pressed)
    return button
