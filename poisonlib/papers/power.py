"""How many trials a question needs, before they are run; for independent hits or misses.

Rates in [0, 1] spread less than hits and misses, so what is enough here is enough for them. Shares are compared after the arcsine
transform (Cohen 1988); the wrong tail of a two-sided test is left out. Fisher's exact test needs about 2 / |p1 - p2| more trials.
"""

import math
from statistics import NormalDist

from .. import check


def trials_to_tell(p1: float, p2: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials in each of two arms for a two-sided test at ``alpha`` to find p1 and p2 different with probability ``power``."""
    _check(p1=p1, p2=p2, power=power, alpha=alpha)
    if p1 == p2:
        raise ValueError(f"p2={p2!r}: choose another rate than p1, as no number of trials tells equal rates apart")
    effect = 2 * (math.asin(math.sqrt(p1)) - math.asin(math.sqrt(p2)))
    return _whole(2 * _size(effect, power, alpha / 2))


def detectable(p: float, trials: int, power: float = 0.8, alpha: float = 0.05, paper_trials: int | None = None) -> float | None:
    """The largest share below p that our ``trials`` tell from p with probability ``power``; None where even 0 is too close.

    p was found in ``paper_trials``; without that number, in as many trials as ours.
    """
    _check(p=p, power=power, alpha=alpha)
    theirs = trials if paper_trials is None else paper_trials
    for name, count in (("trials", trials), ("paper_trials", theirs)):
        check.whole(name, count, 1)
    effect = math.sqrt(_size(1, power, alpha / 2) * (1 / trials + 1 / theirs))
    angle = math.asin(math.sqrt(p)) - effect / 2  # an effect is 2 asin(sqrt(p1)) - 2 asin(sqrt(p2))
    return math.sin(angle) ** 2 if angle >= 0 else None


def trials_for_equivalence(p: float, margin: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials that are truly at a printed share p, for the 1 - 2 alpha interval of theirs to lie within ±margin of it.

    Two one-sided normal tests with the variance p (1 - p): each side may fail with (1 - power) / 2 (Chow, Shao & Wang 2008, 4.1).
    """
    _check(p=p, margin=margin, power=power, alpha=alpha)
    if p in (0, 1):
        raise ValueError(f"p={p!r}: choose a rate above 0 and below 1, where the normal approximation has a spread")
    return _whole(_size(margin / math.sqrt(p * (1 - p)), (1 + power) / 2, alpha))


def _size(effect, power, alpha) -> float:
    """Values of variance 1 for a one-sided normal test of their mean to find ``effect``."""
    quantile = NormalDist().inv_cdf
    return ((quantile(power) - quantile(alpha)) / effect) ** 2


def _whole(trials: float) -> int:
    return max(1, math.ceil(trials - 1e-6))


def _check(power, alpha, margin=0.5, **shares):
    for name, share in shares.items():
        check.share(name, share)
    for name, value, least in (("alpha", alpha, 0), ("power", power, alpha), ("margin", margin, 0)):
        check.number(name, value, least, 1, above=True)
        if value == 1:
            raise ValueError(f"{name}={value!r}: choose a number below 1")
