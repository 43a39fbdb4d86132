"""Activation clustering: where a class splits into two clusters, the smaller one holds the poisons.

Chen et al., arXiv:1811.03728: ICA to 10 dimensions and 2-means, class by class (algorithm 1), then an analysis of the clusters. Of
the three analyses in the paper, exclusionary reclassification trains a model, which a filter cannot; the other two, relative size
and silhouette score, are combined here as in the authors' own toolbox (adversarial-robustness-toolbox, "silhouette-scores"): the
smaller cluster is removed if it is small *and* the clusters are well separated. The paper gives no size threshold; 0.35 is the
toolbox's, as are FastICA's tolerance and iterations. For the silhouette score the paper finds 0.10 to 0.15 reasonable.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Integer
from torch import Tensor

from .. import check
from . import Filter, FilterResult
from ._classes import by_class

LEAST_MEMBERS = 3  # a smaller class is kept: its clusters mean nothing


@dataclass(frozen=True)
class ActivationClustering(Filter):
    """Removes the smaller of the two clusters of a class if its share of the class is below ``size_threshold`` and the mean
    silhouette score is at least ``silhouette_threshold``.

    ``variant="released"`` is the public code of DP-InstaHide: 2-means on the raw features without any analysis, so that the
    smaller cluster of *every* class is removed, poisoned or not; the other three values are then ignored.
    """

    components: int = 10
    size_threshold: float = 0.35
    silhouette_threshold: float = 0.10
    variant: str = "paper"

    def __post_init__(self):
        check.whole("components", self.components, 1)
        check.share("size_threshold", self.size_threshold, "a class")
        check.number("silhouette_threshold", self.silhouette_threshold, -1, 1)
        check.variant(self.variant)

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Scores, float64: distance to the larger cluster's centre minus that to the smaller one's.

        Classes of fewer than 3 images, or with all features equal, are kept with scores of 0. Raises ValueError for features that
        are NaN or infinite.
        """
        keep = torch.ones_like(labels, dtype=torch.bool)
        scores = torch.zeros_like(labels, dtype=torch.float64)
        for rows in by_class(features, labels):
            values = features[rows].detach().double().cpu().numpy()
            if len(rows) >= LEAST_MEMBERS and np.ptp(values, axis=0).any():
                small, score = self._split(values)
                keep[rows] = torch.from_numpy(~small).to(keep.device)
                scores[rows] = torch.from_numpy(score).to(scores.device)
        return FilterResult(keep, scores)

    def _split(self, values: Float64[np.ndarray, "n d"]):
        """(which images to remove (n,), scores (n,)) of one class."""
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

        space = values if self.variant == "released" else reduce(values, self.components)
        means = KMeans(2, n_init=10, random_state=0).fit(space)
        sizes = np.bincount(means.labels_, minlength=2)
        small = means.labels_ == sizes.argmin()
        distance = means.transform(space)
        score = distance[:, sizes.argmax()] - distance[:, sizes.argmin()]
        if self.variant == "paper" and not (
            small.mean() < self.size_threshold and silhouette_score(space, means.labels_) >= self.silhouette_threshold
        ):
            small = np.zeros_like(small)
        return small, score


def reduce(values: Float64[np.ndarray, "n d"], components: int) -> Float64[np.ndarray, "n k"]:
    """FastICA to k = ``components`` dimensions, with a fixed start.

    PCA instead where the values span no more than ``components`` dimensions (it then only rotates them) or FastICA does not
    converge.
    """
    from sklearn.decomposition import PCA, FastICA
    from sklearn.exceptions import ConvergenceWarning

    rank = int(np.linalg.matrix_rank(values - values.mean(0)))
    if rank <= components:
        return PCA(max(rank, 1), random_state=0).fit_transform(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return FastICA(components, whiten="unit-variance", max_iter=1000, tol=0.005, random_state=0).fit_transform(values)
        except ConvergenceWarning:
            return PCA(components, random_state=0).fit_transform(values)
