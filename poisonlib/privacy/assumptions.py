"""Counterexamples: what happens to the epsilon of Theorem 2 if one of its assumptions does not hold.

Each function builds a small data set with one-dimensional records, x0 first, and returns an `Example`. It compares the epsilon that
Theorem 2 gives for diameter 1 with the exact largest privacy loss |log p/q| between the two output densities. n is small, so that
all mixtures can be enumerated. sigma is in units of the diameter 1. The examples that concern the released code refer to the code
that the authors of DP-InstaHide published.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import hyp1f1

from . import theorem
from .densities import extreme_records, independent_outputs, mixup_density, without, worst_log_ratio
from .epochs import grouped_epoch, permuted_epoch


@dataclass(frozen=True)
class Example:
    """The effect of dropping one assumption of Theorem 2.

    ``epsilon`` is the value that the theorem claims and ``exact`` the largest privacy loss, both in nats; ``exact`` may be
    infinite. ``delta`` is the probability, under D, of outputs that D' cannot produce. No epsilon covers such outputs; 0 means that
    there are none. ``sentence`` explains the effect.
    """

    assumption: str
    epsilon: float
    exact: float
    delta: float
    sentence: str

    @property
    def exceeds(self) -> bool:
        """Whether the exact loss exceeds the claim by more than a rounding error."""
        return self.exact > self.epsilon * (1 + 1e-9)


def wide_data(sigma=0.5, k=2, n=5, diameter=2.0):
    """Two records are further apart than 1.

    The default diameter 2 is what the text of the theorem allows, an l1 *radius* of 1. Images in [0, 1]^d have diameter d.
    """
    exact = _removal(extreme_records(n, diameter), k, sigma)
    sentence = f"Two records are {diameter:g} apart instead of 1, so the exponent is {diameter:g}/(k sigma)."
    return Example("diameter at most 1", _claim(sigma, k, n), exact, 0.0, sentence)


def several_epochs(sigma=0.5, k=2, n=4, epochs=3):
    """T counts the outputs of one epoch (here one output), but training draws new outputs in every epoch."""
    records = extreme_records(n)
    p, q = (independent_outputs(mixup_density(r, k, sigma), epochs) for r in (records, without(records)))
    sentence = f"{epochs} epochs release {epochs} T outputs, so the largest privacy loss is {epochs} times as large."
    return Example("one epoch", _claim(sigma, k, n), worst_log_ratio(p, q).log_ratio, 0.0, sentence)


def dirichlet_log_ratio(sigma, k, n, alpha=1.0, diameter=1.0):
    """Returns the exact largest privacy loss of one output with Dirichlet(alpha) weights, in nats.

    The value is log(1 - k/n + (k/n) E[e^{W diameter/sigma}]), where W ~ Beta(alpha, (k - 1) alpha) is the weight of x0, for the
    data set of `densities.extreme_records`. The expectation is Kummer's function 1F1(alpha, k alpha, diameter/sigma); by Jensen's
    inequality it is at least e^{diameter/(k sigma)}. For any other data set, the loss is at most `theorem.bound_a` with
    ``k * diameter`` in place of the diameter.
    """
    x = diameter / sigma
    log_mean = x + math.log(hyp1f1((k - 1) * alpha, k * alpha, -x))
    return float(np.logaddexp(math.log((n - k) / n), math.log(k / n) + log_mean))


def dirichlet_weights(sigma=0.2, k=2, n=5, alpha=1.0):
    """The weights are drawn from Dirichlet(alpha), as in the released code, instead of 1/k each."""
    exact = dirichlet_log_ratio(sigma, k, n, alpha)
    sentence = "The weight of x0 can be close to 1, so its sensitivity is not diameter/k."
    return Example("equal weights", _claim(sigma, k, n), exact, 0.0, sentence)


def clipped_mass(sigma, k, n, clip, diameter=1.0):
    """Returns the probability that an output for D has a value that is impossible for D', with noise clipped to [-clip, clip].

    It holds for one output and the data set of `densities.extreme_records`. clip and diameter are in the unit of sigma.
    """
    gap = clip - diameter / k
    outside = 0.5 * math.exp(-gap / sigma) if gap >= 0 else 1 - 0.5 * math.exp(gap / sigma) if gap >= -clip else 1.0
    return k / n * outside


def clipped_noise(sigma=0.2, k=2, n=5, clip=0.2):
    """The noise is clipped to [-clip, clip]. The released code clips at one scale, clip = sigma."""
    sentence = "Clipped noise has bounded support: an output outside the support for D' must contain x0."
    return Example("unclipped noise", _claim(sigma, k, n), math.inf, clipped_mass(sigma, k, n, clip), sentence)


def bare_labels(sigma=0.2, k=2, n=5):
    """The labels are mixed like the images but released without noise, and x0 is the only record of its class."""
    sentence = "A mixed label with weight on a class that D' does not have reveals x0."
    return Example("labels are not released", _claim(sigma, k, n), math.inf, k / n, sentence)


def self_mixing(sigma=0.1, k=3, n=5, t=2):
    """t outputs come from k independent permutations, as in the released code, so a record can be mixed with itself."""
    records = extreme_records(n)
    p, q = (permuted_epoch(r, k, sigma, t) for r in (records, without(records)))
    sentence = "One output can contain x0 several times, which sampling without replacement excludes."
    return Example("independent draws without replacement", _claim(sigma, k, n, t), worst_log_ratio(p, q).log_ratio, 0.0, sentence)


def whole_epoch(sigma=0.2, k=2, n=5):
    """An epoch has one output for each record, T = n, so the number of outputs distinguishes D from D'."""
    sentence = "D gives n outputs and D' gives n - 1, so their number reveals x0. The claim needs a fixed T, or a replaced x0."
    return Example("T does not depend on the data", _claim(sigma, k, n, n), math.inf, 1.0, sentence)


def disjoint_groups(sigma=0.2, k=2, n=5, t=2):
    """t outputs come from disjoint groups of one permutation. They are dependent, but *more* private than the theorem claims."""
    records = extreme_records(n)
    p, q = (grouped_epoch(r, k, sigma, t) for r in (records, without(records)))
    sentence = "x0 is in at most one group of the epoch, so the claim holds with a margin although the outputs are dependent."
    return Example("independent outputs", _claim(sigma, k, n, t), worst_log_ratio(p, q).log_ratio, 0.0, sentence)


def replaced_record(sigma=0.2, k=2, n=5):
    """x0 is replaced instead of removed, and moves by the whole diameter. The proof excludes this, but the same epsilon holds.

    Proof: Let r = k/n and a = diameter/(k sigma). Let p1, q1 and m be the densities of a mixture that contains x0, its replacement,
    or neither. Then p - q = r (p1 - q1). Both q1 and m are at least e^{-a} p1, hence so is q, and p/q <= 1 + r (e^a - 1) = e^A. By
    symmetry, the same bound holds for q/p. The smaller bound B therefore no longer holds in either direction, but A does.
    """
    moved = extreme_records(n)
    exact = worst_log_ratio(mixup_density(moved, k, sigma), mixup_density(np.zeros((n, 1)), k, sigma)).log_ratio
    b = theorem.bound_b(sigma, k, n)
    sentence = f"The loss reaches A = {exact:.4g} in both directions. This exceeds B = {b:.4g}, but max(A, B) still holds."
    return Example("x0 is removed, not replaced", _claim(sigma, k, n), exact, 0.0, sentence)


def all_examples():
    """Returns a tuple of all examples with their default arguments. The claim holds only in the last two."""
    dropped = (wide_data, several_epochs, dirichlet_weights, clipped_noise, bare_labels, self_mixing, whole_epoch)
    return tuple(make() for make in (*dropped, disjoint_groups, replaced_record))


def _removal(records, k, sigma):
    """Returns the largest privacy loss of one output if the first record is removed."""
    return worst_log_ratio(mixup_density(records, k, sigma), mixup_density(without(records), k, sigma)).log_ratio


def _claim(sigma, k, n, t=1):
    return float(theorem.epsilon(sigma, k, n, t))
