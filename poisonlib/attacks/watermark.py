"""The plainest targeted attack, and a control: the target shows faintly through the poisons, with nothing optimised.

The public codes blend ``opacity`` in differently, eps (6 %) in one and eps over the deviation (25 %) in the other; feature
collision starts from 30 % (Shafahi et al., arXiv:1804.00792).
"""

from dataclasses import dataclass

import torch

from ..data import Goal, Poison
from ..tensors import to_bytes, to_float
from . import Scene, _targeted


@dataclass(frozen=True)
class Attack(_targeted.Control):
    """``opacity`` of the first target is blended in, cut off at ``eps``; rows and goal are those of gradient matching with the
    same seed."""

    opacity: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.opacity <= 1:
            raise ValueError(f"opacity={self.opacity!r}: above 0 and at most 1")

    def craft(self, scene: Scene, seed: int) -> tuple[Poison, Goal]:
        base, goal = _targeted.choose(scene.train, scene.test, seed, self.budget, self.targets)
        blended = torch.lerp(to_float(base.images), to_float(goal.images[:1]), self.opacity)
        return Poison(base.rows, to_bytes(blended, base.images, self.eps)), goal
