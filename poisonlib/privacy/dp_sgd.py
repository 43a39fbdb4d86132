"""Accounting of DP-SGD (Abadi et al., 2016, arXiv:1607.00133) with Poisson sampling, by privacy-loss distributions.

These functions need dp-accounting (``requirements-dp.txt``) and raise ImportError without it.

**Mechanism.** Each step includes every record in the batch independently with probability ``sampling``. This is the
sampling rate, batch / n. The step clips the gradient of each *example* to norm C, and adds Gaussian noise with standard deviation
``noise`` * C to their sum; ``noise`` is the noise multiplier. The code released with DP-InstaHide clips the mean gradient instead,
which gives no guarantee.

**Neighbouring data sets.** One record is added or removed. A poison that *replaces* a clean image counts as two records: one
removal and one addition.

**Arguments.** noise > 0, sampling in (0, 1], steps and poisons whole numbers of at least 1, epsilon in nats. All are numbers unless
stated otherwise. Values out of range raise ValueError.
"""

import functools

import numpy as np

from . import _check, attack_cost
from ._library import deltas, privacy_loss_distributions

# Spacing of the grid of privacy losses, in standard deviations of the loss of one step. dp-accounting rounds losses up, so a coarse
# grid gives looser bounds, but valid ones.
FINENESS = 0.1


def dp_sgd_epsilon(delta, noise, sampling, steps):
    """Returns the smallest epsilon at delta in (0, 1] for one added or removed record, in nats."""
    _check.fraction(delta=delta)
    return float(_composed(noise, sampling, steps, 1).get_epsilon_for_delta(float(delta)))


def dp_sgd_training_epsilon(delta, noise, batch, n, epochs):
    """Returns the smallest epsilon at delta for a training run with ``steps.dp_sgd``, in nats, *assuming Poisson sampling*.

    The run has epochs * ceil(n / batch) steps with sampling rate batch / n, or 1 if the batch is larger than the data set. The
    training loop shuffles the records instead of sampling them. Poisson accounting for shuffled batches is common practice, but it
    can underestimate epsilon considerably (Chua et al., 2024, arXiv:2403.17673). A bound that holds for any order is
    ``dp_sgd_epsilon(delta, noise, 1, epochs)``, because each record is in at most one batch per epoch. Its neighbouring data sets
    differ in one record that is replaced by a record with zero gradient.
    """
    _check.whole(batch=batch, n=n, epochs=epochs)
    return dp_sgd_epsilon(delta, noise, min(1.0, batch / n), epochs * -(-n // batch))


def dp_sgd_delta(epsilon, noise, sampling, steps, poisons=1):
    """Returns the smallest delta at epsilon if ``poisons`` records are added or removed together.

    epsilon is a number or an array in ascending order, at least 0; the result has the same shape.
    """
    (epsilon,) = _check.nonnegative(epsilon=epsilon)
    return deltas(_composed(noise, sampling, steps, poisons), epsilon)


def dp_sgd_success_naive(clean_success, poisons, noise, sampling, steps):
    """Returns an upper bound on the success rate of an attack that adds ``poisons`` records.

    It applies group privacy to the privacy curve of one record; see `attack_cost.most_success_on_curve`. clean_success in [0, 1] is
    the success rate without poisons.
    """
    epsilons = np.linspace(0, 15, 3001)
    return attack_cost.most_success_on_curve(clean_success, epsilons, dp_sgd_delta(epsilons, noise, sampling, steps), poisons)


def dp_sgd_success_tight(clean_success, poisons, noise, sampling, steps):
    """Returns the bound of `dp_sgd_success_naive`, computed from the joint privacy curve of all poisons, which is tighter.

    The number of poisons in a batch is Binomial(poisons, sampling), so each step is a mixture of Gaussian mechanisms. The bound is
    tight for this curve: a pair of output distributions with the same curve reaches it. 25 records take some seconds.
    """
    epsilons = np.linspace(0, 15, 3001)
    return attack_cost.most_success_on_curve(clean_success, epsilons, dp_sgd_delta(epsilons, noise, sampling, steps, poisons))


@functools.lru_cache(maxsize=64)
def _composed(noise, sampling, steps, poisons):
    """Returns the privacy-loss distribution of all steps."""
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
    """Returns the possible numbers of poisons in a batch and their probabilities, as lists.

    Large numbers whose total probability is below ``tail`` are counted as all poisons, the worst case.
    """
    from scipy.stats import binom

    counts = np.arange(poisons + 1)
    kept = binom.sf(counts - 1, poisons, sampling) > tail
    shifts, chances = counts[kept].astype(float), binom.pmf(counts[kept], poisons, sampling)
    shifts[-1] = poisons
    chances[-1] += max(0.0, 1 - chances.sum())
    return shifts.tolist(), (chances / chances.sum()).tolist()
