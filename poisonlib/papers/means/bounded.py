"""Gaffke's bound (2005; Learned-Miller & Thomas, arXiv:1905.06208): nothing is assumed but that values lie in [lowest, 1]."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean, Numbers


@dataclass(frozen=True)
class Bounded(Mean):
    """The p-value against "the mean is at most b" is the probability that the mean of the values and of one more at the lowest end,
    under weights uniform on the simplex, is at most b.

    That mean's density is the B-spline with these values as its knots (Curry & Schoenberg 1966), so its distribution function is a
    spline of one degree more, here with as many zeros as ones for coefficients. Where all values are 0 or 1 this is Clopper and
    Pearson's (1934); of differences between hits and misses in the same trials it is, at the bound 0, McNemar's exact test (1947).
    Its validity is proven in special cases only; no counterexample is known.
    """

    name: ClassVar[str] = "bounded (Gaffke)"
    values: tuple[float, ...]
    lowest: float = 0.0

    @property
    def value(self) -> float:
        return float(np.mean(self.values))

    @property
    def trials(self) -> int:
        return len(self.values)

    def _above(self, bound):
        return _weighted(self.values, self.lowest, bound)

    def _below(self, bound):
        return 1 - _weighted(self.values, 1.0, bound)


def _weighted(values: tuple[float, ...], anchor: float, bound: Numbers) -> Numbers:
    """The distribution function at ``bound`` of the randomly weighted mean of the values and one more at the anchor."""
    from scipy.stats import beta

    knots = np.sort(np.append(values, anchor)).round(12)  # rounded, as knots that all but tie would overflow
    low, high = knots[0], knots[-1]
    if low == high:
        return np.where(bound >= anchor, 1.0, 0.0)
    if set(knots) == {low, high}:  # the weight of the higher ones
        return beta.cdf((bound - low) / (high - low), np.sum(knots == high), np.sum(knots == low))
    return _spline(knots, bound)


def _spline(knots: np.ndarray, bound: Numbers) -> Numbers:
    from scipy.interpolate import BSpline

    n = len(knots) - 1
    below = BSpline(np.pad(knots, n, mode="edge"), np.repeat([0.0, 1.0], n), n)
    end = np.nextafter(knots[-1], -2)  # where the last knots tie, the spline has no piece that holds the end itself
    inside = np.clip(below(np.clip(bound, knots[0], end)), 0, 1)
    return np.where(bound < knots[0], 0.0, np.where(bound > end, 1.0, inside))
