"""What a privacy guarantee certifies about an attack, beside what the attack achieves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..experiments import Record
from ..papers.setting import caption, counted
from ..papers.statistics import Estimate
from .style import MARKS, REST, canvas, colours, small_print

DASHES = ("--", ":", "-.")
BESIDE = 5.5  # points between marks of two series at the same noise


@dataclass(frozen=True)
class Panel:
    """One mechanism: upper bounds, measured success and measured accuracy, all over the noise.

    ``bounds``: (how it is read, series) -> (noises, shares); "" for the only reading. ``success``: series -> noise -> estimate;
    what a bound and a measurement have in common is the series: ``"3 poisons"``. ``accuracy``: noise -> estimate.
    """

    noise: str  # what the noise is and its unit
    bounds: Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]
    success: Mapping[str, Mapping[float, Estimate]]
    accuracy: Mapping[float, Estimate] = field(default_factory=dict)


def certified(panels: Mapping[str, Panel], records: Sequence[Record] = ()):
    """Attack success over noise, a panel for each mechanism: lines are certified, marks are measured with 95 % intervals.

    Colours tell series apart, dashes the readings of the guarantee. Marks at the same noise stand side by side. A bound of 1 is
    vacuous; noises at which every bound is vacuous are hatched. ``records`` are those that were measured, for the line at the lower
    edge. Raises ValueError without a panel, and for a panel without a bound.
    """
    if not panels or not all(panel.bounds for panel in panels.values()):
        counts = {title: len(panel.bounds) for title, panel in panels.items()}
        raise ValueError(f"bounds by panel: {counts}; give at least one panel, and at least one bound for each")
    figure, axes = canvas(1, len(panels), figsize=(4.6 * len(panels), 4.4), sharey=True, squeeze=False)
    series = [name for panel in panels.values() for name in (*(name for _, name in panel.bounds), *panel.success)]
    series = list(dict.fromkeys(series))
    looks = dict(zip(series, colours(len(series)), strict=True))
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        axis.set(title=title, xlabel=panel.noise, xscale="log", ylim=(-0.04, 1.12))
        _bounds(axis, panel, looks)
        _measured(axis, panel, looks)
        axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes[0][0].set_ylabel("attack success, clean accuracy (share)")
    small_print(figure, caption(records))
    return figure


def _bounds(axis, panel: Panel, looks: Mapping[str, str]) -> None:
    readings, useful = list(dict.fromkeys(reading for reading, _ in panel.bounds)), []
    for (reading, series), (noises, shares) in panel.bounds.items():
        dash = DASHES[readings.index(reading) % len(DASHES)]
        label = f"certified {reading}: {series}" if reading else f"certified: {series}"
        axis.plot(noises, shares, dash, color=looks[series], lw=1.8, label=label)
        useful += [noise for noise, share in zip(noises, shares, strict=True) if share < 0.995]
    left = min(min(noises) for noises, _ in panel.bounds.values())
    right = min(useful, default=max(max(noises) for noises, _ in panel.bounds.values()))
    if left < right:
        axis.axvspan(left, right, facecolor="none", edgecolor="0.85", hatch="//", lw=0, zorder=0)
        axis.text(
            left * 1.2, 1.06, "hatched: every certificate is vacuous", ha="left", va="center", fontsize=8, backgroundcolor="white"
        )


def _measured(axis, panel: Panel, looks: Mapping[str, str]) -> None:
    for i, (series, points) in enumerate(panel.success.items()):
        noises, mark = sorted(points), MARKS[list(looks).index(series) % len(MARKS)]
        beside = _shifted(axis, BESIDE * (i - (len(panel.success) - 1) / 2))
        label = f"measured: {series}, {counted(each.trials for each in points.values())}"
        look = dict(color=looks[series], transform=beside)
        axis.vlines(noises, [points[x].low for x in noises], [points[x].high for x in noises], lw=1, **look)
        axis.plot(noises, [points[x].value for x in noises], mark, ms=5.5, mec="white", mew=0.5, label=label, **look)
    if noises := sorted(panel.accuracy):
        label = f"clean accuracy, {counted(each.trials for each in panel.accuracy.values())}"
        axis.plot(noises, [panel.accuracy[x].value for x in noises], "x-", color=REST, lw=0.8, ms=5, label=label)


def _shifted(axis, points: float):
    """The transform of an axis's data, moved to the right by that many points (1/72 inch)."""
    from matplotlib.transforms import ScaledTranslation

    return axis.transData + ScaledTranslation(points / 72, 0, axis.figure.dpi_scale_trans)
