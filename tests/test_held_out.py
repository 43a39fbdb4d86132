"""Misalignment on a network that the attacker does not have: recorded for every craft, on the clean control's own victim."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from poisonlib import attacks, data, experiments, models, paths, training
from poisonlib.attacks.gradient_matching import GradientMatching
from poisonlib.experiments import crafting, provenance
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.record import CraftReport, Record
from poisonlib.experiments.spec import digest

TINY = dict(
    data=data.source("digits", size=8, limit=100),
    model=models.load("patch_mlp", side=2, width=8),
    recipe=training.load("quick_targeted", epochs=8, batch_size=20),
)
MATCHING = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=2, eval_samples=2"
BASIC, CLEAN = MATCHING + ")", "gradient_matching(poison_rate=0.0)"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack, defence="none", **more):
    (trial,) = experiments.grid("targeted", "quick", attack=attack, defence=[defence], trials=1, **(TINY | more))
    return trial


def run(*trials):
    return experiments.run(list(trials), workers=0)


def directly(trial, network, images, goal):
    """1 - cosine of the gradient on images with the intended label and the target's; the recipe augments nothing."""
    smoothing = trial.recipe.label_smoothing

    def gradient(pixels, smoothing):
        labels = torch.full((len(pixels),), goal.intended_class)
        loss = F.cross_entropy(network(pixels.double() / 255), labels, label_smoothing=smoothing)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])

    ours, aim = gradient(images, smoothing), gradient(goal.images, 0.0)
    return 1 - (ours @ aim / (ours.norm() * aim.norm())).item()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("attack", "defence"),
    [
        (BASIC, "none"),
        (BASIC, "mixup"),
        (MATCHING + ', adaptive="surrogate")', "mixup"),
        (MATCHING + ', adaptive="augmented")', "mixup + noisy_sgd"),
    ],
)
def test_it_is_the_misalignment_on_the_victim_without_poison_and_defence(attack, defence, smoothing):
    """Whatever the attacker knows, poisons and unpoisoned images are judged on the same network and without the defence."""
    trial = tiny(attack, defence, recipe=replace(TINY["recipe"], label_smoothing=smoothing))
    (record,) = run(trial)
    poison, goal = experiments.craft(trial)
    train = data.load(trial.data, "train")
    network = training.train(trial.model, train, trial.recipe, seed=trial.seed, numerics=trial.numerics).double()
    unpoisoned = train.pixels(train.positions(poison.ids))
    expected = [directly(trial, network, images, goal) for images in (poison.images, unpoisoned)]
    assert record.craft.held_out == pytest.approx(expected, abs=2e-4)
    assert record.craft.transfer == pytest.approx(expected[0] - expected[1], abs=4e-4)
    assert len({round(value, 3) for value in (*record.craft.held_out, record.craft.objective)}) == 3


@pytest.mark.parametrize("control_first", [True, False])
def test_the_network_is_the_very_victim_of_the_clean_control(outputs, control_first):
    control, trial = tiny(CLEAN), tiny(BASIC)
    assert provenance.unpoisoned(trial) == provenance.victim(control)
    assert provenance.unpoisoned(tiny(BASIC, "mixup")) == provenance.victim(control) != provenance.victim(tiny(CLEAN, "mixup"))
    file = outputs / "models" / f"{digest(provenance.victim(control))}.safetensors"
    assert experiments.plan([control, trial]).trainings == 3, "two victims and a surrogate"
    first, second = (control, trial) if control_first else (trial, control)
    run(first)
    made = file.stat().st_mtime_ns, file.read_bytes()
    run(second)
    assert (file.stat().st_mtime_ns, file.read_bytes()) == made
    assert experiments.plan([control, trial]).trainings == 0


def test_it_comes_back_from_the_cache_and_the_record_from_its_file(outputs):
    trial = tiny(BASIC)
    (record,) = run(trial)
    (path,) = (outputs / "trials").rglob("*.json")
    assert Record.from_json(json.loads(path.read_text())) == record
    path.unlink()
    (again,) = run(trial)
    assert again.craft == record.craft and again.measured() == record.measured()
    assert isinstance(again.craft.held_out, tuple)


def test_a_misalignment_that_is_no_number_there_is_a_failure_and_no_record(monkeypatch):
    values = iter([0.5, 0.4, float("nan")])  # on the surrogate; on the held-out network, poisoned and unpoisoned
    monkeypatch.setattr(GradientMatching, "objective", lambda *_: next(values))
    with pytest.warns(UserWarning, match="on the held-out network is not a finite number"):
        found = run(tiny(BASIC))
    assert list(found) == [] and len(found.failures) == 1


def test_attacks_that_optimise_nothing_and_public_weights_have_none(outputs):
    (noise,) = run(tiny("noise(poison_rate=0.05, eps=0.2)"))
    assert noise.craft is None
    public = replace(tiny(BASIC), attack=attacks.load("gradient_matching", pretrained=True))
    known = crafting.threat_model(public, torch.device("cpu"))
    poison, goal = attacks.craft("noise(poison_rate=0.05, eps=0.2)", known, seed=0)
    assert crafting._transfer(public, known, poison, goal, Cache.open()) is None
    assert list((outputs / "models").glob("*.safetensors")) == [], "no network was trained to judge by"
    assert CraftReport((1, 1), 0.5).transfer is None


def test_records_of_older_versions_have_neither_it_nor_processor_seconds():
    """The committed records, and those same ones with what is new left out."""
    found = [json.loads(path.read_text()) for path in sorted((paths.root() / "outputs" / "reference").rglob("*.json"))]
    crafted = [content for content in found if content.get("spec") and content["result"]["craft"]][:20]
    assert crafted
    for content in crafted:
        content["result"]["craft"].pop("held_out", None)
        content["cost"].pop("processor_seconds", None)
        record = Record.from_json(content)
        assert (record.craft.held_out, record.craft.transfer, record.cost.processor_seconds) == (None, None, None)
        assert record.key == content["key"] and record.to_json()["result"]["craft"]["held_out"] is None


def test_a_trial_counts_the_processors_seconds():
    (record,) = run(tiny(CLEAN))
    cost = record.cost
    assert 0 < cost.processor_seconds < 2 * cost.seconds + 1 and math.isclose(sum(cost.stages.values()), cost.seconds, rel_tol=0.5)
