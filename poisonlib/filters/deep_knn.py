"""Deep k-NN: an image is removed if its nearest neighbours among all training images have another label.

Peri et al., arXiv:1909.13374: features are compared by Euclidean distance, and an image stays if its label is the most frequent
(the plurality) among its k nearest neighbours; k is best about twice the number of poisons that the defender reckons with. The
public code of DP-InstaHide takes that k, but asks for half of the votes or more (``variant="released"``), which a class of k / 2
images or fewer never gets: at the default k, 2 % of all images, it removes every image of 100 equal classes.

That code drops the nearest of the k + 1 nearest images, which is the image itself unless another one has the same features. Here
both variants leave out the image itself.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int64, Integer
from torch import Tensor

from .. import check
from ..data import ImageSet
from . import Filter, FilterResult
from ._classes import check_finite

CHUNK_BYTES = 2**28  # memory for the rows that are compared at one time


@dataclass(frozen=True)
class DeepKNN(Filter):
    """Removes each image whose label loses the vote among its k = ``floor(multiple * expected * n)`` nearest (at least 1) of n
    images.

    ``expected``: the largest number of poisons that the defender assumes, as a share of all n training images (not of a class).
    ``multiple``: neighbours that vote, per assumed poison.
    ``variant``: with "paper", an image stays if no other label has more votes than its own, so that a tie is enough; with
    "released", if all other labels together have no more votes.
    """

    expected: float = 0.01
    multiple: float = 2.0
    variant: str = "paper"

    def __post_init__(self):
        check.share("expected", self.expected, "the training set")
        check.number("multiple", self.multiple, 0)
        check.variant(self.variant)

    def assuming(self, poison_rate: float) -> "DeepKNN":
        return replace(self, expected=poison_rate)

    def validate(self, train: ImageSet) -> None:
        """Raises ValueError where an image has fewer neighbours, or where no class is large enough for half of the votes."""
        k, sizes = self._neighbours(len(train)), train.labels.unique(return_counts=True)[1]
        if self.variant == "released" and bool(((sizes > 1) & (2 * (sizes - 1) < k)).all()):
            raise ValueError(
                f"variant='released' keeps images to which their own class gives half of {k} votes, and the largest class has "
                f"{sizes.max()} images: all would be removed; choose a smaller multiple or expected, or variant='paper'"
            )

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Scores, float64, from -1 to 1: votes against an image minus votes for it, over k; images with scores above 0 are removed.

        With "paper" the votes against are those of the strongest other label, with "released" those of all others. An image that is
        alone in its class, for which no image could vote, stays with a score of 0 (neither source treats this case); so do all
        images if all features are equal. Raises ValueError for features that are NaN or infinite, and for k >= n.
        """
        check_finite(features)
        n = len(labels)
        k = self._neighbours(n)
        names, own, sizes = labels.unique(return_inverse=True, return_counts=True)
        centred = features - features.mean(0, dtype=torch.float64)
        norms = centred.square().sum(1)
        scores = torch.zeros_like(labels, dtype=torch.float64)
        step = chunk_rows(n, k)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            scores[rows] = self._score(own[nearest(centred, norms, rows, k)], own[rows], len(names))
        scores.masked_fill_((sizes == 1)[own] | (features == features[:1]).all(), 0)
        return FilterResult(scores <= 0, scores)

    def _neighbours(self, n: int) -> int:
        """The k of n images."""
        k = max(1, math.floor(self.multiple * self.expected * n + 1e-9))
        if 0 < n <= k:
            raise ValueError(f"{k} neighbours of each of {n} images: choose a smaller multiple or expected, or more images")
        return k

    def _score(self, votes: Int64[Tensor, "rows k"], own: Int64[Tensor, " rows"], classes: int) -> Float64[Tensor, " rows"]:
        """For labels 0 to ``classes - 1``, class by class: little memory, and exact in any order, as votes are whole numbers."""
        k = votes.shape[1]
        same = (votes == own[:, None]).sum(1)
        if self.variant == "released":
            return (k - 2 * same).double() / k
        rival = torch.zeros_like(same)
        for label in range(classes):
            rival = rival.maximum((votes == label).sum(1) * (own != label))
        return (rival - same).double() / k


def nearest(centred: Float64[Tensor, "n d"], norms: Float64[Tensor, " n"], rows: slice, k: int) -> Int64[Tensor, "rows k"]:
    """The k images nearest to each image of ``rows``, without itself, in no order. ``norms``: squared norms of all n images.

    Among images at equal distances ``topk`` decides, the same way in every run. Distances are computed from inner products, so
    differences below about 1e-7 of the features' spread are rounding errors.
    """
    distances = torch.addmm(
        norms, centred[rows], centred.T, alpha=-2
    )  # squared, minus the row's own norm, which does not change the order
    distances.diagonal(rows.start).fill_(math.inf)
    return distances.topk(k, largest=False, sorted=False).indices


def chunk_rows(n: int, k: int) -> int:
    """How many rows to compare with all n images at one time, by `row_bytes` and ``CHUNK_BYTES``; at least 1."""
    return max(1, CHUNK_BYTES // row_bytes(n, k))


def row_bytes(n: int, k: int) -> int:
    """Bytes that one row needs: n distances, and for k neighbours their distance, their number, their label, and a comparison."""
    return 8 * n + (8 + 8 + 8 + 1) * k
