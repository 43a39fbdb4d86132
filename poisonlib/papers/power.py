"""How many trials a question needs, before they are run: hits or misses, independent of each other, of the same seeds in two cells.

The test is the one that verdicts rest on: McNemar's exact test (`means.Bounded`), one-sided, of one sentence alone. Rates in [0, 1]
spread less than hits and misses, but the least number of trials that can show anything is the same for them.
"""

import math
from statistics import NormalDist

import numpy as np

from .. import check

MANY = 1024  # trials from which on the normal approximation serves (Connor, *Sample size for testing differences* ..., 1987)


def trials_to_tell(p1: float, p2: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials in each of two cells to find the higher of the rates p1 and p2 higher with probability ``power``."""
    _check(p1=p1, p2=p2, power=power, alpha=alpha)
    if p1 == p2:
        raise ValueError(f"p2={p2!r}: choose another rate than p1, as no number of trials tells equal rates apart")
    low, high = 0, 1
    while high <= MANY and _found(p1, p2, high, alpha) < power:
        low, high = high, 2 * high
    if high > MANY:
        return _approximate(p1, p2, power, alpha)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _found(p1, p2, middle, alpha) >= power else (middle, high)
    return high


def _found(p1: float, p2: float, trials: int, alpha: float) -> float:
    """The probability that McNemar's exact test finds the higher rate higher."""
    from scipy.stats import binom

    gain, loss = sorted((p1 * (1 - p2), p2 * (1 - p1)), reverse=True)
    discordant = np.arange(trials + 1)
    enough = binom.isf(alpha, discordant, 0.5) + 1  # gains among so many that are a rejection
    return float(binom.pmf(discordant, trials, gain + loss) @ binom.sf(enough - 1, discordant, gain / (gain + loss)))


def _approximate(p1: float, p2: float, power: float, alpha: float) -> int:
    gap, discordant = abs(p1 - p2), p1 * (1 - p2) + p2 * (1 - p1)
    quantile = NormalDist().inv_cdf
    return math.ceil(((math.sqrt(discordant) * -quantile(alpha) + math.sqrt(discordant - gap**2) * quantile(power)) / gap) ** 2)


def detectable(p: float, trials: int, gate: float, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The largest success under a defence that so many trials tell from ``p``, the success without it, with probability ``power``;
    None where they would not tell even 0.

    The attack must be shown to beat a clean control that never succeeds by more than ``gate``, in the same trials, too.
    """
    _check(p=p, power=power, alpha=alpha)
    check.whole("trials", trials, 1)
    check.share("gate", gate)
    chance = _telling(p, trials, gate, alpha)
    low, high = 0.0, p  # told and not told
    if chance(low) < power:
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) >= power else (low, middle)
    return low


def _telling(p: float, trials: int, gate: float, alpha: float):
    """The probability of passing the gate and telling, as a function of the success under the defence."""
    from scipy.stats import binom

    from .means import Bounded

    hits = np.arange(trials + 1)
    passes = [float(Bounded((1.0,) * k + (0.0,) * (trials - k), -1.0).above(gate)) <= alpha for k in hits]
    lost, gained = np.meshgrid(hits, hits, indexing="ij")
    told = binom.sf(lost - 1, lost + gained, 0.5) <= alpha  # of hits without the defence, so many are lost, and others gained
    weights = binom.pmf(hits, trials, p) * passes

    def chance(q: float) -> float:
        sides = ((binom.pmf(hits[: k + 1], k, 1 - q), binom.pmf(hits[: trials - k + 1], trials - k, q)) for k in hits)
        return float(sum(w * (a @ told[: len(a), : len(b)] @ b) for w, (a, b) in zip(weights, sides, strict=True) if w))

    return chance


def trials_for_equivalence(p: float, margin: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials that are truly at a printed share p, for the 1 - 2 alpha interval of theirs to lie within ±margin of it.

    Two one-sided normal tests with the variance p (1 - p): each side may fail with (1 - power) / 2 (Chow, Shao & Wang 2008, 4.1).
    """
    _check(p=p, margin=margin, power=power, alpha=alpha)
    if p in (0, 1):
        raise ValueError(f"p={p!r}: choose a rate above 0 and below 1, where the normal approximation has a spread")
    quantile = NormalDist().inv_cdf
    spread = math.sqrt(p * (1 - p)) * (quantile((1 + power) / 2) - quantile(alpha))
    return max(1, math.ceil((spread / margin) ** 2 - 1e-6))


def _check(power, alpha, margin=0.5, **shares):
    for name, share in shares.items():
        check.share(name, share)
    for name, value, least in (("alpha", alpha, 0), ("power", power, alpha), ("margin", margin, 0)):
        check.number(name, value, least, 1, above=True)
        if value == 1:
            raise ValueError(f"{name}={value!r}: choose a number below 1")
