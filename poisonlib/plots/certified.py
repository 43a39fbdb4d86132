"""What a privacy guarantee certifies about an attack, beside what the attack achieves."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .style import canvas, style

MARKS = "osDv^"


@dataclass(frozen=True)
class Panel:
    """One mechanism: upper bounds (label -> noises, shares), measured success and accuracy (label -> noise -> estimate)."""

    noise: str  # what the noise is and its unit
    bounds: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    success: Mapping[str, Mapping[float, Any]]
    accuracy: Mapping[float, Any] = field(default_factory=dict)


def certified(panels: Mapping[str, Panel]):
    """Attack success over noise, a panel a mechanism: dashed lines are certified, marks measured with 95 % intervals.

    A bound of 1 is vacuous: it allows everything. The ground is hatched over the noises at which every bound is. Raises ValueError
    without a panel, and for a panel without a bound.
    """
    if not panels or not all(panel.bounds for panel in panels.values()):
        counts = {title: len(panel.bounds) for title, panel in panels.items()}
        raise ValueError(f"bounds a panel: {counts}; give at least one panel, and each at least one bound")
    figure, axes = canvas(1, len(panels), figsize=(4.6 * len(panels), 4.4), sharey=True, squeeze=False)
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        _bounds(axis, panel)
        _measured(axis, panel)
        axis.set(title=title, xlabel=panel.noise, xscale="log", ylim=(-0.04, 1.08))
        axis.legend(frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[0][0].set_ylabel("share")
    return figure


def _bounds(axis, panel: Panel) -> None:
    colours = style().color_palette("dark", len(panel.bounds))
    useful = []
    for colour, (label, (noises, shares)) in zip(colours, panel.bounds.items(), strict=True):
        axis.plot(noises, shares, "--", color=colour, lw=1.6, label=f"certified: {label}")
        useful += [noise for noise, share in zip(noises, shares, strict=True) if share < 0.995]
    left = min(min(noises) for noises, _ in panel.bounds.values())
    right = min(useful, default=max(max(noises) for noises, _ in panel.bounds.values()))
    if left < right:
        axis.axvspan(left, right, facecolor="none", edgecolor="0.85", hatch="//", lw=0, zorder=0)
        axis.text(left * 1.2, 1.035, "hatched: every certificate is vacuous", ha="left", va="center", fontsize=8)


def _measured(axis, panel: Panel) -> None:
    colours = style().color_palette("colorblind", len(panel.success))
    for mark, colour, (label, points) in zip(itertools.cycle(MARKS), colours, panel.success.items(), strict=False):
        noises = sorted(points)
        axis.plot(noises, [points[x].value for x in noises], mark, color=colour, ms=6, label=f"measured: {label}")
        axis.vlines(noises, [points[x].low for x in noises], [points[x].high for x in noises], color=colour, lw=1)
    if noises := sorted(panel.accuracy):
        axis.plot(noises, [panel.accuracy[x].value for x in noises], "x-", color="0.4", lw=0.8, ms=5, label="clean accuracy")
