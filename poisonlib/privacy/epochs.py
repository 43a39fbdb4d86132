"""Outputs of one epoch of training, drawn by permutation. They are not independent, so the proof of Theorem 2 does not apply.

The released DP-InstaHide code draws k permutations and mixes their i-th entries in output i: `permuted_epoch`. `grouped_epoch` cuts
one permutation into disjoint groups of k. Both return the exact joint density of t outputs on a small data set. `permuted_bound`
and `grouped_bound` give the pure epsilon for any size, in nats; their arguments are those of `theorem`. Neighbouring data sets: D'
is D without one record x0 (add/remove).
"""

import itertools
import math

from . import _check
from .densities import MOST_TERMS, as_rows, mixture
from .theorem import bound_a


def permuted_epoch(records, k, sigma, t):
    """Returns the joint density of t outputs, a `LaplaceMixture` in t d coordinates.

    Output i is the mean of the i-th entries of k independent permutations of the records (n, d) or (n,), plus noise. A record can
    be mixed with itself, unlike in sampling without replacement, and is used at most k times.

    Raises ValueError if t exceeds n, and if there are more than ``densities.MOST_TERMS`` cases.
    """
    records = _enough(records, t)
    orders = list(itertools.permutations(range(len(records)), t))
    _refuse_many(len(orders) ** k)
    return mixture([sum(records[list(o)] for o in slots).ravel() / k for slots in itertools.product(orders, repeat=k)], sigma)


def grouped_epoch(records, k, sigma, t):
    """Returns the joint density of t outputs, a `LaplaceMixture` in t d coordinates.

    One permutation of the records (n, d) or (n,) is cut into t disjoint groups of k. Each output is the mean of a group, plus
    noise.

    Raises ValueError if k t exceeds n, and if there are more than ``densities.MOST_TERMS`` cases.
    """
    records = _enough(records, k * t)
    _refuse_many(math.perm(len(records), k * t))
    orders = itertools.permutations(range(len(records)), k * t)
    return mixture([records[list(o)].reshape(t, k, -1).mean(1).ravel() for o in orders], sigma)


def permuted_bound(sigma, k, n, t, diameter=1.0):
    """Returns k log(1 + (t/n)(e^{diameter/(k sigma)} - 1)), the exact pure epsilon of t <= n - 1 outputs of `permuted_epoch`.

    In each permutation, x0 is among the first t entries with probability t/n, and then shifts one output by diameter/k. The result
    is at most diameter/sigma, which is also the epsilon of a complete epoch of n outputs if x0 is replaced instead of removed.
    Raises ValueError for values out of range.
    """
    return k * _one_permutation(sigma, k, n, t, diameter)


def grouped_bound(sigma, k, n, t, diameter=1.0):
    """Returns log(1 + (k t/n)(e^{diameter/(k sigma)} - 1)), the exact pure epsilon of t outputs of `grouped_epoch`, k t <= n - 1.

    x0 is in at most one group. The result is therefore at most diameter/(k sigma) and, by Bernoulli's inequality, at most the
    epsilon of Theorem 2 for the same t. Raises ValueError for values out of range.
    """
    return _one_permutation(sigma, k, n, k * t, diameter)


def _one_permutation(sigma, k, n, used, diameter):
    """Returns log(1 + (used/n)(e^a - 1)) with a = diameter/(k sigma): `bound_a` with k = used but the shift diameter/k."""
    _check.width(used, n)
    return bound_a(sigma * k, used, n, diameter * used)


def _enough(records, needed):
    records = as_rows(records)
    if not 1 <= needed <= len(records):
        raise ValueError(f"the outputs need {needed} of {len(records)} records: choose a t or k in this range")
    return records


def _refuse_many(count):
    if count > MOST_TERMS:
        raise ValueError(f"{count} permutations: at most {MOST_TERMS} can be enumerated; use fewer records or a smaller k or t")
