"""Theorem 2 as formulas: pinned values, 50-digit oracles, and the ways in which they must move."""

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonlib import privacy
from poisonlib.privacy.theorem import group_epsilon, noise_for_epsilon

from .warm import FRESH

often = settings(deadline=None, max_examples=60)
CIFAR = {"n": 50_000, "t": 50_000}
sigmas = st.floats(-4, 4).map(lambda x: 10**x)
diameters = st.sampled_from([1.0, 2.0, 3072.0])


@st.composite
def sizes(draw, most=10**9):
    n = draw(st.integers(2, most))
    return draw(st.integers(1, n - 1)), n


def reference(sigma, k, n, diameter=1.0, digits=50):
    """A and B by mpmath, straight from the paper's formulas; ``digits`` beyond those that cancel for noise up to 1e30."""
    mpmath = pytest.importorskip("mpmath", reason="the 50-digit oracle needs mpmath")
    with mpmath.workdps(digits + 30):
        a, share = mpmath.mpf(diameter) / (k * mpmath.mpf(sigma)), mpmath.mpf(k) / n
        return mpmath.log(1 - share + mpmath.exp(a) * share), mpmath.log(n / (n - k + k * mpmath.exp(-a)))


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        (2, {1: 5.83e6, 16: 3.27e4}),
        (16, {1: 2.56e5, 2: 5.47e3, 4: 211, 8: 50.6, 16: 27.3}),
        (32, {1: 2.81e3, 2: 105, 4: 25.3, 8: 13.7, 16: 10.3}),
    ],
)
def test_figure_4a(scale, values):
    for k, value in values.items():
        assert privacy.epsilon(scale / 255, k, **CIFAR) == pytest.approx(value, rel=4e-3)


def test_the_true_diameter_of_images():
    assert privacy.epsilon(16 / 255, 4, **CIFAR, diameter=3072) == pytest.approx(6.1e8, rel=5e-3)


@often
@given(sigmas, sizes(), diameters)
def test_agrees_with_mpmath(sigma, size, diameter):
    a, b = reference(sigma, *size, diameter)
    assert privacy.bound_a(sigma, *size, diameter) == pytest.approx(float(a), rel=1e-12, abs=0)
    assert privacy.bound_b(sigma, *size, diameter) == pytest.approx(float(b), rel=1e-9, abs=0)


@pytest.mark.parametrize("sigma", [1e-300, 1e-9, 1e9, 1e280])
@pytest.mark.parametrize("size", [(1, 2), (1, 10**12), (10**6, 10**12), (10**9 - 1, 10**9)])
def test_extreme_numbers_agree_with_mpmath(sigma, size):
    a, b = reference(sigma, *size, digits=700)
    assert privacy.bound_a(sigma, *size) == pytest.approx(float(a), rel=1e-11, abs=0)
    assert privacy.bound_b(sigma, *size) == pytest.approx(float(b), rel=1e-9, abs=0)


@often
@given(sigmas, sizes(), st.integers(1, 10**6), st.floats(1.001, 100))
def test_more_noise_more_records_or_fewer_outputs_are_more_private(sigma, size, t, factor):
    k, n = size
    here = privacy.epsilon(sigma, k, n, t)
    assert privacy.epsilon(sigma * factor, k, n, t) < here
    assert privacy.epsilon(sigma, k, 2 * n, t) < here * (1 + 1e-12)
    assert privacy.epsilon(sigma, k, n, t + 1) > here


@often
@given(sigmas, sizes(), st.integers(1, 10**6), diameters)
def test_a_decides_and_the_simple_bound_holds(sigma, size, t, diameter):
    assert privacy.bound_b(sigma, *size, diameter) <= privacy.bound_a(sigma, *size, diameter) * (1 + 1e-9)
    assert privacy.epsilon(sigma, *size, t, diameter) <= privacy.simple_bound(sigma, size[0], t, diameter)


@often
@given(sigmas, st.integers(3, 10**4), st.integers(1, 10**6), st.data())
def test_epsilon_falls_with_width_down_to_a_floor(sigma, n, t, data):
    k = data.draw(st.integers(1, n - 2))
    wide, wider = privacy.epsilon(sigma, np.array([k, k + 1]), n, t)
    assert wider <= wide * (1 + 1e-12)
    assert wider >= privacy.width_floor(sigma, n, t) * (1 - 1e-12)


def test_epsilon_falls_strictly_over_the_papers_widths():
    assert np.all(np.diff(privacy.epsilon(16 / 255, np.arange(1, 1000), **CIFAR)) < 0)


def test_the_papers_remark_does_not_hold_for_epsilon_itself():
    classical = 255 / 16
    assert privacy.epsilon(16 / 255, 1, **CIFAR) > 1e4 * classical
    assert privacy.width_floor(16 / 255, **CIFAR) == pytest.approx(classical, rel=1e-3)
    assert privacy.epsilon(16 / 255, 8, **CIFAR) / privacy.epsilon(16 / 255, 16, **CIFAR) < 2
    assert privacy.epsilon(1.0, 1, **CIFAR) / privacy.epsilon(1.0, 2, **CIFAR) < 1.4


@often
@given(st.floats(-3, 6).map(lambda x: 10**x), sizes(10**6), st.integers(1, 10**5), diameters)
def test_noise_for_epsilon_is_the_inverse(epsilon, size, t, diameter):
    sigma = noise_for_epsilon(epsilon, *size, t, diameter)
    assert privacy.epsilon(sigma, *size, t, diameter) == pytest.approx(epsilon, rel=1e-9)


@often
@given(sigmas, sizes(1000), st.integers(1, 100), st.data())
def test_group_epsilon_lies_within_its_limits(sigma, size, t, data):
    k, n = size
    poisons = data.draw(st.integers(1, n - k))
    group = group_epsilon(sigma, k, n, t, poisons)
    assert group_epsilon(sigma, k, n, t, 1) == pytest.approx(privacy.epsilon(sigma, k, n, t), rel=1e-9)
    chain = sum(privacy.epsilon(sigma, k, n - gone, t) for gone in range(poisons)) if poisons < 50 else np.inf
    assert group <= min(chain, t * min(poisons, k) / (k * sigma)) * (1 + 1e-9)


def test_group_epsilon_is_reached_by_enumeration():
    records = np.array([1.0, 1, 0, 0, 0, 0])
    p, q = privacy.mixup_density(records, 3, 0.4), privacy.mixup_density(records[2:], 3, 0.4)
    assert privacy.worst_log_ratio(p, q).log_ratio == pytest.approx(group_epsilon(0.4, 3, 6, 1, 2), rel=1e-12)


def test_arrays_broadcast_and_numbers_stay_numbers():
    table = privacy.epsilon(np.array([[0.1], [0.2]]), np.array([1, 2, 4]), **CIFAR)
    assert table.shape == (2, 3)
    assert table[1, 2] == privacy.epsilon(0.2, 4, **CIFAR)
    assert isinstance(privacy.epsilon(0.2, 4, **CIFAR), float)


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ((0, 1, 9, 1), "sigma=0"),
        ((0.1, 9, 9, 1), "k=9"),
        ((0.1, 1.5, 9, 1), "k=1.5"),
        ((0.1, 1, 9, 0), "t=0"),
        ((np.nan, 1, 9, 1), "nan"),
    ],
)
def test_numbers_out_of_range_are_named(numbers, named):
    with pytest.raises(ValueError, match=named):
        privacy.epsilon(*numbers)


def test_import_brings_in_neither_torch_nor_the_optional_library():
    code = "import sys, poisonlib.privacy; print([m for m in ('torch', 'dp_accounting', 'scipy.stats') if m in sys.modules])"
    assert subprocess.run([FRESH, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
