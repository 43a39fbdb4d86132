"""Tight (epsilon, delta) accounting of mixup with Laplace noise, which complements the pure epsilon of `theorem`.

These functions need dp-accounting (``requirements-dp.txt``), except for delta = 0, where `theorem.epsilon` is exact.

**Mechanism and neighbours.** As in `theorem`: k of n records without replacement, T independent outputs, unclipped noise, and one
record x0 added or removed.

**Method.** dp-accounting composes privacy-loss distributions for *Poisson sampling*, which includes each record independently with
probability r. For add/remove neighbours, the two sampling schemes have the same dominating pair of densities,
(1 - r) phi(z) + r phi(z - a) and phi(z), where r = k/n and a = diameter/k. To see this for sampling without replacement, couple
each mixture that contains x0 with the same mixture in which another record, chosen at random, takes the place of x0. The pair then
follows from the joint convexity of the hockey-stick divergence, and `densities.extreme_records` attains it. In more than one
dimension, a shift that is spread over several coordinates is dominated by a shift of the same l1 norm in one coordinate; the tests
check this numerically. The privacy curve is therefore exact up to the library's discretisation, which rounds epsilon up.

**Not covered.** If x0 is *replaced*, the pure epsilon is the same (`assumptions.replaced_record`) but delta is not. Count a
replacement as two steps, one removal and one addition, with `attack_cost.group_delta`. The permutations of `epochs` are not covered
either.

**Arguments.** As in `theorem`, but numbers only unless stated otherwise. ``t`` is the number of outputs of one epoch, and
``epochs`` multiplies it. delta is in [0, 1], epsilon in nats. Values out of range raise ValueError, a missing library ImportError.
"""

import functools

import numpy as np

from . import _check, attack_cost, theorem
from ._library import deltas, privacy_loss_distributions


def laplace_epsilon(delta, sigma, k, n, t, epochs=1, diameter=1.0):
    """Returns the smallest epsilon at ``delta`` of epochs * t outputs, in nats. At delta = 0 it is the epsilon of Theorem 2.

    Raises ValueError if delta > 0 and diameter/(k sigma) > 600, where the library overflows.
    """
    (delta,) = _check.fraction(delta=delta)
    pure = float(theorem.epsilon(sigma, k, n, t * epochs, diameter))
    if delta == 0:
        return pure
    return min(pure, float(_composed(sigma, k, n, t * epochs, diameter).get_epsilon_for_delta(float(delta))))


def laplace_delta(epsilon, sigma, k, n, t, epochs=1, diameter=1.0):
    """Returns the privacy curve: the smallest delta at epsilon of epochs * t outputs.

    epsilon is a number or an array in ascending order, at least 0; the result has the same shape. Raises ValueError if
    diameter/(k sigma) > 600.
    """
    (epsilon,) = _check.nonnegative(epsilon=epsilon)
    return deltas(_composed(sigma, k, n, t * epochs, diameter), epsilon)


def laplace_success(clean_success, poisons, sigma, k, n, t, epochs=1, diameter=1.0):
    """Returns an upper bound on the success rate of an attack that adds or removes ``poisons`` records.

    The bound applies group privacy to the tight curve for one record; see `attack_cost.most_success_on_curve`. clean_success in
    [0, 1] is the success rate without poisons.
    """
    top = float(laplace_epsilon(1e-12, sigma, k, n, t, epochs, diameter))
    epsilons = np.linspace(0, top, 2001)
    curve = laplace_delta(epsilons, sigma, k, n, t, epochs, diameter)
    return attack_cost.most_success_on_curve(clean_success, epsilons, curve, poisons)


def use_chance(k, n, t):
    """Returns 1 - (1 - k/n)^t, the probability that at least one of t outputs contains x0. Numbers and arrays broadcast.

    With any noise, the mechanism is (0, delta)-differentially private for this delta.
    """
    (k, n), (t,) = _check.width(k, n), _check.whole(t=t)
    return -np.expm1(t * np.log1p(-k / n))[()]


@functools.lru_cache(maxsize=16)
def _composed(sigma, k, n, t, diameter):
    """Returns the privacy-loss distribution of t outputs, on a grid that is fine enough for t outputs and fits into memory."""
    pld = privacy_loss_distributions()
    _check.whole(t=t)
    if diameter / (k * sigma) > 600:
        raise ValueError(
            f"diameter/(k sigma) = {diameter / (k * sigma):.4g}: must be at most 600, because dp-accounting overflows above. "
            f"Such noise hides nothing: delta is use_chance(k, n, t) = {use_chance(k, n, t):.4g} at every practical epsilon"
        )
    each = float(theorem.bound_a(sigma, k, n, diameter))
    interval = each / (100 if t <= 100_000 else 25)  # at most 1 GB of memory; epsilon is up to 4 % above that on a finer grid
    one = pld.from_laplace_mechanism(
        float(sigma), sensitivity=diameter / k, value_discretization_interval=interval, sampling_prob=float(k / n)
    )
    return one.self_compose(int(t))
