"""Steps: what each must do, and each against a slow loop over single values or single examples."""

import dataclasses
import importlib.util
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from poisonlib import data, models, privacy, registry, steps, training
from poisonlib.models import Network
from poisonlib.rng import stream
from poisonlib.training import Numerics, Recipe

opacus = pytest.mark.skipif(importlib.util.find_spec("opacus") is None, reason="per-example gradients need requirements-opacus.txt")
CHOICES = [pytest.param(steps.load(name), marks=[opacus] * (name == "dp_sgd"), id=name) for name in steps.names()]
CHOICES.append(pytest.param(steps.load("noisy_sgd", variant="released"), id="noisy_sgd released"))
NOISY = [choice for choice in CHOICES if hasattr(choice.values[0], "noise")]
NETS = ["convolution and group norm", "patch_mlp(side=2, width=4)", "convnet(width=4)", "resnet(depth=18, norm='group', width=4)"]


def build(name=NETS[0]):
    """A small network in double precision for 1 x 8 x 8 images of four classes."""
    torch.manual_seed(0)
    if name != NETS[0]:
        return models.load(name).build(4, (1, 8, 8), (0.4,), (0.3,)).double()
    body = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten())
    return Network(body, nn.Linear(64, 4), (0.4,), (0.3,)).double()


def batch(n=6):
    """Images of rising contrast, so that their gradients differ in length."""
    g = stream(0, "images")
    x = torch.rand(n, 1, 8, 8, generator=g, dtype=torch.float64) * torch.linspace(0.1, 2, n)[:, None, None, None]
    return x, F.one_hot(torch.randint(4, (n,), generator=g), 4).double()


def applied(step, network, x, y, seed=0):
    """(the loss, the gradient that the step leaves, as one vector)."""
    network.zero_grad()
    loss = step.backward(network, lambda x, y: F.cross_entropy(network(x), y), x, y, stream(seed, "noise"))
    return loss.detach(), torch.cat([p.grad.flatten() for p in network.parameters()])


def gradient(network, x, y):
    """The gradient of the mean loss, as one vector."""
    loss = -(y * network(x).log_softmax(1)).sum(1).mean()
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])


def shortened(vector, clip):
    return vector / vector.norm() * clip if vector.norm() > clip else vector


def noise_for(network, seed=0):
    """Standard normal draws, parameter by parameter from the stream, as one vector."""
    g = stream(seed, "noise")
    return torch.cat([torch.randn(p.shape, generator=g, dtype=p.dtype).flatten() for p in network.parameters()])


# What every step must do


@pytest.mark.parametrize("choice", CHOICES)
class TestContract:
    def test_is_frozen_and_loads_again_from_its_description(self, choice):
        assert steps.load(registry.describe(choice)) == choice
        with pytest.raises(dataclasses.FrozenInstanceError):
            choice.anything = 1

    def test_leaves_gradients_and_changes_nothing_else(self, choice):
        network, (x, y) = build(), batch()
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        attributes = [(set(vars(m)), len(m._forward_hooks), len(m._backward_hooks), m.training) for m in network.modules()]
        loss, _ = applied(choice, network, x, y)
        plain = F.cross_entropy(network(x), y).detach()
        assert loss > plain if hasattr(choice, "eps") else torch.equal(loss, plain), "the batch's, or that of a worse one"
        assert all(p.grad.shape == p.shape and p.grad.dtype == p.dtype and not p.grad.requires_grad for p in network.parameters())
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
        assert attributes == [(set(vars(m)), len(m._forward_hooks), len(m._backward_hooks), m.training) for m in network.modules()]
        assert not any(vars(p) for p in network.parameters())

    def test_noise_comes_from_the_stream_alone(self, choice):
        network, (x, y) = build(), batch()
        _, first = applied(choice, network, x, y, 1)
        torch.rand(3)  # the global generator is not used
        assert torch.equal(first, applied(choice, network, x, y, 1)[1])
        assert not torch.equal(first, applied(choice, network, x, y, 2)[1])

    def test_a_frozen_parameter_gets_no_gradient(self, choice):
        network, (x, y) = build(), batch()
        network.body.requires_grad_(False)
        choice.backward(network, lambda x, y: F.cross_entropy(network(x), y), x, y, stream(0))
        assert all(p.grad is None for p in network.body.parameters())
        assert all(p.grad is not None for p in network.head.parameters())

    def test_same_seed_same_weights(self, choice):
        first, again, other = (trained(choice, seed) for seed in (0, 0, 1))
        assert first == again != other
        assert first != trained(None)


@pytest.mark.parametrize("choice", NOISY)
class TestNoisyContract:
    @pytest.mark.parametrize("size", [0.01, 10.0])
    def test_mechanism_passes_gradients_straight_through(self, choice, size):
        """Noise is a constant: the derivative is that of the clipping alone, which is the identity below the clip."""
        gradients = [size * torch.rand(shape, generator=stream(1), dtype=torch.float64) for shape in ((3, 2), (2,))]
        gradients = [g.requires_grad_() for g in gradients]
        assert torch.autograd.gradcheck(lambda *g: tuple(choice.mechanism(g, stream(0))), gradients)
        silent = dataclasses.replace(choice, noise=0.0)
        (result,) = silent.mechanism(gradients[:1], stream(0))
        (back,) = torch.autograd.grad(result.sum(), gradients[0])
        clips = size > 1 and getattr(choice, "variant", "paper") == "paper"
        assert torch.equal(back, torch.ones_like(back)) != clips
        assert torch.equal(result, gradients[0]) != clips

    @pytest.mark.parametrize("values", [{"noise": -0.1}, {"noise": math.nan}, {"clip": 0.0}, {"clip": math.inf}])
    def test_a_wrong_value_is_named(self, choice, values):
        with pytest.raises(ValueError, match=f"{next(iter(values))}={next(iter(values.values()))}.*choose"):
            dataclasses.replace(choice, **values)


NUMERICS = Numerics()


def trained(step, seed=0, numerics=NUMERICS):
    """The weights after two epochs on digits, as bytes."""
    train = data.load("digits", "train", limit=80)
    with training.settings(numerics):
        network = training.initialise(models.load("convnet", width=4), train, seed)
        recipe = Recipe(epochs=2, batch_size=32, lr=0.05, milestones=(), augment="flip")
        training.fit(network, train, recipe, seed=seed, step=step, numerics=numerics)
    assert all(torch.isfinite(p).all() for p in network.parameters())
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


# The noised gradient of a mini-batch


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("share", [0.3, 3.0])
@pytest.mark.parametrize("net", NETS[:2])
def test_noisy_sgd_is_the_slow_one(net, share, variant):
    """``share`` of the gradient's norm is the clip: active below 1. The released variant never clips."""
    network, (x, y) = build(net), batch()
    plain = gradient(network, x, y)
    clip = share * plain.norm().item()
    _, fast = applied(steps.load("noisy_sgd", noise=0.2, clip=clip, variant=variant), network, x, y)
    slow = (plain if variant == "released" else shortened(plain, clip)) + 0.2 * clip * noise_for(network)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_without_noise_and_below_the_clip_it_is_plain_training_bit_for_bit(variant):
    assert trained(steps.load("noisy_sgd", noise=0.0, clip=1e6, variant=variant)) == trained(None)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"variant='fast'.*'paper', 'released'"):
        steps.load("noisy_sgd", variant="fast")


# The noised sum of clipped gradients


@opacus
@pytest.mark.parametrize("net", NETS)
def test_dp_sgd_is_the_loop_over_examples(net):
    network, (x, y) = build(net), batch()
    each = [gradient(network, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    clip = torch.stack([g.norm() for g in each]).quantile(0.5).item()
    assert {bool(g.norm() > clip) for g in each} == {False, True}
    _, fast = applied(steps.load("dp_sgd", noise=0.5, clip=clip), network, x, y)
    slow = (sum(shortened(g, clip) for g in each) + 0.5 * clip * noise_for(network)) / len(x)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


@opacus
def test_dp_sgd_without_noise_and_below_the_clip_is_the_plain_gradient():
    network, (x, y) = build(), batch()
    _, fast = applied(steps.load("dp_sgd", noise=0.0, clip=1e6), network, x, y)
    torch.testing.assert_close(fast, gradient(network, x, y), rtol=1e-9, atol=1e-12)


@opacus
def test_one_example_moves_the_sum_by_twice_the_clip_at_most():
    """The property that privacy rests on, and that clipping the mean does not give."""
    network, (x, y) = build("patch_mlp(side=2, width=4)"), batch()
    other = x.clone()
    other[2] *= 1000
    dp, noisy = steps.load("dp_sgd", noise=0.0, clip=0.1), steps.load("noisy_sgd", noise=0.0, clip=0.1)
    moved = [len(x) * (applied(step, network, x, y)[1] - applied(step, network, other, y)[1]).norm() for step in (dp, noisy)]
    assert moved[0] <= 0.2 + 1e-9
    assert moved[1] > 0.4


@opacus
def test_dp_sgd_in_bf16_gives_gradients_in_full_precision():
    assert trained(steps.load("dp_sgd"), numerics=Numerics(precision="bf16"))


def test_dp_sgd_mechanism_for_an_attacker_is_that_of_128_equal_examples():
    gradients = [torch.rand(3, 2, generator=stream(1), dtype=torch.float64) * 5]
    step, noise = steps.load("dp_sgd", noise=2.0, clip=1.5), torch.randn(3, 2, generator=stream(0), dtype=torch.float64)
    slow = (sum(shortened(gradients[0], 1.5) for _ in range(128)) + 3 * noise) / 128
    torch.testing.assert_close(step.mechanism(gradients, stream(0))[0], slow)


@opacus
def test_dp_sgd_refuses_batch_norm_unless_it_is_frozen():
    train = data.load("digits", "train", limit=40)
    recipe, step = Recipe(epochs=1, batch_size=20, milestones=()), steps.load("dp_sgd")
    network = training.initialise(models.load("cifar_resnet", depth=8, width=4, shortcut="projection"), train, 0)
    before = network.head.weight.clone()
    with pytest.raises(ValueError, match=r"body\.stem\.1.*9 such layers.*resnet\(depth=18, norm='group'\)"):
        training.fit(network, train, recipe, seed=0, step=step)
    assert torch.equal(network.head.weight, before)
    training.fit(network, train, dataclasses.replace(recipe, frozen=True), seed=0, step=step)
    assert not torch.equal(network.head.weight, before)
    step.validate(models.load("resnet", depth=18, norm="group", width=4).build(4, (1, 8, 8), (0.4,), (0.3,)))


def test_dp_sgd_without_opacus_says_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "opacus" else found(name))
    with pytest.raises(ValueError, match=r"pip install -r requirements-opacus\.txt"):
        steps.load("dp_sgd").validate(build())


def test_accounting_counts_the_steps_of_the_loop(monkeypatch):
    monkeypatch.setattr(privacy.dp_sgd, "dp_sgd_epsilon", lambda *arguments: arguments)
    assert privacy.dp_sgd_training_epsilon(1e-5, 1.0, 128, 50_000, 40) == (1e-5, 1.0, 128 / 50_000, 40 * 391)
    assert privacy.dp_sgd_training_epsilon(1e-5, 1.0, 64, 50, 3) == (1e-5, 1.0, 1.0, 3)
    with pytest.raises(ValueError, match="batch=0"):
        privacy.dp_sgd_training_epsilon(1e-5, 1.0, 0, 50, 3)
