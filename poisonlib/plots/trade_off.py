"""What a defence gains against what it costs, and how both move with its strength."""

from collections.abc import Mapping, Sequence
from typing import Any

from .style import canvas, style

MARKS = "osDv^<>PX*hpd"


def trade_off(panels: Mapping[str, Mapping[str, Any]], joined: Sequence[Sequence[str]] = ()):
    """Poison success over clean accuracy, a panel a title, a point a defence (objects with ``success``, ``accuracy``, ``paper``).

    Bars are 95 % intervals; the paper's value is the hollow mark of the same colour. Points listed together in ``joined`` are one
    defence at several strengths. The lower right corner is where a defender wants to be. Raises ValueError without any point.
    """
    if not any(panels.values()):
        raise ValueError(f"panels={dict(panels)}: give at least one point to draw")
    figure, axes = canvas(1, len(panels), figsize=(3.1 * len(panels) + 1.6, 3.2), sharex=True, sharey=True, squeeze=False)
    labels = list(dict.fromkeys(label for points in panels.values() for label in points))
    marks = dict(zip(labels, looks(len(labels)), strict=True))
    for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
        trade_off_points(axis, points, marks)
        for chain in joined:
            known = [points[label] for label in chain if label in points]
            axis.plot([100 * p.accuracy.value for p in known], [100 * p.success.value for p in known], color="0.5", lw=1, zorder=1)
        axis.set(title=title)
        axis.label_outer()
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    return figure


def looks(many: int) -> list[tuple[str, tuple]]:
    """A mark and a colour each; the marks alone tell thirteen apart."""
    colours = style().color_palette("colorblind", many)
    return [(MARKS[i % len(MARKS)], colours[i]) for i in range(many)]


def trade_off_points(axis, points: Mapping[str, Any], looks: Mapping[str, tuple[str, tuple]]) -> None:
    """One panel of `trade_off` on axes of the caller's, labelled: a mark a point, with both intervals, and the paper's value."""
    for label, point in points.items():
        _draw(axis, label, point, *looks[label])
    axis.set(xlabel="clean accuracy, %", ylabel="poison success, %", ylim=(-4, 104))


def _draw(axis, label: str, point, mark: str, colour) -> None:
    hit, right = point.success, point.accuracy
    axis.plot([100 * right.value] * 2, [100 * hit.low, 100 * hit.high], color=colour, lw=1, alpha=0.7)
    axis.plot([100 * right.low, 100 * right.high], [100 * hit.value] * 2, color=colour, lw=1, alpha=0.7)
    axis.plot(100 * right.value, 100 * hit.value, mark, color=colour, ms=6, label=label, zorder=3)
    if point.paper:
        success, accuracy = point.paper
        axis.plot(100 * accuracy, 100 * success, mark, mfc="none", mec=colour, ms=6, alpha=0.8)


def doses(lines: Mapping[str, Mapping[float, Any]], xlabel: str, chance: Any = None):
    """Poison success over the strength of something, a line a label: ``{"mixup": {0.0: estimate, 16.0: estimate}}``.

    The bars are 95 % intervals, set side by side so that they can be told apart; ``chance`` is the clean control's rate. Raises
    ValueError without any dose.
    """
    doses_ = sorted({x for line in lines.values() for x in line})
    if not doses_:
        raise ValueError(f"lines={dict(lines)}: give at least one dose to draw")
    figure, axis = canvas(figsize=(5.2, 3.1))
    colours = style().color_palette("colorblind", len(lines))
    for i, (label, line) in enumerate(lines.items()):
        places = [doses_.index(x) + 0.09 * (i - (len(lines) - 1) / 2) for x in sorted(line)]
        rates = [line[x] for x in sorted(line)]
        axis.plot(places, [100 * e.value for e in rates], MARKS[i % len(MARKS)] + "-", color=colours[i], label=label, ms=5, lw=1.2)
        axis.vlines(places, [100 * e.low for e in rates], [100 * e.high for e in rates], color=colours[i], lw=1)
    if chance is not None:
        axis.axhline(100 * chance.value, color="0.4", ls=":", lw=1, label="clean control")
    axis.set(xlabel=xlabel, ylabel="poison success, %", ylim=(-4, 104), xticks=range(len(doses_)))
    axis.set_xticklabels([f"{x:g}" for x in doses_])
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
