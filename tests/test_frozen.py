"""A frozen feature extractor: the head alone is trained, like a linear classifier on features."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from poisonlib import data, models, steps, training
from poisonlib.augment import pipeline
from poisonlib.rng import stream
from poisonlib.training import Numerics, Recipe

HEAD = Recipe(epochs=3, batch_size=32, lr=0.2, milestones=(2,), frozen=True)


@pytest.fixture(scope="module")
def train():
    return data.load("digits", "train", limit=150)


def settled(train):
    """A network with BatchNorm after an epoch of training."""
    network = training.initialise(models.load("cifar_resnet", depth=8, width=4, shortcut="projection"), train, 0)
    training.fit(network, train, dataclasses.replace(HEAD, epochs=1, milestones=(), frozen=False), seed=7)
    network.zero_grad()
    return network


def bytes_of(module):
    return {name: tensor.clone().contiguous().numpy().tobytes() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("step", [None, steps.load("noisy_sgd")])
@pytest.mark.parametrize("augment", ["none", "cutout", "maxup(m=2, start=1)"])
def test_the_body_stays_bit_for_bit_and_the_head_changes(train, augment, step):
    network = settled(train)
    body, head = bytes_of(network.body), bytes_of(network.head)
    assert any("running_mean" in name for name in body)
    training.fit(network, train, HEAD, seed=0, augment=pipeline(augment), step=step)
    assert bytes_of(network.body) == body
    assert all(now != head[name] for name, now in bytes_of(network.head).items())
    assert all(p.grad is None for p in network.body.parameters())


def test_requires_grad_is_restored_even_where_a_training_is_broken_off(train):
    network = settled(train)
    still = next(network.body.parameters()).requires_grad_(False)
    run = training.epochs(network, train, HEAD, seed=0)
    assert all(p.requires_grad for p in network.parameters() if p is not still)
    next(run)
    assert not any(p.requires_grad for p in network.body.parameters())
    assert all(p.requires_grad for p in network.head.parameters())
    run.close()
    assert all(p.requires_grad != (p is still) for p in network.parameters())
    training.fit(network, train, HEAD, seed=0)
    assert all(p.requires_grad != (p is still) for p in network.parameters())


def test_it_is_a_linear_classifier_on_features(train):
    """The same order, on features computed once, with the optimizer's update written out."""
    network = settled(train)
    with training.settings(Numerics()):
        features, y = training.features(network, train.images), F.one_hot(train.labels, 10).float()
        weights = [p.detach().clone() for p in network.head.parameters()]
        training.fit(network, train, HEAD, seed=3)
        velocity, order = [torch.zeros_like(w) for w in weights], stream(3, "order")
        for rate in (0.2, 0.2, 0.02):
            for at in torch.randperm(len(train), generator=order).split(32):
                if len(at) < 16:
                    continue
                wrong = ((features[at] @ weights[0].T + weights[1]).softmax(1) - y[at]) / len(at)
                for w, g, v in zip(weights, (wrong.T @ features[at], wrong.sum(0)), velocity, strict=True):
                    g = g + HEAD.weight_decay * w
                    v.mul_(0.9).add_(g)
                    w.sub_(rate * (g + 0.9 * v))
    torch.testing.assert_close(list(network.head.parameters()), weights, rtol=1e-4, atol=1e-6)
