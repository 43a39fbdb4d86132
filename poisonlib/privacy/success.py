"""Upper bounds on the success rate of any poisoning attack against DP-InstaHide and DP-SGD.

The attacker replaces ``poisons`` records by arbitrary ones. ``clean_success`` in [0, 1] is the success rate without poisons, that
is, how often training on clean data does what the attacker wants. A bound of 1 is vacuous. Values out of range raise ValueError.
"""

import numpy as np

from . import _check, attack_cost, theorem


def instahide_success(clean_success, poisons, sigma, k, n, t, diameter=1.0):
    """Returns the bound of Theorem 1 with the epsilon of Theorem 2, for t outputs of k-way mixup with Laplace noise, as a float.

    The result is the smaller of two bounds: one from the joint epsilon of all poisons (`theorem.group_epsilon`), the other from
    group privacy over the epsilon of one record. A poison replaces an image, which costs no more than a removal
    (`assumptions.replaced_record`). All arguments are numbers with the units of `theorem`. Like Theorem 2, the bound covers
    the mixed images but not their labels.
    """
    joint = theorem.group_epsilon(sigma, k, n, t, poisons, diameter)
    single = theorem.epsilon(sigma, k, n, t, diameter)
    together = attack_cost.most_success(clean_success, joint, 0.0, 1)
    return float(min(together, attack_cost.most_success(clean_success, single, 0.0, poisons)))


def dp_sgd_success_shuffled(clean_success, poisons, noise, epochs):
    """Returns Phi(Phi^-1(clean_success) + 2 poisons sqrt(epochs) / noise), a bound for DP-SGD with shuffled batches.

    ``noise`` > 0 is the noise multiplier, the standard deviation of the noise divided by the clipping norm. poisons and epochs are
    whole numbers of at least 1. Arguments are numbers or arrays and broadcast.

    Each record is in one batch per epoch, and replacing it changes the sum of clipped gradients by at most twice the clipping norm.
    In the worst case, all poisons are in the same batch. In any order of the records, an epoch is therefore mu-Gaussian
    differentially private with mu = 2 poisons / noise. Epochs compose to mu sqrt(epochs), and the bound is the resulting trade-off
    function (Dong, Roth and Su, 2019, arXiv:1905.02383, corollary 3.3).
    """
    from scipy.stats import norm

    (success,), (noise,) = _check.fraction(clean_success=clean_success), _check.positive(noise=noise)
    poisons, epochs = _check.whole(poisons=poisons, epochs=epochs)
    return norm.cdf(norm.ppf(success) + 2 * poisons * np.sqrt(epochs) / noise)[()]
