"""Clean-label backdoors in transfer learning: crafted on extractors that were pretrained adversarially, once for all trials; and
features of test images that victims with the same frozen extractor share.
"""

import dataclasses
import json

import pytest
import torch
from torch.nn import functional as F

from poisonlib import cli, data, experiments, models, training
from poisonlib.experiments import Extractor, Trial, crafting, networks
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.extractor import read
from poisonlib.experiments.networks import images
from poisonlib.experiments.robustness import robust_accuracy
from poisonlib.experiments.validation import validate
from poisonlib.rng import derive, stream
from poisonlib.steps.adversarial_training import AdversarialTraining, pgd
from poisonlib.tensors import to_float

CPU, EPS = torch.device("cpu"), 0.2
TARGET, OTHER = data.source("digits", size=8, skip=100, limit=60), data.source("digits", size=8, limit=200, classes=(0, 5))
MLP, RESNET = models.load("patch_mlp", side=2, width=8, units=16), models.load("cifar_resnet", depth=8, width=4)
HEAD = training.load("quick_head", epochs=6)
PLAIN = Extractor(OTHER, MLP, training.load("quick_targeted", epochs=12, batch_size=20))
FAST = AdversarialTraining(EPS, steps=1, step_size=1.25)
ROBUST = dataclasses.replace(PLAIN, step=FAST)
HOW = f"surrogate_eps={EPS}, surrogate_steps=1, surrogate_step_size=1.25, robust_extractor=True"
CRAFTED = f"clean_label_backdoor(eps={EPS}, poison_rate=0.05, size=2, steps=3, {HOW})"
CLEAN = "clean_label_backdoor(poison_rate=0, size=2)"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(networks, "_FEATURES", {})
    return tmp_path


def tiny(attack=CRAFTED, **more):
    how = dict(data=TARGET, model=MLP, recipe=HEAD, extractor=PLAIN, trials=1, first_seed=0) | more
    return experiments.grid("transfer", "quick", attack=attack, **how)


def weights(extractor):
    return networks.fetch_extractor(extractor, training.Numerics(), CPU, Cache.open())[0]


def surrogate(trial):
    (network,) = crafting.with_surrogates(trial, CPU, Cache.open()).surrogates
    return network


# the robust extractor


def test_the_surrogate_is_an_ordinary_head_on_an_adversarially_pretrained_extractor():
    (trial,), images = tiny(), data.load(TARGET)
    network, pretrained = surrogate(trial), weights(ROBUST)
    by_hand = training.train(MLP, data.load(OTHER), PLAIN.recipe, seed=derive(0, "extractor"), step=FAST)
    torch.testing.assert_close(dict(by_hand.state_dict()), pretrained)
    first = next(name for name in pretrained if name.endswith("weight"))
    assert not torch.allclose(pretrained[first], weights(PLAIN)[first], atol=1e-3)
    assert all(torch.equal(t, pretrained[name]) for name, t in network.state_dict().items() if not name.startswith("head."))
    assert not any(parameter.requires_grad for parameter in network.below_head())
    seed = derive(trial.seed, "surrogate", 0)
    fresh = networks.initial(ROBUST, images, trial.numerics, seed, Cache.open())
    torch.testing.assert_close(network.head.weight, training.train(fresh, images, HEAD, seed=seed).head.weight)


def test_its_extractor_withstands_perturbations_that_fool_an_ordinary_one():
    test, right = data.load(OTHER, "test"), []
    for extractor in (ROBUST, PLAIN):
        network = training.initialise(MLP, test, 0)
        network.load_state_dict(weights(extractor))

        def loss(x, network=network):
            return F.cross_entropy(network(x), test.labels)

        worst, _ = pgd(loss, to_float(test.images), EPS, 10, EPS / 4, stream(0))
        right.append((network(worst).argmax(1) == test.labels).float().mean().item())
        share, count = robust_accuracy(extractor, training.Numerics(), eps=EPS, steps=10)
        assert count == len(test)
        assert share == pytest.approx(right[-1], abs=0.02), "another random start may decide a few images"
    assert right[0] > right[1] + 0.1


def test_robust_accuracy_without_an_attack_is_accuracy_and_falls_with_its_budget():
    _, note = networks.fetch_extractor(ROBUST, training.Numerics(), CPU, Cache.open())
    share, count = robust_accuracy(ROBUST, training.Numerics(), eps=1e-9, steps=1)
    assert (round(share * count), share) == (round(note["accuracy"] * count), pytest.approx(note["accuracy"]))
    for limit in (1, 7, len(data.load(OTHER, "test")) - 1):  # no divisor of the number of test images
        assert robust_accuracy(ROBUST, training.Numerics(), eps=1e-9, steps=1, limit=limit)[1] == limit
    with pytest.raises(ValueError, match="limit=0: choose a whole number of at least 1"):
        robust_accuracy(ROBUST, training.Numerics(), limit=0)
    small, large = (robust_accuracy(ROBUST, training.Numerics(), eps=eps, limit=40) for eps in (EPS / 4, 3 * EPS))
    assert small[1] == large[1] == 40 and small[0] > large[0]


def test_robust_accuracy_normalises_as_the_extractor_did_whatever_its_test_images_would(monkeypatch):
    plain, load = robust_accuracy(ROBUST, training.Numerics(), eps=EPS, steps=2), images

    def otherwise(choice, split, device):
        found = load(choice, split, device)
        return dataclasses.replace(found, mean=(0.9,), std=(0.05,)) if split == "test" else found

    monkeypatch.setattr("poisonlib.experiments.robustness.images", otherwise)
    assert robust_accuracy(ROBUST, training.Numerics(), eps=EPS, steps=2) == plain


def test_it_is_pretrained_once_for_all_trials_variants_and_boxes(monkeypatch):
    made, real = [], training.train
    monkeypatch.setattr(
        training, "train", lambda model, *rest, **how: made.append((model, how.get("step"))) or real(model, *rest, **how)
    )
    black = dict(model=RESNET, extractor=dataclasses.replace(PLAIN, model=RESNET), attacker=[PLAIN])
    table = tiny([CRAFTED, CLEAN], trials=2) + tiny([CRAFTED.replace("size=2", "size=2, variant='released'"), CLEAN], **black)
    plan = experiments.plan(table)
    records = experiments.run(table, workers=0)
    assert [step for model, step in made if isinstance(model, models.Model)].count(FAST) == 1
    assert {step for model, step in made if not isinstance(model, models.Model)} == {None}, "heads are trained without it"
    assert (plan.trainings, plan.crafts) == (len(made), 3)
    assert [trial.knowledge for trial in table[::4]] == ["white box", "black box"]
    named = {record.trial.knowledge: [each.extractor for each in record.extractors] for record in records if record.poisons.count}
    how = " pretrained on digits(size=8, limit=200, classes=(0, 5)) by adversarial_training(eps=0.2, steps=1, step_size=1.25)"
    assert [names[1].endswith(how) and names[1].startswith("patch_mlp") for names in named.values()] == [True, True]
    assert experiments.plan(table).trainings == 0


def test_what_is_new_is_left_out_of_descriptions_where_it_is_not_used():
    (new,), (old,) = tiny(), tiny(f"clean_label_backdoor(eps={EPS}, poison_rate=0.05)")
    names = {"surrogate_steps", "surrogate_step_size", "robust_extractor"}
    assert names <= new.describe()["attack"].keys() and not names & old.describe()["attack"].keys()
    assert Trial.read(json.loads(json.dumps(new.describe()))) == new and "step" not in new.describe()["extractor"]
    assert read(json.loads(json.dumps(ROBUST.describe()))) == ROBUST and ROBUST.describe() != PLAIN.describe()
    assert old.extractors == (PLAIN.resolved(),) and new.extractors == (PLAIN.resolved(), ROBUST.resolved())


def test_what_no_extractor_can_be_pretrained_for_is_refused():
    with pytest.raises(ValueError, match=r"start from no extractor that adversarial_training\(.*choose the scenario transfer"):
        experiments.grid("targeted", "quick", attack=CRAFTED, trials=1)
    with pytest.raises(
        ValueError, match=r"after adversarial_training\(.*train all layers without it; choose a recipe with frozen=True"
    ):
        tiny(recipe=dataclasses.replace(HEAD, frozen=False))
    (trial,) = tiny()
    ghosts = dataclasses.replace(PLAIN, recipe=training.load(PLAIN.recipe, batch_size=20, ghost_batch=10))
    with pytest.raises(ValueError, match="ghost_batch=10: adversarial_training"):
        validate(dataclasses.replace(trial, extractor=ghosts))
    for value in ("surrogate_steps=0", "surrogate_step_size=0", "robust_extractor=1"):
        with pytest.raises(ValueError, match=value.replace("=1", "")):
            tiny(f"clean_label_backdoor({value})")


def test_pretrain_makes_it_ahead(capsys, monkeypatch):
    profile = dataclasses.replace(experiments.profile("transfer", "quick"), extractor=PLAIN)
    monkeypatch.setattr(experiments, "profile", lambda scenario, name: profile)
    assert cli.main(["pretrain", "transfer", "--model", "patch_mlp(side=2, width=8, units=16)", "--attack", CRAFTED]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [": accuracy" in line and "adversarial_training" in line for line in lines] == [False, True]
    again = ["pretrain", "transfer", "--model", "patch_mlp(side=2, width=8, units=16)", "--attack", CRAFTED]
    assert cli.main([*again, "--robustness", "30"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[::2] == lines and ["(eps 8/255, 20 steps)" in shown[1], "(eps 51/255, 20 steps)" in shown[3]] == [True, True]
    assert all(line.endswith("% of 30 images") for line in shown[1::2])
    assert cli.main([*again, "--robustness", "-1"]) == 2 and "robustness=-1" in capsys.readouterr().err
    monkeypatch.setattr(training, "train", None)
    weights(ROBUST)


# features of test images


def test_test_features_are_computed_once_for_victims_with_one_extractor(monkeypatch):
    shown, real = [], training.features
    monkeypatch.setattr(training, "features", lambda *given: shown.append(len(given[1])) or real(*given))
    other = dataclasses.replace(PLAIN, seed=1)
    table = (
        tiny(CLEAN, trials=3)
        + tiny(CLEAN, extractor=other)
        + tiny(CLEAN, model=RESNET, extractor=dataclasses.replace(PLAIN, model=RESNET))
    )
    fast = [record.evaluation for record in experiments.run(table, workers=0)]
    assert shown == [len(data.load(TARGET, "test"))] * 3, "for three extractors, not for five victims"
    monkeypatch.setattr("poisonlib.experiments.trial.test_features", lambda *_: None)
    assert [record.evaluation for record in experiments.run(table, workers=0, again=True)] == fast
    assert len({evaluation.clean for evaluation in fast[2:]}) == 3


def test_a_victim_that_trains_more_than_its_head_has_features_of_its_own():
    test = data.load(TARGET, "test")
    for recipe in (training.load("quick_targeted"), training.load(HEAD, frozen_statistics=False)):
        (trial,) = tiny(CLEAN, recipe=recipe)
        victim = networks.initial(trial.origin, data.load(TARGET), trial.numerics, 0, Cache.open())
        assert networks.test_features(trial, victim, test) is None
    (trial,) = tiny(CLEAN)
    torch.testing.assert_close(networks.test_features(trial, victim, test), training.features(victim, test.images))


def test_few_are_kept_at_a_time(monkeypatch):
    monkeypatch.setattr(networks, "MOST_FEATURES", 2)
    for seed in (0, 1, 2):
        experiments.run(tiny(CLEAN, extractor=dataclasses.replace(PLAIN, seed=seed)), workers=0)
    assert len(networks._FEATURES) == 2
