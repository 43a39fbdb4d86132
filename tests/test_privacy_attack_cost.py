"""Theorem 1: what a guarantee certifies about an attack, against group privacy taken one step at a time."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from poisonlib import privacy
from poisonlib.privacy.attack_cost import group_delta, least_nonnegative_cost, most_success, poisons_certified

often = settings(deadline=None, max_examples=60)
budgets = st.tuples(st.floats(0, 2), st.floats(0, 0.2), st.integers(1, 30))


@often
@given(st.floats(0, 1), budgets)
def test_theorem_1_is_group_privacy_one_step_at_a_time(cost, budget):
    epsilon, delta, poisons = budget
    least, most = cost, cost
    for _ in range(poisons):
        least, most = np.exp(-epsilon) * (least - delta), np.exp(epsilon) * most + delta
    assert least_nonnegative_cost(cost, 1.0, *budget) == pytest.approx(max(least, 0), rel=1e-9, abs=1e-12)
    assert privacy.least_nonpositive_cost(-cost, 1.0, *budget) == pytest.approx(-min(most, 1), rel=1e-9)


def test_equation_5_as_printed_is_false():
    """Randomised response is (epsilon, 0)-private and its cost of -P(answer) falls below what (5) as printed allows."""
    epsilon = 1.0
    high, low = np.exp(epsilon) / (1 + np.exp(epsilon)), 1 / (1 + np.exp(epsilon))
    assert -high < privacy.printed_nonpositive_cost(-low, 1.0, epsilon, 0.0, 1)
    assert -high == pytest.approx(privacy.least_nonpositive_cost(-low, 1.0, epsilon, 0.0, 1))
    assert privacy.printed_nonpositive_cost(0.0, 1.0, 0.1, 0.01, 1) > 0, "a positive lower bound for a cost that is never positive"


@often
@given(st.floats(0, 1), budgets)
def test_success_is_bounded_sensibly(success, budget):
    epsilon, delta, poisons = budget
    bound = most_success(success, *budget)
    assert success - 1e-12 <= bound <= 1
    assert bound <= most_success(success, epsilon, delta, poisons + 1) + 1e-12


def test_success_where_the_certificate_is_vacuous_or_free():
    assert most_success(0.01, 211, 0.0, 25) == 1
    assert most_success(0.0, 1e300, 0.0, 500) == 0
    assert most_success(0.3, 0.0, 0.0, 500) == pytest.approx(0.3)
    assert group_delta(0.0, 1e-3, 7) == pytest.approx(7e-3)


@often
@given(st.floats(0.001, 0.5), st.floats(1e-3, 2), st.floats(0, 1e-3), st.floats(0.5, 0.99))
def test_poisons_certified_is_the_last_that_fits(clean, epsilon, delta, most):
    poisons = poisons_certified(clean, most, epsilon, delta)
    assume(poisons > 0)
    assert most_success(clean, epsilon, delta, poisons) <= most < most_success(clean, epsilon, delta, poisons + 1)


def test_poisons_certified_refuses_the_impossible():
    with pytest.raises(ValueError, match=r"most=0\.1"):
        poisons_certified(0.2, 0.1, 1.0, 0.0)
    assert poisons_certified(0.01, 0.5, 211.0, 0.0) == 0
    assert poisons_certified(0.01, 0.5, 0.0, 0.0, limit=1000) == 1000
