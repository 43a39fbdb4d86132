"""Variance components: against statsmodels' analysis of variance, and on outcomes whose variances are known."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from poisonlib.papers.components import components


def simulated(goals, starts, places, deviations, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (goals, 1, 1), (goals, starts, 1), (goals, starts, places)
    return sum(rng.normal(0, deviation, shape) for deviation, shape in zip(deviations, shapes, strict=True))


def test_they_solve_the_equations_of_a_nested_analysis_of_variance():
    outcomes = simulated(5, 3, 4, (1.0, 0.7, 0.4))
    index = pd.MultiIndex.from_product([range(n) for n in outcomes.shape], names=["goal", "start", "place"])
    frame = pd.Series(outcomes.ravel(), index=index, name="y").reset_index()
    squares = anova_lm(smf.ols("y ~ C(goal) + C(goal):C(start)", frame).fit())["mean_sq"]
    found = components(outcomes)
    assert found.processor == pytest.approx(squares["Residual"])
    assert found.processor + 4 * found.start == pytest.approx(squares["C(goal):C(start)"])
    assert found.processor + 4 * found.start + 12 * found.target == pytest.approx(squares["C(goal)"])


@pytest.mark.parametrize("deviations", [(2.0, 1.0, 0.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_they_are_unbiased(deviations):
    found = [components(simulated(8, 3, 3, deviations, seed)) for seed in range(400)]
    for name, deviation in zip(("target", "start", "processor"), deviations, strict=True):
        values = np.array([getattr(each, name) for each in found])
        assert abs(values.mean() - deviation**2) < 4 * values.std() / 20 + 1e-12, name


def test_shares_leave_out_what_is_below_zero():
    outcomes = simulated(6, 2, 2, (0.0, 0.0, 1.0), seed=3)
    found = components(outcomes)
    assert min(found.target, found.start) < 0
    assert sum(found.shares.values()) == pytest.approx(1) and min(found.shares.values()) == 0
    assert all(np.isnan(share) for share in components(np.ones((2, 2, 2))).shares.values())


def test_a_factor_with_one_level_is_refused():
    with pytest.raises(ValueError, match=r"outcomes of \(3, 1, 2\) goals, starts and places: two of each"):
        components(np.zeros((3, 1, 2)))
