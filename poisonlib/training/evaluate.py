"""Looking at a trained network: logits, features and counts of correct answers, always in eval mode and without gradients."""

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torch.nn import functional as F

from ..data import ImageSet
from ..models import Network
from ..tensors import to_float
from .numerics import Numerics

BATCH = 500


def logits(network: Network, images: Integer[Tensor, "n c h w"], numerics: Numerics = Numerics()) -> Float[Tensor, "n k"]:
    """Class scores of stored images, in float32, on the network's device."""
    return _mapped(network, network.forward, images, numerics)


def features(network: Network, images: Integer[Tensor, "n c h w"], numerics: Numerics = Numerics()) -> Float[Tensor, "n d"]:
    """Penultimate features of stored images, in float32, on the network's device."""
    return _mapped(network, network.features, images, numerics)


def count_correct(network: Network, test: ImageSet, numerics: Numerics = Numerics()) -> Int64[Tensor, "k 2"]:
    """For each class: how many of its images are classified correctly, and how many there are."""
    right = logits(network, test.images, numerics).argmax(1) == test.labels
    member = F.one_hot(test.labels, len(test.classes))  # a weighted bincount has no deterministic form on CUDA
    return torch.stack([(member * right[:, None]).sum(0), member.sum(0)], 1)


@torch.no_grad()
def _mapped(network, function, images, numerics) -> Tensor:
    network.eval()
    parts, device = [], network.head.weight.device
    for batch in images.split(BATCH):
        with numerics.autocast(device):
            parts.append(function(to_float(batch.to(device)).contiguous(memory_format=numerics.layout)).float())
    return torch.cat(parts)
