"""Airbench's network for fast training on CIFAR-10 (Jordan, "94 % on CIFAR-10 in 3.29 seconds", arXiv:2404.00498, section 3 and A).

A fixed convolution whitens 2 x 2 patches of the training images; three groups of two convolutions follow. A convolution's first
filters start as the identity, BatchNorm has no gain, and the head no bias. 1.97 million parameters at width 64 and 10 classes.
The public code reports 94 % on CIFAR-10 with six views of each test image; ``airbench_muon`` and ``airbench_sgd`` are its recipes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from ..tensors import to_float
from ._network import Architecture, Network

SIDE, EPS, SAMPLE = 2, 5e-4, 5000  # pixels of a patch, added to the eigenvalues, training images that patches are taken from


@dataclass(frozen=True)
class Airbench(Architecture):
    """A whitening convolution and three groups of ``width``, 4 x ``width`` and 4 x ``width`` channels; 4 x ``width`` features."""

    width: int = 64  # channels of the first group
    smallest = 16

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
        patches = 2 * SIDE**2 * shape[0]  # each whitened direction and its opposite
        whiten = nn.Conv2d(shape[0], patches, SIDE)
        whiten.weight.requires_grad_(False)
        w = self.width
        groups = [*_group(patches, w), *_group(w, 4 * w), *_group(4 * w, 4 * w)]
        left = tuple((side - 1) // 8 for side in shape[1:])  # pixels after three poolings
        return nn.Sequential(whiten, nn.GELU(), *groups, nn.MaxPool2d(left), nn.Flatten()), 4 * w

    def head(self, d: int, classes: int) -> nn.Linear:
        """Weights of deviation one, for features that are divided by their number."""
        head = ScaledLinear(d, classes, bias=False)
        with torch.no_grad():
            head.weight.div_(head.weight.std())
        return head

    def fit_to(self, network: Network, images: Integer[Tensor, "n c h w"]) -> None:
        """Set the first layer to the whitening of some of the training images' patches, and to its negative."""
        whiten = network.body[0]
        some = images[:: max(1, len(images) // SAMPLE)][:SAMPLE].to(whiten.weight.device)
        with torch.no_grad():
            directions = whitening(network.normalised(to_float(some)))
            whiten.weight.copy_(torch.cat([directions, -directions]))


class ScaledLinear(nn.Linear):
    """A linear layer whose output is divided by the number of its inputs."""

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return super().forward(x) / x.shape[1]


def whitening(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "d c s s"]:
    """The eigenvectors of the second moment of all patches (c, 2, 2), each divided by the root of its eigenvalue; d = 4 c."""
    channels = images.shape[1]
    moment = sum(patches @ patches.mT for part in images.split(500) for patches in [_patches(part)])
    values, vectors = torch.linalg.eigh(moment / (len(images) * (images.shape[2] - 1) * (images.shape[3] - 1)))
    return (vectors / (values + EPS).sqrt()).T.reshape(-1, channels, SIDE, SIDE)


def _patches(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "d m"]:
    """All patches of some images, as columns."""
    return F.unfold(images, SIDE).transpose(0, 1).flatten(1)


def _group(inputs: int, outputs: int) -> list[nn.Module]:
    layers = [_convolution(inputs, outputs), nn.MaxPool2d(2), _norm(outputs), nn.GELU()]
    return [*layers, _convolution(outputs, outputs), _norm(outputs), nn.GELU()]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3 x 3 convolution without bias whose first filters are the identity of the inputs."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with a bias but no gain, whose statistics forget quickly."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
