"""Ways of judging a mean: against library oracles and enumeration, and how often they are wrong when one looks once, or always."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from poisonlib.papers.means import Betting, Bounded, Gaussian, Student, Unpaired, combined, either, mean, paired

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
    Bounded((1.0,) * 7 + (-1.0,) + (0.0,) * 12, -1.0),
    Unpaired(Bounded((1.0,) * 8 + (0.0,) * 2), Bounded((1.0,) * 2 + (0.0,) * 8)),
]


@pytest.mark.parametrize("of", ALL, ids=lambda of: type(of).__name__)
class TestEveryMean:
    def test_p_values_rise_and_fall_with_the_bound_between_0_and_1(self, of):
        bounds = np.linspace(of.lowest - 0.5, 1.5, 83) + 1e-6
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


def pairs(gained, lost, n):
    """The difference over n trials, of which so many hit in one arm alone."""
    return paired([1] * gained + [0] * (n - gained), [0] * gained + [1] * lost + [0] * (n - gained - lost))


@pytest.mark.parametrize(("gained", "lost", "n"), [(6, 1, 17), (9, 0, 9), (3, 3, 16), (1, 4, 40), (0, 0, 12), (60, 30, 100)])
def test_pairs_of_hits_are_tested_by_mcnemars_exact_test(gained, lost, n):
    of = pairs(gained, lost, n)
    assert float(of.above(0)) == pytest.approx(stats.binom.sf(gained - 1, gained + lost, 0.5), abs=1e-12)
    assert float(of.below(0)) == pytest.approx(stats.binom.sf(lost - 1, gained + lost, 0.5), abs=1e-12)
    two_sided = mcnemar([[5, gained], [lost, 5]], exact=True).pvalue
    assert float(either(of, 0.0)) == pytest.approx(min(1.0, two_sided), abs=1e-12)


def shares_under(n, difference):
    """(gained, lost) of every outcome of n pairs, and their probabilities for each share of losses at a true difference."""
    table = np.array([(gained, lost) for gained in range(n + 1) for lost in range(n + 1 - gained)])
    losses = np.linspace(max(0, -difference), (1 - difference) / 2, 26)
    counts = np.c_[table, n - table.sum(1)]
    chances = [stats.multinomial.pmf(counts, n, [q + difference, q, max(0.0, 1 - 2 * q - difference)]) for q in losses]
    return table, np.array(chances)


@pytest.mark.parametrize("n", [4, 6, 12, 20])
@pytest.mark.parametrize("difference", [-0.1, 0.0, 0.1])
def test_pairs_of_hits_are_never_wrong_more_often_than_the_level(n, difference):
    """By enumeration: a false "above" at any share of discordant pairs. At n = 4 nothing passes 0 and 0.1."""
    table, chances = shares_under(n, difference)
    rejected = [float(pairs(gained, lost, n).above(difference)) <= 0.05 for gained, lost in table]
    assert (chances @ rejected).max() <= 0.05
    assert any(rejected) == (n > 5 or difference < 0)


@pytest.mark.parametrize("n", [12, 40])
def test_false_similarity_of_paired_hits_stays_below_the_level(n):
    """At a true difference of the margin."""
    table, chances = shares_under(n, 0.10)
    similar = [float(pairs(gained, lost, n).below(0.10)) <= 0.05 for gained, lost in table]
    assert (chances @ similar).max() <= 0.05


def test_pairs_are_judged_by_their_kind_and_by_the_plan():
    assert paired([1, 0, 1], [0, 0, 1]) == Bounded((1.0, 0.0, 0.0), -1.0)
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
