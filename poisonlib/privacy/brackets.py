"""Privacy auditing: Monte Carlo lower bounds on epsilon from an attack that distinguishes D from D'.

For any event U, an (epsilon, delta)-differentially private mechanism M satisfies
epsilon >= log((P[M(D) in U] - delta) / P[M(D') in U]). Here U is the event that the likelihood ratio is at least a threshold c, and
Clopper-Pearson intervals bound both probabilities. One half of the draws selects c and the other half evaluates it, so the
selection does not invalidate the confidence level.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from . import _check
from .densities import worst_log_ratio


@dataclass(frozen=True)
class Bracket:
    """Three values of epsilon for one pair of data sets, in nats.

    ``lower`` is the lower confidence bound from an attack, ``exact`` the largest privacy loss by enumeration, and ``upper`` the
    epsilon of a theorem.
    """

    lower: float
    exact: float
    upper: float

    @property
    def holds(self) -> bool:
        """Whether lower <= exact <= upper, up to rounding.

        ``lower`` is random and exceeds the true epsilon with probability at most 1 - confidence.
        """
        return self.lower <= self.exact * (1 + 1e-9) and self.exact <= self.upper * (1 + 1e-9)


def clopper_pearson(hits, count, confidence=0.95):
    """Returns the exact two-sided confidence interval (low, high) of a binomial probability (Clopper and Pearson, 1934).

    There are ``hits`` successes in ``count`` trials. confidence is in (0, 1).
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, count - hits + 1, tail))
    high = 1.0 if hits == count else float(betaincinv(hits + 1, count - hits, 1 - tail))
    return low, high


def attacked_epsilon(p, q, t, draws, generator, confidence=0.95, delta=0.0):
    """Returns a lower confidence bound on epsilon at ``delta`` for t independent outputs, in nats.

    p and q are the densities of one output for D and D', as `densities.LaplaceMixture`. The attack is run in both directions, with
    ``draws`` samples of t outputs from each density. ``generator`` is a NumPy generator. The result is 0 if the attack cannot
    distinguish the densities. Raises ValueError if t is not a whole number of at least 1, and for fewer than 20 draws.
    """
    _check.whole(t=t)
    if draws < 20:
        raise ValueError(f"draws={draws}: must be at least 20; one half selects the threshold and the other half evaluates it")
    from_p, from_q = (_scores(p, q, source, t, draws, generator) for source in (p, q))
    each = 1 - (1 - confidence) / 2
    return max(0.0, _one_way(from_p, from_q, each, delta), _one_way(-from_q, -from_p, each, delta))


def bracket(p, q, t, upper, draws, generator, confidence=0.95):
    """Returns the `Bracket` of t independent outputs.

    ``lower`` is `attacked_epsilon` at delta = 0, ``exact`` is t times `densities.worst_log_ratio`, and ``upper`` is the given
    epsilon of a theorem. The other arguments are those of `attacked_epsilon`.
    """
    lower = attacked_epsilon(p, q, t, draws, generator, confidence)
    return Bracket(float(lower), float(t * worst_log_ratio(p, q).log_ratio), float(upper))


def _scores(p, q, source, t, draws, generator):
    """Returns the log likelihood ratios log p/q (draws,) of samples of t outputs from ``source``."""
    z = source.draw(draws * t, generator)
    return (p.log_density(z) - q.log_density(z)).reshape(draws, t).sum(1)


def _one_way(top, bottom, confidence, delta):
    """Returns a lower confidence bound on log((P(top >= c) - delta) / P(bottom >= c)). The first halves of the scores select c."""
    half = len(top) // 2
    candidates = np.quantile(np.concatenate([top[:half], bottom[:half]]), np.linspace(0.01, 0.999, 60))
    chosen = max(candidates, key=lambda c: _gain(top[:half], bottom[:half], c, confidence, delta))
    return _gain(top[half:], bottom[half:], chosen, confidence, delta)


def _gain(top, bottom, threshold, confidence, delta):
    """Returns log((low - delta) / high): low bounds P(top >= threshold) from below and high P(bottom >= threshold) from above."""
    slack = 1e-9 * (1 + abs(threshold))
    low, _ = clopper_pearson(int(np.sum(top >= threshold - slack)), len(top), confidence)
    _, high = clopper_pearson(int(np.sum(bottom >= threshold - slack)), len(bottom), confidence)
    return math.log((low - delta) / high) if low > delta else -math.inf
