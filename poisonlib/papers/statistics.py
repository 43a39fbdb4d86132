"""Intervals for what trials measure, and verdicts that follow from intervals. The unit is always the trial.

A trial gives a hit or a miss, or a rate in [0, 1]: the images that one model scores are not independent, so they make one value.
Where several trials share a target, the target is the unit: give its name in ``clusters``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .. import check


@dataclass(frozen=True)
class Estimate:
    """A share, a mean rate or a difference of two, with its interval.

    ``trials`` counts the independent units behind the interval: clusters where there are any, the smaller arm for a difference.
    """

    value: float
    low: float
    high: float
    trials: int
    level: float
    method: str
    again: Callable | None = field(default=None, repr=False, compare=False)  # level -> the same estimate at that level

    def at(self, level: float) -> "Estimate":
        """The same estimate with another confidence level. Raises ValueError where the trials behind it are not known."""
        if level == self.level:
            return self
        if self.again is None:
            raise ValueError(f"level={level!r}: choose {self.level}, as this estimate was given as bare numbers")
        return self.again(level)

    def __str__(self):
        return f"{100 * self.value:.1f} % ({100 * self.level:g} % interval {100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True)
class Verdict:
    """A word, a sentence that gives the numbers behind it, and the difference that decided."""

    word: str
    text: str
    difference: Estimate


def proportion(successes, trials, level: float = 0.95, method: str = "wilson") -> Estimate:
    """The share of hits. The coverage of ``wilson`` (1927) is ``level`` on average over shares, that of ``exact`` (Clopper-Pearson
    1934) at least ``level`` for each.
    """
    check.whole("trials", trials, 1)
    check.whole("successes", successes, 0, trials)
    check.one_of("method", method, ("wilson", "exact"))
    return _share(successes, trials, method, f"{method}, {successes:g} of {trials} trials", level)


def mean_rate(rates, clusters=None, level: float = 0.95, method: str = "bounded") -> Estimate:
    """The mean of rates in [0, 1], one for each trial; with ``clusters`` (a label for each trial) the mean of the cluster means.

    ``bounded``: Gaffke's interval (2005; Learned-Miller & Thomas, arXiv:1905.06208), which assumes nothing but the bounds and never
    has zero width; it is Clopper-Pearson's where all rates are 0 or 1. Proven in special cases only; no counterexample is known.
    ``t``: Student's, cut to [0, 1]; far narrower for few trials, but it covers only rates that spread evenly about their mean, as
    clean accuracy does; where all are equal, ``bounded`` is used. One trial gives [0, 1], as its spread is unknown.
    """
    return _mean(_values(rates, "rates"), clusters, 0.0, method, level)


def estimate(outcomes, clusters=None, level: float = 0.95) -> Estimate:
    """The Wilson interval where all outcomes are 0 or 1 and there are no clusters, else the bounded mean rate."""
    x = _values(outcomes, "outcomes")
    if clusters is None and np.isin(x, (0, 1)).all():
        return proportion(int(x.sum()), len(x), level)
    return mean_rate(x, clusters, level)


def from_paper(value, trials, binary: bool, level: float = 0.95, rounding: float = 5e-4) -> Estimate:
    """What a paper prints (a share, 0.45 for 45 %) with the trials it states; ``rounding`` is half the last printed digit.

    Hits or misses get the Wilson interval of the count. A rate, or a value that no count can print, has an unknown spread: it is
    taken to be the widest, that of hits and misses (Wilson at a fractional count); one trial with a rate gives [0, 1].
    """
    check.whole("trials", trials, 1)
    check.share("value", value)
    count = round(value * trials)
    if binary and abs(count / trials - value) <= rounding + 1e-12:
        return _share(count, trials, "wilson", f"wilson, {count} of {trials} trials as printed", level, value)
    if trials == 1:
        return _nothing(value, 0.0, level)
    why = "printed value is no count" if binary else "rate of unknown spread"
    return _share(value * trials, trials, "wilson", f"{why}: wilson, as if {trials} trials were hits or misses", level, value)


def difference(ours: Estimate, theirs: Estimate) -> Estimate:
    """ours - theirs for independent trials: Newcombe's square-and-add (1998, method 10; for other intervals Zou & Donner 2008)."""
    check.one_of("level", theirs.level, [ours.level])
    return _gap(ours, theirs, ours.level)


def paired_difference(a, b, clusters=None, level: float = 0.95, method: str = "bounded") -> Estimate:
    """Mean of a - b over trials that share their seeds; outcomes (0 or 1) or rates, in the same order; methods as `mean_rate`.

    For hits and misses the bounded interval excludes 0 exactly where McNemar's exact test rejects at 1 - level.
    """
    a, b = _values(a, "a"), _values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"b has {len(b)} values; give one for each of a, {len(a)}")
    return _mean(a - b, clusters, -1.0, method, level)


def verdict(ours: Estimate, paper: Estimate, margin: float = 0.10) -> Verdict:
    """Whether our trials agree with the paper's. Agreement must be shown; that no difference was found is not enough.

    compatible: the 90 % interval of the difference lies within ±margin (two one-sided tests at 5 %: Schuirmann 1987).
    incompatible: that is not shown and the 95 % interval excludes 0. underpowered: neither; more trials are needed.
    """
    gap, points = difference(ours.at(0.95), paper.at(0.95)), f"±{100 * margin:g} points"
    if _within(gap, margin):
        word, why = "compatible", _says(gap.at(0.90), f"lies within {points}")
    else:
        word, where = ("incompatible", "excludes 0") if _side(gap) else ("underpowered", "contains 0")
        why = _says(gap, f"{where} and does not show agreement within {points}")
    measured = f"ours {100 * ours.value:.1f} % ({ours.trials} trials), paper {100 * paper.value:.1f} % ({paper.trials} trials)"
    return Verdict(word, f"{word}: {measured}; {why}.", gap)


def finding(kind: str, first: Estimate, second: Estimate, margin: float = 0.10, gap: Estimate | None = None) -> Verdict:
    """Is ``first`` lower than, higher than or similar to ``second``? holds, contradicted or undecided.

    ``gap`` is their `paired_difference` where the trials share seeds; without it they count as independent. lower and higher are
    decided by the side of 0 on which the 95 % interval lies. similar holds where the 90 % interval lies within ±margin, and is
    contradicted where the 95 % interval lies wholly outside.
    """
    check.one_of("kind", kind, ("lower", "higher", "similar"))
    gap = (gap or difference(first.at(0.95), second.at(0.95))).at(0.95)
    if kind == "similar":
        answer = 1 if _within(gap, margin) else -1 if gap.low > margin or gap.high < -margin else 0
        than, where = f"similar (within ±{100 * margin:g} points) to", ("crosses an edge", "lies within", "lies outside")[answer]
    else:
        answer = _side(gap) if kind == "higher" else -_side(gap)
        than, where = f"{kind} than", ("contains 0", "lies above 0", "lies below 0")[_side(gap)]
    word, link = (("undecided", "whether "), ("holds", ""), ("contradicted", "that "))[answer]
    claim = f"{link}{100 * first.value:.1f} % ({first.trials} trials) is {than} {100 * second.value:.1f} % ({second.trials} trials)"
    shown = gap.at(0.90) if kind == "similar" and answer == 1 else gap
    return Verdict(word, f"{word}: {claim}; {_says(shown, where)}.", gap)


def _share(count, trials, method, note, level, value=None) -> Estimate:
    from statsmodels.stats.proportion import proportion_confint

    _check_level(level)
    low, high = proportion_confint(count, trials, alpha=1 - level, method={"wilson": "wilson", "exact": "beta"}[method])
    again = partial(_share, count, trials, method, note, value=value)
    value = count / trials if value is None else value
    return Estimate(float(value), min(float(low), value), max(float(high), value), int(trials), level, note, again)


def _gap(ours, theirs, level) -> Estimate:
    ours, theirs = ours.at(level), theirs.at(level)
    value = ours.value - theirs.value
    low = value - np.hypot(ours.value - ours.low, theirs.high - theirs.value)
    high = value + np.hypot(ours.high - ours.value, theirs.value - theirs.low)
    method, trials = f"square-and-add of [{ours.method}] and [{theirs.method}]", min(ours.trials, theirs.trials)
    return Estimate(value, float(low), float(high), trials, level, method, partial(_gap, ours, theirs))


def _mean(x, clusters, lowest, method, level) -> Estimate:
    """The mean of values in [lowest, 1] with its interval; the clusters' means are the values where there are any."""
    _check_level(level)
    check.one_of("method", method, ("bounded", "t"))
    again, note = partial(_mean, x, clusters, lowest, method), f"{len(x)} trials"
    if clusters is not None:
        if len(clusters) != len(x):
            raise ValueError(f"clusters has {len(clusters)} labels; give one for each of {len(x)} trials")
        row = np.unique(np.asarray(clusters), return_inverse=True)[1]
        x = np.bincount(row, weights=x) / np.bincount(row)
        note = f"{len(x)} cluster means of {note}"
    value = float(x.mean())
    if len(x) == 1:
        return _nothing(value, lowest, level)
    if method == "t" and np.ptp(x) > 1e-9:
        from scipy.stats import t

        low, high = np.clip(t.interval(level, len(x) - 1, value, x.std(ddof=1) / np.sqrt(len(x))), lowest, 1)
    else:
        low, high = _bound(x, lowest, (1 - level) / 2), _bound(x, 1.0, (1 + level) / 2)
        method = "bounded (Gaffke)"
    return Estimate(value, min(float(low), value), max(float(high), value), len(x), level, f"{method}, {note}", again)


def _bound(x, anchor, tail) -> float:
    """Gaffke's bound: the ``tail`` quantile of the mean of x and one more value at the anchor under weights uniform on the simplex.

    That mean's density is the B-spline with these values as its knots (Curry & Schoenberg 1966), so its distribution function is a
    spline of one degree more, here with as many zeros as ones for coefficients.
    """
    from scipy.interpolate import BSpline
    from scipy.optimize import brentq

    knots, n = np.sort(np.append(x, anchor)).round(12), len(x)  # rounded, as knots that all but tie would overflow
    if np.ptp(knots) == 0:
        return anchor
    below = BSpline(np.pad(knots, n, mode="edge"), np.repeat([0.0, 1.0], n), n)
    end = np.nextafter(knots[-1], -1)  # where the last knots tie, the spline has no piece that holds the end itself
    return brentq(lambda t: below(t) - tail, knots[0], end)


def _nothing(value, lowest, level) -> Estimate:
    note = "one unit: its spread is unknown, so all values are possible"
    return Estimate(float(value), lowest, 1.0, 1, level, note, partial(_nothing, value, lowest))


def _within(gap, margin) -> bool:
    check.number("margin", margin, 0, 1, above=True)
    near = gap.at(0.90)
    return -margin < near.low and near.high < margin


def _side(gap) -> int:
    """+1 where the interval lies above 0, -1 below, 0 where it contains 0."""
    return int(gap.low > 0) - int(gap.high < 0)


def _says(gap, what) -> str:
    interval = f"{100 * gap.level:g} % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    return f"the difference is {100 * gap.value:+.1f} points and its {interval} {what}"


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
