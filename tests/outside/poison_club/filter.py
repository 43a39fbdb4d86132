"""A filter that removes the images with the largest features."""

from dataclasses import dataclass

import torch

from poisonlib.filters import Filter, FilterResult


@dataclass(frozen=True)
class LargestNorm(Filter):
    """Removes the ``share`` of images whose features have the largest norm."""

    share: float = 0.1

    def score(self, features, labels):
        norms = features.norm(dim=1).double()
        keep = torch.ones_like(labels, dtype=torch.bool)
        keep[norms.argsort(descending=True, stable=True)[: int(self.share * len(labels))]] = False
        return FilterResult(keep, norms)
