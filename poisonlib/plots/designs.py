"""Tables of designs: curves over the number of poisons, bars beside a baseline, check marks and counts."""

import re
from collections.abc import Sequence
from textwrap import fill

import numpy as np

from ..papers import Comparison, Table
from ..papers.comparison import TableCell
from ..papers.together import numbered
from .style import CLEAN, GUIDE, INK, OURS, PAPER, REST, canvas, looks, sample, small_print

BASELINE = "baseline"
MARK = {"X": "✓", "×": "·"}


def scaling(comparison: Comparison):
    """Success over the number of poisons that columns are named after, a panel for each table: ours with 95 % intervals, joined,
    and the paper's, dashed, at all of its columns.
    """
    tables = list(dict.fromkeys(cell.claim.table for cell in comparison.cells))
    figure, axes = canvas(1, len(tables), figsize=(3.4 * len(tables) + 0.6, 3.2), sharey=True, squeeze=False)
    rows = comparison.table.rows
    for axis, table in zip(axes[0], tables, strict=True):
        mine = [cell for cell in comparison.cells if cell.claim.table == table]
        for row, look in zip(rows, looks(len(rows)), strict=True):
            line = [cell for cell in mine if cell.claim.row == row]
            printed = [(_number(cell), 100 * cell.claim.value) for cell in line]
            axis.plot(*zip(*printed, strict=True), look.mark, ls=":", color=look.colour, mfc="none", lw=1, ms=4)
            _line(axis, [cell for cell in line if cell.ours], look)
        axis.set(
            xscale="log",
            xlabel="poisons in the paper's set (a constant share)",
            ylim=(-3, 103),
            title=numbered(mine[0].claim.place),
        )
    axes[0][0].set_ylabel("success, %")
    handles = [sample(marker=look.mark, color=look.colour, ls="-") for look in looks(len(rows))]
    handles += [sample(color=INK, ls="-"), sample(color=INK, ls=":")]
    figure.legend(
        handles, [*rows, "ours, 95 %", "paper"], loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8
    )
    small_print(figure, comparison.caption)
    return figure


def _number(cell: TableCell) -> float:
    """The number that a column is named after."""
    return float(re.search(r"(\d+)$", cell.claim.column)[1])


def _line(axis, cells: Sequence[TableCell], look) -> None:
    if cells:
        x, rates = [_number(cell) for cell in cells], [cell.ours for cell in cells]
        middle = np.array([100 * rate.value for rate in rates])
        ends = np.array([[100 * rate.low for rate in rates], [100 * rate.high for rate in rates]])
        axis.errorbar(x, middle, abs(ends - middle), fmt=look.mark, ls="-", color=look.colour, capsize=2, lw=1.4, ms=5)


def fragility(comparison: Comparison):
    """A panel for each row, a bar for each design that was run: ours with its 95 % interval, a diamond for the paper's, and a line
    at the baseline's height.
    """
    cells = [cell for cell in comparison.cells if cell.ours and cell.claim.measure == "success"]
    rows = list(dict.fromkeys(cell.claim.row for cell in cells))
    names = list(dict.fromkeys(_design(cell) for cell in cells))
    figure, axes = canvas(1, len(rows), figsize=(2.1 * len(rows) + 0.5, 3.4), sharey=True, squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        mine = {_design(cell): cell for cell in cells if cell.claim.row == row}
        for x, name in enumerate(names):
            if name in mine:
                _bar(axis, x, mine[name])
        if BASELINE in mine:
            axis.axhline(100 * mine[BASELINE].ours.value, color=OURS, lw=1)
            axis.axhline(100 * mine[BASELINE].claim.value, color=PAPER, lw=1, ls=":")
        axis.set(title=row, ylim=(0, 103), xlim=(-0.6, len(names) - 0.4))
        axis.set_xticks(range(len(names)), [fill(name, 12) for name in names], rotation=90, fontsize=8)
    axes[0][0].set_ylabel("success, %")
    looks_ = [sample(marker="s", ls="", color=OURS, ms=8), sample(marker="D", ls="", color=PAPER, mfc="none")]
    figure.legend(
        [*looks_, sample(color=OURS), sample(color=PAPER, ls=":")], WORDS, loc="outside upper center", ncols=4, frameon=False
    )
    small_print(figure, comparison.caption)
    return figure


WORDS = ("ours, 95 %", "paper", "our baseline", "paper's baseline")


def _design(cell: TableCell) -> str:
    return cell.claim.means.get("design") or BASELINE


def _bar(axis, x: int, cell: TableCell) -> None:
    low, value, high = (100 * end for end in (cell.ours.low, cell.ours.value, cell.ours.high))
    axis.bar(x, value, color=OURS, alpha=0.45, width=0.75)
    axis.errorbar(x, value, [[value - low], [high - value]], color=OURS, capsize=2, lw=1.2)
    axis.plot(x, 100 * cell.claim.value, "D", color=PAPER, mfc="none", ms=5, zorder=4)


def marks(table: Table):
    """A table of check marks as squares, with the printed values where it has any."""
    printed = table.frame()
    figure, axis = canvas(figsize=(0.62 * len(printed.columns) + 0.8, 0.4 * len(printed) + 0.9))
    axis.imshow(printed == "X", cmap=_two_colours(), vmin=0, vmax=1, aspect="auto")
    for (y, x), text in np.ndenumerate(printed.to_numpy()):
        axis.text(x, y, MARK.get(text, text), ha="center", va="center", fontsize=9, color=INK)
    axis.set_xticks(range(len(printed.columns)), printed.columns, fontsize=8)
    axis.set_yticks(range(len(printed)), printed.index, fontsize=9)
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axis.grid(visible=False)
    return figure


def _two_colours():
    from matplotlib.colors import ListedColormap

    return ListedColormap(["white", "#c6dcec"])


def counts(table: Table, level: float, words: str):
    """A table of counts: a dot for each cell, row by row, and a line at ``level`` with its meaning."""
    printed = table.frame().astype(int)
    figure, axis = canvas(figsize=(5.4, 0.27 * len(printed) + 1.0))
    for y, (_, line) in enumerate(printed.iterrows()):
        values, many = np.unique(line.to_numpy(), return_counts=True)
        axis.hlines(y, values.min(), values.max(), color=REST, lw=1, zorder=1)
        axis.scatter(values, [y] * len(values), s=30 * many, color=CLEAN, zorder=2)
    axis.axvline(level, color=GUIDE, ls="--", lw=1)
    axis.text(level, -0.8, f" {words}", fontsize=8, va="center")
    axis.set(
        xlim=(0, None), ylim=(len(printed) - 0.5, -1.2), xlabel="images of a class from one source (larger dots: several sources)"
    )
    axis.set_yticks(range(len(printed)), printed.index, fontsize=9)
    return figure
