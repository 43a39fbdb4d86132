"""Privacy guarantees as pictures: epsilon over the mixture width, its readings, and how exact densities stand to Theorem 2."""

import math
from collections.abc import Mapping, Sequence

from .style import ATTACK, EXACT, GUIDE, REST, THEOREM, VIOLATED, canvas, colours

CLAIMED, DOT, ARROW = "|", "o", ">"


def width_curves(curves: Mapping, claims: Mapping = {}, floors: Mapping = {}):
    """epsilon over mixture width on logarithmic axes, a line a label.

    curves and claims (diamonds): label -> (widths, epsilons); floors (dotted, at the right edge): label -> epsilon.
    """
    figure, axis = canvas(figsize=(5.4, 3.6))
    for (label, (widths, epsilons)), colour in zip(curves.items(), colours(len(curves)), strict=True):
        axis.plot(widths, epsilons, color=colour, label=label)
        if label in claims:
            axis.plot(*claims[label], "D", color=colour, ms=5, mec="white", mew=0.6)
        if label in floors:
            axis.axhline(floors[label], 0.82, 1, color=colour, ls=":", lw=1.5)
    ticks = sorted({width for widths, _ in claims.values() for width in widths})
    axis.set(xscale="log", yscale="log", xlabel="mixture width k", ylabel="epsilon, nats")
    axis.set_xticks(ticks or axis.get_xticks(), [f"{tick:g}" for tick in ticks or axis.get_xticks()])
    axis.minorticks_off()
    if claims:
        axis.plot([], [], "D", color=REST, ms=5, label="stored value")
    if floors:
        axis.plot([], [], color=REST, ls=":", lw=1.5, label="no width is below")
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def readings(found: Sequence):
    """`privacy.Reading` by `privacy.Reading`, the epsilon of each as a dot; where no epsilon is finite, an arrow and its delta."""
    figure, axis = canvas(figsize=(6.6, 0.27 * len(found) + 1.0))
    edge = 20 * max((each.epsilon for each in found if math.isfinite(each.epsilon)), default=1.0)
    for y, each in enumerate(found):
        bounded = math.isfinite(each.epsilon)
        x, words = (each.epsilon, f"{each.epsilon:.3g}") if bounded else (edge, f"none; delta ≥ {each.delta:.2g}")
        axis.plot(x, y, DOT if bounded else ARROW, color=THEOREM if bounded else VIOLATED, ms=6)
        axis.annotate(words, (x, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set(xscale="log", xlabel="epsilon, nats", yticks=range(len(found)), yticklabels=[each.name for each in found])
    axis.set_xticks([10.0**power for power in range(0, int(math.log10(edge)), 2)])
    axis.minorticks_off()
    axis.set_xlim(1, 1e6 * edge)
    axis.grid(axis="y", visible=False)
    axis.invert_yaxis()
    return figure


def tightness(sigmas: Sequence, theorem: Mapping, exact: Mapping, searched: Sequence):
    """Left: epsilon over sigma (lines, label -> values) under the enumerated worst case (circles). Right: (sigma, share) dots.

    A share is the exact worst log ratio of one data set over epsilon; none may lie above 1.
    """
    figure, (left, right) = canvas(1, 2, figsize=(7.2, 3.3), gridspec_kw={"width_ratios": [1.25, 1]})
    for (label, epsilons), colour in zip(theorem.items(), colours(len(theorem)), strict=True):
        left.plot(sigmas, epsilons, color=colour, lw=1.5, label=label)
        left.plot(sigmas, exact[label], DOT, mfc="none", color=colour, ms=5)
    left.set(xscale="log", yscale="log", xlabel="sigma, in diameters", ylabel="log ratio, nats")
    left.set_title("lines: epsilon; circles: worst data set", fontsize=9)
    left.legend(frameon=False, fontsize=8, handlelength=1.2, labelspacing=0.3)
    right.plot([x for x, _ in searched], [y for _, y in searched], ".", color=REST, ms=3)
    right.axhline(1, color=VIOLATED, lw=1.2)
    right.set(xscale="log", ylim=(0, 1.08), xlabel="sigma, in diameters", ylabel="exact / epsilon")
    right.set_title(f"{len(searched)} random data sets", fontsize=9)
    return figure


def dropped_assumptions(examples: Sequence):
    """`privacy.Example` by `privacy.Example`: what the theorem would claim (bar) and the exact worst log ratio (dot or arrow)."""
    figure, axis = canvas(figsize=(6.6, 0.34 * len(examples) + 1.2))
    edge = 1.6 * max(max(each.epsilon, each.exact if math.isfinite(each.exact) else 0) for each in examples)
    for y, each in enumerate(examples):
        bounded, colour = math.isfinite(each.exact), VIOLATED if each.exceeds else EXACT
        x = each.exact if bounded else edge
        axis.plot([each.epsilon, x], [y, y], color=colour, lw=1.2, ls="-" if bounded else ":")
        axis.plot(each.epsilon, y, CLAIMED, color=THEOREM, ms=13, mew=2.5, label="claimed: epsilon" if y == 0 else None)
        axis.plot(x, y, DOT if bounded else ARROW, color=colour, ms=6)
        if not bounded:
            words = f"infinite, delta = {each.delta:.2g}"
            axis.annotate(words, (x, y), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
    axis.plot([], [], DOT, color=VIOLATED, label="exact, above the claim")
    axis.plot([], [], DOT, color=EXACT, label="exact, within the claim")
    axis.set(xlim=(0, 1.45 * edge), xlabel="worst log ratio, nats", yticks=range(len(examples)))
    axis.set_yticklabels([each.assumption for each in examples])
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= edge])
    axis.grid(axis="y", visible=False)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def brackets(found: Mapping):
    """`privacy.Bracket` by label: what an attack measured (triangle), the enumerated worst case (dot), the theorem (bar)."""
    figure, axis = canvas(figsize=(6.0, 0.3 * len(found) + 1.3))
    for y, each in enumerate(found.values()):
        axis.plot([each.lower, each.upper], [y, y], color=GUIDE, lw=1, zorder=1)
        axis.plot(each.upper, y, CLAIMED, color=THEOREM, ms=13, mew=2.5, label="theorem" if y == 0 else None)
        axis.plot(each.exact, y, DOT, color=EXACT, ms=5, label="enumerated" if y == 0 else None)
        axis.plot(each.lower, y, ARROW, color=ATTACK, ms=6, label="attack, at least" if y == 0 else None)
    axis.set(xlabel="epsilon, nats", yticks=range(len(found)), yticklabels=list(found), xlim=(0, None))
    axis.set_ylim(len(found) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
