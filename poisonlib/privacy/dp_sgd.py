"""Accounting of DP-SGD with Poisson sampling: epsilon, and how far k records can move an attack's success (needs dp-accounting).

Each step adds a record to the batch with chance ``sampling`` = batch / n, clips every *example's* gradient to norm C, and adds
Gaussian noise of standard deviation ``noise`` * C to the sum. (Clipping the mean gradient, as the released code does, gives no
guarantee.) Neighbours: a record inserted or removed. A poison that *replaces* a clean image counts as two, one of each.
"""

import functools

import numpy as np

from . import _check, attack_cost
from ._library import deltas, privacy_loss_distributions

FINENESS = 0.1  # spacing of the library's losses, in standard deviations of one step's loss; its rounding only loosens bounds


def dp_sgd_epsilon(delta, noise, sampling, steps):
    """The least epsilon at delta in (0, 1] for one record, by privacy-loss distributions; nats."""
    _check.fraction(delta=delta)
    return float(_composed(noise, sampling, steps, 1).get_epsilon_for_delta(float(delta)))


def dp_sgd_training_epsilon(delta, noise, batch, n, epochs):
    """The least epsilon at delta for a training run with ``steps.dp_sgd``: epochs * ceil(n / batch) steps, sampling batch / n.

    **The loop shuffles, and this assumes Poisson sampling**, as is usual and can flatter by much (Chua et al., arXiv:2403.17673).
    Whatever the order, each record is in one batch an epoch at most, so ``dp_sgd_epsilon(delta, noise, 1, epochs)`` holds for the
    loop as it is, neighbours being a record and a blank that gives no gradient.
    """
    _check.whole(batch=batch, n=n, epochs=epochs)
    return dp_sgd_epsilon(delta, noise, min(1.0, batch / n), epochs * -(-n // batch))


def dp_sgd_delta(epsilon, noise, sampling, steps, poisons=1):
    """The least delta at epsilon (a number, or an array ascending) when ``poisons`` records together come or go."""
    (epsilon,) = _check.nonnegative(epsilon=epsilon)
    return deltas(_composed(noise, sampling, steps, poisons), epsilon)


def dp_sgd_success_naive(clean_success, poisons, noise, sampling, steps):
    """Upper bound on attack success with that many inserted records: group privacy over the one-record curve."""
    epsilons = np.linspace(0, 15, 3001)
    return attack_cost.most_success_on_curve(clean_success, epsilons, dp_sgd_delta(epsilons, noise, sampling, steps), poisons)


def dp_sgd_success_tight(clean_success, poisons, noise, sampling, steps):
    """The same bound from the joint curve of all poisons: a mixture of Gaussians, Binomial(poisons, sampling) of them in a batch.

    Tight for this accounting: some pair of output distributions with this curve reaches it. Some seconds for 25 records.
    """
    epsilons = np.linspace(0, 15, 3001)
    return attack_cost.most_success_on_curve(clean_success, epsilons, dp_sgd_delta(epsilons, noise, sampling, steps, poisons))


@functools.lru_cache(maxsize=64)
def _composed(noise, sampling, steps, poisons):
    pld = privacy_loss_distributions()
    _check.positive(noise=noise)
    _check.positive(sampling=sampling)
    _check.fraction(sampling=sampling)
    _check.whole(steps=steps, poisons=poisons)
    shifts, chances = _batch_counts(poisons, sampling)
    interval = min(0.05, FINENESS * poisons * sampling / noise)
    one = pld.from_mixture_gaussian_mechanism(float(noise), shifts, chances, value_discretization_interval=float(interval))
    return one.self_compose(int(steps))


def _batch_counts(poisons, sampling, tail=1e-15):
    """Numbers of poisons in a batch and their chances; counts rarer than ``tail`` altogether are taken as "all of them"."""
    from scipy.stats import binom

    counts = np.arange(poisons + 1)
    kept = binom.sf(counts - 1, poisons, sampling) > tail
    shifts, chances = counts[kept].astype(float), binom.pmf(counts[kept], poisons, sampling)
    shifts[-1] = poisons
    chances[-1] += max(0.0, 1 - chances.sum())
    return shifts.tolist(), (chances / chances.sum()).tolist()
