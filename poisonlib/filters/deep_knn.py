"""Deep k-NN: an image goes where its nearest neighbours among all the training images bear another label.

Peri et al., arXiv:1909.13374: features are compared by Euclidean distance, and an image stays if its label is the most frequent
(the plurality) among its k nearest neighbours; k is best about twice the number of poisons that the defender reckons with. The
public code of DP-InstaHide takes that k, but asks for half of the votes or more (``variant="released"``), which a class of k / 2
images or fewer never gets: at the default k, 2 % of all images, it removes every image of 100 equal classes.

That code drops the nearest of the k + 1 nearest images, which is the image itself unless another one has the same features. Here
the image itself is left out in both variants.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64, Integer
from torch import Tensor

from ..data import ImageSet
from . import Verdict
from ._classes import refuse_bad

CHUNK_BYTES = 2**28  # what the rows compared at one time may take


@dataclass(frozen=True)
class Filter:
    """Removes the images whose label loses the vote of their k = ``floor(multiple * expected * n)`` nearest, at least 1, of n.

    ``expected``: the poisons that the defender reckons with, at most, as a share of all n training images (not of a class).
    ``multiple``: how many times that number votes.
    ``variant``: an image stays, with "paper", if no other label has more votes than its own, so that it is enough to tie for the
    most, and, with "released", if all other labels together have no more.
    """

    expected: float = 0.01
    multiple: float = 2.0
    variant: str = "paper"

    def __post_init__(self):
        if not 0 <= self.expected <= 1:
            raise ValueError(f"expected={self.expected!r}: choose a share of the training set, from 0 to 1")
        if not 0 <= self.multiple < math.inf:
            raise ValueError(f"multiple={self.multiple!r}: choose a finite number of at least 0")
        if self.variant not in ("paper", "released"):
            raise ValueError(f"variant={self.variant!r}: choose one of 'paper', 'released'")

    def refuse(self, train: ImageSet) -> None:
        """Raises ValueError where an image does not have so many neighbours, or no class could give its own half of the votes."""
        k, sizes = self._neighbours(len(train)), train.labels.unique(return_counts=True)[1]
        if self.variant == "released" and bool(((sizes > 1) & (2 * (sizes - 1) < k)).all()):
            raise ValueError(
                f"variant='released' keeps what its own class gives half of {k} votes, and the largest class has {sizes.max()} "
                "images: all would go; choose a smaller multiple or expected, or variant='paper'"
            )

    def judge(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> Verdict:
        """Scores, float64, from -1 to 1: votes against an image less votes for it, over k; those above 0 go.

        With "paper" the votes against are those of the strongest other label, with "released" those of all others. Neither source
        provides for an image that is alone in its class, so that none could vote for it: it stays, with a score of 0. So do all
        images where their features are all alike. ValueError on NaN, infinity and k >= n.
        """
        refuse_bad(features)
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
        return Verdict(scores <= 0, scores)

    def _neighbours(self, n: int) -> int:
        """The k of n images."""
        k = max(1, math.floor(self.multiple * self.expected * n + 1e-9))
        if 0 < n <= k:
            raise ValueError(f"{k} neighbours of each of {n} images: choose a smaller multiple or expected, or judge more images")
        return k

    def _score(self, votes: Int64[Tensor, "rows k"], own: Int64[Tensor, " rows"], classes: int) -> Float64[Tensor, " rows"]:
        """Of labels from 0 to ``classes - 1``. Class by class: whole numbers, so exact in any order, and little memory."""
        k = votes.shape[1]
        same = (votes == own[:, None]).sum(1)
        if self.variant == "released":
            return (k - 2 * same).double() / k
        rival = torch.zeros_like(same)
        for label in range(classes):
            rival = rival.maximum((votes == label).sum(1) * (own != label))
        return (rival - same).double() / k


def nearest(centred: Float64[Tensor, "n d"], norms: Float64[Tensor, " n"], rows: slice, k: int) -> Int64[Tensor, "rows k"]:
    """The k images nearest to each image of ``rows``, itself left out, in no order. ``norms``: squared, of all n images.

    Of images at equal distances the last places go to whichever ``topk`` takes, the same on every run. Distances come from
    products: those below some 1e-7 of the features' spread are rounding, and in no order either.
    """
    distances = torch.addmm(norms, centred[rows], centred.T, alpha=-2)  # squared, less the row's own norm, which ranks nothing
    distances.diagonal(rows.start).fill_(math.inf)
    return distances.topk(k, largest=False, sorted=False).indices


def chunk_rows(n: int, k: int) -> int:
    """How many rows to compare with all n images at one time, by `row_bytes` and ``CHUNK_BYTES``; at least 1."""
    return max(1, CHUNK_BYTES // row_bytes(n, k))


def row_bytes(n: int, k: int) -> int:
    """Bytes that one row needs: n distances, and for k neighbours their distance, their number, their label, and a comparison."""
    return 8 * n + (8 + 8 + 8 + 1) * k
