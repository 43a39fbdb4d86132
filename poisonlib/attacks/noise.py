"""The control of every attack on pixels: random noise of the same size on the same images, with nothing optimised."""

from dataclasses import dataclass

import torch

from ..data import Goal, Poison
from ..rng import stream
from ..tensors import to_bytes, to_float
from . import Scene, _targeted


@dataclass(frozen=True)
class Attack(_targeted.Control):
    """Every pixel of the poisons moves by +eps or -eps, the largest noise that the budget allows; rows and goal are those of
    gradient matching with the same seed."""

    def craft(self, scene: Scene, seed: int) -> tuple[Poison, Goal]:
        base, goal = _targeted.choose(scene.train, scene.test, seed, self.budget, self.targets)
        signs = torch.randint(2, base.images.shape, generator=stream(seed, "noise control")).to(base.images.device) * 2 - 1
        return Poison(base.rows, to_bytes(to_float(base.images) + self.eps * signs, base.images, self.eps)), goal
