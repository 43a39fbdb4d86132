"""Intervals against library oracles, enumeration and simulated coverage; verdicts that never mistake silence for agreement."""

import itertools
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, power_ztost_prop, proportion_effectsize

from poisonlib.papers import power
from poisonlib.papers.statistics import (
    Estimate,
    difference,
    estimate,
    finding,
    from_paper,
    mean_rate,
    paired_difference,
    proportion,
    verdict,
)

quickly = settings(max_examples=40, deadline=None)
share = st.floats(0, 1)
rows = st.lists(share, min_size=2, max_size=12)


def ends(e):
    return e.low, e.high


# --- one arm


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (45, 100)])
@pytest.mark.parametrize("method", ["wilson", "exact"])
def test_proportion_is_scipys(k, n, method):
    oracle = stats.binomtest(k, n).proportion_ci(0.9, method=method)
    got = proportion(k, n, 0.9, method)
    assert ends(got) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert (got.value, got.trials, got.level) == (k / n, n, 0.9)


@pytest.mark.parametrize("n", [2, 4, 9, 30, 300])
def test_bounded_mean_of_hits_and_misses_is_clopper_pearson(n):
    for k in {0, 1, n // 3, n - 1, n}:
        got = mean_rate([1] * k + [0] * (n - k))
        assert ends(got) == pytest.approx(ends(proportion(k, n, method="exact")), abs=1e-6)


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


def test_one_rate_says_nothing_of_the_spread():
    got = mean_rate([0.97])
    assert (got.value, *ends(got), got.trials) == (0.97, 0, 1, 1)
    assert "unknown" in got.method
    assert ends(got.at(0.5)) == (0, 1)


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


@quickly
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_estimate_of_hits_is_wilson(hits):
    assert ends(estimate(hits)) == ends(proportion(sum(hits), len(hits)))


def test_estimate_of_rates_is_bounded():
    assert estimate([0.2, 1, 0]) == mean_rate([0.2, 1, 0])


def test_clusters_are_the_unit():
    hits, targets = [1, 1, 0, 0, 0, 1, 1, 1, 1], list("aabbbcccd")
    got = estimate(hits, targets)
    assert ends(got) == ends(mean_rate([1, 0, 1, 1]))
    assert (got.value, got.trials) == (0.75, 4)
    assert "4 cluster means of 9 trials" in got.method
    assert np.ptp(ends(estimate(np.repeat([1, 0, 1, 1], 8), np.repeat(np.arange(4), 8)))) == pytest.approx(np.ptp(ends(got)))


def test_at_gives_the_same_data_another_level_and_survives_pickling():
    for e in (proportion(3, 9), mean_rate([0.1, 0.4, 1]), from_paper(0.453, 100, True), paired_difference([1, 0], [0, 0])):
        assert pickle.loads(pickle.dumps(e)).at(0.8).at(0.95) == e
        assert np.ptp(ends(e.at(0.8))) < np.ptp(ends(e))
    gap = difference(proportion(3, 9), proportion(5, 9))
    assert pickle.loads(pickle.dumps(gap)).at(0.9) == difference(proportion(3, 9, 0.9), proportion(5, 9, 0.9))


# --- the paper's side


@pytest.mark.parametrize(("value", "n", "k"), [(0.45, 100, 45), (0.0, 20, 0), (1.0, 8, 8), (0.333, 24, 8), (0.9583, 24, 23)])
def test_printed_count_is_found(value, n, k):
    got = from_paper(value, n, binary=True)
    assert ends(got) == ends(proportion(k, n))
    assert got.value == value
    assert f"{k} of {n}" in got.method


def test_what_is_no_count_is_taken_for_the_widest_spread():
    odd, rate = from_paper(0.453, 20, binary=True), from_paper(0.45, 20, binary=False)
    assert "no count" in odd.method
    assert "unknown spread" in rate.method
    assert ends(rate) == pytest.approx(ends(proportion(9, 20)))
    assert odd.low > rate.low
    assert from_paper(0.33, 24, True, rounding=5e-3).method == "wilson, 8 of 24 trials as printed"
    assert ends(from_paper(0.97, 1, binary=False)) == (0, 1)


# --- two arms


def test_difference_is_newcombes():
    for (a, n), (b, m) in itertools.product([(0, 20), (9, 20), (100, 100)], [(45, 100), (0, 7), (30, 30)]):
        oracle = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
        got = difference(proportion(a, n), proportion(b, m))
        assert ends(got) == pytest.approx(oracle, abs=1e-9)
        assert got.trials == min(n, m)


@quickly
@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 8), st.integers(1, 8))
def test_paired_interval_of_hits_excludes_zero_exactly_where_mcnemar_rejects(won, lost, both, neither):
    a = [1] * won + [0] * lost + [1] * both + [0] * neither
    b = [0] * won + [1] * lost + [1] * both + [0] * neither
    gap = paired_difference(a, b)
    rejects = mcnemar([[both, won], [lost, neither]], exact=True).pvalue < 0.05
    assert (gap.low > 0 or gap.high < 0) == rejects


def test_pairing_pays_and_edges_hold():
    rng = np.random.default_rng(3)
    base = rng.random(20)
    a, b = np.clip(base + 0.1, 0, 1), base
    paired, loose = paired_difference(a, b), difference(mean_rate(a), mean_rate(b))
    assert np.ptp(ends(paired)) < np.ptp(ends(loose))
    assert paired.value == pytest.approx(loose.value)
    assert ends(paired_difference([0.3], [0.2])) == (-1, 1)
    same = paired_difference([1] * 20, [1] * 20)
    assert ends(same) == pytest.approx((0.025 ** (1 / 20) - 1, 1 - 0.025 ** (1 / 20)))
    assert paired_difference(a, b, np.arange(20) // 5).trials == 4


# --- verdicts


def test_verdict_needs_numbers_to_agree():
    few = verdict(proportion(9, 20), from_paper(0.45, 100, True))
    assert few.word == "underpowered"
    assert few.difference.value == 0
    many = verdict(proportion(450, 1000), from_paper(0.45, 1000, True))
    assert many.word == "compatible"
    assert "45.0 % (1000 trials)" in many.text
    assert "90 % interval" in many.text
    assert "within ±10 points" in many.text
    far = verdict(proportion(2, 20), from_paper(0.9, 100, True))
    assert far.word == "incompatible"
    assert "95 % interval" in far.text


def test_small_certain_difference_is_compatible_and_a_clear_one_beyond_the_margin_is_not():
    assert verdict(proportion(5000, 10_000), from_paper(0.53, 10_000, True)).word == "compatible"
    assert verdict(proportion(5000, 10_000), from_paper(0.53, 10_000, True), margin=0.02).word == "incompatible"
    assert verdict(proportion(520, 1000), from_paper(0.6, 1000, True)).word == "incompatible"  # excludes 0, straddles the margin


@quickly
@given(st.integers(0, 30), st.integers(0, 40), st.sampled_from([0.05, 0.1, 0.3]))
def test_verdict_follows_its_definition(k, j, margin):
    ours, paper = proportion(k, 30), from_paper(j / 40, 40, True)
    wide, near = difference(ours, paper), difference(ours.at(0.9), paper.at(0.9))
    same = max(-near.low, near.high) < margin
    apart = wide.low * wide.high > 0
    assert verdict(ours, paper, margin).word == ("compatible" if same else "incompatible" if apart else "underpowered")
    if same:
        assert verdict(ours, paper, margin + 0.1).word == "compatible"


@pytest.mark.parametrize("seen", [(0.9,), (0.9, 1.0), (0.9,) * 4])
def test_no_handful_of_rates_reproduces_a_paper(seen):
    assert verdict(mean_rate(seen), from_paper(0.9, 4, binary=False)).word == "underpowered"


@pytest.mark.parametrize(
    ("kind", "word", "link"), [("lower", "holds", ""), ("higher", "contradicted", "that "), ("similar", "contradicted", "that ")]
)
def test_findings_on_a_clear_drop(kind, word, link):
    got = finding(kind, proportion(2, 40), proportion(30, 40))
    assert got.word == word
    assert got.text.startswith(f"{word}: {link}5.0 % (40 trials) is {kind}")
    assert ("lies outside" if kind == "similar" else "lies below 0") in got.text


@pytest.mark.parametrize("kind", ["lower", "higher", "similar"])
def test_findings_on_too_little_are_undecided(kind):
    assert finding(kind, proportion(4, 10), proportion(5, 10)).word == "undecided"


def test_findings_on_equal_shares():
    a = proportion(500, 1000)
    assert finding("similar", a, a).word == "holds"
    assert "90 % interval -3.7 to +3.7 lies within" in finding("similar", a, a).text
    assert finding("lower", a, a).word == "undecided"
    assert (
        finding("similar", proportion(400, 1000), proportion(480, 1000)).word == "undecided"
    )  # differs, perhaps within the margin


def test_a_paired_gap_decides_what_loose_arms_cannot():
    a, b = np.repeat([0, 1], [12, 8]), np.repeat([0, 1], [6, 14])
    gap = paired_difference(a, b)
    assert finding("lower", estimate(a), estimate(b)).word == "undecided"
    assert finding("lower", estimate(a), estimate(b), gap=gap).word == "holds"
    assert finding("higher", estimate(b), estimate(a), gap=paired_difference(b, a)).word == "holds"


# --- planning: the numbers of design/field-notes.md, section 3


def test_numbers_of_the_field_notes():
    assert power.detectable(0.45, 100) == pytest.approx(0.26, abs=0.005)  # the paper's 100 trials against our 100
    assert power.detectable(0.45, 20, paper_trials=100) == pytest.approx(0.145, abs=0.005)  # against our 20
    assert power.trials_for_equivalence(0.45, 0.10) == 424
    assert power.trials_for_equivalence(0.45, 0.15) == 189


def newcombe_gaps(n, m, level):
    """Square-and-add intervals for all outcomes of n and m trials, by broadcasting: low (n+1 m+1), high."""
    (a, la, ha), (b, lb, hb) = (
        np.array([(e.value, e.low, e.high) for e in (proportion(k, t, level) for k in range(t + 1))]).T for t in (n, m)
    )
    d = np.subtract.outer(a, b)
    return d - np.hypot.outer(a - la, hb - b), d + np.hypot.outer(ha - a, b - lb)


@pytest.mark.parametrize(("n", "margin"), [(424, 0.10), (189, 0.15)])
def test_planned_equivalence_is_reached_by_the_verdicts_own_interval(n, margin):
    low, high = newcombe_gaps(n, n, 0.90)
    weight = stats.binom.pmf(np.arange(n + 1), n, 0.45)
    assert weight @ ((low > -margin) & (high < margin)) @ weight == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (20, 100)])
def test_planned_drop_is_found_by_the_findings_own_interval(n, m):
    low = newcombe_gaps(m, n, 0.95)[0]
    p = power.detectable(0.45, n, paper_trials=m)
    found = stats.binom.pmf(np.arange(m + 1), m, 0.45) @ (low > 0) @ stats.binom.pmf(np.arange(n + 1), n, p)
    assert found == pytest.approx(0.8, abs=0.03)


@quickly
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.sampled_from([0.8, 0.9]))
def test_trials_to_tell_reach_their_power_and_one_fewer_does_not(p, q, wanted):
    if abs(p - q) < 0.02:
        return
    n = power.trials_to_tell(p, q, wanted)
    reached = partial(NormalIndPower().power, proportion_effectsize(p, q), alpha=0.05)
    assert reached(n) >= wanted - 1e-3
    assert n == 1 or reached(n - 1) < wanted + 1e-3


def test_equivalence_trials_agree_with_statsmodels_tost():
    n = power.trials_for_equivalence(0.45, 0.10)
    one_arm = power_ztost_prop(0.35, 0.55, n // 2, 0.45, discrete=False)  # a known share: half the variance, so half the trials
    assert float(np.squeeze(one_arm[0] if isinstance(one_arm, tuple) else one_arm)) == pytest.approx(0.8, abs=0.02)


@quickly
@given(st.floats(0.1, 1), st.integers(2, 500))
def test_detectable_is_the_inverse_of_trials_to_tell_and_grows_with_trials(p, n):
    q = power.detectable(p, n)
    if q is None:
        assert power.trials_to_tell(p, 0.0) > n
        return
    assert q < p
    assert power.trials_to_tell(p, q) in (n, n + 1)
    assert power.detectable(p, n + 1) > q
    assert power.detectable(p, n, power=0.9) is None or power.detectable(p, n, power=0.9) < q


# --- refusals


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: proportion(3, 2), "successes=3: choose a whole number of at least 0 and at most 2"),
        (lambda: proportion(1.5, 2), "successes=1.5"),
        (lambda: proportion(0, 0), "trials=0"),
        (lambda: proportion(1, 2, level=1.5), "level=1.5"),
        (lambda: proportion(1, 2, method="wald"), "method='wald': choose one of 'wilson', 'exact'"),
        (lambda: mean_rate([]), r"rates has the shape \(0,\)"),
        (lambda: mean_rate([[0.1]]), "a row"),
        (lambda: mean_rate([0.5, 93.0]), r"rates holds \[93.0\]; give shares from 0 to 1"),
        (lambda: mean_rate([0.5, float("nan")]), "nan"),
        (lambda: mean_rate([0.5, 1], method="z"), "'bounded', 't'"),
        (lambda: mean_rate([0.5, 1], ["a"]), "clusters has 1 labels"),
        (lambda: mean_rate([0.5, 1], level=-0.1), "level=-0.1"),
        (lambda: from_paper(45, 100, True), "value=45"),
        (lambda: from_paper(0.45, 0, True), "trials=0"),
        (lambda: difference(proportion(1, 2), proportion(1, 2, 0.9)), "level=0.9"),
        (lambda: paired_difference([1, 0], [1]), "b has 1 values"),
        (lambda: verdict(proportion(1, 2), proportion(1, 2), margin=10.0), "margin=10.0"),
        (lambda: finding("less", proportion(1, 2), proportion(1, 2)), "'lower', 'higher', 'similar'"),
        (lambda: Estimate(0.5, 0.4, 0.6, 9, 0.95, "given").at(0.9), "bare numbers"),
        (lambda: proportion(1, 2, level=1.0), "level=1.0: choose a number below 1"),
        (lambda: power.trials_to_tell(0.4, 0.4), "p2=0.4"),
        (lambda: power.trials_to_tell(0.4, 1.4), "p2=1.4"),
        (lambda: power.trials_to_tell(0.4, 0.3, power=0.01), "power=0.01"),
        (lambda: power.detectable(0.4, 0), "trials=0"),
        (lambda: power.detectable(0.4, 20, paper_trials=-1), "paper_trials=-1"),
        (lambda: power.trials_for_equivalence(1.0, 0.1), "p=1.0"),
        (lambda: power.trials_for_equivalence(0.5, 15.0), "margin=15.0"),
    ],
)
def test_wrong_input_is_named(call, says):
    with pytest.raises(ValueError, match=says.replace("..", r"\.\.")):
        call()


def test_the_heavy_libraries_are_loaded_late():
    code = "import sys; from poisonlib.papers import power, statistics; print(*{'scipy', 'statsmodels'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
