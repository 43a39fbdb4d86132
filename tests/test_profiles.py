"""Profiles: how many trials they plan from which seed on, and that no table shows the seeds on which they were tuned."""

import itertools
import re
import sys

import pytest

from poisonlib import attacks, data, experiments, scenarios
from poisonlib.experiments.profiles import as_planned

EVERY = [(scenario, name) for scenario in experiments.scenarios() for name in experiments.profiles(scenario)]


def tuned(profile):
    """``"0 to 13 and 100 to 115"`` as a set of seeds."""
    pairs = re.findall(r"(\d+) to (\d+)", profile.tuned)
    return set(itertools.chain(*(range(int(first), int(last) + 1) for first, last in pairs)))


@pytest.mark.parametrize(("scenario", "name"), EVERY)
def test_no_planned_seed_was_tuned_on(scenario, name):
    profile = experiments.profile(scenario, name)
    assert bool(profile.tuned) == bool(tuned(profile)), "write ranges of seeds as '0 to 13 and 100 to 115'"
    planned = set(range(profile.first_seed, profile.first_seed + max(profile.trials, profile.few, profile.kept)))
    assert not planned & tuned(profile)


def test_a_grid_begins_at_the_profiles_first_seed():
    seeds = {trial.seed for trial in experiments.grid("targeted", "quick", attack="noise", trials=3)}
    assert seeds == {200, 201, 202}
    assert {trial.seed for trial in experiments.grid("targeted", "quick", attack="noise", trials=2, first_seed=0)} == {0, 1}


@pytest.mark.parametrize(
    ("seeds", "planned"),
    [(range(200, 212), True), (range(200, 206), True), (range(200, 240), True), (range(200, 213), False), (range(12), False)],
)
def test_a_number_of_trials_is_planned_where_a_profile_names_it_from_its_first_seed_on(seeds, planned):
    (trial,) = experiments.grid("targeted", "quick", attack="gradient_matching", trials=1)
    assert as_planned(trial, seeds) == planned
    (other,) = experiments.grid("targeted", "quick", attack="gradient_matching", data="digits(limit=300)", trials=1)
    assert not as_planned(other, seeds), "no profile has this set-up"


@pytest.mark.parametrize(("seeds", "planned"), [(range(12), True), (range(40), True), (range(200, 212), False), (range(13), False)])
def test_setups_are_numbered_from_0_whatever_their_training_images(seeds, planned):
    attack = attacks.load("feature_collision", setups="0123")
    for source in ("digits(limit=300)", data.source("cifar_setup", setups="0123")):
        (trial,) = experiments.grid("transfer", "quick", attack=attack, trials=1, data=source)
        assert as_planned(trial, seeds) == planned


def test_the_rules_are_read_from_the_file_of_the_profiles():
    rules = experiments.rules()
    assert (rules.level, rules.margin, rules.gate) == (0.05, {"success": 0.10, "clean accuracy": 0.03}, 0.10)
    assert "rules" not in experiments.scenarios()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines | {"epoch": 1}, r"profiles.toml, backdoor.quick: unknown epoch; a profile has: note, data, "),
        (lambda lines: {k: v for k, v in lines.items() if k != "few"}, r"profiles.toml, backdoor.quick: there is no few"),
    ],
)
def test_a_line_that_a_profile_cannot_have_or_lacks_is_named(change, words, monkeypatch):
    table = scenarios.tables()
    altered = table | {"backdoor": table["backdoor"] | {"quick": change(table["backdoor"]["quick"])}}
    monkeypatch.setattr(sys.modules["poisonlib.experiments.profiles"], "tables", lambda: altered)
    with pytest.raises(ValueError, match=words):
        experiments.profile("backdoor", "quick")
