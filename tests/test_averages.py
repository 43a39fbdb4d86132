"""The mean over a benchmark's victims' networks, where the paper prints the mean over its own."""

import pytest

from poisonlib import experiments, papers, registry
from poisonlib.papers.averages import averages
from poisonlib.papers.cells import as_planned_at, cells

from . import invent
from .refresh_readme import TABLES
from .refresh_reference import chosen

ATTACKS = ["bullseye_polytope", "bullseye_polytope(poison_rate=0)"]
FIRST, SECOND = "convnet", "patch_mlp(side=2, width=16)"
HITS = {"patch_mlp": 9, FIRST: 3, SECOND: 1}  # of twelve seeds


def black(victim, trials=12):
    attacker = [experiments.profile("transfer", "quick").model]
    return experiments.grid("transfer", "quick", attack=ATTACKS, model=victim, attacker=attacker, trials=trials)


def white(trials=12):
    return experiments.grid("transfer", "quick", attack=ATTACKS, trials=trials)


def made(table):
    """Each network is hit at its first seeds; one clean control of the second network is, too."""

    def hit(trial):
        limit = int(trial.model == black(SECOND, 1)[0].model) if trial.attack.clean else HITS.get(label(trial), 0)
        return int(trial.seed - 200 < limit)

    return [invent.record(trial, hit(trial)) for trial in table]


def label(trial):
    return registry.label(trial.model)


def by_hand(records, victims, clean):
    """For each seed the mean of success over the networks."""
    rates = {}
    for record in records:
        if label(record.trial) in victims and record.trial.attack.clean == clean:
            rates.setdefault(record.seed, []).append(record.success)
    return [sum(each) / len(each) for each in rates.values() if len(each) == len(victims)]


def test_a_cell_of_the_black_box_is_the_mean_over_networks_and_its_chance_that_of_their_controls():
    records = made([*white(), *black(FIRST), *black(SECOND)])
    compared = papers.compare(records, "just_how_toxic", "table2")
    inside, outside = (compared.cell("BP", f"CIFAR-10 / Transfer / {box}") for box in ("WB", "BB"))
    assert (inside.ours.value, inside.ours.trials, inside.chance.value) == (0.75, 12, 0.0)
    rates = by_hand(records, [FIRST, SECOND], clean=False)
    assert (outside.ours.value, outside.ours.trials) == (pytest.approx(sum(rates) / 12), 12) and 0 < outside.ours.value < 0.3
    assert outside.trials.success == tuple(rates)
    assert outside.trials.planned == all(as_planned_at(text, outside.trials.seeds) for text in outside.trials.members)
    chances = by_hand(records, [FIRST, SECOND], clean=True)
    assert outside.chance.value == pytest.approx(sum(chances) / 12) and outside.chance.value > 0
    assert len([record for record in compared.records if record.trial.knowledge == "black box"]) == 24
    assert outside.verdict is not None and "convnet and patch_mlp" in outside.trials.setting.model


def test_one_network_stands_for_itself_as_before():
    alone = papers.compare(made([*white(), *black(FIRST)]), "just_how_toxic", "table2").cell("BP", "CIFAR-10 / Transfer / BB")
    assert (alone.ours.value, alone.trials.members, alone.trials.setting.model) == (0.25, (), "convnet")


def test_only_seeds_that_all_networks_have_count_and_without_any_nothing_is_averaged():
    records = made([*black(FIRST), *black(SECOND, 4)])
    cell = papers.compare(records, "just_how_toxic", "table2").cell("BP", "CIFAR-10 / Transfer / BB")
    assert cell.trials.seeds == (200, 201, 202, 203) and cell.ours.value == pytest.approx((3 + 1) / 8)
    apart = [r for r in records if (r.seed < 202) == (label(r.trial) == FIRST)]
    assert not averages(cells(apart))
    with pytest.raises(ValueError, match="records of 2 settings; give those of one"):
        papers.compare(apart, "just_how_toxic", "table2")


def test_networks_that_the_paper_names_are_not_averaged_and_its_average_is():
    how = dict(attack=["gradient_matching", "gradient_matching(poison_rate=0)"], trials=6)
    victims = ["resnet(depth=18, width=8)", "vgg(depth=11, width=8)"]
    tables = [experiments.grid("scratch", "quick", model=victim, attacker=["patch_mlp"], **how) for victim in victims]
    records = [invent.record(t, int(not t.attack.clean and t.seed < 204 + 2 * i)) for i, table in enumerate(tables) for t in table]
    compared = papers.compare(records, "just_how_toxic", "table25")
    found = {name: compared.cell("WiB", name).ours for name in ("ResNet-18", "VGG11", "MobileNetV2", "Average")}
    assert found["MobileNetV2"] is None
    assert [round(6 * found[name].value) for name in ("ResNet-18", "VGG11", "Average")] == [4, 6, 5]


def test_the_kept_table_takes_the_networks_with_the_most_trials():
    records = made([*white(40), *black(FIRST, 40), *black(SECOND)])
    mine = chosen(records, "quick", TABLES["just_how_toxic_table2"])
    for clean in (False, True):
        assert {label(record.trial) for record in mine if record.trial.attack.clean == clean} == {"patch_mlp", FIRST}
    equal = chosen(made([*white(40), *black(FIRST, 40), *black(SECOND, 40)]), "quick", TABLES["just_how_toxic_table2"])
    assert {label(record.trial) for record in equal if not record.trial.attack.clean} == {"patch_mlp", FIRST, SECOND}


def test_networks_of_none_of_the_benchmarks_stand_for_each_of_its_and_not_beside_its_own():
    how = dict(attack="bullseye_polytope", attacker=[experiments.profile("transfer", "quick").extractor], trials=4)
    tables = {each: experiments.grid("scratch", "quick", model=each, **how) for each in (FIRST, SECOND, "vgg(depth=11, width=8)")}
    records = {each: [invent.record(t, int(t.seed < 201 + i)) for t in table] for i, (each, table) in enumerate(tables.items())}

    def shown(*networks):
        compared = papers.compare([record for each in networks for record in records[each]], "just_how_toxic", "table25")
        return [compared.cell("BP", name).ours.value for name in ("ResNet-18", "VGG11", "Average")]

    assert shown(FIRST, SECOND) == [0.375] * 3
    assert shown(FIRST, "vgg(depth=11, width=8)") == [0.25, 0.75, 0.5]
