"""Patch backdoor: a small random trigger on training images of one class, whose labels stay correct (DP-InstaHide, 2.1 and A.1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from .. import check
from ..data import Goal, ImageSet, Poison
from ..rng import stream
from . import Attack, ThreatModel

VARIANTS = ("paper", "released", "exported")


@dataclass(frozen=True)
class Patch(Attack):
    """Puts the trigger on a share of the intended class's training images; success is measured on the source class's test images.

    ``poison_rate=0`` poisons nothing: the clean control, whose success is the chance rate. Variants: ``paper`` puts a trigger of
    black and white channel values at a random place in each image; ``released`` is the public code, with the bottom-right corner
    and values ``mean`` and ``1 + mean`` (it divides by the deviation but forgets the mean), which leave the pixel range and are
    stored as int16; ``exported`` is the same after the clipping of any 8-bit image file.
    """

    poison_rate: float = 0.1  # poisons as a share of the intended class's training images
    size: int = 4  # pixels a side; DP-InstaHide, section 2.1
    variant: str = "paper"

    def __post_init__(self):
        check.share("poison_rate", self.poison_rate, "the intended class")
        check.whole("size", self.size, 1)
        check.one_of("variant", self.variant, VARIANTS)

    @property
    def clean(self) -> bool:
        """Whether the training set stays as it is."""
        return self.poison_rate == 0

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where the trigger is larger than the images, or a class too small for a poison or a test image."""
        if len(threat_model.train.classes) < 2:
            raise ValueError("the attack needs at least two classes: the intended class and the source class")
        self._check_size(threat_model.train)
        smallest = threat_model.train.smallest_class
        if self.poison_rate and not self._count(smallest):
            raise ValueError(
                f"poison_rate={self.poison_rate}: no poison in the smallest class, which has {smallest} training images; "
                "choose a larger rate or a larger training set"
            )
        if not threat_model.test.smallest_class:
            raise ValueError("success is measured on the test images of one class, and a class has none: choose a larger test set")

    def _check_size(self, train: ImageSet) -> None:
        if self.size > min(train.shape[1:]):
            raise ValueError(f"size={self.size}: the trigger is larger than the images, {train.shape[1]} x {train.shape[2]}")

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        """Random intended and source class, random trigger, random images; nothing is optimised."""
        train, test = threat_model.train, threat_model.test
        self._check_size(train)
        intended, source = torch.randperm(len(train.classes), generator=stream(seed, "classes"))[:2].tolist()
        trigger = self.trigger(train, seed)
        base = self._chosen(train.of_class(intended), seed)
        poison = Poison(base.ids, self.stamp(base.images, trigger, stream(seed, "places in training images")))
        aim = test.of_class(source)
        patched = self.stamp(aim.images, trigger, stream(seed, "places in test images"))
        return poison, Goal(patched, aim.labels, aim.ids, intended)

    def trigger(self, like: ImageSet, seed: int) -> Integer[Tensor, "c s s"]:
        """Bernoulli(1/2) for every channel and pixel, as stored pixels."""
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
        """The first images of a random order, so that the poisons of a smaller rate are among those of a larger one."""
        order = torch.randperm(len(base), generator=stream(seed, "poison rows"))
        chosen = base.take(order[: self._count(len(base))].to(base.ids.device))
        return chosen.take(chosen.ids.argsort())

    def _count(self, images: int) -> int:
        """The number of poisons in a class of this many images."""
        return round(self.poison_rate * images)


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
