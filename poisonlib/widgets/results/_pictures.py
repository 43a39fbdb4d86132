"""Pictures of the results explorer other than the forest plot: trade-off, dose and response, and the cost of more trials."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from ...papers.cells import Cell, point
from ...papers.costs import Cost, needed
from ...papers.dose import Curve, Dose, Series
from ...papers.telling import differs, names, shared
from ...plots.drawing import SIZE, Drawing
from ...plots.style import ELSEWHERE, GUIDE, HERE, INK, OURS, looks, short
from ...plots.trade_off import bars, trade_off_points

LEGEND = 42  # characters in a line


def trade_off(cells: Sequence[Cell]) -> Drawing:
    """Poison success over clean accuracy, a mark with both 95 % intervals for each cell; lower right is best for the defender."""
    labels = [fill(name, LEGEND) for name in _placed(cells)]
    figure, axis = _ground(shared(cells), labels)
    marks = dict(zip(labels, looks(len(labels)), strict=True))
    trade_off_points(axis, dict(zip(labels, map(point, cells), strict=True)), marks)
    _finish(axis)
    return figure


def dose_response(dose: Dose, lines: Sequence[Series]) -> Drawing:
    """Poison success over a dose: the cells with 95 % intervals, and the fitted curves with 95 % bands, if there are any."""
    strongest, step = [line.cells[-1] for line in lines], 0.008 * max(max(line.doses) - min(line.doses) for line in lines)
    labels = [
        fill(name + ("" if isinstance(line.curve, Curve) else " (no curve)"), LEGEND)
        for name, line in zip(_placed(strongest), lines, strict=True)
    ]
    figure, axis = _ground(shared([cell for line in lines for cell in line.cells]), labels)
    for i, (line, label, look) in enumerate(zip(lines, labels, looks(len(lines)), strict=True)):
        curve, rates = line.curve, [point(cell).success for cell in line.cells]
        beside = [each + step * (i - (len(lines) - 1) / 2) for each in line.doses]
        bars(axis.vlines, beside, rates, [look.colour])
        axis.plot(beside, [100 * rate.value for rate in rates], look.mark, color=look.colour, ms=5, label=label)
        if isinstance(curve, Curve):
            x = np.linspace(min(line.doses), max(line.doses), 60)
            value, low, high = curve.at(x)
            axis.plot(x, 100 * value, color=look.colour, lw=1.4)
            axis.fill_between(x, 100 * low, 100 * high, color=look.colour, alpha=0.18, lw=0)
    axis.set(xlabel=dose.label, ylabel="poison success, %", ylim=(-4, 104))
    _finish(axis)
    return figure


def power(p1: float, p2: float, sure: float, cells: int, costs: Sequence[Cost]) -> Drawing:
    """The number of trials that a cell needs over the second rate, and the hours that the planned grid takes for each data set and
    network.
    """
    figure = Drawing()
    trials, axis = needed(p1, p2, sure), figure.add_axes((0.08, 0.15, 0.38, 0.72))
    others = [share / 100 for share in range(101) if abs(share / 100 - p1) > 0.015]
    for side in (True, False):
        mine = [share for share in others if (share < p1) == side]
        axis.plot([100 * share for share in mine], [needed(p1, share, sure) for share in mine], color=OURS, lw=1.6)
    axis.plot(100 * p2, trials, "o", color=INK, ms=8)
    axis.annotate(f"{trials}", (100 * p2, trials), xytext=(7, 5), textcoords="offset points", fontsize=SIZE + 1)
    axis.axvline(100 * p1, color=GUIDE, ls=":", lw=1)
    axis.set(yscale="log", xlim=(-3, 103))
    axis.set_yticks((10, 100, 1000, 10_000), ("10", "100", "1000", "10000"))
    axis.minorticks_off()
    axis.set_xlabel("second rate, %", fontsize=SIZE)
    axis.set_title(f"trials in each cell to tell it from {100 * p1:.0f} % (dotted)", fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
    _hours(figure, trials * cells, costs)
    return figure


def _hours(figure: Drawing, trials: int, costs: Sequence[Cost]) -> None:
    axis = figure.add_axes((0.74, 0.15, 0.24, 0.72))
    hours = [cost.seconds * trials / 3600 for cost in costs]
    axis.barh(range(len(costs)), hours, color=[HERE if cost.here else ELSEWHERE for cost in costs], height=0.6)
    labels = [
        "\n".join(short(each, 28) for each in cost.where.split(" · ")) + ("" if cost.here else "\n(another device)")
        for cost in costs
    ]
    axis.set_yticks(range(len(costs)), labels)
    axis.set_ylim(max(len(costs), 4) - 0.4, -0.6)
    axis.set_title(f"hours for {trials} trials" if costs else "no trial has been timed yet", fontsize=SIZE)
    axis.locator_params(axis="x", nbins=4)
    axis.tick_params(labelsize=SIZE)


def _placed(cells: Sequence[Cell]) -> list[str]:
    """The cells' names, to which the data set and the network are added if they differ among the cells."""
    places = [part for part in ("data", "model") if differs(part, cells)]
    found = []
    for cell, name in zip(cells, names(cells), strict=True):
        said = (getattr(cell.setting, part) for part in places)
        found.append(" · ".join([name, *(place for place in said if place not in name.split(" · "))]))
    return found


def _ground(title: str, labels: Sequence[str]) -> tuple[Drawing, Axes]:
    """A figure with a title, and axes with room for a legend on the right."""
    figure = Drawing((8.6, max(3.9, 0.6 + 0.19 * "\n".join(labels).count("\n"))))
    figure.text(0.01, 0.97, short(title, 120), fontsize=SIZE, va="top")
    return figure, figure.add_axes((0.08, 0.13, 0.5, 0.76))


def _finish(axis: Axes) -> None:
    """Sets font sizes and adds the legend."""
    axis.tick_params(labelsize=SIZE)
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set_fontsize(SIZE)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=SIZE)
