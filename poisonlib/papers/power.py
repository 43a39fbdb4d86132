"""How many trials a question needs, before they are run: hits or misses, independent of each other, of the same seeds in two cells.

The test is the one that verdicts rest on: McNemar's exact test (`means.Bounded`), one-sided, of one sentence alone. Rates in [0, 1]
spread less than hits and misses, but the least number of trials that can show anything is the same for them.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from .. import check

FEW = 200  # trials up to which the drop that they tell is computed exactly
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
    passes = [beats(k, trials, gate) <= alpha for k in range(trials + 1)] if trials <= FEW else []
    critical = np.array([_critical(discordant, alpha) for discordant in range(trials + 1)]) if passes else None

    def told(q: float) -> bool:
        if not passes:
            return q < p and _approximate(p, q, power, alpha) <= trials
        return _telling(p, q, passes, critical) >= power

    low, high = 0.0, p  # told and not told
    if not told(low):
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if told(middle) else (low, middle)
    return low


def beats(hits: int, trials: int, gate: float) -> float:
    """The p-value against "the attack beats its control by at most ``gate``" where so many trials are hit and no control is.

    It is that of `means.Bounded`: of sums of exponential waiting times, which end in binomial tails.
    """
    misses = trials - hits if gate else 0  # which count for nothing at 0
    one, none = (1 - gate) / (1 + gate), gate / (1 + gate)  # what a hit and a miss weigh beside the value at the lowest end
    if not hits:
        return 1.0
    later = _before(misses, hits, one, none)
    tilted = _before(misses, hits, one / (1 + one), none / (1 - none))
    return 1 - later + tilted / ((1 + one) ** hits * (1 - none) ** misses)


def _before(first: int, second: int, slow: float, quick: float) -> float:
    """The probability that ``first`` events, ``quick`` apart on average, come before ``second`` events that are ``slow`` apart."""
    if not first:
        return 1.0
    share = slow / (slow + quick)
    return float(_binomial(first + second - 1, share)[first:].sum())


def _critical(discordant: int, alpha: float) -> int:
    """The least losses among so many discordant trials that McNemar's exact test takes for a fall."""
    tails = np.cumsum(_binomial(discordant, 0.5)[::-1])  # of all lost, of all but one, ...
    return discordant + 1 - int((tails <= alpha * (1 + 1e-12)).sum())


def _telling(p: float, q: float, passes: Sequence[bool], critical: np.ndarray) -> float:
    """The probability of passing the gate and telling, where the success without and with the defence is p and q."""
    trials, chance = len(passes) - 1, 0.0
    for hits, weight in enumerate(_binomial(trials, p)):
        if passes[hits] and weight:
            lost, gained = np.arange(hits + 1)[:, None], np.arange(trials - hits + 1)
            both = _binomial(hits, 1 - q)[:, None] * _binomial(trials - hits, q)
            chance += weight * both[lost >= critical[lost + gained]].sum()
    return float(chance)


def _binomial(n: int, p: float) -> np.ndarray:
    """The probabilities of 0 to n hits in n trials; without scipy, as a plan would wait for its import."""
    if p in (0, 1):
        return np.eye(n + 1)[round(n * p)]
    k, logs = np.arange(n + 1), np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return np.exp(logs[n] - logs - logs[::-1] + k * math.log(p) + (n - k) * math.log1p(-p))


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
