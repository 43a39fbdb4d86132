"""The control of every attack on pixels: random noise of the same size on the same images, with nothing optimised."""

from dataclasses import dataclass

import torch

from ..data import Goal, ImageSet, Poison
from ..rng import stream
from ..tensors import to_bytes, to_float
from . import Scene, _targeted


@dataclass(frozen=True)
class Attack:
    """Every pixel of the poisons moves by +eps or -eps, the largest noise that the budget allows; rows and goal are those of
    gradient matching with the same seed."""

    eps: float = 16 / 255
    budget: float = 0.01
    targets: int = 1

    def __post_init__(self):
        _targeted.check(self.eps, self.budget, self.targets)

    @property
    def clean(self) -> bool:
        return self.budget == 0

    def refuse(self, train: ImageSet) -> None:
        """Raises ValueError where a class is too small for the budget."""
        _targeted.refuse(train, self.budget)

    def craft(self, scene: Scene, seed: int) -> tuple[Poison, Goal]:
        base, goal = _targeted.choose(scene.train, scene.test, seed, self.budget, self.targets)
        signs = torch.randint(2, base.images.shape, generator=stream(seed, "noise control")).to(base.images.device) * 2 - 1
        return Poison(base.rows, to_bytes(to_float(base.images) + self.eps * signs, base.images, self.eps)), goal
