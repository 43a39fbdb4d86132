"""Activation clustering: where a class splits into two clusters, the smaller one holds the poisons.

Chen et al., arXiv:1811.03728: ICA to 10 dimensions and 2-means, class by class (algorithm 1), then an analysis of the clusters. Of
the three analyses in the paper, exclusionary reclassification trains a model, which a filter cannot; the other two, relative size
and silhouette score, are combined here as in the authors' own toolbox (adversarial-robustness-toolbox, "silhouette-scores"): the
smaller cluster is removed if it is small *and* the clusters are well separated. The paper gives no size threshold; 0.35 is the
toolbox's. For the silhouette score the paper finds 0.10 to 0.15 reasonable.

FastICA, which the toolbox takes, whitens the principal components and then rotates them. 2-means and silhouettes see distances
only, which no rotation changes: they are those of the whitened components, from whatever start FastICA begins and whether it
converges or not. So it is left out. 2-means does depend on its start, where there are no two clusters above all: it starts often,
and what each of several parts of the starts would remove alone is reported.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Integer
from torch import Tensor

from .. import check
from ..registry import LATER
from ..rng import derive
from . import Filter, FilterResult
from ._classes import by_class

LEAST_MEMBERS = 3  # a smaller class is kept: its clusters mean nothing
TRIES = {"paper": 20, "released": 10}  # random starts of 2-means in one round; the one with the least inertia counts


class Split(NamedTuple):
    """Which images of a class to remove, their scores, and the sum of squared distances from the clusters' centres."""

    small: Bool[np.ndarray, " n"]
    scores: Float64[np.ndarray, " n"]
    inertia: float


@dataclass(frozen=True)
class ActivationClustering(Filter):
    """Removes the smaller of the two clusters of a class if its share of the class is below ``size_threshold`` and the mean
    silhouette score is at least ``silhouette_threshold``.

    ``rounds``: of 20 random starts of 2-means each; the clusters with the least inertia of all count.
    ``variant="released"`` is the public code of DP-InstaHide: 2-means on the raw features without any analysis, so that the
    smaller cluster of *every* class is removed, poisoned or not; the other values are then ignored.
    """

    components: int = 10
    size_threshold: float = 0.35
    silhouette_threshold: float = 0.10
    variant: str = "paper"
    rounds: int = field(default=5, kw_only=True, metadata=LATER)

    def __post_init__(self):
        check.whole("components", self.components, 1)
        check.share("size_threshold", self.size_threshold, "a class")
        check.number("silhouette_threshold", self.silhouette_threshold, -1, 1)
        check.variant(self.variant)
        check.whole("rounds", self.rounds, 1)

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Scores, float64: distance to the larger cluster's centre minus that to the smaller one's.

        The result's ``rounds`` are the images that each round alone would remove. Classes with all features equal, of fewer than 3
        images, or of too few for the components (at most one more) are kept with scores of 0. Raises ValueError for features that
        are NaN or infinite.
        """
        keep = torch.ones_like(labels, dtype=torch.bool)
        scores = torch.zeros_like(labels, dtype=torch.float64)
        released = self.variant == "released"
        seeds = [0] if released else [derive(i, "activation clustering") % 2**32 for i in range(self.rounds)]
        removed = np.zeros(len(seeds), dtype=int)
        for rows in by_class(features, labels):
            values = features[rows].detach().double().cpu().numpy()
            if self._divisible(values):
                space = values if released else whitened(values, self.components)
                splits = [self._split(space, seed) for seed in seeds]
                removed += [split.small.sum() for split in splits]
                best = min(splits, key=lambda split: split.inertia)
                keep[rows] = torch.from_numpy(~best.small).to(keep.device)
                scores[rows] = torch.from_numpy(best.scores).to(scores.device)
        return FilterResult(keep, scores, () if released else tuple(removed.tolist()))

    def _divisible(self, values: Float64[np.ndarray, "n d"]) -> bool:
        """Whether clusters of a class can mean anything: n whitened images in n - 1 dimensions are all equally far apart."""
        least = LEAST_MEMBERS if self.variant == "released" else max(LEAST_MEMBERS, self.components + 2)
        return len(values) >= least and bool(np.ptp(values, axis=0).any())

    def _split(self, space: Float64[np.ndarray, "n k"], seed: int) -> Split:
        """The two clusters of a class, from one round of starts."""
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

        means = KMeans(2, n_init=TRIES[self.variant], random_state=seed).fit(space)
        smaller = np.bincount(means.labels_, minlength=2).argmin()
        small, distance = means.labels_ == smaller, means.transform(space)
        if self.variant == "paper" and not (
            small.mean() < self.size_threshold and silhouette_score(space, means.labels_) >= self.silhouette_threshold
        ):
            small = np.zeros_like(small)
        return Split(small, distance[:, 1 - smaller] - distance[:, smaller], means.inertia_)


def whitened(values: Float64[np.ndarray, "n d"], components: int) -> Float64[np.ndarray, "n k"]:
    """The first principal components, or as many as the values span, each with a variance of 1 (their signs do not matter here)."""
    centred = values - values.mean(0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    rank = int((lengths > lengths[0] * max(values.shape) * np.finfo(float).eps).sum())
    return left[:, : min(components, rank)] * len(values) ** 0.5
