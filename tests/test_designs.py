"""Designs: an attack's baseline with named changes, the trials of a table's cells, and sentences across tables."""

import dataclasses

import pytest
import torch

from poisonlib import attacks, data, experiments, models, papers, registry, training
from poisonlib.attacks import ThreatModel
from poisonlib.experiments.designs import unpoisoned
from poisonlib.experiments.profiles import as_planned
from poisonlib.papers import designs
from poisonlib.papers.belonging import belongs
from poisonlib.papers.together import together

from . import invent

TOXIC = papers.load("just_how_toxic")
DESIGNED = [claim for paper in papers.names() for claim in papers.load(paper).claims() if designs.designed(claim)]
ABLATION = ("table4", "table8", "table12")


@pytest.fixture(scope="module")
def threat_model():
    train, test = data.load("digits", limit=200), data.load("digits", "test", limit=200)
    return ThreatModel(train, test, (training.initialise(models.load("patch_mlp"), train, 0),))


def only(*given, **how):
    (trial,) = experiments.design("quick", *given, trials=1, **how)
    return trial


class TestADesign:
    def test_changes_what_it_names_and_leaves_the_rest_of_the_baseline(self):
        base, small = only("feature_collision"), only("feature_collision", ["eps 8"])
        assert registry.describe(small.attack) == registry.describe(base.attack) | {"norm": "linf", "eps": 32 / 255}
        assert dataclasses.replace(small, attack=base.attack) == base
        pretrained = only("feature_collision", ["disjoint"])
        assert pretrained.extractor.data.classes == (0, 5) and pretrained.extractor.model == pretrained.model != base.model
        assert (pretrained.recipe, pretrained.attack, pretrained.data) == (base.recipe, base.attack, base.data)

    def test_applies_changes_in_their_order(self):
        both = only("feature_collision", ["benchmark", "budget 250"]), only("feature_collision", ["budget 250", "benchmark"])
        assert [trial.attack.poison_rate for trial in both] == [0.066, 0.033]
        boxes = only("feature_collision", ["benchmark", "other network"]), only("feature_collision", ["benchmark", "ensemble"])
        assert [trial.knowledge for trial in boxes] == ["black box", "white box"]
        assert [len(trial.attacker) for trial in boxes] == [1, 2]

    def test_is_from_scratch_where_it_has_no_extractor(self):
        assert only("clean_label_backdoor").extractor is None
        assert only("clean_label_backdoor", ["disjoint"]).recipe.frozen

    def test_has_a_clean_control_with_the_same_goals(self, threat_model):
        for changes in ([], ["flipped target"], ["class pair"]):
            trial, clean = (only("feature_collision", changes, clean=clean) for clean in (False, True))
            assert clean.attack.clean and not trial.attack.clean
            assert dataclasses.replace(clean, attack=trial.attack, attacker=trial.attacker) == trial
            goals = [attack.craft(threat_model, 5)[1] for attack in (trial.attack, clean.attack)]
            assert torch.equal(goals[0].images, goals[1].images)

    def test_that_the_profile_lacks_is_an_error_that_lists_the_changes(self):
        with pytest.raises(LookupError, match=r"the profile quick has no 'eps 9' of feature_collision; it has: baseline, Adam"):
            only("feature_collision", ["eps 9"])
        with pytest.raises(LookupError, match="has no 'class pair' of hidden_trigger"):
            only("hidden_trigger", ["class pair"])

    def test_is_planned_at_the_numbers_of_its_profile(self):
        trial, scale = only("convex_polytope", ["disjoint"]), experiments.profile("ablation", "quick")
        for count in (scale.trials, scale.few, scale.kept):
            assert as_planned(trial, range(scale.first_seed, scale.first_seed + count))
        assert not as_planned(trial, range(scale.first_seed, scale.first_seed + scale.kept + 1))
        other = dataclasses.replace(trial, recipe=training.load("quick_head", lr=0.5))
        assert not as_planned(other, range(scale.first_seed, scale.first_seed + scale.kept))


@pytest.mark.parametrize("profile", experiments.profiles("ablation"))
def test_every_cell_that_a_profile_has_a_design_for_takes_its_own_trials_and_no_others(profile):
    """But for cells that are the same design, as the black box of a backdoor and its baseline."""
    table = {}
    for claim in DESIGNED:
        for trial in designs._trials(claim, profile, 1):
            table.setdefault(trial, []).append(claim)
    assert len(table) > 80
    for trial, mine in list(table.items())[::5]:
        assert mine == [claim for claim in DESIGNED if belongs(trial, claim)]
        assert {changes for claim in mine for changes in designs.changes(claim)} <= set(
            experiments.profile("ablation", profile).changes
        )


def test_the_trials_of_tables_are_their_cells_and_one_control_for_each_goal():
    every = papers.trials("just_how_toxic", ["table4", "table8"], "quick", 2)
    clean = [trial for trial in every if trial.attack.clean]
    assert (len(every), len(clean)) == (2 * 12, 2 * 4), "eps changes no goal"
    assert len(papers.trials("just_how_toxic", ["table15"], "quick", 1)) == 2 * 4, "the size of the trigger does"
    (fc,) = papers.trials("just_how_toxic", ["table4"], "quick", 1, rows="FC", controls=False)
    assert fc == only("feature_collision")
    rows = papers.trials("just_how_toxic", ["table22"], "quick", 1, rows="FC / 50; CP*250", controls=False)
    assert len(rows) == 6, "three rows, in the white and the black box"
    with pytest.raises(LookupError, match="rows: no XY; choose from: FC, CP, CLBD, HTBD"):
        papers.trials("just_how_toxic", ["table4"], "quick", rows="FC; XY")
    with pytest.raises(LookupError, match="the profile quick has no design of table2"):
        papers.trials("just_how_toxic", ["table2"], "quick")


def test_the_benchmarks_design_at_its_own_size_is_the_very_trial_of_the_scenario_transfer():
    for attack in ("feature_collision", "convex_polytope"):
        (trial,) = experiments.grid("transfer", "quick", attack=attack, trials=1)
        assert only(attack, ["benchmark", "25 poisons"]) == trial


def records(rates):
    """Twenty trials of each design of three tables with invented outcomes: ``rates[table]`` of them, in the order of seeds, hit."""
    made = {}
    for table in ABLATION:
        for trial in papers.trials("just_how_toxic", [table], "quick", 20):
            made.setdefault(trial, invent.record(trial, int(not trial.attack.clean and trial.seed < 200 + rates[table])))
    return list(made.values())


RATES = {"table4": 18, "table8": 4, "table12": 0}


class TestTablesThatStandTogether:
    def test_have_all_cells_under_names_that_tell_them_apart(self):
        compared = papers.compare(records(RATES), "just_how_toxic", ABLATION)
        assert compared.table.place == "Tables 4, 8, 12" and compared.rows == ("FC", "CP", "CLBD", "HTBD")
        for table, rate in RATES.items():
            cell = compared.cell("FC", f"Table {table[5:]}")
            assert cell.ours.value == rate / 20 and cell.chance.value == 0
            assert cell.claim.value == TOXIC.claim(table, "FC", "Success Rate (%)").value
            assert cell.trials.planned
        assert together(TOXIC, ["table15"]) == TOXIC.table("table15")
        assert [c.name for c in together(TOXIC, ["table4", "table15"]).columns][:2] == ["Table 4", "Table 15: 3 × 3"]

    def test_have_their_sentences_tested_in_the_papers_pattern_and_in_its_opposite(self):
        compared = papers.compare(records(RATES), "just_how_toxic", ABLATION)
        words = {finding.id: said.word for finding, said in compared.findings}
        assert words["fc-falls-at-eps-8"] == words["fc-falls-in-black-box"] == "holds"
        alone = papers.compare(records(RATES), "just_how_toxic", "table12")
        assert alone.word("fc-below-20-in-black-box") == "holds"
        opposite = papers.compare(records({"table4": 4, "table8": 18, "table12": 17}), "just_how_toxic", ABLATION)
        words = {finding.id: said.word for finding, said in opposite.findings}
        assert words["fc-falls-at-eps-8"] == words["fc-falls-in-black-box"] == words["fc-below-20-in-black-box"] == "contradicted"

    def test_nothing_is_said_of_two_attacks_neither_of_which_succeeds(self):
        compared = papers.compare(records({"table4": 1, "table8": 0, "table12": 0}), "just_how_toxic", ABLATION)
        assert compared.word("fc-falls-at-eps-8") == "not tested"
        (bound,) = (said for finding, said in compared.findings if finding.id == "fc-below-20-in-black-box")
        assert bound.word == "undecided" and bound.p == pytest.approx(0.8**20), "a bound alone asks for no attack"

    def test_keep_the_evidence_on_a_sentence_with_one_cell_or_two(self, tmp_path, monkeypatch):
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
        made = records(RATES)
        compared = papers.compare(made, "just_how_toxic", ABLATION)
        compared.save("one", made)
        folder = tmp_path / "claims" / "just_how_toxic"
        assert {path.stem for path in folder.iterdir()} == {finding.id for finding, _ in compared.findings}
        text = (folder / "fc-below-20-in-black-box.json").read_text()
        assert '"printed": "4.00 ± 5.00"' in text and '"bound": 0.2' in text
        checked = dict(zip((f.id for f, _ in compared.findings), compared.findings_frame()["checked"], strict=True))
        assert checked["fc-falls-at-eps-8"] == "FC / Success Rate (%) (table 8) < FC / Success Rate (%) (table 4)"
        assert checked["fc-below-20-in-black-box"] == "FC / Success Rate (%) < 0.2"


class TestGoals:
    def test_a_flipped_target_is_the_mirror_image_of_the_one_that_the_poisons_were_made_for(self, threat_model):
        inner = "feature_collision(poison_rate=0.03, steps=5)"
        attack = attacks.load("flipped_target", inner=inner)
        (poison, goal), (own, aim) = (attacks.craft(each, threat_model, seed=3) for each in (attack, inner))
        assert poison.digest == own.digest and not torch.equal(goal.images, aim.images)
        width = goal.images.shape[-1]
        assert all(torch.equal(goal.images[..., x], aim.images[..., width - 1 - x]) for x in range(width))
        assert (goal.intended_class, goal.ids.tolist()) == (aim.intended_class, aim.ids.tolist())
        known = attacks.load(inner).objective(threat_model, own, aim, 3)
        assert attack.objective(threat_model, poison, goal, 3) == known
        assert unpoisoned(attack).clean and attack.bound == attacks.load(inner).bound

    def test_a_flipped_target_wants_an_attack_that_flips_nothing_and_knows_no_defence(self):
        with pytest.raises(ValueError, match="choose an attack other than flipped_target"):
            attacks.load("flipped_target", inner="flipped_target")
        with pytest.raises(ValueError, match="adaptive='surrogate'"):
            attacks.load("flipped_target", inner="gradient_matching(adaptive='surrogate')")

    def test_a_pair_fixes_both_classes_and_leaves_all_other_draws(self, threat_model):
        train = threat_model.train
        for seed in range(3):
            poison, goal = attacks.load("noise", poison_rate=0.03, pair=(3, 8)).craft(threat_model, seed)
            assert goal.intended_class == 8 and goal.labels.tolist() == [3]
            assert train.labels[train.positions(poison.ids)].tolist() == [8] * len(poison)
        drawn = attacks.load("noise", poison_rate=0.03).craft(threat_model, 0)[1]
        pair = (int(drawn.labels[0]), drawn.intended_class)
        assert torch.equal(attacks.load("noise", poison_rate=0.03, pair=pair).craft(threat_model, 0)[1].images, drawn.images)
        assert "pair" not in registry.describe(attacks.load("noise"))

    @pytest.mark.parametrize(("pair", "says"), [((3, 3), "two different classes"), ((-1, 3), "two different")])
    def test_a_pair_that_is_none_is_refused(self, pair, says):
        with pytest.raises(ValueError, match=says):
            attacks.load("noise", pair=pair)

    def test_a_pair_of_classes_that_the_data_lack_is_refused(self, threat_model):
        with pytest.raises(ValueError, match=r"pair=\(3, 10\): the data have the classes 0 to 9"):
            attacks.load("noise", pair=(3, 10)).validate(threat_model)

    def test_a_checkerboard_is_the_same_for_every_seed_and_no_two_neighbours_are_alike(self, threat_model):
        attack = attacks.load("hidden_trigger", size=5, pattern="checkerboard")
        trigger = attack.trigger(threat_model.train, 0)
        assert torch.equal(trigger, attack.trigger(threat_model.train, 1)) and trigger.shape == (1, 5, 5)
        assert trigger[0, 0, 0] == trigger[0, 4, 4] == 255
        assert (trigger[0, 1:] != trigger[0, :-1]).all() and (trigger[0, :, 1:] != trigger[0, :, :-1]).all()
        assert set(trigger.unique().tolist()) == {0, 255}
        with pytest.raises(ValueError, match="pattern='dots': choose one of 'random', 'checkerboard'"):
            attacks.load("hidden_trigger", pattern="dots")
