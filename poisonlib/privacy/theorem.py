"""Theorem 2 of DP-InstaHide (Borgnia et al., 2021, section 3.1): pure epsilon of mixup with Laplace noise.

**Mechanism.** An output is ``(x_1 + ... + x_k) / k + noise``. The k records are drawn uniformly without replacement from the n
records of the data set. The noise is Laplace with scale sigma, independent in each coordinate and not clipped. The mechanism
releases T independent outputs, and T does not depend on the data set.

**Neighbouring data sets.** D has n records, and D' is D without one record x0 (add/remove). The bounds hold in both directions. The
same epsilon also holds if x0 is replaced (`assumptions.replaced_record`).

**Data.** The l1 distance between any two records is at most ``diameter``. The paper assumes 1. Images with d values in [0, 1] have
diameter d.

**Units.** sigma and diameter are in units of pixel values: for pixels in [0, 1], noise of "scale s/255" has sigma = s/255. epsilon
is in nats.

**Arguments.** sigma, diameter and epsilon are positive and finite; k, n, t and poisons are whole numbers with 1 <= k < n, t >= 1.
All functions except `group_epsilon` accept numbers and arrays, broadcast them, and return a float or an array of the broadcast
shape. They raise ValueError for values out of range. The formulas are evaluated such that e^{diameter/(k sigma)} does not
overflow for small sigma.
"""

import numpy as np

from . import _check


def bound_a(sigma, k, n, diameter=1.0):
    """Returns A = log(1 - k/n + (k/n) e^{diameter/(k sigma)}), in nats (Theorem 2).

    A is the largest possible log p/q of one output, where p is its density for D and q its density for D'.
    """
    (sigma, diameter), (k, n) = _check.positive(sigma=sigma, diameter=diameter), _check.width(k, n)
    share = k / n
    with np.errstate(over="ignore"):
        exponent = diameter / sigma / k
        moderate = np.log1p(share * np.expm1(np.minimum(exponent, 700)))
        huge = np.logaddexp(np.log((n - k) / n), np.log(share) + exponent)
    return np.minimum(np.where(exponent < 700, moderate, huge), exponent)[()]


def bound_b(sigma, k, n, diameter=1.0):
    """Returns B = log(n / (n - k + k e^{-diameter/(k sigma)})), in nats (Theorem 2).

    B is the largest possible log q/p of one output, with p and q as in `bound_a`. B never exceeds A.
    """
    (sigma, diameter), (k, n) = _check.positive(sigma=sigma, diameter=diameter), _check.width(k, n)
    share = k / n
    with np.errstate(over="ignore"):
        exponent = diameter / sigma / k
    lost = -share * np.expm1(-exponent)
    near = -np.log1p(-np.minimum(lost, 0.5))
    far = -np.log((n - k) / n + share * np.exp(-exponent))
    return np.minimum(np.where(lost < 0.5, near, far), exponent)[()]


def epsilon(sigma, k, n, t, diameter=1.0):
    """Returns epsilon = T max(A, B) of t outputs at delta = 0, in nats (Theorem 2).

    The bound is tight, because the data set of `densities.extreme_records` reaches it. With the noise density phi, one output has
    density p(z) = (1 - k/n) phi(z) + (k/n) phi(z - diameter/k) for D and q(z) = phi(z) for D'. Hence p/q = e^A for z >= diameter/k
    and q/p = e^B for z <= 0. The T outputs are independent, so their log ratios add up.
    """
    (t,) = _check.whole(t=t)
    with np.errstate(over="ignore"):
        return (t * np.maximum(bound_a(sigma, k, n, diameter), bound_b(sigma, k, n, diameter)))[()]


def simple_bound(sigma, k, t, diameter=1.0):
    """Returns T diameter / (k sigma), the looser bound of Theorem 2, in nats. It does not depend on n and is at least `epsilon`."""
    (sigma, diameter), (k, t) = _check.positive(sigma=sigma, diameter=diameter), _check.whole(k=k, t=t)
    with np.errstate(over="ignore"):
        return (t * (diameter / sigma / k))[()]


def width_floor(sigma, n, t, diameter=1.0):
    """Returns T log(1 + diameter/(n sigma)), in nats, a lower bound of `epsilon` for all mixture widths k.

    `epsilon` decreases strictly in k, because (k/n)(e^{c/k} - 1) does with c = diameter/sigma, and this bound is its limit. For T =
    n the limit is close to diameter/sigma, the epsilon of the Laplace mechanism that adds noise to every record once, without
    mixup.
    """
    (sigma, diameter), (n, t) = _check.positive(sigma=sigma, diameter=diameter), _check.whole(n=n, t=t)
    with np.errstate(over="ignore"):
        ratio = diameter / sigma / n
    return (t * np.where(np.isinf(ratio), np.log(diameter) - np.log(sigma) - np.log(n), np.log1p(ratio)))[()]


def noise_for_epsilon(epsilon, k, n, t, diameter=1.0):
    """Returns the noise scale sigma for which the function `epsilon` has the given value. It inverts A in closed form.

    The unit of sigma is that of diameter. A larger sigma gives a smaller epsilon.
    """
    (epsilon, diameter), (k, n) = _check.positive(epsilon=epsilon, diameter=diameter), _check.width(k, n)
    (t,) = _check.whole(t=t)
    each, share = epsilon / t, k / n
    small = np.log1p(np.expm1(np.minimum(each, 1)) / share)
    large = each - np.log(share) + np.log1p(-(n - k) / n * np.exp(-each))
    return (diameter / (k * np.where(each < 1, small, large)))[()]


def group_epsilon(sigma, k, n, t, poisons, diameter=1.0):
    """Returns the exact pure epsilon, in nats, for neighbouring data sets that differ by ``poisons`` added or removed records.

    All arguments are numbers, not arrays; n is the size of the larger data set. With H the hypergeometric number of poisons in a
    mixture, epsilon is t log E[e^{H diameter/(k sigma)}]. This follows from the coupling in the proof of Theorem 2 with H records
    exchanged instead of one. A data set reaches it if all poisons are at one end of the diameter and all other records are at the
    other end. For one poison the result equals `epsilon`. It is at most t diameter min(poisons, k) / (k sigma).

    Raises ValueError if fewer than k records remain, that is, if n - poisons < k.
    """
    (sigma, diameter), (k, n) = _check.positive(sigma=sigma, diameter=diameter), _check.width(k, n)
    (t, poisons) = _check.whole(t=t, poisons=poisons)
    if n - poisons < k:
        raise ValueError(f"poisons={poisons}: must be at most n - k = {n - k}, because a mixture needs k records after the removal")
    log_chance = _log_hypergeometric(int(k), int(n), int(poisons))
    with np.errstate(over="ignore"):
        exponents = np.arange(len(log_chance)) * (diameter / sigma / k)
    if exponents[-1] < 600:
        return float(t * np.log1p(np.sum(np.exp(log_chance) * np.expm1(exponents))))
    return float(t * np.logaddexp.reduce(log_chance + exponents))


def _log_hypergeometric(k, n, marked):
    """Returns log P(H = h) for h = 0, ..., min(k, marked): H of k draws without replacement are among ``marked`` of n records."""
    none = np.sum(np.log1p(-marked / (n - np.arange(k))))
    h = np.arange(min(k, marked))
    steps = np.log((marked - h) / (h + 1.0) * ((k - h) / (n - marked - k + h + 1.0)))
    return none + np.concatenate([[0.0], np.cumsum(steps)])
