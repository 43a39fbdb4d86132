"""Spectral signatures: poisons stand out along the direction in which the features of their class vary most.

Tran, Li & Madry, arXiv:1811.00636, algorithm 1, takes a bound on the *number* of poisons and removes 1.5 times as many images from
every class, as the class under attack is unknown. The public code of DP-InstaHide does the same with the number ``expected * n``,
so there is no variant. The default removes 15 % of CIFAR-10. Like that code, and where the paper says nothing, this filter leaves
at least one image of each class.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from .. import check
from . import Filter, FilterResult
from ._classes import by_class


@dataclass(frozen=True)
class SpectralSignatures(Filter):
    """Removes from every class the ``floor(multiple * expected * n)`` images with the largest scores, but never all of them.

    ``expected``: the largest number of poisons that the defender assumes, as a share of all n training images (not of a class).
    ``multiple``: images removed from each class, per assumed poison.
    """

    expected: float = 0.01
    multiple: float = 1.5

    def __post_init__(self):
        check.share("expected", self.expected, "the training set")
        check.number("multiple", self.multiple, 0)

    def assuming(self, poison_rate: float) -> "SpectralSignatures":
        return replace(self, expected=poison_rate)

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Scores are the `signature` of each class, float64. Of images with equal scores, earlier ones are removed
        first. Raises ValueError for features that are NaN or infinite.
        """
        quota = math.floor(self.multiple * self.expected * len(labels) + 1e-9)
        keep = torch.ones_like(labels, dtype=torch.bool)
        scores = torch.zeros_like(labels, dtype=torch.float64)
        for rows in by_class(features, labels):
            scores[rows] = signature(features[rows])
            worst = scores[rows].argsort(descending=True, stable=True)[: min(quota, len(rows) - 1)]
            keep[rows[worst]] = False
        return FilterResult(keep, scores)


def signature(features: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Squared projections of the centred features on their first right singular vector, float64 (algorithm 1, lines 5 to 8).

    Computed from the covariance or, where that is smaller, from the Gram matrix: the same values as a singular value decomposition
    gives, at lower cost.
    """
    centred = features.double() - features.double().mean(0)
    if centred.shape[0] < centred.shape[1]:
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        return values[-1].clamp(min=0) * vectors[:, -1] ** 2
    return (centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]) ** 2
