"""What a defence gains against what it costs, and how both move with its strength."""

from collections.abc import Callable, Mapping, Sequence

from ..experiments import Record
from ..papers.cells import Point
from ..papers.setting import caption
from ..papers.statistics import Estimate
from .style import CHANCE, GUIDE, MARK, MARKS, REST, Look, canvas, looks, sample, small_print

GROWTH = 2.0  # points that each further strength adds to a mark
BESIDE = 0.03  # of a step between doses, from line to line


def trade_off(panels: Mapping[str, Mapping[str, Point]], joined: Sequence[Sequence[str]] = (), records: Sequence[Record] = ()):
    """Poison success over clean accuracy: a panel for each title, a point for each defence.

    Bars are 95 % intervals; a hollow mark of the same shape and colour is the paper's value. Points listed together in ``joined``
    are one defence, weakest first: they share a colour, and the marks grow with the strength. ``records`` are those behind the
    points, for the line at the lower edge. The best place for a defender is the lower right corner. Raises ValueError without any
    point, and for a name in ``joined`` that no panel has.
    """
    if not any(panels.values()):
        raise ValueError(f"panels={dict(panels)}: give at least one point to draw")
    labels = list(dict.fromkeys(label for points in panels.values() for label in points))
    marks = _looks(labels, joined)
    figure, axes = canvas(1, len(panels), figsize=(3.5 * len(panels) + 1.6, 3.2), sharex=True, sharey=True, squeeze=False)
    for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
        trade_off_points(axis, points, marks)
        for chain in joined:
            known = [points[label] for label in chain if label in points]
            axis.plot([100 * p.accuracy.value for p in known], [100 * p.success.value for p in known], color=GUIDE, lw=1, zorder=1)
        axis.set(title=title)
        axis.label_outer()
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if any(point.paper for points in panels.values() for point in points.values()):
        handles["hollow: the paper"] = sample(marker=MARKS[0], ls="", mfc="none", mec=REST, ms=MARK)
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    small_print(figure, caption(records))
    return figure


def _looks(labels: Sequence[str], joined: Sequence[Sequence[str]]) -> dict[str, Look]:
    """A look for each label; joined points differ only in size. A point in two chains looks like those of the first."""
    unknown = [label for chain in joined for label in chain if label not in labels]
    if unknown:
        raise ValueError(f"joined: no point is {', '.join(map(repr, unknown))}; choose from: {', '.join(labels)}")
    chain_of = {label: (label,) for label in labels} | {label: tuple(chain) for chain in reversed(joined) for label in chain}
    chains = list(dict.fromkeys(chain_of[label] for label in labels))
    look_of = dict(zip(chains, looks(len(chains)), strict=True))
    return {
        label: look_of[chain]._replace(size=MARK + GROWTH * chain.index(label), joined=len(chain) > 1)
        for label, chain in chain_of.items()
    }


def trade_off_points(axis, points: Mapping[str, Point], looks: Mapping[str, Look]) -> None:
    """One panel of `trade_off` on given axes: a mark for each point with both intervals, the paper's value, and labels."""
    colours = [looks[label].colour for label in points]
    hits, rights = ([getattr(point, rate) for point in points.values()] for rate in ("success", "accuracy"))
    bars(axis.vlines, [100 * right.value for right in rights], hits, colours)
    bars(axis.hlines, [100 * hit.value for hit in hits], rights, colours)
    for label, point in points.items():
        _mark(axis, label, point, looks[label])
    axis.set(xlabel="clean accuracy, %", ylabel="poison success, %", ylim=(-4, 104))


def bars(draw: Callable, at: Sequence[float], rates: Sequence[Estimate], colours: Sequence) -> None:
    """The intervals of several rates as one artist, which is faster than many; ``draw`` is an axis's ``hlines`` or ``vlines``."""
    draw(at, [100 * rate.low for rate in rates], [100 * rate.high for rate in rates], colors=colours, lw=1, alpha=0.7)


def _mark(axis, label: str, point, look: Look) -> None:
    """Smaller marks lie above larger ones, so that joined points at the same place do not hide each other."""
    colour, above = look.colour, 3 + MARK / look.size
    at = 100 * point.accuracy.value, 100 * point.success.value
    axis.plot(*at, look.mark, color=colour, mec="white" if look.joined else colour, ms=look.size, label=label, zorder=above)
    if point.paper:
        success, accuracy = point.paper
        axis.plot(100 * accuracy, 100 * success, look.mark, mfc="none", mec=colour, ms=look.size, alpha=0.8)


def doses(
    lines: Mapping[str, Mapping[float, Estimate]], xlabel: str, chance: Estimate | None = None, records: Sequence[Record] = ()
):
    """Poison success over a strength, a line for each label: ``{"mixup": {0.0: estimate, 16.0: estimate}}``.

    Bars are 95 % intervals, drawn side by side; ``chance`` is the clean control's rate;
    ``records`` are those behind the lines, for the line at the lower edge. Raises ValueError without any dose.
    """
    doses_ = sorted({x for line in lines.values() for x in line})
    if not doses_:
        raise ValueError(f"lines={dict(lines)}: give at least one dose to draw")
    figure, axis = canvas(figsize=(5.2, 3.1))
    for i, ((label, line), look) in enumerate(zip(lines.items(), looks(len(lines)), strict=True)):
        places = [doses_.index(x) + BESIDE * (i - (len(lines) - 1) / 2) for x in sorted(line)]
        rates = [line[x] for x in sorted(line)]
        axis.plot(places, [100 * e.value for e in rates], look.mark + "-", color=look.colour, label=label, ms=5, lw=1.2)
        axis.vlines(places, [100 * e.low for e in rates], [100 * e.high for e in rates], color=look.colour, lw=1)
    if chance is not None:
        axis.axhline(100 * chance.value, color=CHANCE, ls=":", lw=1, label="clean control")
    axis.set(xlabel=xlabel, ylabel="poison success, %", ylim=(-4, 104), xticks=range(len(doses_)))
    axis.set_xticklabels([f"{x:g}" for x in doses_])
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    small_print(figure, caption(records))
    return figure
