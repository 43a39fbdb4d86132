"""What an augmentation leaves of a perturbation: of a trigger, or of the change that an attack made to one image.

The clean and the poisoned image are augmented with the same sampled parameters and the same noise. Their difference is what is
left, whatever the augmentation is, as partners and noise cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..attacks.patch import Patch, paste
from ..augment import Augment, Pipeline
from ..data import ImageSet, Poison
from ..rng import stream
from ..tensors import to_float
from .style import GUIDE, POISONED, canvas

BATCH = 8  # images in a batch: the poisoned one and those that it may be mixed with
TINY = 1e-6  # rounding differences lie below


@dataclass(frozen=True)
class Batch:
    """Images in [0, 1] of which the first is clean or poisoned; the others, which it may be mixed with, are the same in both."""

    clean: Float[Tensor, "n c h w"]
    poisoned: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]

    @property
    def perturbation(self) -> Float[Tensor, "c h w"]:
        return self.poisoned[0] - self.clean[0]


@dataclass(frozen=True)
class Outcome:
    """What an augmentation makes of a batch's first image."""

    image: Float[Tensor, "c h w"]  # as a victim trains on it
    left: Float[Tensor, "c h w"]  # what is left of the perturbation in it
    weights: Float[Tensor, " n"]  # the share of each image of the batch in its label


def batch_of(train: ImageSet, poison: Poison, image: int, seed: int) -> Batch:
    """The poison's image number ``image`` among others of the poisoned set. Raises ValueError where there is no such image."""
    if not 0 <= image < len(poison):
        raise ValueError(f"image={image}: the attack poisons {len(poison)} images, counted from 0")
    own = train.positions(poison.ids[image : image + 1])
    order = torch.randperm(len(train), generator=stream(seed, "company", image))
    others = order[order != own][: BATCH - 1]
    at, poisoned = torch.cat([own, others]), train.with_poison(poison)
    clean = torch.cat([to_float(train.images[own]), to_float(poisoned.images[others])])
    return Batch(clean, to_float(poisoned.images[at]), train.labels[at])


def outcome(batch: Batch, augment: Augment | Pipeline, *name) -> Outcome:
    """What the augmentation makes of the batch; ``name`` (a seed and words) names the stream of its parameters and noise.

    Raises ValueError where the batch is too small for the augmentation.
    """
    n, shape = len(batch.labels), tuple(batch.clean.shape[1:])
    params = augment.sample_params(n, shape, stream(*name))
    clean, _ = augment.apply(batch.clean, torch.eye(n), params, stream(*name, "noise"))
    poisoned, labels = augment.apply(batch.poisoned, torch.eye(n), params, stream(*name, "noise"))
    return Outcome(poisoned[0], poisoned[0] - clean[0], labels[0])


@dataclass(frozen=True)
class Survival:
    """For each of d outcomes what is left of the perturbation, each as a share of what was there.

    ``area``: pixels in which it shows; an augmentation that enlarges or smears may exceed 1. ``signal``: the sum of absolute
    values. ``energy``: the Euclidean norm. ``label``: the image's share of its own label.
    """

    area: Float[Tensor, " d"]
    signal: Float[Tensor, " d"]
    energy: Float[Tensor, " d"]
    label: Float[Tensor, " d"]


def survival(batch: Batch, outcomes: Sequence[Outcome]) -> Survival:
    """What is left of a batch's perturbation. Raises ValueError for an image that the attack left as it was."""
    whole = batch.perturbation
    if not _touched(whole):
        raise ValueError("the attack left this image as it was: there is nothing to survive")
    left = torch.stack([each.left for each in outcomes])
    return Survival(
        _touched(left) / _touched(whole),
        left.abs().flatten(1).sum(dim=1) / whole.abs().sum(),
        left.flatten(1).norm(dim=1) / whole.norm(),
        torch.stack([each.weights[0] for each in outcomes]),
    )


def _touched(change: Float[Tensor, "*n c h w"]) -> Int64[Tensor, "*n"]:
    """Pixels of each image that change in any channel."""
    return (change.abs().amax(-3) > TINY).sum((-2, -1))


def trigger_survival(attack: Patch, shape: tuple[int, int, int], augment: Augment | Pipeline, samples: int, seed: int) -> Survival:
    """What is left of a patch, at a random place in each of ``samples`` samples, for images of ``shape`` (c, h, w).

    The trigger is 1 on black images, so that no pixel of a partner hides it or adds to it.
    """
    found = [_trigger(attack, shape, augment, seed, sample) for sample in range(samples)]
    return Survival(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _trigger(attack: Patch, shape: tuple[int, int, int], augment, seed: int, sample: int) -> tuple[Tensor, ...]:
    c, h, w = shape
    place = (torch.rand(1, 2, generator=stream(seed, "survival", sample)) * (torch.tensor([h, w]) - attack.size + 1)).long()
    black, trigger = torch.zeros(BATCH, c, h, w, dtype=torch.uint8), torch.ones(c, attack.size, attack.size, dtype=torch.uint8)
    poisoned = torch.cat([paste(black[:1], trigger, place), black[1:]])
    batch = Batch(black.float(), poisoned.float(), torch.arange(BATCH).clamp(max=1))
    left = survival(batch, [outcome(batch, augment, seed, "survival", sample, "augment")])
    return left.area, left.signal, left.energy, left.label


def survival_figure(left: Survival, title: str):
    """Histogram of the surviving share of a trigger's signal, and that share over the label's, a dot for each sample."""
    figure, axes = canvas(1, 2, figsize=(6.4, 2.7))
    signal = left.signal.clamp(0, 1).numpy()
    axes[0].hist(signal, bins=17, range=(0, 1), color=POISONED)
    axes[0].set(xlabel="share of the trigger that is left", ylabel=f"of {len(signal)} samples", title=title)
    axes[1].scatter(left.label.numpy(), signal, s=6, alpha=0.6, color=POISONED, linewidths=0)
    axes[1].plot([0, 1], [0, 1], color=GUIDE, lw=1, ls="--")
    axes[1].set(xlabel="share of the label that is left", ylabel="share of the trigger", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes[1].set_title("dashed: trigger and label fade alike")
    return figure
