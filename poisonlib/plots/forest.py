"""Forest plots: an interval in each row and column, beside what the paper prints and what clean controls do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib import rcParams
from matplotlib.axes import Axes

from ..papers.belonging import Beside
from ..papers.cells import Cell, chance, measured
from ..papers.comparison import Comparison, TableCell
from ..papers.statistics import Estimate
from ..papers.telling import names, shared
from .drawing import SIZE, Drawing
from .style import CHANCE, PAPER, ROOM, colours, short, small_lines, small_print

OURS = "ours, 95 % interval"
WIDEST, NARROWEST, PANEL = 8.6, 4.6, 2.6  # inches: of the figure, and of one of its panels at most
LETTER, LINE = 0.072, 46  # inches of one letter of a label, and letters in its lines
WORDS = {"SS": "Spectral signatures", "AC": "Activation clustering", "CUTMIX": "CutMix"}  # of columns in capitals
GAP = 0.28  # inches between panels
ABOVE, BELOW = 0.65, 0.8  # inches above and below the rows: headings; scale and legend


@dataclass(frozen=True)
class Heading:
    """A column of a forest; success is shown from 0 to 100 %, any other measure from a little below its least value on."""

    name: str
    measure: str = "success"


@dataclass(frozen=True)
class Mark:
    """What stands in one row under one heading."""

    row: int
    heading: int
    ours: tuple[tuple[str, Estimate], ...]  # by what the legend calls them
    chance: tuple[float, ...] = ()
    paper: float | None = None


def forest(comparison: Comparison) -> Drawing:
    """Every measured cell of a comparison, further rows included: our 95 % interval, the paper's value, the clean control's rate.

    Raises ValueError where nothing was measured.
    """
    cells = [cell for cell in comparison.cells if cell.ours]
    if not cells:
        raise ValueError(f"none of {len(comparison.cells)} cells of {comparison.table.name} was measured; there is nothing to draw")
    headings = list(dict.fromkeys(_heading(cell) for cell in cells))
    rows = list(dict.fromkeys(cell.claim.row for cell in cells))
    marks = [_compared(cell, rows, headings) for cell in cells]
    return draw("", rows, headings, marks, comparison.caption)


def _heading(cell: TableCell) -> Heading:
    """The column's, in small letters where the paper has none but capitals, and its abbreviations written out."""
    column = cell.claim.column
    return Heading(WORDS.get(column) or (column.title() if column.isupper() else column), cell.claim.measure)


def _compared(cell: TableCell, rows: Sequence[str], headings: Sequence[Heading]) -> Mark:
    heading = headings.index(_heading(cell))
    control = (cell.chance.value,) if cell.chance else ()
    return Mark(rows.index(cell.claim.row), heading, ((OURS, cell.ours),), control, cell.claim.value)


def cells_forest(cells: Sequence[Cell], every: Sequence[Cell]) -> Drawing:
    """Success and clean accuracy of cells, a row for each; ``every`` holds the clean controls."""
    headings = [Heading("poison success", "success"), Heading("clean accuracy", "clean accuracy")]
    marks = [
        Mark(row, i, ((OURS, measured(cell, heading.measure)),), _controls([cell], heading.measure, every))
        for row, cell in enumerate(cells)
        for i, heading in enumerate(headings)
    ]
    return draw(shared(cells), names(cells), headings, marks, width=WIDEST)


def table_forest(spots: Sequence[Beside], every: Sequence[Cell]) -> Drawing:
    """A paper's table, row by row, with the cells of ours that measure its claims; ``every`` holds the clean controls."""
    rows = list(dict.fromkeys(spot.claim.row for spot in spots))
    headings = list(dict.fromkeys(Heading(spot.claim.column, spot.claim.measure) for spot in spots))
    marks = [_beside(spot, every, rows, headings) for spot in spots]
    return draw(f"{spots[0].claim.place} of {spots[0].claim.paper}", rows, headings, marks, width=WIDEST)


def _beside(spot: Beside, every: Sequence[Cell], rows: Sequence[str], headings: Sequence[Heading]) -> Mark:
    claim = spot.claim
    ours = tuple((_place(cell), measured(cell, claim.measure)) for cell in spot.ours)
    controls = _controls(spot.ours, claim.measure, every)
    return Mark(rows.index(claim.row), headings.index(Heading(claim.column, claim.measure)), ours, controls, claim.value)


def _controls(cells: Sequence[Cell], measure: str, every: Sequence[Cell]) -> tuple[float, ...]:
    rates = [chance(cell, every) for cell in cells if measure == "success"]
    return tuple(rate.value for rate in rates if rate)


def _place(cell: Cell) -> str:
    it = cell.setting
    return f"{it.data} · {it.model} · {it.training}"


def draw(
    title: str, rows: Sequence[str], headings: Sequence[Heading], marks: Sequence[Mark], note: str = "", width: float | None = None
) -> Drawing:
    """All marks in per cent: rows downwards, a panel for each heading, ``note`` at the lower edge, ``width`` in inches."""
    labels = [fill(short(row, 3 * LINE - 12), LINE) for row in rows]
    lines, tallest = "\n".join(labels).splitlines(), max(label.count("\n") + 1 for label in labels)
    where = list(dict.fromkeys(name for mark in marks for name, _ in mark.ours))
    legend = math.ceil((len(where) + 2) / (columns := 3 if len(where) < 2 else 2))  # lines
    left, above = 0.25 + LETTER * max(map(len, lines)), ABOVE if title else ABOVE - 0.25
    wide = width or min(WIDEST, max(NARROWEST, left + PANEL * len(headings) + 0.15))
    room, height = ROOM * len(small_lines(note, wide)), (0.1 + 0.14 * tallest) * len(rows)
    below = BELOW + room + 0.19 * (legend - 1)
    panel, tall = (0.985 * wide - left) / len(headings), below + height + above
    figure = Drawing((wide, tall))
    for i, heading in enumerate(headings):
        axis = figure.add_axes(((left + i * panel) / wide, below / tall, (panel - GAP) / wide, height / tall))
        axis.set_title(fill(heading.name, int(panel / LETTER)), fontsize=SIZE, y=1.0)  # a given place need not be found
        _scale(axis, heading, [mark for mark in marks if headings[mark.heading].measure == heading.measure])
        _ground(axis, [] if i else labels, len(rows), 0.3 / height)
        _draw(axis, [mark for mark in marks if mark.heading == i], dict(zip(where, colours(len(where)), strict=True)))
    figure.text(0.01, 1 - 0.08 / tall, short(title, 120), fontsize=SIZE, va="top")
    handles = {text: handle for axis in figure.axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    edge = {"loc": "lower center", "bbox_to_anchor": (0.5, room / tall), "ncols": columns}
    figure.legend(handles.values(), handles.keys(), **edge, frameon=False, fontsize=SIZE)
    small_print(figure, note)
    return figure


def _scale(axis: Axes, heading: Heading, marks: Sequence[Mark]) -> None:
    """All of 0 to 100 % for success; else from a little below the least value of ``marks``, those of the same measure."""
    rates = [rate.low for mark in marks for _, rate in mark.ours] + [mark.paper for mark in marks if mark.paper is not None]
    left = 0 if heading.measure == "success" or not rates else max(0, math.floor(100 * min(rates) - 3))
    span = 100 - left
    step = 5 if span <= 25 else 10 if span <= 50 else 25 if left else 50
    ticks = [left, *(tick for tick in range(0, 101, step) if tick > left + 0.2 * span)]
    edge = 0.0 if left else 0.03 * span
    axis.set(xlim=(left - edge, 100 + 0.03 * span), xticks=ticks, yticks=())
    axis.tick_params(labelsize=SIZE)
    axis.set_xlabel(f"%, from {left}" if left else "%", fontsize=SIZE)


def _ground(axis: Axes, labels: Sequence[str], rows: int, drop: float) -> None:
    """A line for each row and the rows' names, as ticks would take as long as all else; the scale's label is ``drop`` below."""
    axis.set_ylim(rows - 0.5, -0.5)
    axis.xaxis.set_label_coords(0.5, -drop)
    left, right = axis.get_xlim()
    axis.hlines(range(rows), left, right, color=rcParams["grid.color"], lw=rcParams["grid.linewidth"], zorder=0.5)
    for row, label in enumerate(labels):
        axis.text(left - 0.02 * (right - left), row, label, ha="right", va="center", fontsize=SIZE)


def _draw(axis: Axes, marks: Sequence[Mark], looks: dict[str, str]) -> None:
    """One artist for all marks of a kind, which is quick."""
    for where, colour in looks.items():
        mine = [(y, rate) for mark in marks for y, (name, rate) in _spread(mark) if name == where]
        if mine:
            lows, highs = ([100 * getattr(rate, end) for _, rate in mine] for end in ("low", "high"))
            axis.hlines([y for y, _ in mine], lows, highs, color=colour, lw=2)
            axis.plot([100 * rate.value for _, rate in mine], [y for y, _ in mine], "o", color=colour, ms=5, label=where)
    controls = [(100 * rate, mark.row) for mark in marks for rate in mark.chance]
    papers = [(100 * mark.paper, mark.row) for mark in marks if mark.paper is not None]
    for places, sign, size, colour, label in ((controls, "|", 10, CHANCE, "clean control"), (papers, "D", 5, PAPER, "paper")):
        if places:
            axis.plot(*zip(*places, strict=True), sign, color=colour, ms=size, mew=1.4, mfc="none", label=label)


def _spread(mark: Mark) -> Iterator[tuple[float, tuple[str, Estimate]]]:
    """Ours in one place, each at a height of its own in the row."""
    step = min(0.2, 0.6 / max(len(mark.ours), 1))
    return ((mark.row + step * (i - (len(mark.ours) - 1) / 2), each) for i, each in enumerate(mark.ours))
