"""Estimates with their intervals, and the planning of trials, against library oracles, enumeration and simulated coverage."""

import itertools
import pickle
import subprocess
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import power_ztost_prop

from poisonlib.papers import power
from poisonlib.papers.means import paired
from poisonlib.papers.statistics import mean_rate, paired_difference, proportion

from .warm import FRESH

quickly = settings(max_examples=40, deadline=None)
share = st.floats(0, 1)
rows = st.lists(share, min_size=2, max_size=12)


def ends(e):
    return e.low, e.high


# --- one arm


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (45, 100)])
def test_proportion_is_scipys(k, n):
    oracle = stats.binomtest(k, n).proportion_ci(0.9, method="exact")
    got = proportion(k, n, 0.9)
    assert ends(got) == pytest.approx((oracle.low, oracle.high), abs=1e-8)
    assert (got.value, got.trials, got.level) == (k / n, n, 0.9)


@pytest.mark.parametrize("n", [1, 2, 4, 6, 10, 12, 16, 20, 40])
def test_the_interval_of_hits_covers_every_share(n):
    low, high = np.array([ends(proportion(k, n)) for k in range(n + 1)]).T
    for p in np.linspace(0, 1, 201):
        covered = (low <= p) & (p <= high)
        assert stats.binom.pmf(np.arange(n + 1), n, p)[covered].sum() >= 0.95 - 1e-9


def test_bounded_mean_is_the_quantile_under_random_weights():
    rng = np.random.default_rng(0)
    for n, level in itertools.product((2, 5, 40), (0.9, 0.95)):
        x = np.round(rng.beta(0.5, 2, n), 1)  # with ties
        weights = rng.dirichlet(np.ones(n + 1), 40_000)
        low = np.quantile(weights @ [*x, 0], (1 - level) / 2)
        high = np.quantile(weights @ [*x, 1], (1 + level) / 2)
        assert ends(mean_rate(x, level=level)) == pytest.approx((low, high), abs=0.006)


FAMILIES = [(0.1, 0.1), (0.1, 0.02), (0.02, 0.1), (0.5, 0.5), (1, 1), (9.5, 0.5), (950, 50)]  # Beta: U-shaped, skewed, tight


@pytest.mark.parametrize(("a", "b"), FAMILIES)
@pytest.mark.parametrize("n", [4, 8, 20])
def test_bounded_interval_covers_the_mean(a, b, n):
    draws = np.random.default_rng(n).beta(a, b, (150, n))
    covered = [e.low <= a / (a + b) <= e.high for e in map(mean_rate, draws)]
    assert np.mean(covered) >= 0.95


def test_t_interval_covers_where_it_says_and_not_where_it_does_not():
    def coverage(a, b, n):
        draws = np.random.default_rng(1).beta(a, b, (500, n))
        return np.mean([e.low <= a / (a + b) <= e.high for e in map(partial(mean_rate, method="t"), draws)])

    assert min(coverage(950, 50, 4), coverage(950, 50, 20), coverage(50, 50, 8)) >= 0.925
    assert coverage(0.1, 0.02, 4) < 0.7


def test_t_interval_is_students_within_the_bounds():
    x = [0.93, 0.94, 0.92, 0.935]
    half = stats.t.ppf(0.975, 3) * np.std(x, ddof=1) / 2
    assert ends(mean_rate(x, method="t")) == pytest.approx((np.mean(x) - half, np.mean(x) + half))
    assert mean_rate([0.99, 1, 1, 0.9], method="t").high == 1


@pytest.mark.parametrize("method", ["bounded", "t"])
@pytest.mark.parametrize("value", [0, 0.5, 0.97, 1])
def test_equal_rates_keep_a_width_that_shrinks_with_trials(value, method):
    widths = [np.ptp(ends(mean_rate([value] * n, method=method))) for n in (2, 4, 20, 100)]
    assert widths == sorted(widths, reverse=True)
    assert 0.02 < widths[-1] < widths[0] <= 1


@pytest.mark.parametrize("method", ["bounded", "t"])
def test_one_rate_says_little(method):
    """Markov's inequality: a mean of m has a value of at least x with probability m / x at most."""
    got = mean_rate([0.8], method=method)
    assert (got.value, got.trials) == (0.8, 1)
    assert ends(got) == pytest.approx((0.025 * 0.8, 1 - 0.025 * 0.2))


@quickly
@given(rows, st.floats(0.5, 0.99), st.sampled_from(["bounded", "t"]))
def test_interval_is_in_bounds_holds_the_mean_and_grows_with_level(x, level, method):
    inner, outer = mean_rate(x, level=level, method=method), mean_rate(x, level=0.995, method=method)
    assert 0 <= outer.low <= inner.low + 1e-9 <= inner.value + 2e-9
    assert inner.value - 2e-9 <= inner.high - 1e-9 <= outer.high <= 1


@quickly
@given(rows, st.data())
def test_raising_a_rate_raises_both_ends(x, data):
    i = data.draw(st.integers(0, len(x) - 1))
    y = [*x]
    y[i] = data.draw(st.floats(x[i], 1))
    assert all(after >= before - 1e-9 for before, after in zip(ends(mean_rate(x)), ends(mean_rate(y)), strict=True))


@quickly
@given(rows)
def test_misses_mirror_hits(x):
    x = np.array(x)
    got, mirrored = mean_rate(x), mean_rate(1 - x)
    assert ends(mirrored) == pytest.approx((1 - got.high, 1 - got.low), abs=1e-8)


def test_clusters_are_the_unit():
    hits, targets = [1, 1, 0, 0, 0, 1, 1, 1, 1], list("aabbbcccd")
    got = mean_rate(hits, targets)
    assert ends(got) == ends(mean_rate([1, 0, 1, 1]))
    assert (got.value, got.trials) == (0.75, 4)
    assert np.ptp(ends(mean_rate(np.repeat([1, 0, 1, 1], 8), np.repeat(np.arange(4), 8)))) == pytest.approx(np.ptp(ends(got)))


def test_at_gives_the_same_data_another_level_and_survives_pickling():
    for e in (proportion(3, 9), mean_rate([0.1, 0.4, 1]), mean_rate([0.1, 0.2], planned=False), paired_difference([1, 0], [0, 0])):
        assert pickle.loads(pickle.dumps(e)).at(0.8).at(0.95) == e
        assert np.ptp(ends(e.at(0.8))) < np.ptp(ends(e))


# --- two arms


def test_pairing_pays_and_edges_hold():
    rng = np.random.default_rng(3)
    base = rng.random(20)
    a, b = np.clip(base + 0.1, 0, 1), base
    paired, one = paired_difference(a, b), mean_rate(a)
    assert np.ptp(ends(paired)) < 2 * np.ptp(ends(one))
    assert paired.value == pytest.approx(np.mean(a - b))
    same = paired_difference([0.5] * 20, [0.5] * 20)
    assert ends(same) == pytest.approx((0.025 ** (1 / 20) - 1, 1 - 0.025 ** (1 / 20)))
    assert paired_difference(a, b, np.arange(20) // 5).trials == 4


def test_an_interval_for_any_number_of_trials_is_wider():
    for values, method in (([0, 1, 1, 1, 0, 1, 1, 1], "bounded"), ([0.93, 0.94, 0.92, 0.935, 0.931], "t")):
        fixed, any_n = (ends(mean_rate(values, method=method, planned=planned)) for planned in (True, False))
        assert any_n[0] < fixed[0] < fixed[1] < any_n[1]
    assert "any n" in mean_rate([0, 1], planned=False).method


# --- planning


def test_equivalence_takes_the_numbers_of_the_textbook():
    assert power.trials_for_equivalence(0.45, 0.10) == 212  # half of the two arms' 424
    assert power.trials_for_equivalence(0.45, 0.15) == 95


@pytest.mark.parametrize(("n", "margin"), [(212, 0.10), (95, 0.15)])
def test_planned_equivalence_is_reached(n, margin):
    low, high = np.array([ends(proportion(k, n, 0.90)) for k in range(n + 1)]).T
    weight = stats.binom.pmf(np.arange(n + 1), n, 0.45)
    assert weight @ ((low > 0.45 - margin) & (high < 0.45 + margin)) == pytest.approx(0.8, abs=0.06)  # exact: a little wider


def outcomes_of_two_cells(p, q, n):
    """Every (hits lost, hits gained, hits in both, misses in both) of n shared trials, with its probability where the cells' hits
    are independent.
    """
    shares = [p * (1 - q), (1 - p) * q, p * q, (1 - p) * (1 - q)]
    table = np.array([(a, b, c, n - a - b - c) for a in range(n + 1) for b in range(n + 1 - a) for c in range(n + 1 - a - b)])
    return table, stats.multinomial.pmf(table, n, shares)


@pytest.mark.parametrize(("p", "q", "n"), [(0.9, 0.4, 15), (0.9, 0.07, 7), (1.0, 0.0, 5), (0.3, 0.9, 11), (0.45, 0.03, 16)])
def test_trials_to_tell_reach_their_power_and_one_fewer_does_not(p, q, n):
    def found(n):
        (high, low), told = sorted((p, q), reverse=True), 0.0
        for (lost, gained, both, _), weight in zip(*outcomes_of_two_cells(high, low, n), strict=True):
            first, second = [1] * lost + [0] * gained + [1] * both, [0] * lost + [1] * gained + [1] * both
            rest = [0] * (n - len(first))
            told += weight * (float(paired(first + rest, second + rest).above(0.0)) <= 0.05)
        return told

    assert power.trials_to_tell(p, q) == n and found(n) >= 0.8 > found(n - 1)


@quickly
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_many_trials_are_counted_by_the_normal_approximation_and_agree_with_the_exact_number(p, q):
    if not 0.08 < abs(p - q) < 0.3:
        return
    exact = power.trials_to_tell(p, q)
    assert power._approximate(p, q, 0.8, 0.05) == pytest.approx(exact, abs=12 + 2 / abs(p - q))


@pytest.mark.parametrize(("p", "n"), [(0.9, 8), (0.9, 12), (0.45, 40)])
def test_a_detectable_drop_passes_the_gate_and_the_test(p, n):
    """With a control that never succeeds."""

    def told(q):
        table, weights = outcomes_of_two_cells(p, q, n)
        hits = table[:, 0] + table[:, 2]
        passes = [float(paired([1] * k + [0] * (n - k), [0] * n).above(0.10)) <= 0.05 for k in range(n + 1)]
        lower = stats.binom.sf(table[:, 0] - 1, table[:, 0] + table[:, 1], 0.5) <= 0.05
        return weights @ (np.array(passes)[hits] & lower)

    q = power.detectable(p, n, 0.10)
    assert q < p and told(q) == pytest.approx(0.8, abs=0.002) and told(q + 0.05) < 0.8
    assert power.detectable(p, n, 0.10, power=0.9) is None or power.detectable(p, n, 0.10, power=0.9) < q
    assert power.detectable(p, n + 4, 0.10) > q


@pytest.mark.parametrize("n", [1, 6, 8, 20])
@pytest.mark.parametrize("gate", [0.0, 0.1, 0.5])
def test_the_gate_of_planned_trials_is_that_of_the_verdicts(n, gate):
    for hits in range(n + 1):
        expected = float(paired([1] * hits + [0] * (n - hits), [0] * n).above(gate))
        assert power.beats(hits, n, gate) == pytest.approx(expected, abs=1e-10)


def test_the_drop_that_many_trials_tell_goes_on_from_that_of_few():
    exact, approximate = power.detectable(0.45, power.FEW, 0.0), power.detectable(0.45, power.FEW + 1, 0.0)
    assert approximate == pytest.approx(exact, abs=0.01) and power.detectable(0.45, 2000, 0.1) > approximate


@pytest.mark.parametrize(("p", "n"), [(0.9, 4), (1.0, 5), (0.9, 6), (0.45, 20)])
def test_too_few_trials_tell_no_drop_at_all(p, n):
    assert power.detectable(p, n, 0.10) is None


def test_equivalence_trials_agree_with_statsmodels_tost():
    n = power.trials_for_equivalence(0.45, 0.10)
    one_arm = power_ztost_prop(0.35, 0.55, n, 0.45, discrete=False)
    assert float(np.squeeze(one_arm[0] if isinstance(one_arm, tuple) else one_arm)) == pytest.approx(0.8, abs=0.02)


# --- refusals


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: proportion(3, 2), "successes=3: choose a whole number of at least 0 and at most 2"),
        (lambda: proportion(1.5, 2), "successes=1.5"),
        (lambda: proportion(0, 0), "trials=0"),
        (lambda: proportion(1, 2, level=1.5), "level=1.5"),
        (lambda: mean_rate([]), r"rates has the shape \(0,\)"),
        (lambda: mean_rate([[0.1]]), "a row"),
        (lambda: mean_rate([0.5, 93.0]), r"rates holds \[93.0\]; give shares from 0 to 1"),
        (lambda: mean_rate([0.5, float("nan")]), "nan"),
        (lambda: mean_rate([0.5, 1], method="z"), "'bounded', 't'"),
        (lambda: mean_rate([0.5, 1], ["a"]), "clusters has 1 labels"),
        (lambda: mean_rate([0.5, 1], level=-0.1), "level=-0.1"),
        (lambda: paired_difference([1, 0], [1]), "b has 1 values"),
        (lambda: proportion(1, 2, level=1.0), "level=1.0: choose a number below 1"),
        (lambda: power.trials_to_tell(0.4, 0.4), "p2=0.4"),
        (lambda: power.trials_to_tell(0.4, 1.4), "p2=1.4"),
        (lambda: power.trials_to_tell(0.4, 0.3, power=0.01), "power=0.01"),
        (lambda: power.detectable(0.4, 0, 0.1), "trials=0"),
        (lambda: power.detectable(0.4, 20, 1.5), "gate=1.5"),
        (lambda: power.trials_for_equivalence(1.0, 0.1), "p=1.0"),
        (lambda: power.trials_for_equivalence(0.5, 15.0), "margin=15.0"),
    ],
)
def test_wrong_input_is_named(call, says):
    with pytest.raises(ValueError, match=says.replace("..", r"\.\.")):
        call()


def test_the_heavy_libraries_are_loaded_late():
    code = "import sys; from poisonlib.papers import power, printed, verdicts; print(*{'scipy', 'statsmodels'} & {*sys.modules})"
    assert subprocess.check_output([FRESH, "-c", code], text=True).strip() == ""
