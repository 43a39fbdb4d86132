"""Points of our own trials against plain Python over the records, with scipy's intervals; which records a point takes."""

import random

import pytest
from scipy import stats

from poisonlib import experiments, papers, plots
from poisonlib.papers import cells
from poisonlib.papers.statistics import mean_rate

from .invent import record

pytest.importorskip("matplotlib").use("Agg")

DEFENCES = ["none", "mixup(k=4)", "noisy_sgd + deep_knn(expected=0.025)", "cutmix + laplace(scale=16/255)"]
PATCH = "patch(poison_rate=1.0)"
LABELS = {
    "none": "none",
    "mixup(k=4)": "mixup(k=4)",
    "noisy_sgd + deep_knn(expected=0.025)": "noisy_sgd + deep_knn(expected=0.025)",
    "cutmix + laplace(scale=16/255)": "cutmix + laplace",
}


def invented(attack=PATCH, defence=DEFENCES, trials=5, of=40, scenario="backdoor", profile="quick", first_seed=0):
    """Records of a grid; classes of unequal sizes, so that a mean of the classes' rates is not the rate."""
    grid = experiments.grid(scenario, profile, attack=attack, defence=defence, trials=trials, first_seed=first_seed)
    dice, made = random.Random(7), []
    for trial in grid:
        clean = tuple((dice.randint(0, 5 * c), 5 * c) for c in range(1, 8))
        made.append(record(trial, dice.randint(0, of), of, clean))
    return made


def by_hand(records, defence):
    """(successes, accuracies), one a record of that defence, without any of the package's own words for it."""
    wanted = experiments.defence(defence).describe()
    mine = [r for r in records if {k: v for k, v in r.spec["defence"].items() if v} == {k: v for k, v in wanted.items() if v}]
    successes, accuracies = [], []
    for each in mine:
        hits, of = each.evaluation.hits, each.evaluation.targets
        right = total = 0
        for good, count in each.evaluation.clean:
            right, total = right + good, total + count
        successes.append(hits / of)
        accuracies.append(right / total)
    return successes, accuracies


@pytest.fixture(autouse=True)
def planned(monkeypatch):
    """As if a profile planned these very seeds."""
    monkeypatch.setattr(cells, "as_planned_at", lambda text, seeds: True)


def students(values):
    n, mean = len(values), sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / (n - 1)) ** 0.5
    reach = stats.t.ppf(0.975, n - 1) * spread / n**0.5
    return mean, max(0, mean - reach), min(1, mean + reach)


def numbers(estimate):
    return estimate.value, estimate.low, estimate.high


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("of", [1, 40])
def test_every_point_is_what_its_records_come_to(of, shuffled):
    records = invented(of=of, trials=7)
    if shuffled:
        random.Random(1).shuffle(records)
    found = papers.points(records)
    assert sorted(found) == sorted(LABELS.values())
    for defence, label in LABELS.items():
        successes, accuracies = by_hand(records, defence)
        assert len(successes) == found[label].success.trials == found[label].accuracy.trials == 7
        assert numbers(found[label].accuracy) == pytest.approx(students(accuracies), abs=1e-9)
        mean = sum(successes) / 7
        if of == 1:
            ends = stats.binomtest(round(sum(successes)), 7).proportion_ci(method="exact")
            assert numbers(found[label].success) == pytest.approx((mean, ends.low, ends.high), abs=1e-8)
        else:
            assert numbers(found[label].success) == pytest.approx(numbers(mean_rate(successes)))
            assert found[label].success.value == pytest.approx(mean)
        assert found[label].paper is None


def test_one_trial_of_many_targets_is_a_rate():
    records = invented(defence="none", trials=3)
    records = [record(each.trial, hits, targets) for each, (hits, targets) in zip(records, [(1, 1), (0, 1), (2, 2)], strict=True)]
    found = papers.points(records)["none"].success
    assert numbers(found) == pytest.approx(numbers(mean_rate([1, 0, 1])))
    assert found.high - found.low > 0.7


def test_the_order_of_points_is_that_of_the_records():
    records = invented(defence=DEFENCES[::-1], trials=2)
    assert list(papers.points(records)) == [LABELS[defence] for defence in DEFENCES[::-1]]
    assert papers.points([]) == {}


def test_cells_with_missing_trials_count_what_is_there():
    records = invented(trials=6)
    kept = [r for r in records if r.seed % 2 or r.spec["defence"]["augment"]]
    found = papers.points(kept)
    assert {label: point.success.trials for label, point in found.items()} == {
        "none": 3,
        "mixup(k=4)": 6,
        "noisy_sgd + deep_knn(expected=0.025)": 3,
        "cutmix + laplace": 6,
    }
    for defence, label in LABELS.items():
        successes, accuracies = by_hand(kept, defence)
        assert found[label].success.value == pytest.approx(sum(successes) / len(successes))
        assert found[label].accuracy.value == pytest.approx(sum(accuracies) / len(accuracies))
    (alone,) = papers.points(kept[:1]).values()
    assert alone.success.high - alone.success.low > 0.95 and alone.accuracy.high - alone.accuracy.low > 0.95


def test_filters_with_other_numbers_are_other_points():
    records = invented(defence=["deep_knn", "deep_knn(multiple=4.0)", "mixup + deep_knn"], trials=2)
    assert list(papers.points(records)) == ["deep_knn", "deep_knn(multiple=4.0)", "mixup + deep_knn"]


@pytest.mark.parametrize("first_seed", [0, 100])
@pytest.mark.parametrize(
    "other",
    [{"attack": "patch(poison_rate=0.0)"}, {"attack": "patch(poison_rate=0.1)"}, {"profile": "laptop"}],
    ids=["clean control", "attack", "setting"],
)
def test_a_point_is_of_one_attack_and_setting_whatever_the_seeds(other, first_seed):
    mixed = [*invented(defence="none", trials=3), *invented(defence="none", trials=3, first_seed=first_seed, **other)]
    with pytest.raises(ValueError, match="none: records of several attacks or settings"):
        papers.points(mixed)


def test_a_record_that_comes_twice_is_refused():
    records = invented(defence=["none", "mixup"], trials=3)
    with pytest.raises(ValueError, match="mixup: some of the records are given twice"):
        papers.points([*records, records[-1]])


class TestTablePoints:
    SUCCESS, ACCURACY = "Poison Success (100%)", "Validation Accuracy (100%)"

    @pytest.fixture
    def records(self):
        return invented(attack=[PATCH, "patch(poison_rate=0.0)"], defence=["none", "mixup", "cutmix(probability=1.0)"], trials=4)

    def test_rows_are_the_tables_with_our_rates_and_the_printed_ones(self, records):
        comparison = papers.compare(records, "strong_augmentation", "table1")
        found = papers.table_points(comparison, self.SUCCESS, self.ACCURACY)
        assert list(found) == ["Baseline", "mixup", "CutMix"]
        printed = {"Baseline": (1.0, 0.85), "mixup": (1.0, 0.85), "CutMix": (0.36, 0.94)}
        mine = [r for r in records if r.poisons.count]
        for row, defence in {"Baseline": "none", "mixup": "mixup", "CutMix": "cutmix(probability=1.0)"}.items():
            successes, accuracies = by_hand(mine, defence)
            assert found[row].success.value == pytest.approx(sum(successes) / 4)
            assert found[row].accuracy.value == pytest.approx(sum(accuracies) / 4)
            assert found[row].paper == pytest.approx(printed[row])

    def test_rows_that_were_not_run_are_left_out(self, records):
        some = [r for r in records if r.spec["defence"]["augment"]]
        comparison = papers.compare(some, "strong_augmentation", "table1")
        assert list(papers.table_points(comparison, self.SUCCESS, self.ACCURACY)) == ["mixup", "CutMix"]
        with pytest.raises(LookupError, match="Nothing"):
            papers.table_points(comparison, self.SUCCESS, "Nothing")

    def test_a_row_that_the_paper_leaves_open_has_no_paper_value_and_can_be_drawn(self):
        records = invented(attack=PATCH, defence=["none", "spectral_signatures"], trials=2)
        columns = "POISON SUCCESS (100%)", "CLEAN ACCURACY (100%)"
        found = papers.table_points(papers.compare(records, "dp_instahide", "table1"), *columns)
        assert found["SS"].paper is None
        assert all(value is not None for value in found["BASELINE"].paper)
        plots.trade_off({"100 %": found})
