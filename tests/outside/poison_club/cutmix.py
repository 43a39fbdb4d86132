"""An augmentation whose file has the name of a built-in one, and whose class has, too."""

from dataclasses import dataclass

import torch

from poisonlib.augment import Augment


@dataclass(frozen=True)
class CutMix(Augment):
    """Blackens every image with probability ``p``: nothing like CutMix."""

    p: float = 0.9

    def sample_params(self, n, shape, generator):
        return {"black": torch.rand(n, generator=generator) < self.p}

    def apply(self, x, y, params, generator=None):
        return torch.where(params["black"][:, None, None, None], torch.zeros_like(x), x), y
