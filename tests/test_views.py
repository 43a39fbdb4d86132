"""Features of a frozen extractor are computed once for each view of an image: the same heads with fewer forward passes."""

import itertools
import sys

import pytest
import torch

from poisonlib import augment, data, models, steps, training
from poisonlib.augment import pipeline
from poisonlib.rng import stream
from poisonlib.training import Numerics, Recipe, views

HEAD = Recipe(epochs=24, batch_size=32, lr=0.1, milestones=(12,), frozen=True)


@pytest.fixture(scope="module")
def train():
    return data.load("digits", "train", size=8, limit=150)


@pytest.fixture(scope="module")
def weights(train):
    """Those of a network with BatchNorm after an epoch of training."""
    network = fresh(train)
    training.fit(network, train, Recipe(epochs=1, batch_size=32, milestones=()), seed=7)
    return network.state_dict()


def fresh(train, weights=None):
    network = training.initialise(models.load("cifar_resnet", depth=8, width=4, shortcut="projection"), train, 0)
    if weights:
        network.load_state_dict(weights)
    return network


def trained(train, weights, recipe=HEAD, **choices):
    """(the head's parameters, the other tensors, how many images the extractor was shown)."""
    network, shown = fresh(train, weights), []
    network.body.register_forward_hook(lambda _module, inputs, _output: shown.append(len(inputs[0])))
    with training.settings(Numerics()):
        training.fit(network, train, recipe, seed=3, **choices)
    return list(network.head.parameters()), network.body.state_dict(), sum(shown)


@pytest.mark.parametrize("step", [None, "noisy_sgd(noise=0.001)"])
@pytest.mark.parametrize(("ordinary", "most"), [("none", 1), ("flip", 2), ("alternating_flip", 2), ("crop(pad=1) + flip", 18)])
def test_the_same_heads_as_with_features_of_each_batch_and_no_view_twice(train, weights, monkeypatch, ordinary, most, step):
    recipe, step = training.load(HEAD, augment=ordinary), step and steps.load(step)
    head, body, shown = trained(train, weights, recipe, step=step)
    monkeypatch.setattr(sys.modules["poisonlib.training.fit"], "kept_features", lambda *_: None)
    slow_head, slow_body, slow = trained(train, weights, recipe, step=step)
    torch.testing.assert_close(head, slow_head, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(head[0], weights["head.weight"], atol=0.01), "it has learnt something"
    assert all(torch.equal(body[name], slow_body[name]) for name in body)
    assert slow == 24 * len(train) and shown <= most * len(train)
    if most <= 2:
        assert 10 * shown <= slow


@pytest.mark.parametrize(
    ("recipe", "defence", "step"),
    [
        (HEAD, "mixup", None),
        (HEAD, "gaussian(scale=0.1)", None),
        (HEAD, "none", "adversarial_training"),
        (training.load(HEAD, frozen=False), "none", None),
        (training.load(HEAD, frozen_statistics=False), "none", None),
    ],
)
def test_features_that_differ_from_epoch_to_epoch_are_not_kept(train, weights, recipe, defence, step):
    step = step and steps.load(step)
    shown = trained(train, weights, training.load(recipe, epochs=2), augment=pipeline(defence), step=step)[2]
    assert shown >= 2 * len(train)


def test_features_that_would_take_too_much_memory_are_not_kept(train, weights, monkeypatch):
    kept = trained(train, weights, training.load(HEAD, epochs=2))
    bytes_of_features = len(train) * 16 * 4
    monkeypatch.setattr(views, "MOST", bytes_of_features)
    assert trained(train, weights, training.load(HEAD, epochs=2))[2] == kept[2] == len(train)
    monkeypatch.setattr(views, "MOST", bytes_of_features - 1)
    assert trained(train, weights, training.load(HEAD, epochs=2))[2] == 2 * len(train)


def test_a_module_of_ones_own_is_asked_for_its_logits(train):
    network = models.Wrapped(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), "", train.mean, train.std)
    assert views.kept_features(network, train, HEAD, pipeline("none"), None, Numerics()) is None


def test_batch_statistics_move_where_the_recipe_says_so_and_weights_do_not(train, weights):
    _, body, _ = trained(train, weights, training.load(HEAD, epochs=1, frozen_statistics=False))
    for name, tensor in body.items():
        moved = not torch.equal(tensor, weights[f"body.{name}"])
        assert moved == ("running" in name or "num_batches" in name), name
    with pytest.raises(ValueError, match="an extractor that trains always uses batch statistics"):
        training.load(HEAD, frozen=False, frozen_statistics=False)


@pytest.mark.parametrize("parts", ["flip", "crop(pad=1)", "crop(pad=1, border='reflect')", "flip + crop(pad=1)"])
def test_views_are_numbered_by_what_they_show(parts):
    """Every number from 0 stands for one picture, and for one only."""
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).expand(400, 1, 4, 4)
    chosen = pipeline(parts)
    params = chosen.sample_params(400, (1, 4, 4), torch.Generator().manual_seed(1))
    seen, _ = chosen.apply(x, torch.zeros(400, 2), params)
    number = chosen.view(params, (1, 4, 4))
    assert sorted(number.unique().tolist()) == list(range(chosen.views((1, 4, 4))))
    for i, j in itertools.combinations(range(0, 400, 9), 2):
        assert torch.equal(seen[i], seen[j]) == bool(number[i] == number[j])


def test_windows_are_numbered_row_by_row():
    chosen = augment.load("crop", pad=2)
    params = chosen.sample_params(40, (1, 4, 4), stream(0))
    assert torch.equal(chosen.view(params), params["corner"] @ torch.tensor([5, 1]))


def test_only_what_chooses_among_views_of_one_image_counts_them():
    finite = {name for name in augment.names() if augment.load(name).views((1, 16, 16)) is not None}
    assert finite == {"flip", "alternating_flip", "crop"}
    assert pipeline("flip + mixup").views((1, 16, 16)) is None and pipeline("none").views((1, 16, 16)) == 1
