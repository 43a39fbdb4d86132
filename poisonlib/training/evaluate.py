"""Evaluating a trained network: logits, features and counts of correct answers, always in eval mode and without gradients."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torch.nn import functional as F

from ..data import Goal, ImageSet
from ..models import Network
from ..tensors import to_float
from .numerics import Numerics

BATCH = 500


@dataclass(frozen=True)
class Evaluation:
    """What a victim does with the attacker's target images and with the test set."""

    hits: int  # target images that are classified as the intended class
    targets: int
    confidence: float | None  # mean probability of the intended class over the target images
    clean: tuple[tuple[int, int], ...]  # (correct, all) test images of each class

    @property
    def success(self) -> float:
        """The share of target images that are classified as the intended class."""
        return self.hits / self.targets

    @property
    def accuracy(self) -> float:
        """The share of test images that are classified correctly."""
        correct, total = (sum(column) for column in zip(*self.clean, strict=True))
        return correct / total


def evaluate(
    network: Network, test: ImageSet, goal: Goal, numerics: Numerics = Numerics(), known: Tensor | None = None
) -> Evaluation:
    """Attack success on the goal's images, as they are stored, and accuracy on a test set, whose `features` may be ``known``."""
    answers = logits(network, goal.images, numerics)
    hits = int((answers.argmax(1) == goal.intended_class).sum())
    confidence = round(float(answers.softmax(1)[:, goal.intended_class].mean()), 6)
    clean = count_correct(network, test, numerics, known).tolist()
    return Evaluation(hits, len(goal.images), confidence, tuple(map(tuple, clean)))


def logits(network: Network, images: Integer[Tensor, "n c h w"], numerics: Numerics = Numerics()) -> Float[Tensor, "n k"]:
    """Logits of stored images, in float32, on the network's device."""
    return _mapped(network, network.forward, images, numerics)


def features(network: Network, images: Integer[Tensor, "n c h w"], numerics: Numerics = Numerics()) -> Float[Tensor, "n d"]:
    """Penultimate features of stored images, in float32, on the network's device."""
    return _mapped(network, network.features, images, numerics)


def count_correct(
    network: Network, test: ImageSet, numerics: Numerics = Numerics(), known: Float[Tensor, "n d"] | None = None
) -> Int64[Tensor, "k 2"]:
    """For each class the number of images that are classified correctly, and the number of images.

    ``known``: the `features` of the images, where they were computed before; the logits are the same, bit for bit.
    """
    answers = logits(network, test.images, numerics) if known is None else _mapped(network, network.head, known, numerics)
    correct = answers.argmax(1) == test.labels
    member = F.one_hot(test.labels, len(test.classes))  # a weighted bincount has no deterministic form on CUDA
    return torch.stack([(member * correct[:, None]).sum(0), member.sum(0)], 1)


@torch.no_grad()
def _mapped(network, function, inputs, numerics) -> Tensor:
    """What a function makes of stored images or of features, batch by batch."""
    network.eval()
    parts, device = [], network.mean.device
    for batch in inputs.split(BATCH):
        with numerics.autocast(device):
            parts.append(function(_shown(batch.to(device), numerics)).float())
    return torch.cat(parts)


def _shown(batch: Tensor, numerics: Numerics) -> Tensor:
    return batch if batch.ndim == 2 else to_float(batch).contiguous(memory_format=numerics.layout)
