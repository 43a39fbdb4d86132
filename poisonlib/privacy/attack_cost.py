"""Theorem 1 of DP-InstaHide: what an (epsilon, delta) guarantee certifies about data poisoning.

The theorem follows Ma, Zhu and Hsu (2019), arXiv:1903.09860. The attacker changes at most l = ``poisons`` records of D. Each change
is a step between neighbouring data sets, for which the training algorithm M is (epsilon, delta)-differentially private. The
attacker wants a low expected cost J(D') = E[C(M(D'))] of the trained model. All bounds follow from group privacy, that is, from l
applications of the definition: P(M(D) in U) <= e^{l epsilon} P(M(D') in U) + delta_l with delta_l = delta (e^{l epsilon} - 1) /
(e^epsilon - 1), in both directions.

**Arguments.** epsilon >= 0 in nats, delta in [0, 1], poisons a whole number of at least 1. Numbers and arrays broadcast unless
stated otherwise; the result is a float or an array of the broadcast shape. If a bound is vacuous, the functions return the trivial
bound. Values out of range raise ValueError.
"""

import numpy as np

from . import _check


def group_delta(epsilon, delta, poisons):
    """Returns delta_l = delta (e^{l epsilon} - 1) / (e^epsilon - 1), at most 1. For epsilon = 0 it is l delta."""
    return np.minimum(1.0, np.exp(np.minimum(_log_group_delta(*_budget(epsilon, delta, poisons)), 0)))[()]


def least_nonnegative_cost(clean_cost, most_cost, epsilon, delta, poisons):
    """Returns the lower bound on the attacked cost J(D') of equation (4), for costs 0 <= C <= B.

    The bound is max(e^{-l epsilon} (J(D) + B delta/(e^epsilon - 1)) - B delta/(e^epsilon - 1), 0), as printed in the paper. J(D) is
    ``clean_cost`` and B is ``most_cost``. Raises ValueError unless 0 <= clean_cost <= most_cost.
    """
    clean_cost, most_cost = _check.nonnegative(clean_cost=clean_cost, most_cost=most_cost)
    _refuse_above(clean_cost, most_cost, "clean_cost", "most_cost")
    epsilon, delta, poisons = _budget(epsilon, delta, poisons)
    group = poisons * epsilon
    kept = np.exp(-group) * clean_cost
    given_up = most_cost * np.exp(_log_group_delta(epsilon, delta, poisons) - group)
    return np.maximum(kept - given_up, 0.0)[()]


def least_nonpositive_cost(clean_cost, most_cost, epsilon, delta, poisons):
    """Returns the lower bound on the attacked cost J(D') of equation (5), corrected, for costs -B <= C <= 0.

    The bound is max(e^{l epsilon} (J(D) - B delta/(e^epsilon - 1)) + B delta/(e^epsilon - 1), -B). J(D) is ``clean_cost`` and B is
    ``most_cost``. The paper prints e^{-l epsilon} and J(D) + B delta/(e^epsilon - 1) instead. That is false, because it implies
    that poisoning cannot lower the cost (see `printed_nonpositive_cost`). Raises ValueError unless -most_cost <= clean_cost <= 0.
    """
    gain, most_cost = _check.nonnegative(**{"-clean_cost": -np.asarray(clean_cost, dtype=float)}, most_cost=most_cost)
    _refuse_above(gain, most_cost, "-clean_cost", "most_cost")
    epsilon, delta, poisons = _budget(epsilon, delta, poisons)
    with np.errstate(divide="ignore", over="ignore"):
        reached = np.exp(np.log(gain) + poisons * epsilon)
        leaked = most_cost * np.exp(_log_group_delta(epsilon, delta, poisons))
    return -np.minimum(np.where(most_cost > 0, reached + leaked, 0.0), most_cost)[()]


def printed_nonpositive_cost(clean_cost, most_cost, epsilon, delta, poisons):
    """Returns equation (5) as printed in the paper, which is *not* a valid bound. It needs epsilon > 0.

    The value is max(e^{-l epsilon} (J(D) + B delta/(e^epsilon - 1)) + B delta/(e^epsilon - 1), -B), with the arguments of
    `least_nonpositive_cost`.
    """
    (epsilon,) = _check.positive(epsilon=epsilon)
    shift = most_cost * np.asarray(delta) / np.expm1(epsilon)
    return np.maximum(np.exp(-np.asarray(poisons) * epsilon) * (clean_cost + shift) + shift, -np.asarray(most_cost))[()]


def most_success(clean_success, epsilon, delta, poisons):
    """Returns an upper bound on the success rate of an attack. It is in [clean_success, 1]; a value of 1 is vacuous.

    s = clean_success in [0, 1] is the probability of the same event without poisons. The bound is the smallest of 1 and the two
    bounds of Theorem 1: the cost C = -1 on success gives e^{l epsilon} s + delta_l, and the cost C = 1 on failure gives
    1 - e^{-l epsilon} (1 - s - delta_l).
    """
    (success,) = _check.fraction(clean_success=clean_success)
    by_success = -least_nonpositive_cost(-success, 1.0, epsilon, delta, poisons)
    by_failure = 1 - least_nonnegative_cost(1 - success, 1.0, epsilon, delta, poisons)
    return np.minimum(by_success, by_failure)[()]


def most_success_on_curve(clean_success, epsilons, deltas, poisons=1):
    """Returns the smallest `most_success` over a privacy curve, as a float.

    The mechanism satisfies every pair of the arrays ``epsilons`` (m,) and ``deltas`` (m,). clean_success is one number.
    """
    return float(np.min(most_success(clean_success, np.asarray(epsilons), np.asarray(deltas), poisons)))


def poisons_certified(clean_success, most, epsilon, delta, limit=10**9):
    """Returns the largest number of poisons, at most ``limit``, for which `most_success` does not exceed ``most``.

    All arguments are numbers, not arrays. The result is 0 if even one poison can exceed ``most``. Raises ValueError if ``most`` is
    less than clean_success, because no guarantee can lower the success rate without poisons.
    """
    clean_success, most = (float(x) for x in _check.fraction(clean_success=clean_success, most=most))
    if most < clean_success:
        raise ValueError(f"most={most}: must be at least clean_success={clean_success}, the success rate without poisons")
    low, high = 0, int(limit) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if most_success(clean_success, epsilon, delta, middle) <= most else (low, middle)
    return low


def _budget(epsilon, delta, poisons):
    return *_check.nonnegative(epsilon=epsilon), *_check.fraction(delta=delta), *_check.whole(poisons=poisons)


def _refuse_above(value, limit, name, limit_name):
    if np.any(value > limit):
        raise ValueError(f"{name}={value}: must be at most {limit_name}={limit}")


def _log_group_delta(epsilon, delta, poisons):
    """Returns log delta_l without the cap: it can exceed 0, and it is -inf for delta = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        geometric = (poisons - 1) * epsilon + np.log(np.expm1(-poisons * epsilon) / np.expm1(-epsilon))
        return np.log(delta) + np.where(epsilon > 0, geometric, np.log(poisons))
