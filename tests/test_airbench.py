"""Airbench's network: whitening, starts, head and normalisation, and what neither training nor crafting may change."""

import copy
import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from poisonlib import data, models, training
from poisonlib.attacks import ThreatModel
from poisonlib.attacks.gradient_matching import GradientMatching, Matching, misalignment
from poisonlib.data import Poison
from poisonlib.models import airbench
from poisonlib.models.airbench import EPS, whitening
from poisonlib.rng import stream
from poisonlib.tensors import to_float
from poisonlib.training import Numerics

NET = models.load("airbench", width=4)
RECIPE = training.load("airbench_muon", epochs=2, batch_size=60, ghost_batch=20, lr_bias=3.0, lr_head=40.0)


def colourful(split, n):
    """Digits with noise of all colours, so that every patch varies in every direction."""
    images = data.load("digits", split, size=16, channels=3, limit=n)
    noise = torch.randint(64, images.images.shape, generator=stream(0, split), dtype=torch.uint8)
    return dataclasses.replace(images, images=images.images // 2 + noise)


@pytest.fixture(scope="module")
def train():
    return colourful("train", 150)


def bytes_of(tensors):
    return [tensor.detach().contiguous().numpy().tobytes() for tensor in tensors]


# Whitening


def patches(images):
    """All 2 x 2 patches of images (n, c, h, w), one a row, gathered by loops over positions."""
    rows, columns = images.shape[2] - 1, images.shape[3] - 1
    return torch.cat([images[:, :, i : i + 2, j : j + 2].flatten(1) for i in range(rows) for j in range(columns)])


def test_whitened_patches_have_covariance_one_where_the_floor_does_not_matter():
    mixing = torch.randn(3, 3, generator=stream(0))
    images = torch.einsum("ab,nbhw->nahw", mixing, torch.randn(40, 3, 9, 7, generator=stream(1)))
    images[:, 2] = images[:, 0]  # patches have no variance in four directions
    filters = whitening(images)
    assert filters.shape == (12, 3, 2, 2)
    whitened = patches(images).double() @ filters.flatten(1).double().T
    moment = whitened.T @ whitened / len(whitened)
    powers = torch.linalg.eigvalsh(patches(images).double().T @ patches(images).double() / len(whitened))
    torch.testing.assert_close(moment, (powers / (powers + EPS)).diag(), rtol=0, atol=1e-3)
    assert moment.diag()[4:].min() > 0.99 and moment.diag()[:4].max() < 0.01


def test_images_are_read_part_by_part_with_the_same_result():
    images = torch.rand(1100, 1, 6, 5, generator=stream(0))
    rows = patches(images).double()
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    expected = (vectors / (values + EPS).sqrt()).T
    found = whitening(images).flatten(1).double()
    torch.testing.assert_close((found * expected).sum(1).abs(), expected.square().sum(1), rtol=1e-3, atol=0)


def test_the_first_layer_whitens_the_victims_own_normalised_images_and_its_negative(train):
    network = training.initialise(NET, train, 0)
    weight = network.body[0].weight
    assert torch.equal(weight[12:], -weight[:12])
    torch.testing.assert_close(weight[:12], whitening(network.normalised(to_float(train.images))))
    other = training.initialise(NET, train, 1)
    assert torch.equal(other.body[0].weight, weight) and not torch.equal(other.body[0].bias, network.body[0].bias)
    ids = train.ids.sort().values[:30]
    dark = Poison(ids, train.pixels(train.positions(ids)) // 4)
    poisoned = training.initialise(NET, train.with_poison(dark), 0)
    assert not torch.allclose(poisoned.body[0].weight.abs(), weight.abs(), rtol=1e-3, atol=1e-3)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, poisoned.state_dict()[name]) == (name != "body.0.weight"), name


def test_of_many_images_as_many_as_it_says_are_used_evenly(train, monkeypatch):
    monkeypatch.setattr(airbench, "SAMPLE", 40)
    network = training.initialise(NET, train, 0)
    some = network.normalised(to_float(train.images[::3][:40]))
    torch.testing.assert_close(network.body[0].weight[:12], whitening(some))


def test_other_architectures_start_alike_whatever_the_images(train):
    model = models.load("cifar_resnet", depth=8, width=4, shortcut="projection")
    darker = dataclasses.replace(train, images=train.images // 2)
    first, second = (training.initialise(model, images, 0).state_dict() for images in (train, darker))
    assert all(torch.equal(first[name], second[name]) for name in first)


# The network


def convolutions(network):
    return [module for module in network.body if isinstance(module, nn.Conv2d)][1:]


def test_the_first_filters_of_each_convolution_pass_their_inputs_on():
    network = models.load("airbench", width=32).build(10, (3, 32, 32), (0.5,) * 3, (0.25,) * 3)
    shapes = [(layer.in_channels, layer.out_channels) for layer in convolutions(network)]
    assert shapes == [(24, 32), (32, 32), (32, 128), (128, 128), (128, 128), (128, 128)]
    for layer in convolutions(network):
        n, x = layer.in_channels, torch.rand(2, layer.in_channels, 5, 4)
        assert layer.bias is None and torch.equal(layer(x)[:, :n], x)
        rest, bound = layer.weight[n:], (9 * n) ** -0.5
        if len(rest):
            assert rest.abs().max() <= bound and rest.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_the_head_has_no_bias_weights_of_deviation_one_and_divides_by_the_number_of_features(train):
    network = training.initialise(NET, train, 0)
    assert network.head.bias is None and network.head.weight.std().item() == pytest.approx(1, abs=1e-5)
    features = torch.rand(5, 16)
    torch.testing.assert_close(network.head(features), features @ network.head.weight.T / 16)


def by_layers(network, x):
    """The forward pass in training mode, from the paper's description."""
    weights = dict(network.named_parameters())
    x = F.gelu(F.conv2d((x - network.mean) / network.std, weights["body.0.weight"], weights["body.0.bias"]))
    names = [name for name, module in network.body.named_children() if isinstance(module, nn.Conv2d)][1:]
    norms = [name for name, module in network.body.named_children() if isinstance(module, nn.BatchNorm2d)]
    for i, (name, norm) in enumerate(zip(names, norms, strict=True)):
        x = F.conv2d(x, weights[f"body.{name}.weight"], padding=1)
        x = F.max_pool2d(x, 2) if i % 2 == 0 else x
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        x = F.gelu((x - mean) / (variance + 1e-12).sqrt() + weights[f"body.{norm}.bias"][:, None, None])
    return x.amax((2, 3)) @ weights["head.weight"].T / x.shape[1]


@pytest.mark.parametrize("side", [16, 32])
def test_the_forward_pass_is_that_of_the_paper(side):
    x = torch.rand(6, 3, side, side, generator=stream(0), dtype=torch.float64)
    network = NET.build(10, (3, side, side), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)).double().train()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and parameter.requires_grad:
            nn.init.normal_(parameter)
        assert parameter.requires_grad == (name != "body.0.weight" and not (".weight" in name and parameter.ndim == 1)), name
    torch.testing.assert_close(network(x), by_layers(network, x), rtol=1e-9, atol=1e-9)


def test_batch_statistics_forget_six_tenths_a_batch(train):
    network = training.initialise(NET, train, 0).train()
    first, norm = convolutions(network)[0], next(module for module in network.body if isinstance(module, nn.BatchNorm2d))
    seen = []
    first.register_forward_hook(lambda _, __, output: seen.append(F.max_pool2d(output, 2)))
    mean, variance = torch.zeros(4), torch.ones(4)
    for part in train.images.split(50):
        network(to_float(part))
        mean, variance = 0.6 * mean + 0.4 * seen[-1].mean((0, 2, 3)), 0.6 * variance + 0.4 * seen[-1].var((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)


# What stays


def still(network):
    """The whitening filters and the gains of BatchNorm."""
    norms = [module.weight for module in network.body if isinstance(module, nn.BatchNorm2d)]
    return bytes_of([network.body[0].weight, *norms])


@pytest.mark.parametrize("recipe", ["airbench_muon", "airbench_sgd", "quick"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_changes_neither_whitening_nor_gains_and_all_else(train, recipe, precision):
    network = training.initialise(NET, train, 0)
    before, gains = copy.deepcopy(network), still(network)
    changes = dict(lr_bias=3.0, lr_head=40.0, ghost_batch=20) if recipe != "quick" else {}
    numerics = Numerics(precision=precision)
    training.train(network, train, training.load(recipe, epochs=2, batch_size=60, **changes), seed=0, numerics=numerics)
    assert still(network) == gains
    for (name, old), new in zip(before.named_parameters(), network.parameters(), strict=True):
        assert torch.equal(old, new) != old.requires_grad, name


def test_a_trained_network_comes_back_from_its_weights(train):
    network = training.train(NET, train, RECIPE, seed=3)
    again = training.initialise(NET, train, 3)
    again.load_state_dict(network.state_dict())
    assert torch.equal(training.logits(again, train.images), training.logits(network, train.images))


def test_crafting_leaves_everything_and_its_gradient_is_pytorchs_own(train):
    """Through whitening, pooling, BatchNorm without a trained gain and a scaled head; in float64."""
    network = training.train(NET, train, RECIPE, seed=0)
    attack = GradientMatching(eps=0.2, poison_rate=0.1, steps=3, restarts=1, eval_samples=1)
    threat_model = ThreatModel(train, colourful("test", 100), (network,), label_smoothing=0.2)
    before = bytes_of(network.state_dict().values())
    attack.craft(threat_model, 0)
    assert bytes_of(network.state_dict().values()) == before
    double = copy.deepcopy(network).double()
    base, goal = attack.choose(threat_model, 0)
    matching = Matching(attack, dataclasses.replace(threat_model, surrogates=(double,)), base.ids, goal)
    (params,) = matching.shown.sample(1, stream(0))
    value, gradient = matching.value_and_grad(to_float(base.images).double(), params, stream(1))
    trained = [parameter for parameter in double.parameters() if parameter.requires_grad]
    x = to_float(base.images).double().requires_grad_()
    labels = torch.full((len(x),), goal.intended_class)
    own = torch.autograd.grad(F.cross_entropy(double(x), labels, label_smoothing=0.2), trained, create_graph=True)
    aim = torch.autograd.grad(F.cross_entropy(double(to_float(goal.images)), labels[:1]), trained)
    expected = misalignment(own, aim)
    assert value.item() == pytest.approx(expected.item(), abs=1e-9)
    torch.testing.assert_close(gradient.double(), torch.autograd.grad(expected, x)[0], rtol=1e-4, atol=1e-9)
    assert gradient.abs().max() > 1e-6
