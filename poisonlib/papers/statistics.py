"""Intervals for what trials measure. The unit is always the trial.

A trial gives a hit or a miss, or a rate in [0, 1]: the images that one model scores are not independent, so they make one value.
Where several trials share a target, the target is the unit: give its name in ``clusters``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import check
from ..words import plural
from .means import Bounded, Mean, mean, paired


@dataclass(frozen=True)
class Estimate:
    """A share, a mean rate or a difference of two, with its interval.

    ``trials`` counts the independent units behind the interval: clusters where there are any.
    """

    value: float
    low: float
    high: float
    trials: int
    level: float
    method: str
    mean: Mean = field(repr=False, compare=False)

    def at(self, level: float) -> "Estimate":
        """The same estimate with another confidence level."""
        return self if level == self.level else estimated(self.mean, level)

    def __str__(self):
        return f"{100 * self.value:.1f} % ({100 * self.level:g} % interval {100 * self.low:.1f} to {100 * self.high:.1f})"


def estimated(of: Mean, level: float = 0.95) -> Estimate:
    """A mean with its interval, in which are all means that are not rejected on either side at (1 - level) / 2."""
    _check_level(level)
    low, high = of.interval(level)
    return Estimate(of.value, low, high, of.trials, level, f"{of.name}, {plural(of.trials, 'trial')}", of)


def proportion(successes, trials, level: float = 0.95) -> Estimate:
    """The share of hits with Clopper and Pearson's interval (1934), whose coverage is at least ``level`` for every share."""
    check.whole("trials", trials, 1)
    check.whole("successes", successes, 0, trials)
    return estimated(Bounded((1.0,) * successes + (0.0,) * (trials - successes)), level)


def mean_rate(
    rates: Sequence | np.ndarray,
    clusters: Sequence | np.ndarray | None = None,
    level: float = 0.95,
    method: str = "bounded",
    planned: bool = True,
) -> Estimate:
    """The mean of hits and misses or of rates in [0, 1], one for each trial; with ``clusters`` (a label for each trial) the mean of
    the cluster means.

    ``bounded``: nothing is assumed but the bounds (`means.Bounded`); Clopper and Pearson's where all rates are 0 or 1. ``t``:
    Student's, cut to [0, 1]; far narrower for few trials, but it covers only rates that spread evenly about their mean, as clean
    accuracy does; where all are equal, ``bounded`` is used. ``planned=False``: the number of trials was not fixed beforehand, so
    the interval is one that holds at every number at once (`means.Betting`, `means.Gaussian`).
    """
    check.one_of("method", method, ("bounded", "t"))
    return estimated(mean(_clustered(_values(rates, "rates"), clusters), even=method == "t", planned=planned), level)


def paired_difference(
    a: Sequence | np.ndarray,
    b: Sequence | np.ndarray,
    clusters: Sequence | np.ndarray | None = None,
    level: float = 0.95,
    method: str = "bounded",
    planned: bool = True,
) -> Estimate:
    """Mean of a - b over trials that share their seeds; outcomes (0 or 1) or rates, in the same order; as `mean_rate`.

    Of hits and misses, the p-value at 0 is that of McNemar's exact test (`means.Bounded`).
    """
    a, b = _values(a, "a"), _values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"b has {len(b)} values; give one for each of a, {len(a)}")
    check.one_of("method", method, ("bounded", "t"))
    if clusters is None:
        return estimated(paired(a.tolist(), b.tolist(), even=method == "t", planned=planned), level)
    return estimated(mean(_clustered(a - b, clusters), even=method == "t", planned=planned, lowest=-1.0), level)


def _clustered(x: np.ndarray, clusters: Sequence | np.ndarray | None) -> np.ndarray:
    if clusters is None:
        return x
    if len(clusters) != len(x):
        raise ValueError(f"clusters has {len(clusters)} labels; give one for each of {len(x)} trials")
    row = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return np.bincount(row, weights=x) / np.bincount(row)


def _values(x, name) -> np.ndarray:
    x = np.asarray(x, dtype=float)
    if x.ndim != 1 or not x.size:
        raise ValueError(f"{name} has the shape {x.shape}; give a row of at least one value")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"{name} holds {x[~((x >= 0) & (x <= 1))].tolist()[:3]}; give shares from 0 to 1")
    return x


def _check_level(level):
    check.number("level", level, 0, above=True)
    if level >= 1:
        raise ValueError(f"level={level!r}: choose a number below 1, such as 0.95")
