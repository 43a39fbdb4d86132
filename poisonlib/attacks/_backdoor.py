"""What backdoors with crafted poisons share: a trigger in a corner, and success measured on test images that carry it."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Integer
from torch import Tensor

from .. import check
from ..data import Goal, ImageSet
from ..registry import LATER
from ..rng import stream
from . import ThreatModel
from ._targeted import Targeted
from .patch import paste


@dataclass(frozen=True)
class Backdoor(Targeted):
    """The values that these attacks have beside those of targeted ones; by default those of the benchmark (Schwarzschild et al.,
    "Just How Toxic", section 5).
    """

    eps: float = 8 / 255  # largest change of a pixel, in units of [0, 1]
    targets: int | None = None  # test images of the source class that get the trigger; None: all of them
    size: int = 5  # pixels a side of the trigger
    pattern: str = field(default="random", kw_only=True, metadata=LATER)  # "random" or "checkerboard": the trigger's picture

    def __post_init__(self):
        super().__post_init__()
        check.whole("size", self.size, 1)
        check.one_of("pattern", self.pattern, ("random", "checkerboard"))

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where a class is too small for the poisons or the targets, and for a trigger larger than the images."""
        super().validate(threat_model)
        if self.size > min(threat_model.train.shape[1:]):
            _, height, width = threat_model.train.shape
            raise ValueError(f"size={self.size}: the trigger is larger than the images, {height} x {width}")

    def choose(self, threat_model: ThreatModel, seed: int) -> tuple[ImageSet, Goal]:
        """(the clean images that become poisons, the goal with the trigger on its images); see `Targeted.choose`."""
        base, goal = super().choose(threat_model, seed)
        return base, replace(goal, images=self.stamp(goal.images, self.trigger(threat_model.train, seed)))

    def trigger(self, like: ImageSet, seed: int) -> Integer[Tensor, "c s s"]:
        """Black or white at random for every channel and pixel: that of the patch backdoor with the same seed. The checkerboard
        is the same for every seed, white in its corners at odd sizes.
        """
        shape = (like.shape[0], self.size, self.size)
        if self.pattern == "checkerboard":
            squares = torch.arange(self.size)[:, None] + torch.arange(self.size)
            return ((squares + 1) % 2 * 255).to(torch.uint8).expand(shape)
        return (torch.randint(2, shape, generator=stream(seed, "trigger")) * 255).to(torch.uint8)

    def stamp(self, images: Integer[Tensor, "n c h w"], trigger: Integer[Tensor, "c s s"]) -> Integer[Tensor, "n c h w"]:
        """Copies of the images with the trigger in the corner."""
        corner = torch.tensor(self.corner(*images.shape[2:]), device=images.device)
        return paste(images, trigger.to(images.device), corner.expand(len(images), 2))

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Row and column of the trigger's top left pixel: it fills the bottom right corner."""
        return height - self.size, width - self.size
