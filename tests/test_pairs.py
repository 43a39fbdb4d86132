"""A reader's own cells beside one of them, trial by trial, against counts by hand and the intervals of `statistics`."""

import dataclasses

import pytest

from poisonlib import papers
from poisonlib.experiments import grid
from poisonlib.papers.statistics import paired_difference

from .invent import record

TRIALS = grid("backdoor", "quick", attack="patch", trials=6)


def cell(hits, trials=TRIALS):
    return [record(trial, hit) for trial, hit in zip(trials, hits, strict=True)]


BASE, MINE, OTHER = (1, 1, 1, 0, 1, 0), (0, 0, 1, 1, 0, 0), (1, 1, 1, 1, 1, 1)


def test_counts_and_intervals():
    table = papers.seed_by_seed({"plain": cell(BASE), "mine": cell(MINE), "other": cell(OTHER)}, "plain")
    assert list(table.index) == ["mine", "other"]
    assert table[["trials", "lost", "gained"]].values.tolist() == [[6, 3, 1], [6, 0, 2]]
    assert list(table["difference, points"]) == ["-33", "+33"]
    alone, all_two = (paired_difference(MINE, BASE, level=level) for level in (0.95, 0.975))
    assert table.loc["mine", "95 % interval"] == f"{100 * alone.low:+.0f} to {100 * alone.high:+.0f}"
    assert table.loc["mine", "95 % for all 2"] == f"{100 * all_two.low:+.0f} to {100 * all_two.high:+.0f}"
    assert table.loc["mine", "95 % interval"] != table.loc["mine", "95 % for all 2"]


def test_records_are_paired_by_their_seeds_not_their_order():
    mine = cell((0, 1, 1, 1, 1, 1))  # reversed, it would lose none and gain one
    table, turned = (papers.seed_by_seed({0: cell(BASE), 1: records}, 0) for records in (mine, mine[::-1]))
    assert table[["lost", "gained"]].values.tolist() == [[1, 2]]
    assert table.equals(turned) and "95 % for all 1" not in table


def test_starts_of_one_seed_make_one_trial_as_they_share_its_goal():
    starts = [dataclasses.replace(trial, start=start) for trial in TRIALS[:4] for start in range(3)]
    hits, mine = (1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0), (0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0)
    table = papers.seed_by_seed({"a": cell(hits, starts), "b": cell(mine[::-1], starts[::-1])}, "a")
    assert table[["trials", "lost", "gained"]].values.tolist() == [[4, 2, 1]]
    alone = paired_difference((1 / 3, 0, 1 / 3, 1 / 3), (2 / 3, 1, 0, 1 / 3), level=0.95)
    assert table.loc["b", "95 % interval"] == f"{100 * alone.low:+.0f} to {100 * alone.high:+.0f}"


def test_cells_with_other_seeds_are_refused():
    with pytest.raises(ValueError, match=r"'b' and 'a' differ in the trials \(seed, start\) \[\(.*5, 0\)\]; give cells"):
        papers.seed_by_seed({"a": cell(BASE), "b": cell(MINE[:5], TRIALS[:5])}, "a")
    with pytest.raises(KeyError):
        papers.seed_by_seed({"a": cell(BASE)}, "b")


def test_cells_of_several_settings_are_refused():
    with pytest.raises(ValueError, match=r"'b' has 12 records of 6 trials \(seed, start\); give cells of one setting"):
        papers.seed_by_seed({"a": cell(BASE), "b": cell(BASE) + cell(MINE)}, "a")


def test_a_cell_alone_has_nothing_beside_it():
    assert len(papers.seed_by_seed({"a": cell(BASE)}, "a")) == 0
