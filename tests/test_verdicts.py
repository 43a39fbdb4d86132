"""Verdicts on printed numbers and on sentences: their definitions, and how often whole tables of them are wrong."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from poisonlib import papers
from poisonlib.papers.means import Bounded, mean, paired
from poisonlib.papers.printed import Printed, printed, together
from poisonlib.papers.verdicts import CELL, FINDING, Asked, Question, answered, holm, judged


def hits(count, trials):
    return Bounded((1.0,) * count + (0.0,) * (trials - count))


def ask(ours, value, trials, margin=0.10, **more):
    return Asked(ours, Printed(value, trials, 5e-4, **more), margin)


# --- the three questions


@pytest.mark.parametrize(
    ("ours", "value", "trials", "word", "count"),
    [
        (hits(450, 1000), 0.45, 20, "agrees", "expected"),
        (hits(9, 20), 0.45, 20, "open", "expected"),
        (hits(2, 20), 0.90, 20, "differs", "unexpected"),
        (hits(700, 1000), 0.90, 6, "paper too small to tell", "expected"),
        (hits(14, 40), 0.05, 20, "open", "expected"),  # 20 trials would have told with probability 0.96
        (hits(9, 12), 0.90, 20, "open", "expected"),
    ],
)
def test_words_of_a_cell(ours, value, trials, word, count):
    (said,) = judged([ask(ours, value, trials)])
    assert (said.word, said.count) == (word, count) and word in CELL and said.text.startswith(f"{word}: ")


def test_a_difference_within_the_margin_is_none_however_certain():
    assert judged([ask(hits(5000, 10_000), 0.53, 10_000)])[0].word == "agrees"
    assert judged([ask(hits(5000, 10_000), 0.53, 10_000, margin=0.01)])[0].word == "differs"


def test_agreement_is_two_one_sided_tests_of_the_printed_value_as_it_stands():
    asked = ask(hits(180, 400), 0.5, 20)
    low, high = asked.ours.interval(0.90)
    assert (asked.within <= 0.05) == (low > 0.4 and high < 0.6)
    binomial = [stats.binomtest(180, 400, p, side).pvalue for p, side in ((0.4, "greater"), (0.6, "less"))]
    assert asked.within == pytest.approx(max(binomial), abs=1e-9)
    assert ask(hits(20, 20), 1.0, 4).within == pytest.approx(0.9**20), "no rate lies above 1"


def test_the_papers_count_among_those_that_we_expect():
    """The counts that are not rejected after 6 of 12: a prediction interval. It covers the count of 20 trials of the same rate."""
    for p in (0.1, 0.5, 0.8):
        wrong = 0.0
        for ours, weight in enumerate(stats.binom.pmf(np.arange(13), 12, p)):
            out = [together(hits(ours, 12), Printed(k / 20, 20, 5e-4)) <= 0.05 for k in range(21)]
            wrong += weight * stats.binom.pmf(np.arange(21), 20, p)[out].sum()
        assert wrong <= 0.05
    expected = [k for k in range(21) if together(hits(6, 12), Printed(k / 20, 20, 5e-4)) > 0.05]
    assert expected == list(range(expected[0], expected[-1] + 1)) and 10 in expected and 0 not in expected


def test_a_printed_accuracy_has_our_deviation_between_runs():
    claim = papers.load("strong_augmentation").claim("table1", "CutMix", "Validation Accuracy (100%)")
    made = printed(claim, [0.93, 0.94, 0.95])
    assert (made.value, made.trials, made.freedom) == (0.94, 4, 2) and made.spread == pytest.approx(0.01)
    assert made.rounding == pytest.approx(0.005), "printed as 94%"
    assert float(made.p(0.944)) == 1, "within the rounding"
    assert float(made.p(0.965)) == pytest.approx(2 * stats.t.sf((0.025 - 0.005) / 0.01 * 2, 2))
    assert printed(claim, [0.93]) is None


@pytest.mark.parametrize("spread", [0.003, 0.02])
def test_printed_means_of_our_own_kind_are_unexpected_as_seldom_as_claimed(spread):
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(400):
        ours, theirs = rng.normal(0.85, spread, 10), rng.normal(0.85, spread, 20).mean()
        paper = Printed(round(theirs, 3), 20, 5e-4, float(ours.std(ddof=1)), 9)
        wrong += together(mean(ours, even=True), paper) <= 0.05
    assert wrong / 400 <= 0.05


def test_whether_so_few_trials_could_have_told():
    paper = Printed(0.9, 20, 5e-4)
    rejects = [k for k in range(21) if 2 * min(stats.binom.cdf(k, 20, 0.9), stats.binom.sf(k - 1, 20, 0.9)) <= 0.05]
    assert paper.told(0.6, 0.05) == pytest.approx(stats.binom.pmf(rejects, 20, 0.6).sum())
    assert paper.told(0.9, 0.05) < 0.05 < Printed(0.9, 4, 5e-4).told(0.5, 0.05) < paper.told(0.5, 0.05)
    assert Printed(0.9, 20, 5e-4, 0.01).told(0.95, 0.05) > 0.99 and Printed(0.9, 20, 5e-4, 0.0).told(0.9, 0.05) == 0


def test_a_count_that_cannot_be_printed_is_the_nearest():
    assert float(Printed(0.7273, 20, 5e-5).p(0.7)) == float(Printed(0.75, 20, 5e-5).p(0.7))


# --- many at once


def test_holms_p_values():
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == [] and holm([0.2]) == [0.2]


def tables(rng, cells, ours, theirs, rates):
    """A table of hits, ours and the paper's, at the same true rates."""
    for p in rates[:cells]:
        yield ask(hits(rng.binomial(ours, p), ours), rng.binomial(theirs, p) / theirs, theirs)


@pytest.mark.parametrize("ours", [12, 40])
def test_at_equal_truths_a_table_of_sixteen_cells_is_seldom_said_to_differ(ours):
    rng = np.random.default_rng(6)
    rates = [0.9, 0.9, 0.77, 0.86, 0.05, 0.4, 0.45, 0.72, 0.05, 0.55, 0.75, 0.6, 0.6, 0.81, 0.05, 0.2]
    said = [{each.word for each in judged(list(tables(rng, 16, ours, 20, rates)))} for _ in range(60)]
    assert np.mean(["differs" in words for words in said]) <= 0.05
    assert all(words <= {"open", "agrees", "paper too small to tell"} for words in said if "differs" not in words)


def test_a_true_difference_of_the_margin_is_seldom_said_to_agree():
    rng = np.random.default_rng(7)
    said = [judged([ask(hits(rng.binomial(100, 0.35), 100), 0.45, 20) for _ in range(8)]) for _ in range(60)]
    assert np.mean([any(each.word == "agrees" for each in table) for table in said]) <= 0.05 + 0.03


# --- sentences


def question(kind, first, second, margin=0.10, gate=""):
    gap = paired(first, second, even=not set(first) <= {0, 1})
    return Question(kind, gap, margin, mean(first), mean(second), gate)


LOW, HIGH = [0] * 30 + [1] * 10, [0] * 5 + [1] * 35


@pytest.mark.parametrize(
    ("kind", "first", "second", "word"),
    [
        ("lower", LOW, HIGH, "holds"),
        ("higher", LOW, HIGH, "contradicted"),
        ("similar", LOW, HIGH, "contradicted"),
        ("similar", HIGH * 5, HIGH * 5, "holds"),
        ("lower", HIGH, HIGH, "undecided"),
        ("similar", [0.9, 0.91, 0.92], [0.895, 0.905, 0.916], "holds"),
    ],
)
def test_words_of_a_sentence(kind, first, second, word):
    (said,) = answered([question(kind, first, second)])
    assert said.word == word and word in FINDING
    assert "p = " in said.text and "Holm" in said.text


def test_nothing_is_said_where_the_attack_fails():
    gated = question("lower", LOW, HIGH, gate="the undefended attack succeeds in 6 %")
    said, other = answered([gated, dataclasses.replace(gated, gate="")])
    assert (said.word, other.word) == ("not tested", "holds")
    assert said.text == "not tested: the undefended attack succeeds in 6 %."
    alone = dataclasses.replace(gated, gap=None, gate="")
    assert answered([alone])[0].word == "not tested"


def test_each_sentence_is_corrected_for_the_others():
    first, second = [0] * 7 + [1] * 13, [1] * 20
    alone, many = answered([question("lower", first, second)]), answered([question("lower", first, second)] * 5)
    assert alone[0].p == many[0].p == pytest.approx(0.5**7)
    assert alone[0].word == "holds" and {each.word for each in many} == {"holds"}
    weak = question("lower", [0] * 5 + [1] * 15, second)
    assert weak.p == pytest.approx(0.5**5) and answered([weak])[0].word == "holds"
    assert {each.word for each in answered([weak, *[question("lower", second, second)] * 3])} == {"undecided"}


def test_sentences_that_the_gate_stops_count_among_the_others():
    """Which attacks pass the gate depends on the same trials, so a sentence that passes it has been chosen by them."""
    weak = question("lower", [0] * 5 + [1] * 15, [1] * 20)
    stopped = dataclasses.replace(weak, gate="the attack fails")
    assert answered([weak, stopped])[0].word == "undecided" and answered([stopped, weak])[1].word == "undecided"
    few = dataclasses.replace(weak, gap=None)
    assert answered([weak, few])[0].word == "holds", "what was not measured was no test"
    assert holm([0.01, 0.04], 2) == pytest.approx(holm([0.01, 0.04, 1.0, 1.0])[:2])


def test_the_interval_beside_a_verdict_is_that_of_its_test():
    """A one-sided test at 5 % shows a difference where the 90 % interval leaves 0 out."""
    for lost in range(1, 12):
        said = question("lower", [0] * lost + [1] * (20 - lost), [1] * 20)
        (answer,) = answered([said])
        assert (answer.word == "holds") == (said.gap.interval(0.90)[1] < 0)
        assert f"its 90 % interval {100 * said.gap.interval(0.90)[0]:+.1f} to" in answer.text


def test_at_equal_truths_no_sentence_of_a_table_is_often_shown():
    rng, wrong = np.random.default_rng(8), 0
    for _ in range(200):
        columns = [(rng.random(12) < 0.6).astype(int).tolist() for _ in range(6)]
        asked = [question("lower", each, columns[0]) for each in columns[1:]]
        wrong += any(said.word != "undecided" for said in answered(asked))
    assert wrong / 200 <= 0.10 + 0.02  # five per cent each for holds and contradicted
