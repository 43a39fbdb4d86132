"""Attacks on the mechanism: they stay below the exact epsilon, come near it, and find nothing where there is nothing."""

import numpy as np
import pytest

from poisonlib import privacy
from poisonlib.privacy.brackets import attacked_epsilon, clopper_pearson


def pair(records, k, sigma):
    return privacy.mixup_density(records, k, sigma), privacy.mixup_density(privacy.without(records), k, sigma)


@pytest.mark.parametrize(("t", "k"), [(1, 1), (1, 2), (4, 2)])
def test_an_attack_brackets_epsilon(t, k):
    p, q = pair(privacy.extreme_records(5), k, 0.6)
    found = privacy.bracket(p, q, t, privacy.epsilon(0.6, k, 5, t), 20_000, np.random.default_rng(1), confidence=0.999)
    assert found.holds
    assert found.lower > 0.5 * found.exact


def test_an_attack_on_equal_data_finds_nothing():
    p, _ = pair(privacy.extreme_records(5), 2, 0.6)
    assert attacked_epsilon(p, p, 2, 2000, np.random.default_rng(0)) < 1e-6


def test_an_attack_exceeds_the_claim_where_the_diameter_is_wrong():
    p, q = pair(privacy.extreme_records(5, diameter=4.0), 2, 0.6)
    assert attacked_epsilon(p, q, 1, 20_000, np.random.default_rng(0), 0.999) > privacy.epsilon(0.6, 2, 5, 1)


@pytest.mark.parametrize(("hits", "count", "limits"), [(0, 20, (0, 0.16843)), (5, 20, (0.08657, 0.49105)), (20, 20, (0.83157, 1))])
def test_clopper_pearson(hits, count, limits):
    assert clopper_pearson(hits, count) == pytest.approx(limits, abs=1e-5)
