"""The simplest targeted attack, and a control: the target is blended into the poisons, without optimisation.

The public codes blend with different opacities, eps (6 %) in one and eps over the deviation (25 %) in the other; feature collision
starts from 30 % (Shafahi et al., arXiv:1804.00792).
"""

from dataclasses import dataclass

import torch

from .. import check
from ..data import Goal, Poison
from ..tensors import to_bytes, to_float
from . import ThreatModel
from ._targeted import Targeted


@dataclass(frozen=True)
class Watermark(Targeted):
    """Blends the first target into the poisons with ``opacity`` and clips the change at ``eps``.

    Poisons and goal are those of gradient matching with the same seed.
    """

    opacity: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        check.number("opacity", self.opacity, 0, 1, above=True)

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        blended = torch.lerp(to_float(base.images), to_float(goal.images[:1]), self.opacity)
        return Poison(base.ids, to_bytes(blended, base.images, self.eps)), goal
