"""A rehearsal of CUDA on a machine without it: whole trials on a device made of CPU memory give the CPU's records.

See `tests.rehearsal.device` for what is noticed there, and ``python -m tests.on_cuda`` for the same trials on a real GPU.
"""

import pytest
import torch

from poisonlib import data, models, steps, training
from poisonlib.augment import pipeline
from poisonlib.experiments import Trial
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.trial import run_trial
from poisonlib.training import Numerics

from .rehearsal.stage import fit, rehearsal, strict_loops
from .rehearsal.trials import MATCHING, Plain, cell, recipe, trials

TRIALS = trials()
SECOND = "cuda:1"  # not the device that is taken where none is named


def record(trial: Trial, device: str, folder):
    """The record of a trial in an output folder of its own."""
    return run_trial(trial, torch.device(device), Cache(folder / device.replace(":", "") / "models"))


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_on_the_device_gives_the_record_of_the_cpu(name, tmp_path):
    here = record(TRIALS[name], "cpu", tmp_path)
    with rehearsal() as mode, strict_loops(mode) as loops:
        there = record(TRIALS[name], SECOND, tmp_path)
    assert there.measured() == here.measured()
    assert loops, "a trial without an epoch or a craft would prove nothing"


BESIDE = {
    "a filter": cell(defence="deep_knn"),
    "clean images to mix with": cell(MATCHING[:-1] + ", adaptive='augmented')", "mixup(k=4)", recipe=recipe(epochs=1)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_images_that_do_not_fit_stay_beside_the_device_and_change_nothing(name, tmp_path, monkeypatch):
    seen, fetched = [], fit.fetched
    monkeypatch.setattr(fit, "fetched", lambda train, batches: seen.append(train) or fetched(train, batches))
    here = record(BESIDE[name], "cpu", tmp_path)
    assert all(train.resident for train in seen)
    seen.clear()
    with rehearsal(free=100_000) as mode, strict_loops(mode):
        there = record(BESIDE[name], SECOND, tmp_path)
    assert there.measured() == here.measured()
    assert seen and not any(train.resident for train in seen), "with and without the images that a filter removed"


GRAPHS = {
    "cutmix": ("cifar_resnet(depth=8, width=4)", "cutmix", None, {}),
    "mixup and noise": ("convnet_gap(width=4)", "mixup + laplace", None, {}),
    "maxup": ("cifar_resnet(depth=8, width=4)", "maxup(m=2, start=1)", None, {}),
    "noisy_sgd": ("cifar_resnet(depth=8, width=4)", "none", "noisy_sgd", {}),
    "dropout": (models.from_module(Plain), "none", None, {}),
    "a rate for each step": ("airbench(width=8)", "none", None, {"recipe": "airbench_muon", "ghost_batch": 16, "lookahead": 2}),
}


def fitted(model, defence, step, changes, graph: bool, beside: bool = False):
    """(bytes of the weights, losses) after two epochs on the second device."""
    size = 16 if "airbench" in str(model) else 12
    train = data.load("digits", size=size, channels=3, limit=48)
    train = train.beside(SECOND) if beside else train.to(SECOND)
    with torch.cuda.device(SECOND), training.settings(Numerics()):
        network = training.initialise(model, train, 3)
        how = dict(augment=pipeline(defence), step=step and steps.load(step), numerics=Numerics(graph=graph))
        losses = training.fit(network, train, recipe(**{"name": "quick"} | _named(changes)), seed=5, **how)
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}, losses


def _named(changes: dict) -> dict:
    return {"name" if key == "recipe" else key: value for key, value in changes.items()}


def same(one, other) -> bool:
    return all(torch.equal(one[0][name], other[0][name]) for name in one[0]) and torch.equal(one[1], other[1])


@pytest.mark.parametrize("name", GRAPHS)
def test_a_captured_step_that_is_replayed_gives_the_bits_of_the_eager_one(name):
    with rehearsal() as mode, torch.cuda.device(SECOND):
        eager = fitted(*GRAPHS[name], graph=False)
        with strict_loops(mode):
            graph = fitted(*GRAPHS[name], graph=True)
            beside = fitted(*GRAPHS[name], graph=True, beside=True)
    assert same(eager, graph) and same(eager, beside)
