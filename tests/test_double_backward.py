"""The cheap second derivatives of a craft against PyTorch's own double backward."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from poisonlib import models
from poisonlib.attacks._double_backward import ForPixels
from poisonlib.rng import seeded, stream

from .flops import Flops

NETWORKS = {
    "plain": lambda: nn.Conv2d(2, 4, 3, bias=False),
    "bias, stride, padding": lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1),
    "not square": lambda: nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1)),
    "groups": lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2),
    "padding by name": lambda: nn.Conv2d(2, 4, 3, padding="same"),
    "padding by reflection": lambda: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
    "batch norm": lambda: nn.BatchNorm2d(2),
    "batch norm without parameters": lambda: nn.BatchNorm2d(2, affine=False),
    "all together": lambda: nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4))
    ),
}


CALLS = {
    "defaults": lambda x, w: F.conv2d(x, w),
    "numbers": lambda x, w: F.conv2d(x, w, None, 1, 1),
    "one number of a list": lambda x, w: F.conv2d(x, w, stride=[2], padding=(1,), dilation=1),
    "names": lambda x, w: F.conv2d(input=x, weight=w, stride=2, padding=[1, 0]),
    "a text": lambda x, w: F.conv2d(x, w, padding="valid"),
    "normalised by names": lambda x, w: F.batch_norm(
        input=F.conv2d(x, w), running_mean=w.new_zeros(4), running_var=w.new_ones(4), weight=w.new_ones(4), bias=w.new_zeros(4)
    ),
}


class Called(nn.Module):
    """A network that calls a function instead of a layer."""

    def __init__(self, call):
        super().__init__()
        self.call, self.weight = call, nn.Parameter(torch.rand(4, 2, 3, 3, generator=stream(6)))

    def forward(self, x):
        return self.call(x, self.weight)


@pytest.mark.parametrize("name", CALLS)
def test_functions_may_be_called_in_every_way_that_torch_allows(name):
    network, x = Called(CALLS[name]).double(), torch.rand((4, 2, 6, 5), generator=stream(2)).double()
    for ours, theirs in zip(derivatives(network, x, True), derivatives(network, x, False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def settled(network: nn.Module) -> nn.Module:
    """In eval mode, with statistics and parameters as after some training."""
    generator = stream(4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, *module.parameters()):
                tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return network.eval()


def derivatives(network, x, cheap, training=False):
    """(loss, its gradient, the derivative of an uneven function of that gradient with respect to x)."""
    network.train(training)
    x = x.clone().requires_grad_()
    with ForPixels() if cheap else contextlib.nullcontext():
        y = network(x).flatten(1)
        loss = F.cross_entropy(torch.cat([y[:, :3], y.pow(2)], 1), torch.arange(len(x)))
    gradient = torch.autograd.grad(loss, [*network.parameters(), x], create_graph=True)
    wish = [torch.randn(part.shape, generator=stream(7)).to(part) for part in gradient]
    value = sum((part * other).sum() + part.pow(2).sum() for part, other in zip(gradient, wish, strict=True))
    return [loss, *gradient, torch.autograd.grad(value, x)[0]]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_derivative_is_that_of_pytorch(name, training):
    with seeded(1, "weights"):
        network = settled(NETWORKS[name]()).double()
    x = torch.rand((4, 2, 6, 5), generator=stream(2)).double()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    usual = derivatives(network, x, False, training)
    network.load_state_dict(before)
    for ours, theirs in zip(derivatives(network, x, True, training), usual, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert usual[-1].abs().max() > 1e-6, "a derivative of zero would prove nothing"


def test_a_first_derivative_that_cannot_be_differentiated_again_is_refused_rather_than_wrong():
    network = NETWORKS["all together"]().eval()
    with ForPixels():
        loss = network(torch.rand(2, 2, 6, 5).requires_grad_()).sum()
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(loss, list(network.parameters()))


def passes(cheap: bool) -> float:
    """Multiplications of one craft's gradient, in forward passes."""
    network = models.load("resnet", depth=18, width=4).build(10, (3, 16, 16), (0.5,) * 3, (0.25,) * 3).eval()
    x = torch.rand(2, 3, 16, 16).requires_grad_()
    with Flops() as forward:
        network(x)
    with Flops() as craft:
        with ForPixels() if cheap else contextlib.nullcontext():
            loss = network(x).logsumexp(1).sum()
        gradient = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
        torch.autograd.grad(sum(part.pow(2).sum() for part in gradient), x)
    return craft.count / forward.count


def test_it_takes_seven_forward_passes_and_pytorch_takes_eight():
    assert passes(cheap=True) < 7.05
    assert passes(cheap=False) > 7.9
