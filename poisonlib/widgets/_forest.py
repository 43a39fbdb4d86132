"""Forest plots: one interval a row and heading, with what the paper prints and what clean controls do beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib import rcParams
from matplotlib.axes import Axes
from seaborn import color_palette

from ..papers.belonging import Beside
from ..papers.cells import Cell, chance, measured, names, point, shared
from ..papers.statistics import Estimate
from ..plots.drawing import SIZE, Drawing
from ..plots.style import short

OURS = "ours, 95 % interval"
WIDE = 8.6  # inches
LETTER = 0.072  # inches of one letter of small print
SPAN = (-4, 104)  # of the scale, per cent


@dataclass(frozen=True)
class Mark:
    """One place in a forest."""

    row: int
    heading: int
    ours: tuple[tuple[str, Estimate], ...]  # by data set and network
    chance: tuple[float, ...] = ()
    paper: float | None = None


def plain(cells: Sequence[Cell], every: Sequence[Cell]) -> Drawing:
    """Success and clean accuracy of cells, a row each; ``every`` holds the clean controls."""
    marks = []
    for row, cell in enumerate(cells):
        rate, control = point(cell), chance(cell, every)
        marks.append(Mark(row, 0, ((OURS, rate.success),), () if control is None else (control,)))
        marks.append(Mark(row, 1, ((OURS, rate.accuracy),)))
    return draw(shared(cells), names(cells), ["poison success", "clean accuracy"], marks)


def compared(spots: Sequence[Beside], every: Sequence[Cell]) -> Drawing:
    """A paper's table, row by row, with ours where we have them."""
    rows, columns = (list(dict.fromkeys(getattr(spot.claim, side) for spot in spots)) for side in ("row", "column"))
    marks = [_mark(spot, every, rows.index(spot.claim.row), columns.index(spot.claim.column)) for spot in spots]
    return draw(f"{spots[0].claim.place} of {spots[0].claim.paper}", rows, columns, marks)


def _mark(spot: Beside, every: Sequence[Cell], row: int, heading: int) -> Mark:
    measure = spot.claim.measure
    ours = tuple((place(cell), measured(cell, measure)) for cell in spot.ours)
    controls = [chance(cell, every) for cell in spot.ours if measure == "success"]
    return Mark(row, heading, ours, tuple(rate for rate in controls if rate is not None), spot.claim.value)


def place(cell: Cell) -> str:
    it = cell.setting
    return f"{it.data} · {it.model} · {it.training}"


def draw(title: str, rows: Sequence[str], headings: Sequence[str], marks: Sequence[Mark]) -> Drawing:
    """All marks, in per cent; rows downwards, a panel a heading."""
    labels = [fill(short(row, 80), 42) for row in rows]
    lines = "\n".join(labels).splitlines()
    tall = 1.45 + (0.24 if len(lines) == len(rows) else 0.34) * len(rows)
    figure, left = Drawing((WIDE, tall)), (0.25 + LETTER * max(map(len, lines))) / WIDE
    where = list(dict.fromkeys(name for mark in marks for name, _ in mark.ours))
    colours = dict(zip(where, color_palette("colorblind", len(where)), strict=True))
    wide = (0.985 - left) / len(headings)
    for i, heading in enumerate(headings):
        axis = figure.add_axes((left + i * wide, 0.8 / tall, wide * 0.92, 1 - 1.45 / tall))
        axis.set_title(fill(heading, int(wide * WIDE / LETTER)), fontsize=SIZE, y=1.0)  # a given place need not be found
        _ground(axis, [] if i else labels, len(rows), 0.3 / (tall - 1.45))
        _draw(axis, [mark for mark in marks if mark.heading == i], colours)
    figure.text(0.01, 1 - 0.08 / tall, short(title, 120), fontsize=SIZE, va="top")
    handles = {text: handle for axis in figure.axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=3, frameon=False, fontsize=SIZE)
    return figure


def _ground(axis: Axes, labels: Sequence[str], rows: int, drop: float) -> None:
    """A scale of per cents, its label that share of the height below, and a line a row: ticks would cost as much as all else."""
    axis.set(xlim=SPAN, ylim=(rows - 0.5, -0.5), xticks=(0, 50, 100), yticks=())
    axis.tick_params(labelsize=SIZE)
    axis.set_xlabel("%", fontsize=SIZE)
    axis.xaxis.set_label_coords(0.5, -drop)
    axis.hlines(range(rows), *SPAN, color=rcParams["grid.color"], lw=rcParams["grid.linewidth"], zorder=0.5)
    for row, label in enumerate(labels):
        axis.text(SPAN[0] - 2, row, label, ha="right", va="center", fontsize=SIZE)


def _draw(axis: Axes, marks: Sequence[Mark], colours: dict) -> None:
    """One artist for all marks of a kind, which is quick."""
    for where, colour in colours.items():
        mine = [(y, rate) for mark in marks for y, (name, rate) in _spread(mark) if name == where]
        axis.hlines([y for y, _ in mine], [100 * rate.low for _, rate in mine], [100 * rate.high for _, rate in mine], color=colour)
        axis.plot([100 * rate.value for _, rate in mine], [y for y, _ in mine], "o", color=colour, ms=5, label=where)
    controls = [(100 * rate, mark.row) for mark in marks for rate in mark.chance]
    papers = [(100 * mark.paper, mark.row) for mark in marks if mark.paper is not None]
    for places, sign, size, label in ((controls, "|", 10, "clean control"), (papers, "D", 5, "paper")):
        if places:
            axis.plot(*zip(*places, strict=True), sign, color="black", ms=size, mew=1.4, mfc="none", label=label)


def _spread(mark: Mark) -> Iterator[tuple[float, tuple[str, Estimate]]]:
    """Ours in one place, each at a height of its own in the row."""
    step = min(0.2, 0.6 / max(len(mark.ours), 1))
    return ((mark.row + step * (i - (len(mark.ours) - 1) / 2), each) for i, each in enumerate(mark.ours))
