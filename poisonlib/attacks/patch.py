"""Patch backdoor: a small random trigger on training images of one class, whose labels stay correct (DP-InstaHide, 2.1 and A.1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from ..data import Goal, ImageSet, Poison
from ..rng import stream
from . import Scene

VARIANTS = ("paper", "released", "exported")


@dataclass(frozen=True)
class Attack:
    """``share`` of the target class's training images bear the trigger; success is counted on the victim class's test images.

    ``share=0`` poisons nothing: the clean control, whose success is the chance rate. Variants: ``paper`` puts a trigger of black
    and white channel values at a random place in each image; ``released`` is the public code, with the bottom-right corner and
    values ``mean`` and ``1 + mean`` (it divides by the standard deviation but forgets the mean), which leave the pixel range and
    so are stored as int16; ``exported`` is the same after the clipping that any 8-bit image file brings.
    """

    share: float = 0.1
    size: int = 4  # pixels a side; DP-InstaHide, section 2.1
    variant: str = "paper"

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError(f"share={self.share}: a share of the target class, from 0 (clean control) to 1")
        if self.size < 1:
            raise ValueError(f"size={self.size}: at least 1 pixel a side")
        if self.variant not in VARIANTS:
            raise ValueError(f"variant={self.variant!r}: choose one of {', '.join(VARIANTS)}")

    @property
    def clean(self) -> bool:
        """Whether the training set stays as it is."""
        return self.share == 0

    def refuse(self, scene: Scene) -> None:
        """Raises ValueError where the trigger is larger than the images, or a class too small for a poison or for a test image."""
        self._refuse_size(scene.train)
        smallest = scene.train.smallest_class
        if self.share and not self._count(smallest):
            raise ValueError(
                f"share={self.share}: that is no poison in the smallest class, which has {smallest} training images; "
                "choose a larger share or a larger training set"
            )
        if not scene.test.smallest_class:
            raise ValueError("success is counted on the test images of one class, and one class has none: choose a larger test set")

    def _refuse_size(self, train: ImageSet) -> None:
        if self.size > min(train.shape[1:]):
            raise ValueError(f"size={self.size}: the trigger is larger than the images, {train.shape[1]} x {train.shape[2]}")

    def craft(self, scene: Scene, seed: int) -> tuple[Poison, Goal]:
        """Random target and victim class, random trigger, random rows; nothing is optimised."""
        train, test = scene.train, scene.test
        self._refuse_size(train)
        wanted, victim = torch.randperm(len(train.classes), generator=stream(seed, "classes"))[:2].tolist()
        trigger = self.trigger(train, seed)
        base = self._chosen(train.of_class(wanted), seed)
        poison = Poison(base.rows, self.stamp(base.images, trigger, stream(seed, "places in training images")))
        aim = test.of_class(victim)
        goal = Goal(self.stamp(aim.images, trigger, stream(seed, "places in test images")), aim.labels, aim.rows, wanted)
        return poison, goal

    def trigger(self, like: ImageSet, seed: int) -> Integer[Tensor, "c s s"]:
        """Bernoulli(1/2) for every channel and pixel, in stored units."""
        shape = (like.shape[0], self.size, self.size)
        bits = torch.randint(2, shape, generator=stream(seed, "trigger")).float()
        if self.variant == "paper":
            return (bits * 255).to(torch.uint8)
        shifted = ((bits + torch.tensor(like.mean).view(-1, 1, 1)) * 255).round()
        return shifted.to(torch.int16) if self.variant == "released" else shifted.clamp(0, 255).to(torch.uint8)

    def stamp(
        self, images: Integer[Tensor, "n c h w"], trigger: Integer[Tensor, "c s s"], generator: torch.Generator
    ) -> Integer[Tensor, "n c h w"]:
        """Copies of the images with the trigger on each, at a random place or in the bottom-right corner."""
        room = torch.tensor(images.shape[2:]) - self.size
        places = room.expand(len(images), 2)
        if self.variant == "paper":
            places = (torch.rand(len(images), 2, generator=generator) * (room + 1)).long()
        return paste(images, trigger.to(images.device), places.to(images.device))

    def _chosen(self, base: ImageSet, seed: int) -> ImageSet:
        """The first so many of a random order, so that a smaller share is always part of a larger one."""
        order = torch.randperm(len(base), generator=stream(seed, "poison rows"))
        chosen = base.take(order[: self._count(len(base))].to(base.rows.device))
        return chosen.take(chosen.rows.argsort())

    def _count(self, images: int) -> int:
        """Poisons in a class of so many images."""
        return round(self.share * images)


def paste(
    images: Integer[Tensor, "n c h w"], trigger: Integer[Tensor, "c s s"], places: Int64[Tensor, "n 2"]
) -> Integer[Tensor, "n c h w"]:
    """Copies of the images with the trigger's top-left corner at ``places`` (row, column)."""
    out = images.to(torch.promote_types(images.dtype, trigger.dtype), copy=True)
    side = torch.arange(trigger.shape[-1], device=images.device)
    ys, xs = places[:, 0, None] + side, places[:, 1, None] + side
    image = torch.arange(len(images), device=images.device)
    out[image[:, None, None], :, ys[:, :, None], xs[:, None, :]] = trigger.permute(1, 2, 0)
    return out
