"""A data set of stripes: class 0 is horizontal, class 1 vertical, class 2 both."""

from dataclasses import dataclass

import torch

from poisonlib.data import Data, from_arrays
from poisonlib.rng import stream


@dataclass(frozen=True)
class Stripes(Data):
    """Noisy stripes of 8 x 8 pixels in three classes."""

    n: int = 90

    def load(self, split, download=False):
        generator = stream(0, "stripes", split)
        labels = torch.arange(self.n) % 3
        rows = (torch.arange(8) % 2).float()[:, None].expand(8, 8)
        clean = torch.stack([rows, rows.T, torch.maximum(rows, rows.T)])[labels]
        noise = torch.rand(self.n, 8, 8, generator=generator) * 0.5
        return from_arrays(clean * 0.5 + noise, labels, ("horizontal", "vertical", "both"))
