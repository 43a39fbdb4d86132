"""What an augmentation leaves of one poisoned image: the same draw is applied to the clean and to the poisoned image, side by side.

Their difference is what is left of the perturbation, whatever the augmentation is: partners and noise (one stream for both) cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..augment import Pipeline
from ..data import ImageSet, Poison
from ..rng import stream
from ..tensors import to_float

COMPANY = 8  # images in a batch: the poisoned one and those that it may be mixed with
TINY = 1e-6  # rounding differences lie below


@dataclass(frozen=True)
class Batch:
    """One image, clean and poisoned, before the company that it meets in both."""

    clean: Float[Tensor, "n c h w"]
    poisoned: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]

    @property
    def perturbation(self) -> Float[Tensor, "c h w"]:
        return self.poisoned[0] - self.clean[0]


@dataclass(frozen=True)
class Outcome:
    """What a draw makes of a batch's first image."""

    image: Float[Tensor, "c h w"]  # as a victim trains on it
    left: Float[Tensor, "c h w"]  # what is left of the perturbation in it
    weights: Float[Tensor, " n"]  # the share of each image of the batch in its label


def batch_of(train: ImageSet, poison: Poison, image: int, seed: int) -> Batch:
    """The poison's image number ``image`` among others of the poisoned set. Raises ValueError where there is no such image."""
    if not 0 <= image < len(poison):
        raise ValueError(f"image={image}: the attack poisons {len(poison)} images, counted from 0")
    own = train.positions(poison.rows[image : image + 1])
    order = torch.randperm(len(train), generator=stream(seed, "company", image))
    others = order[order != own][: COMPANY - 1]
    at, poisoned = torch.cat([own, others]), train.with_poison(poison)
    clean = torch.cat([to_float(train.images[own]), to_float(poisoned.images[others])])
    return Batch(clean, to_float(poisoned.images[at]), train.labels[at])


def outcome(batch: Batch, augment: Pipeline, *name) -> Outcome:
    """The draw called ``name`` (a seed and words). Raises ValueError where the batch is too small for the augmentation."""
    n, shape = len(batch.labels), tuple(batch.clean.shape[1:])
    draws = augment.draw(n, shape, stream(*name))
    clean, _ = augment.apply(batch.clean, torch.eye(n), draws, stream(*name, "noise"))
    poisoned, labels = augment.apply(batch.poisoned, torch.eye(n), draws, stream(*name, "noise"))
    return Outcome(poisoned[0], poisoned[0] - clean[0], labels[0])


def survival(batch: Batch, outcomes: Sequence[Outcome]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """(area, energy) for each outcome.

    ``area``: pixels in which the perturbation still shows over pixels that it touched; an augmentation that enlarges or smears may
    exceed 1. ``energy``: the Euclidean norm of what is left over that of the perturbation. Raises ValueError for an image that the
    attack left as it was.
    """
    whole = batch.perturbation
    if not _touched(whole):
        raise ValueError("the attack left this image as it was: there is nothing to survive")
    left = torch.stack([each.left for each in outcomes])
    return _touched(left) / _touched(whole), left.flatten(1).norm(dim=1) / whole.norm()


def _touched(change: Float[Tensor, "*n c h w"]) -> Int64[Tensor, "*n"]:
    """Pixels of each image that change in any channel."""
    return (change.abs().amax(-3) > TINY).sum((-2, -1))
