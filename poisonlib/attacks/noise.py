"""A control for every attack that perturbs pixels: random noise of the same size on the same images, without optimisation."""

from dataclasses import dataclass

import torch

from ..data import Goal, Poison
from ..rng import stream
from ..tensors import to_bytes, to_float
from . import ThreatModel
from ._targeted import Targeted


@dataclass(frozen=True)
class Noise(Targeted):
    """Changes every pixel of the poisons by +eps or -eps at random, as far as black and white allow: the largest noise within the
    bound.

    Poisons and goal are those of gradient matching with the same seed.
    """

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        signs = torch.randint(2, base.images.shape, generator=stream(seed, "noise control")).to(base.images.device) * 2 - 1
        return Poison(base.ids, to_bytes(to_float(base.images) + self.eps * signs, base.images, self.eps)), goal
