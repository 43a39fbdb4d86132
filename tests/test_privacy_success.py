"""Bounds on attack success for the two defences: against direct enumeration, simulation and the library's accountant."""

import numpy as np
import pytest
from scipy.stats import norm

from poisonlib import privacy
from poisonlib.privacy.attack_cost import most_success
from poisonlib.privacy.dp_sgd import dp_sgd_success_naive
from poisonlib.privacy.theorem import group_epsilon


class TestInstahide:
    def test_it_is_the_smaller_of_counting_together_and_one_by_one(self):
        for sigma in (0.5, 5.0, 50.0):
            joint = most_success(0.1, group_epsilon(sigma, 4, 400, 400, 7), 0.0, 1)
            single = most_success(0.1, privacy.epsilon(sigma, 4, 400, 400), 0.0, 7)
            assert privacy.instahide_success(0.1, 7, sigma, 4, 400, 400) == min(joint, single)

    def test_it_falls_with_noise_and_rises_with_poisons_outputs_and_diameter(self):
        def bound(poisons=5, sigma=20.0, t=400, diameter=1.0):
            return privacy.instahide_success(0.05, poisons, sigma, 4, 400, t, diameter)

        assert 0.05 < bound(sigma=40.0) < bound() < bound(poisons=10) < 1
        assert bound() < bound(t=800) < 1
        assert bound() < bound(diameter=2.0)
        assert bound(sigma=1e-3) == 1


class TestShuffledDpSgd:
    def test_no_test_of_the_gaussian_mechanism_does_better_and_the_best_one_reaches_it(self):
        """The attacker's best event is a half space: its chance under both outputs, by simulation."""
        generator, epochs, noise, poisons = np.random.default_rng(0), 9, 12.0, 2
        clean = generator.normal(size=(200_000, epochs)).sum(1) / np.sqrt(epochs)
        threshold = norm.ppf(1 - 0.05)
        shift = np.sqrt(epochs) * 2 * poisons / noise
        assert (clean > threshold).mean() == pytest.approx(0.05, abs=0.003)
        reached = (clean + shift > threshold).mean()
        assert reached == pytest.approx(privacy.dp_sgd_success_shuffled(0.05, poisons, noise, epochs), abs=0.005)

    def test_it_moves_as_it_must_and_ends_where_it_must(self):
        bound = privacy.dp_sgd_success_shuffled
        assert bound(0.05, 1, 1e9, 40) == pytest.approx(0.05)
        assert bound(0.05, 20, 0.1, 40) == pytest.approx(1.0)
        assert np.all(np.diff(bound(0.05, 5, np.logspace(-1, 4, 40), 40)) <= 0)
        assert bound(0.05, 1, 30.0, 40) < bound(0.05, 2, 30.0, 40) < bound(0.05, 2, 30.0, 80)

    def test_the_accountant_for_the_same_mechanism_says_nothing_stricter(self):
        """A full batch an epoch, exchanging as removal and insertion: its bound from (epsilon, delta) pairs is looser."""
        pytest.importorskip("dp_accounting")
        loose = dp_sgd_success_naive(0.05, 2, 30.0, 1.0, 10)
        assert privacy.dp_sgd_success_shuffled(0.05, 1, 30.0, 10) <= loose + 1e-6

    @pytest.mark.parametrize("numbers", [(1.5, 1, 1.0, 1), (0.1, 0.5, 1.0, 1), (0.1, 1, 0.0, 1), (0.1, 1, 1.0, 0)])
    def test_numbers_out_of_range_are_refused(self, numbers):
        with pytest.raises(ValueError, match="must"):
            privacy.dp_sgd_success_shuffled(*numbers)
