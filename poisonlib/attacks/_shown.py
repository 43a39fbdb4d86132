"""What a surrogate is shown of the poisons while they are crafted: sampled views, among clean images where a defence mixes them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from ..augment import Params
from ..tensors import to_float
from . import ThreatModel


class Sample(NamedTuple):
    """What is drawn for one part of the poisons."""

    clean: Int64[Tensor, " q"]  # positions of the clean images to mix with, on the device of the images
    classes: Int64[Tensor, " q"]  # of these
    params: list[Params]  # of the augmentations


class Shown:
    """Poisons as surrogates are shown them, ``batch_size`` at a time, in the victim's ordinary augmentation.

    An attacker who is ``aware`` of the defence adds its augmentations, and ``clean_images`` random training images to each part.
    """

    def __init__(self, threat_model: ThreatModel, labels: Float[Tensor, "m k"], batch_size: int, aware: bool, clean_images: int):
        self.train, self.labels, self.batch_size = threat_model.train, labels, batch_size
        self.views = threat_model.augment + threat_model.defence if aware else threat_model.augment
        self.clean_images = min(clean_images, len(self.train)) if aware and threat_model.defence.parts else 0
        self.mixes = any(part.mixes for part in self.views.parts)

    def sample(self, steps: int, generator: torch.Generator) -> list[list[Sample]]:
        """For every step, a sample for each part."""
        device, n = self.labels.device, len(self.train)
        parts = [len(part) for part in self.labels.split(self.batch_size)]
        clean = [torch.randperm(n, generator=generator)[: self.clean_images].clone() for _ in range(steps * len(parts))]
        sizes = [size + self.clean_images for size in parts] * steps
        params = self.views.sample_batches(sizes, self.train.shape, generator, device)
        positions = torch.stack(clean)
        labels = self.train.labels[positions.to(device)]
        samples = [Sample(*each) for each in zip(positions.to(self.train.images.device), labels, params, strict=True)]
        return [samples[i : i + len(parts)] for i in range(0, len(samples), len(parts))]

    def parts(self, x: Float[Tensor, "m c h w"], samples: list[Sample]) -> Iterator[tuple[Tensor, Tensor, Sample]]:
        """(pixels, labels, sample) of each part."""
        return zip(x.split(self.batch_size), self.labels.split(self.batch_size), samples, strict=True)

    def view(self, x: Tensor, y: Tensor, sample: Sample, noise: torch.Generator, loss: Callable) -> tuple[Tensor, Tensor]:
        """Images and labels that are shown of a part: the poisons, first in a batch with clean images where it is mixed.

        ``loss`` maps images and labels to the loss of each, by which MaxUp chooses.
        """
        joint, labels = x, y
        if self.clean_images:
            others = F.one_hot(sample.classes, y.shape[1]).float()
            joint, labels = torch.cat([x, to_float(self.train.pixels(sample.clean))]), torch.cat([y, others])
        seen, labels = self.views.apply(joint, labels, sample.params, noise, loss)
        return (seen, labels) if self.mixes else (seen[: len(x)], labels[: len(x)])
