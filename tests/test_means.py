"""Ways of judging a mean: against library oracles and enumeration, and how often they are wrong when one looks once, or always."""

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar

from poisonlib.papers.means import Betting, Bounded, Gaussian, PairedHits, Student, Unpaired, combined, either, mean, paired

HITS = [0, 1, 1, 0, 1, 1, 1, 0, 1, 1]
ACCURACIES = [0.93, 0.94, 0.92, 0.935, 0.931]
ALL = [
    Bounded(tuple(map(float, HITS))),
    Bounded((0.1, 0.9, 0.4)),
    Bounded((-0.5, 0.3, 0.0), -1.0),
    Betting(tuple(map(float, HITS))),
    Betting((0.1, 0.9, 0.4)),
    Betting((-0.5, 0.3, 0.0), -1.0),
    Student(tuple(ACCURACIES)),
    Gaussian(tuple(ACCURACIES)),
    PairedHits(7, 1, 20),
    PairedHits(0, 0, 12),
    Unpaired(Bounded((1.0,) * 8 + (0.0,) * 2), Bounded((1.0,) * 2 + (0.0,) * 8)),
]


@pytest.mark.parametrize("of", ALL, ids=lambda of: type(of).__name__)
class TestEveryMean:
    def test_p_values_rise_and_fall_with_the_bound_between_0_and_1(self, of):
        bounds = np.linspace(of.lowest - 0.5, 1.5, 83) + 1e-6  # McNemar's bound 0 is a test of its own
        above, below = of.above(bounds), of.below(bounds)
        assert (np.diff(above) >= -1e-9).all() and (np.diff(below) <= 1e-9).all()
        assert ((above >= 0) & (above <= 1) & (below >= 0) & (below <= 1)).all()
        assert (above[bounds < of.lowest] == 0).all() and (above[bounds >= 1] == 1).all()
        assert (below[bounds > 1] == 0).all() and (below[bounds <= of.lowest] == 1).all()
        assert float(of.above(0.3)) == pytest.approx(of.above(np.array([0.3]))[0])

    def test_the_interval_is_what_is_not_rejected(self, of):
        low, high = of.interval(0.9)
        assert of.lowest <= low <= of.value <= high <= 1
        for bound, p in ((low, of.above), (high, of.below)):
            assert bound in (of.lowest, 1) or float(p(bound)) == pytest.approx(0.05, abs=1e-6)
        assert low - 1e-9 > of.interval(0.95)[0] or low == of.lowest

    def test_its_mean_is_not_rejected(self, of):
        assert float(either(of, of.value)) > 0.3


def test_hits_are_tested_as_binomial_ones():
    of = mean(HITS)
    for bound in (0.2, 0.5, 0.9):
        assert float(of.above(bound)) == pytest.approx(stats.binomtest(7, 10, bound, "greater").pvalue, abs=1e-9)
        assert float(of.below(bound)) == pytest.approx(stats.binomtest(7, 10, bound, "less").pvalue, abs=1e-9)


def test_accuracies_are_tested_by_students_t():
    of = mean(ACCURACIES, even=True)
    assert float(of.above(0.925)) == pytest.approx(stats.ttest_1samp(ACCURACIES, 0.925, alternative="greater").pvalue)
    assert float(of.below(0.94)) == pytest.approx(stats.ttest_1samp(ACCURACIES, 0.94, alternative="less").pvalue)


def test_equal_values_show_no_spread():
    assert isinstance(mean([0.9] * 4, even=True), Bounded) and isinstance(mean([0.9] * 4, even=True, planned=False), Betting)


# --- paired hits


def test_mcnemars_mid_p():
    """Half of the probability of what was seen, beside the exact test's one-sided value."""
    for gained, lost in ((6, 1), (9, 0), (3, 3), (0, 0)):
        exact = mcnemar([[5, gained], [lost, 5]], exact=True).pvalue
        same = stats.binom.pmf(gained, gained + lost, 0.5)
        if gained > lost:
            assert float(PairedHits(gained, lost, gained + lost + 10).above(0)) == pytest.approx(exact / 2 - same / 2)
        both = [float(side(0)) for side in (PairedHits(gained, lost, 30).above, PairedHits(gained, lost, 30).below)]
        assert sum(both) == pytest.approx(1)


def likeliest_losses(gained, lost, n, difference):
    """The share of losses that makes these counts likeliest under a difference of shares, by numeric search."""

    def loss(q):
        shares = np.array([q + difference, q, 1 - 2 * q - difference])
        counts = np.array([gained, lost, n - gained - lost])
        return -(counts[counts > 0] * np.log(np.maximum(shares[counts > 0], 1e-300))).sum()

    ends = max(0, -difference), (1 - difference) / 2
    return optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-10}).x


@pytest.mark.parametrize(("gained", "lost", "n"), [(7, 1, 20), (3, 3, 12), (0, 4, 12), (0, 0, 16), (12, 0, 12)])
@pytest.mark.parametrize("difference", [-0.1, 0.1, 0.35])
def test_tangos_score(gained, lost, n, difference):
    q = likeliest_losses(gained, lost, n, difference)
    spread = np.sqrt(n * (2 * q + difference - difference**2))
    expected = stats.norm.sf((gained - lost - n * difference) / spread)
    assert float(PairedHits(gained, lost, n).above(difference)) == pytest.approx(expected, abs=2e-4)


def table_of_outcomes(p_gain, p_loss, n):
    """Every (gained, lost) of n pairs with its probability."""
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            counts = [gained, lost, n - gained - lost]
            yield gained, lost, stats.multinomial.pmf(counts, n, [p_gain, p_loss, 1 - p_gain - p_loss])


@pytest.mark.parametrize("n", [6, 12, 20, 40])
@pytest.mark.parametrize("discordant", [0.1, 0.3, 0.6])
def test_false_differences_of_paired_hits_stay_below_the_level(n, discordant):
    outcomes = list(table_of_outcomes(discordant / 2, discordant / 2, n))
    wrong = sum(weight for gained, lost, weight in outcomes if float(PairedHits(gained, lost, n).above(0)) <= 0.05)
    assert wrong <= 0.0525


@pytest.mark.parametrize("n", [12, 40])
def test_false_similarity_of_paired_hits_stays_near_the_level(n):
    """At a true difference of the margin."""
    for p_gain, p_loss in ((0.10, 0.0), (0.2, 0.1), (0.35, 0.25)):
        outcomes = table_of_outcomes(p_gain, p_loss, n)
        wrong = sum(weight for gained, lost, weight in outcomes if float(PairedHits(gained, lost, n).below(0.10)) <= 0.05)
        assert wrong <= 0.075


def test_a_drop_from_92_to_33_percent_is_found_more_often_than_by_the_exact_test():
    """The rates of gradient matching on digits, independent within pairs, at n = 12."""
    outcomes = list(table_of_outcomes(0.92 * 0.67, 0.33 * 0.08, 12))
    p = [float(PairedHits(gained, lost, 12).above(0)) for gained, lost, _ in outcomes]
    one_sided, two_sided = (sum(w for each, (_, _, w) in zip(p, outcomes, strict=True) if k * each <= 0.05) for k in (1, 2))
    exact = sum(weight for g, b, weight in outcomes if g > b and stats.binomtest(g, g + b, 0.5).pvalue <= 0.05)
    assert exact < 0.75 < 0.84 < two_sided < 0.91 < one_sided


def test_pairs_of_hits_and_of_rates_are_told_apart():
    assert paired([1, 0, 1], [0, 0, 1]) == PairedHits(1, 0, 3)
    assert isinstance(paired([1, 0.5, 1], [0, 0, 1]), Bounded) and paired([1, 0.5], [0, 0]).lowest == -1
    assert isinstance(paired([1, 0, 1], [0, 0, 1], planned=False), Betting)
    assert isinstance(paired([0.9, 0.8], [0.7, 0.65], even=True), Student)


# --- any number of trials


def stops(draws, truth, kind, lowest=0.0, level=0.05):
    """The share of sequences in which, looking after each trial, the truth is rejected at some time."""
    wrong = []
    for values in draws:
        seen = (kind(tuple(values[: n + 1]), lowest) for n in range(1, len(values)))
        wrong.append(any(np.ptp(of.values) > 0 and float(either(of, truth)) <= level for of in seen))
    return np.mean(wrong)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_looking_after_each_trial_is_wrong_as_seldom_as_claimed(p):
    draws = (np.random.default_rng(1).random((250, 30)) < p).astype(float)
    assert stops(draws, p, Betting) <= 0.05
    assert stops(draws, p, Bounded) > 0.05, "the interval for a planned number is not for this"


def test_looking_at_rates_and_at_differences_too():
    rng = np.random.default_rng(2)
    assert stops(rng.beta(0.3, 0.3, (200, 25)), 0.5, Betting) <= 0.05
    assert stops(rng.choice([-1.0, 0.0, 1.0], (200, 25)), 0.0, Betting, lowest=-1.0) <= 0.05


@pytest.mark.parametrize("spread", [0.001, 0.01])
def test_looking_at_accuracies(spread):
    draws = np.random.default_rng(3).normal(0.9, spread, (400, 25))
    assert stops(draws, 0.9, Gaussian) <= 0.05
    assert stops(draws, 0.9, Student) > 0.1


def test_the_bet_is_the_mean_over_gamblers_who_play_trial_by_trial():
    stakes, m = (np.arange(64) + 0.5) / 64, 0.4
    capital = np.ones(64)
    for x in HITS:
        capital *= (1 - stakes) + stakes * x / m
    assert float(Betting(tuple(map(float, HITS))).above(m)) == pytest.approx(min(1, 1 / capital.mean()))
    assert float(Betting((0.0, 0.0)).above(0.0)) == 1 and float(Betting((0.0, 0.5)).above(0.0)) == 0


def test_the_bayes_factor_is_the_integral_over_effects():
    """Student's density of the t statistic under an effect, averaged over a normal of variance 9, over that without an effect."""
    from scipy.integrate import quad

    n, t = 5, (np.mean(ACCURACIES) - 0.925) / np.std(ACCURACIES, ddof=1) * np.sqrt(5)
    under = quad(lambda d: stats.nct.pdf(t, n - 1, d * np.sqrt(n)) * stats.norm.pdf(d, scale=3), -12, 12, limit=200)[0]
    factor = under / stats.t.pdf(t, n - 1)
    assert float(Gaussian(tuple(ACCURACIES)).above(0.925)) == pytest.approx(min(1, 1 / factor), rel=1e-3)


# --- independent trials


def test_combined_p_values_are_fishers():
    for a, b in ((0.03, 0.2), (1.0, 0.5), (1e-6, 0.9)):
        assert float(combined(a, b)) == pytest.approx(stats.combine_pvalues([a, b], "fisher").pvalue)
    assert float(combined(0.0, 0.5)) == 0


@pytest.mark.parametrize(("n", "m"), [(12, 20), (6, 6)])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_false_differences_of_independent_hits_stay_below_the_level(n, m, p):
    first, second = ([mean([1.0] * k + [0.0] * (size - k)) for k in range(size + 1)] for size in (n, m))
    rejects = np.array([[float(Unpaired(a, b).above(0.0)) <= 0.05 for b in second] for a in first])
    assert stats.binom.pmf(np.arange(n + 1), n, p) @ rejects @ stats.binom.pmf(np.arange(m + 1), m, p) <= 0.05
