"""Tight accounting against direct integration and against published readings; without the optional library, a clear message."""

import sys

import numpy as np
import pytest

from poisonlib import privacy
from poisonlib.privacy.accounting import laplace_delta, laplace_success, use_chance
from poisonlib.privacy.dp_sgd import dp_sgd_epsilon, dp_sgd_success_naive, dp_sgd_success_tight


@pytest.fixture
def library():
    return pytest.importorskip("dp_accounting", reason="tight accounting needs requirements-dp.txt")


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("dp_accounting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(ImportError, match=r"pip install -r requirements-dp\.txt"):
        laplace_delta(1.0, 0.123, 2, 50, 1)


def test_pure_epsilon_needs_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert privacy.laplace_epsilon(0, 0.5, 2, 50, 3, epochs=4) == pytest.approx(privacy.epsilon(0.5, 2, 50, 12))


def hockey_stick(p, q, gamma, z):
    top, bottom = np.exp(p.log_density(z)), np.exp(q.log_density(z))
    cell = (z[1] - z[0])[-1] ** z.shape[1]
    return max(np.maximum(top - gamma * bottom, 0).sum(), np.maximum(bottom - gamma * top, 0).sum()) * cell


@pytest.mark.parametrize("t", [1, 2])
@pytest.mark.parametrize(("sigma", "k", "n"), [(0.4, 2, 6), (0.3, 1, 4)])
def test_the_curve_is_exact_for_the_worst_data(library, sigma, k, n, t):
    records = privacy.extreme_records(n)
    p, q = (privacy.independent_outputs(privacy.mixup_density(r, k, sigma), t) for r in (records, privacy.without(records)))
    axis = np.linspace(-3, 4, 20001 if t == 1 else 401)
    z = np.stack(np.meshgrid(*[axis] * t, indexing="ij"), -1).reshape(-1, t)
    for epsilon in (0.0, 0.2, 0.5):
        exact = hockey_stick(p, q, np.exp(epsilon), z)
        assert laplace_delta(epsilon, sigma, k, n, t) == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_without_replacement_never_exceeds_the_poisson_curve(library, seed):
    records = np.random.default_rng(seed).choice([0, 0.5, 1.0], size=6)
    p, q = privacy.mixup_density(records, 2, 0.4), privacy.mixup_density(privacy.without(records), 2, 0.4)
    z = np.linspace(-3, 4, 20001)[:, None]
    for epsilon in (0.0, 0.1, 0.3, 0.6):
        assert hockey_stick(p, q, np.exp(epsilon), z) <= laplace_delta(epsilon, 0.4, 2, 6, 1) + 1e-3


def test_tight_epsilon_of_figure_4a(library):
    """epsilon at delta 1e-5, s = 16/255, n = T = 50,000, beside the pure 2.56e5, 5,470 and 211."""
    values = [privacy.laplace_epsilon(1e-5, 16 / 255, k, 50_000, 50_000) for k in (1, 2, 4)]
    assert values == pytest.approx([32.9, 1.745, 0.369], rel=5e-3)
    assert privacy.laplace_epsilon(1e-5, 16 / 255, 2, 50_000, 50_000, epochs=40) == pytest.approx(13.5, rel=0.03)


def test_tight_epsilon_never_exceeds_the_pure_one(library):
    for t in (1, 10, 100):
        pure = privacy.epsilon(0.5, 2, 20, t)
        assert 0 <= privacy.laplace_epsilon(1e-3, 0.5, 2, 20, t) <= privacy.laplace_epsilon(1e-9, 0.5, 2, 20, t) <= pure


def test_images_with_their_true_diameter_are_beyond_accounting(library):
    with pytest.raises(ValueError, match="hides nothing"):
        privacy.laplace_epsilon(1e-5, 16 / 255, 4, 50_000, 50_000, diameter=3072)
    assert use_chance(4, 50_000, 50_000) == pytest.approx(1 - np.exp(-4), abs=1e-4)


def test_success_against_mixup_with_noise(library):
    values = [laplace_success(0.01, poisons, 16 / 255, 4, 50_000, 50_000) for poisons in (1, 5, 25)]
    assert values == pytest.approx([0.0132, 0.0370, 0.999], rel=0.02)


# n, batch, noise -> epsilon at 1e-5, then per cent of success for k = 1, 5, 25, 100; clean success 1 %, 40 epochs.
# The worked example reads 0.58, 0.15, 0.64; 1.6, 6.4, 95, 100; 1.2, 1.7, 9, 95; 1.6, 7.5, 98, 100. Its coarser grid of losses
# rounds upwards, so that its epsilon of 0.15 and its naive 14 % for 25 poisons are 0.12 and 9.8 % here.
TABLE = [
    ((4, 0.01, 4000), 0.576, (1.52, 6.42, 95.3, 100)),
    ((16, 0.01, 4000), 0.124, (1.11, 1.67, 9.08, 94.8)),
    ((8, 0.05, 800), 0.642, (1.59, 7.55, 98.2, 100)),
]


@pytest.mark.parametrize(("run", "epsilon", "success"), TABLE)
def test_dp_sgd_table(library, run, epsilon, success):
    assert dp_sgd_epsilon(1e-5, *run) == pytest.approx(epsilon, rel=0.01)
    for poisons, value in zip((1, 5, 25, 100), success, strict=True):
        assert 100 * dp_sgd_success_tight(0.01, poisons, *run) == pytest.approx(value, rel=0.01)


def test_naive_group_privacy_is_never_better_than_the_joint_curve(library):
    for poisons in (1, 5, 25):
        naive, tight = (f(0.01, poisons, 16, 0.01, 4000) for f in (dp_sgd_success_naive, dp_sgd_success_tight))
        assert tight <= naive * 1.001
    assert dp_sgd_success_naive(0.01, 25, 4, 0.01, 4000) == pytest.approx(1)


def test_one_record_agrees_with_the_librarys_own_accountant(library):
    from dp_accounting.pld import privacy_loss_distribution as pld

    own = pld.from_gaussian_mechanism(2.0, sampling_prob=0.05, value_discretization_interval=1e-3).self_compose(200)
    assert dp_sgd_epsilon(1e-5, 2.0, 0.05, 200) == pytest.approx(own.get_epsilon_for_delta(1e-5), rel=0.01)
