"""Transfer learning: extractors that are pretrained once, victims that start from them, and what attackers know of them."""

import dataclasses
import json
import sys

import pytest
import torch

from poisonlib import cli, data, experiments, files, models, papers, training
from poisonlib.experiments import Extractor, Ledger, Record, Trial, crafting, networks, provenance
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.extractor import describe

from . import invent

CPU = torch.device("cpu")
TARGET, OTHER = data.source("digits", size=8, skip=100, limit=60), data.source("digits", size=8, limit=80, classes=(0, 5))
MLP, RESNET = models.load("patch_mlp", side=2, width=8, units=16), models.load("cifar_resnet", depth=8, width=4)
HEAD = training.load("quick_head", epochs=6)
BEFORE = Extractor(OTHER, MLP, training.load("quick_targeted", epochs=6))
MATCHING = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=1, eval_samples=2"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack="noise(poison_rate=0.05)", defence="none", **more):
    how = dict(data=TARGET, model=MLP, recipe=HEAD, extractor=BEFORE) | more
    return experiments.grid("transfer", "quick", attack=attack, defence=defence, **(dict(trials=1, first_seed=0) | how))


def kept(extractor):
    return networks.fetch_extractor(extractor, training.Numerics(), CPU, Cache.open())


def victim(trial):
    """The network of a clean control, from the cache."""
    train = data.load(trial.data)
    return networks.fetch_network(trial, train, trial.defence, trial.seed, Cache.open(), provenance.victim(trial))


@pytest.mark.parametrize("model", [MLP, RESNET])
def test_a_frozen_victim_is_the_extractor_with_a_head_of_its_own(model):
    before = dataclasses.replace(BEFORE, model=model)
    (trial,) = tiny("noise(poison_rate=0)", model=model, extractor=before)
    experiments.run([trial], workers=0)
    (weights, note), network = kept(before), victim(trial)
    after = network.state_dict()
    assert all(torch.equal(after[name], weights[name]) for name in weights if not name.startswith("head."))
    assert after["head.weight"].shape[0] == 10 and weights["head.weight"].shape[0] == 5
    own, others = data.load(TARGET), data.load(OTHER)
    assert torch.equal(network.mean.flatten(), torch.tensor(others.mean)) and note["mean"] == list(others.mean)
    pretrained = training.initialise(model, others, 0)
    pretrained.load_state_dict(weights)
    torch.testing.assert_close(training.features(network, own.images), training.features(pretrained, own.images))


def test_fine_tuning_starts_from_the_extractor_and_moves_all_of_it():
    recipe = training.load("quick_targeted", epochs=1, lr=1e-4, weight_decay=0.0)
    (trial,) = tiny("noise(poison_rate=0)", recipe=recipe)
    experiments.run([trial], workers=0)
    weights, after = kept(BEFORE)[0], victim(trial).state_dict()
    for name in weights:
        if not name.startswith("head."):
            assert not torch.equal(after[name], weights[name])
            torch.testing.assert_close(after[name], weights[name], rtol=0, atol=1e-2)


def test_an_extractor_is_pretrained_once_whatever_uses_it(monkeypatch):
    made, real = [], training.train
    monkeypatch.setattr(training, "train", lambda model, *rest, **how: made.append(model) or real(model, *rest, **how))
    table = tiny([MATCHING + ")", "noise(poison_rate=0)"], ["none", "mixup", "spectral_signatures"], trials=2)
    plan = experiments.plan(table)
    records = experiments.run(table, workers=0)
    assert sum(isinstance(model, models.Model) for model in made) == 1, "all others go on from a network"
    assert (plan.trainings, plan.crafts) == (len(made), 2)
    assert {each for record in records for each in record.extractors} == {records[0].extractors[0]}
    assert experiments.plan(table).trainings == 0


def test_it_is_kept_with_the_digest_of_its_weights_and_its_accuracy(outputs):
    weights, note = kept(BEFORE)
    (file,) = outputs.glob("models/*.safetensors")
    assert note["digest"] == files.content_digest(files.read_tensors(file)[0], {})
    network = training.initialise(MLP, data.load(OTHER), 0)
    network.load_state_dict(weights)
    test = data.load(OTHER, "test")
    assert note["accuracy"] == (training.logits(network, test.images).argmax(1) == test.labels).double().mean().item()
    digests = [kept(dataclasses.replace(BEFORE, **change))[1]["digest"] for change in ({"seed": 1}, {"model": RESNET})]
    assert len({note["digest"], *digests}) == 3


def surrogates(trial):
    return crafting.with_surrogates(trial, CPU, Cache.open()).surrogates


def body_of(network):
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")}


def test_white_grey_and_black_boxes():
    attack = MATCHING + ", ensemble=2)"
    white, grey = (tiny(MATCHING + ")", attacker=box)[0] for box in ("white box", "grey box"))
    (black,) = tiny(attack, attacker=[RESNET, "convnet(width=4)"])
    (both,) = tiny(attack, attacker=[RESNET, MLP])
    assert [trial.knowledge for trial in (white, grey, black, both)] == ["white box", "grey box", "black box", "white box"]
    again = dataclasses.replace(BEFORE, seed=1)
    origins = [[BEFORE], [again], [dataclasses.replace(BEFORE, model=model) for model in (RESNET, models.load("convnet", width=4))]]
    for trial, wanted in zip((white, grey, black), origins, strict=True):
        for network, origin in zip(surrogates(trial), wanted, strict=True):
            body, weights = body_of(network), kept(origin)[0]
            assert all(torch.equal(body[name], weights[name]) for name in body)
            assert not any(parameter.requires_grad for parameter in network.below_head())
    assert white.attacker == () and tiny(MATCHING + ")", attacker=[MLP]) == [white], "what the victim has is not said twice"
    assert len({digest for trial in (white, grey, black) for digest in [json.dumps(provenance.craft(trial))]}) == 3


def test_from_scratch_an_attacker_may_have_other_architectures():
    scratch = dict(data=TARGET, model=MLP, recipe=training.load("quick_targeted", epochs=1), trials=1)
    trials = [experiments.grid("targeted", "quick", attack=MATCHING + ")", attacker=a, **scratch)[0] for a in ((), [RESNET])]
    assert [trial.knowledge for trial in trials] == ["grey box", "black box"]
    (network,) = surrogates(trials[1])
    assert body_of(network).keys() == body_of(training.initialise(RESNET, data.load(TARGET), 0)).keys()
    assert provenance.victim(trials[0]) != provenance.victim(trials[1]), "other surrogates craft other poisons"
    assert provenance.unpoisoned(trials[0]) == provenance.unpoisoned(trials[1])
    assert all(experiments.run(trials, workers=0))


def test_descriptions_come_back_and_those_of_other_scenarios_have_no_new_names():
    every = tiny([MATCHING + ", ensemble=2)"], attacker=[RESNET, MLP]) + tiny()
    every += experiments.grid("targeted", "quick", attack=MATCHING + ")", attacker=[RESNET], trials=1)
    for trial in every:
        assert Trial.read(json.loads(json.dumps(trial.describe()))) == trial
    assert len({trial.key for trial in every}) == 3
    (plain,) = experiments.grid("targeted", "quick", attack="noise", trials=1)
    assert plain.describe().keys() == {"data", "model", "recipe", "attack", "defence", "numerics", "seed"}
    assert plain.describe()["data"] == {"name": "digits", "size": 16, "channels": 1, "train": 1400, "limit": 400}
    assert describe(MLP) == {"name": "patch_mlp", "normalise": True, "side": 2, "width": 8, "units": 16}


def test_a_record_names_the_extractors_and_their_data(outputs):
    (record,) = experiments.run(tiny(MATCHING + ")", attacker=[RESNET]), workers=0)
    assert [each.extractor.split("(")[0] for each in record.extractors] == ["patch_mlp", "cifar_resnet"]
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.data["digits(size=8, limit=80, classes=(0, 5))"] == data.load(OTHER).fingerprint
    assert Ledger.open().get(record.trial) == record and provenance.staleness(record, record.trial) == ""


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"extractor": dataclasses.replace(BEFORE, model=RESNET)}, "the victim is patch_mlp.*choose one architecture"),
        ({"extractor": dataclasses.replace(BEFORE, recipe=HEAD)}, "would leave its random weights"),
        ({"extractor": None}, "has random weights; choose the scenario transfer"),
        ({"extractor": None, "recipe": "quick_targeted", "attacker": "white box"}, "nobody has the victim's weights"),
        ({"attacker": "glass box"}, "attacker='glass box': choose 'white box', 'grey box'"),
        ({"attacker": ["resnet9"]}, "no 'resnet9'"),
        ({"attack": MATCHING + ")", "attacker": [RESNET, MLP]}, "has 2 networks, and .* uses 1 of them; choose ensemble=2"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(how, says):
    with pytest.raises((ValueError, LookupError), match=says):
        tiny(**how)


def test_the_benchmarks_columns_have_the_trials_of_their_scenario_each_beside_its_clean_controls():
    attack, clean = "bullseye_polytope", "bullseye_polytope(poison_rate=0)"
    white, black = {}, dict(model=RESNET, attacker=[MLP])
    grids = [
        experiments.grid("transfer", "quick", attack=each, trials=4, **how) for how in (white, black) for each in (attack, clean)
    ]
    grids.append(experiments.grid("transfer", "quick", attack=attack, attacker="grey box", trials=4))
    grids.append(experiments.grid("targeted", "quick", attack=attack, trials=4))
    hits = [3, 0, 1, 0, 4, 2]
    records = [invent.record(t, int(i < k)) for grid, k in zip(grids, hits, strict=True) for i, t in enumerate(grid)]
    compared = papers.compare(records, "just_how_toxic", "table2")
    found = {column: compared.cell("BP", f"CIFAR-10 / {column}") for column in ("Transfer / WB", "Transfer / BB", "From Scratch")}
    assert [cell.ours.value for cell in found.values()] == [0.75, 0.25, 0.5]
    assert [cell.chance and cell.chance.value for cell in found.values()] == [0.0, 0.0, None]
    assert not any(cell.same_setting for cell in found.values())


def test_an_attack_without_networks_has_no_attacker():
    (trial,) = tiny(attacker="grey box")
    assert trial.attacker == () and trial == tiny()[0]
    with pytest.raises(ValueError, match="uses no network"):
        experiments.validation.validate(dataclasses.replace(trial, attacker=(BEFORE,)))


def test_images_of_another_size_are_refused_before_any_training(monkeypatch):
    monkeypatch.setattr(sys.modules["poisonlib.experiments.attempt"], "run_trial", None)
    other = dataclasses.replace(BEFORE, data=data.source("digits", limit=80))
    with pytest.raises(ValueError, match=r"it saw images \(1, 16, 16\), and the training images are \(1, 8, 8\)"):
        experiments.run(tiny(extractor=other), workers=0)


def test_profiles_pretrain_on_other_images_than_victims_train_on():
    profile = experiments.profile("transfer", "quick")
    own, before = data.load(profile.data), data.load(profile.extractor.data)
    assert not set(own.ids.tolist()) & set(before.ids.tolist()) and len(own) == 300
    assert before.classes == tuple("01234") and int(before.labels.max()) == 4
    assert profile.recipe.frozen and not profile.extractor.recipe.frozen


def test_digits_can_be_split_into_disjoint_sets():
    whole = data.load("digits", "train")
    first, second = data.load("digits", "train", limit=700), data.load("digits", "train", skip=700)
    assert torch.equal(torch.cat([first.ids, second.ids]), whole.ids)
    high = data.load("digits", "test", classes=(7, 10))
    every = data.load("digits", "test")
    assert torch.equal(high.ids, every.ids[every.labels >= 7]) and high.classes == ("7", "8", "9")
    assert torch.equal(high.labels, every.labels[every.labels >= 7] - 7)
    for wrong in ({"classes": (3, 3)}, {"classes": (0, 11)}, {"skip": 1400}, {"skip": 1000, "limit": 500}):
        with pytest.raises(ValueError, match=next(iter(set(wrong) & {"classes", "limit"}), "skip")):
            data.source("digits", **wrong)


def test_pretrain_makes_extractors_ahead(capsys, monkeypatch):
    profile = dataclasses.replace(experiments.profile("transfer", "quick"), extractor=BEFORE)
    monkeypatch.setattr(experiments, "profile", lambda scenario, name: profile)
    assert cli.main(["pretrain", "transfer", "--model", "patch_mlp(side=2, width=8, units=16)", "--starts", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].endswith("start 1") for line in lines] == [False, True]
    assert f"digest {kept(BEFORE)[1]['digest']}" in lines[0]
    assert experiments.plan(tiny()).trainings == 1, "the victim alone"
    monkeypatch.undo()
    assert cli.main(["pretrain", "targeted"]) == 2
    assert "trains from scratch; it has no extractor" in capsys.readouterr().err
