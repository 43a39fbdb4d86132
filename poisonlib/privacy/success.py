"""Upper bounds on the success of any attack with so many poisons, for the two defences as they are trained here.

``clean_success``: how often clean training does what the attacker wants. The adversary changes ``poisons`` records, each into
whatever it likes. A bound of 1 says nothing.
"""

import numpy as np

from . import _check, attack_cost, theorem


def instahide_success(clean_success, poisons, sigma, k, n, t, diameter=1.0):
    """Theorem 1 at Theorem 2's epsilon for t outputs of k-way mixup, all poisons counted at once (numbers, not arrays).

    A poison replaces an image, which costs no more than its removal (`assumptions.replaced_record`); the smaller of the joint
    epsilon for k records and of group privacy over one-record steps. Units as in `theorem`.
    """
    joint = theorem.group_epsilon(sigma, k, n, t, poisons, diameter)
    single = theorem.epsilon(sigma, k, n, t, diameter)
    together = attack_cost.most_success(clean_success, joint, 0.0, 1)
    return float(min(together, attack_cost.most_success(clean_success, single, 0.0, poisons)))


def dp_sgd_success_shuffled(clean_success, poisons, noise, epochs):
    """Phi(Phi^-1(clean success) + 2 poisons sqrt(epochs) / noise): per-example DP-SGD as the loop runs it, shuffled; broadcasts.

    A record is in one batch an epoch, where exchanging it moves the clipped sum by 2 clips at most; all poisons in one batch is the
    worst case. An epoch is thus Gaussian differentially private with mu = 2 poisons / noise whatever the order, epochs compose to
    mu sqrt(epochs), and the bound is the trade-off curve itself (Dong, Roth and Su, arXiv:1905.02383, corollary 3.3). ``noise`` is
    the multiplier: standard deviation over clip.
    """
    from scipy.stats import norm

    (success,), (noise,) = _check.fraction(clean_success=clean_success), _check.positive(noise=noise)
    poisons, epochs = _check.whole(poisons=poisons, epochs=epochs)
    return norm.cdf(norm.ppf(success) + 2 * poisons * np.sqrt(epochs) / noise)[()]
