"""Theorem 2 against exact densities: it holds under its assumptions, and each example beyond them exceeds it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonlib import privacy
from poisonlib.privacy import assumptions
from poisonlib.privacy.assumptions import clipped_mass, dirichlet_log_ratio
from poisonlib.privacy.epochs import grouped_bound, grouped_epoch, permuted_bound, permuted_epoch

often = settings(deadline=None, max_examples=60)


@st.composite
def cases(draw, dimension=1, smallest=3):
    """(records within l1 diameter 1, k, sigma); corners are frequent, since the worst cases lie there."""
    n = draw(st.integers(smallest, 6))
    entry = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
    records = np.array(draw(st.lists(entry, min_size=n * dimension, max_size=n * dimension))).reshape(n, dimension)
    return records / dimension, draw(st.integers(1, n - 1)), draw(st.floats(0.05, 3))


def worst(p, q):
    return privacy.worst_log_ratio(p, q).log_ratio


def pair(records, k, sigma):
    return privacy.mixup_density(records, k, sigma), privacy.mixup_density(privacy.without(records), k, sigma)


@often
@given(cases())
def test_the_theorem_holds_in_one_dimension(case):
    records, k, sigma = case
    assert worst(*pair(*case)) <= privacy.epsilon(sigma, k, len(records), 1) * (1 + 1e-9) + 1e-12


@often
@given(cases(dimension=2))
def test_the_theorem_holds_in_two_dimensions(case):
    records, k, sigma = case
    assert worst(*pair(*case)) <= privacy.epsilon(sigma, k, len(records), 1) * (1 + 1e-9) + 1e-12


@often
@given(cases())
def test_each_direction_keeps_its_own_bound(case):
    records, k, sigma = case
    p, q = pair(*case)
    z = np.concatenate([p.centres, q.centres])
    ratio = p.log_density(z) - q.log_density(z)
    assert ratio.max() <= privacy.bound_a(sigma, k, len(records)) + 1e-9
    assert -ratio.min() <= privacy.bound_b(sigma, k, len(records)) + 1e-9


@often
@given(cases(), st.floats(0, 1))
def test_a_replaced_record_never_exceeds_it_either(case, moved):
    records, k, sigma = case
    other = records.copy()
    other[0] = moved
    exact = worst(privacy.mixup_density(records, k, sigma), privacy.mixup_density(other, k, sigma))
    assert exact <= privacy.epsilon(sigma, k, len(records), 1) * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("t", [1, 2, 3])
def test_the_theorem_is_tight(t):
    p, q = (privacy.independent_outputs(d, t) for d in pair(privacy.extreme_records(5), 2, 0.4))
    assert worst(p, q) == pytest.approx(privacy.epsilon(0.4, 2, 5, t), rel=1e-12)


@often
@given(cases())
def test_the_search_over_kinks_beats_a_dense_grid(case):
    p, q = pair(*case)
    z = np.linspace(-2, 3, 4001)
    assert np.abs(p.log_density(z) - q.log_density(z)).max() <= worst(p, q) + 1e-9


def test_the_search_over_kinks_beats_a_dense_grid_in_two_dimensions():
    p, q = pair(np.random.default_rng(3).uniform(0, 0.5, (5, 2)), 2, 0.3)
    z = np.stack(np.meshgrid(*[np.linspace(-0.5, 1, 151)] * 2), -1).reshape(-1, 2)
    assert np.abs(p.log_density(z) - q.log_density(z)).max() <= worst(p, q) + 1e-9


def test_densities_integrate_to_one_and_draws_follow_them():
    p, _ = pair(np.array([0.9, 0.1, 0.4, 0.5]), 2, 0.1)
    z = np.linspace(-2, 3, 20001)
    assert np.trapezoid(np.exp(p.log_density(z)), z) == pytest.approx(1, abs=1e-6)
    drawn = p.draw(40_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.475, abs=0.01)


def test_too_much_to_enumerate_is_refused():
    with pytest.raises(ValueError, match="choices of k records"):
        privacy.mixup_density(np.zeros(60), 30, 1.0)
    with pytest.raises(ValueError, match="k=7"):
        privacy.mixup_density(np.zeros(6), 7, 1.0)


TRUE_AS_PRINTED = {"(8)", "p1, above", "p/q", "q/p", "max{A, B}"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 3), (7, 5)])
def test_every_line_of_the_proof(seed, n, k):
    records = np.random.default_rng(seed).uniform(0, 1, n)
    records[0] = 1.0
    steps = privacy.audit_proof(records, k, 8.0, np.linspace(-3, 4, 50))
    assert all(step.corrected_holds for step in steps)
    assert {step.place for step in steps if step.printed_holds} == TRUE_AS_PRINTED


def test_the_proof_in_two_dimensions():
    steps = privacy.audit_proof(
        np.random.default_rng(5).uniform(0, 0.5, (5, 2)), 2, 0.4, np.random.default_rng(6).normal(size=(30, 2))
    )
    assert all(step.corrected_holds for step in steps)


@pytest.mark.parametrize("example", assumptions.all_examples(), ids=lambda e: e.assumption)
def test_dropped_assumptions(example):
    assert example.exceeds == (example.assumption not in {"independent outputs", "x0 is removed, not replaced"})


def test_wide_data_obeys_the_theorem_with_its_own_diameter():
    example = assumptions.wide_data(diameter=3072.0)
    assert example.exact == pytest.approx(privacy.epsilon(0.5, 2, 5, 1, diameter=3072.0))


def test_dirichlet_weights_by_numerical_integration():
    sigma, k, n = 0.2, 3, 5
    weight = (np.arange(100_000) + 0.5) / 100_000
    chance = 2 * (1 - weight) / 100_000  # Beta(1, 2)
    z = np.array([-1.0, 0.3, 1.0, 1.5])
    with_x0 = (np.exp(-np.abs(z[:, None] - weight) / sigma) * chance).sum(1) / np.exp(-np.abs(z) / sigma)
    ratio = np.log(1 - k / n + k / n * with_x0)
    assert ratio.max() == pytest.approx(dirichlet_log_ratio(sigma, k, n), rel=1e-6)
    assert dirichlet_log_ratio(sigma, k, n) <= privacy.bound_a(sigma, k, n, diameter=k)


@pytest.mark.parametrize(("k", "clip"), [(2, 0.2), (2, 0.4), (4, 0.3), (2, 0.1)])
def test_clipped_mass_by_simulation(k, clip):
    generator = np.random.default_rng(0)
    noise = np.clip(generator.laplace(scale=0.2, size=200_000), -clip, clip)
    uses = generator.random(200_000) < k / 9
    assert np.mean(noise + uses / k > clip + 1e-12) == pytest.approx(clipped_mass(0.2, k, 9, clip), abs=0.004)


@pytest.mark.parametrize(("n", "k", "t"), [(4, 2, 1), (4, 2, 2), (5, 3, 2)])
def test_permuted_epochs_exactly(n, k, t):
    records = privacy.extreme_records(n)
    p, q = (permuted_epoch(r, k, 0.3, t) for r in (records, privacy.without(records)))
    assert worst(p, q) == pytest.approx(permuted_bound(0.3, k, n, t), rel=1e-10)
    assert worst(p, q) <= 1 / 0.3


def test_grouped_epochs_exactly():
    records = privacy.extreme_records(5)
    p, q = (grouped_epoch(r, 2, 0.3, 2) for r in (records, privacy.without(records)))
    assert worst(p, q) == pytest.approx(grouped_bound(0.3, 2, 5, 2), rel=1e-10)
    assert worst(p, q) < privacy.epsilon(0.3, 2, 5, 2)


@pytest.mark.parametrize("seed", range(10))
def test_epoch_bounds_hold_for_any_data(seed):
    records = np.random.default_rng(seed).choice([0, 0.3, 1.0], size=5)
    for build, bound in [(permuted_epoch, permuted_bound), (grouped_epoch, grouped_bound)]:
        p, q = (build(r, 2, 0.3, 2) for r in (records, privacy.without(records)))
        assert worst(p, q) <= bound(0.3, 2, 5, 2) + 1e-9


def test_a_whole_permuted_epoch_with_a_replaced_record():
    records = np.array([1.0, 0, 1, 0])
    p, q = (permuted_epoch(np.array([x, *records[1:]]), 2, 0.5, 4) for x in (1.0, 0.0))
    assert worst(p, q) <= 1 / 0.5 + 1e-9


def test_a_shift_in_one_coordinate_dominates_the_same_shift_spread():
    """Hockey-stick divergences of (1-r) phi(z) + r phi(z - shift) against phi(z): what `accounting` relies on beyond d = 1."""
    z = np.linspace(-14, 15, 1161)

    def lap(shift):
        return np.exp(-np.abs(z - shift)) / 2 * (z[1] - z[0])

    spread, centre = np.outer(lap(0.6), lap(0.4)), np.outer(lap(0), lap(0))
    for r in (1.0, 0.3):
        p1, q1, p2 = (1 - r) * lap(0) + r * lap(1.0), lap(0), (1 - r) * centre + r * spread
        for gamma in np.exp([-0.5, -0.1, 0, 0.1, 0.2, 0.5, 0.9]):
            assert np.maximum(p2 - gamma * centre, 0).sum() <= np.maximum(p1 - gamma * q1, 0).sum() + 2e-4
            assert np.maximum(centre - gamma * p2, 0).sum() <= np.maximum(q1 - gamma * p1, 0).sum() + 2e-4


def test_honest_readings():
    readings = {r.name: r for r in privacy.honest_readings()}
    assert readings["as printed"].epsilon == pytest.approx(210.56, rel=1e-4)
    assert readings["true diameter"].epsilon == pytest.approx(6.1e8, rel=5e-3)
    assert readings["every epoch"].epsilon == pytest.approx(40 * 210.56, rel=1e-4)
    assert readings["permutations, one epoch"].epsilon == pytest.approx(255 / 16)
    assert math.isinf(readings["noise clipped at one scale"].epsilon)
    assert readings["noise clipped at one scale"].delta == pytest.approx(1 - math.exp(-4), abs=1e-3)
