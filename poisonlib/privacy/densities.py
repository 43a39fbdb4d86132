"""Exact output densities of mixup with Laplace noise on small data sets, and their largest log ratio.

With few records, all choices of k records can be enumerated, so the density of an output is a finite mixture
sum_j w_j phi_sigma(z - c_j) of Laplace densities phi_sigma(u) = (2 sigma)^{-d} e^{-|u|_1 / sigma}. The joint density of several
outputs is also such a mixture, in the concatenated coordinates, whether or not the outputs are independent.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

MOST_TERMS = 200_000  # largest number of mixture components
MOST_POINTS = 200_000  # largest number of points that `worst_log_ratio` evaluates


@dataclass(frozen=True)
class LaplaceMixture:
    """A mixture of m Laplace densities in d coordinates: centres (m, d), weights (m,) with sum 1, and one noise scale sigma."""

    centres: np.ndarray
    weights: np.ndarray
    sigma: float

    def log_density(self, z):
        """Returns the log density (p,) at the points z of shape (p, d), or (p,) if d = 1."""
        z = np.asarray(z, dtype=float).reshape(-1, self.centres.shape[1])
        parts = [np.logaddexp.reduce(self._log_terms(some), axis=1) for some in np.array_split(z, len(z) // 1000 + 1)]
        return np.concatenate(parts) - z.shape[1] * math.log(2 * self.sigma)

    def draw(self, count, generator):
        """Draws ``count`` outputs, of shape (count, d), with a NumPy generator."""
        rows = generator.choice(len(self.weights), size=count, p=self.weights)
        return self.centres[rows] + generator.laplace(scale=self.sigma, size=(count, self.centres.shape[1]))

    def _log_terms(self, z):
        return np.log(self.weights) - np.abs(z[:, None] - self.centres).sum(-1) / self.sigma


@dataclass(frozen=True)
class WorstCase:
    """The largest absolute log ratio of two densities p and q, in nats.

    ``z`` (d,) is a point that reaches it, and ``larger`` names the density that is larger there, "p" or "q".
    """

    log_ratio: float
    z: np.ndarray
    larger: str


def mixup_density(records, k, sigma):
    """Returns the density of one output of the mechanism of Theorem 2 (see `theorem`) as a `LaplaceMixture`.

    records has shape (n, d), or (n,) if d = 1. Raises ValueError unless 1 <= k <= n, and if there are more than ``MOST_TERMS``
    choices of k records.
    """
    records = as_rows(records)
    if not 1 <= k <= len(records):
        raise ValueError(f"k={k}: must be a whole number from 1 to the number of records, {len(records)}")
    _refuse_many(math.comb(len(records), k), MOST_TERMS, "choices of k records")
    return mixture([records[list(rows)].mean(0) for rows in itertools.combinations(range(len(records)), k)], sigma)


def mixture(centres, sigma):
    """Returns the `LaplaceMixture` with equally likely centres (m, d). Equal centres are merged."""
    centres, counts = np.unique(np.round(np.asarray(centres, dtype=float), 13), axis=0, return_counts=True)
    return LaplaceMixture(centres, counts / counts.sum(), float(sigma))


def independent_outputs(density, t):
    """Returns the joint density of t independent outputs, a `LaplaceMixture` in t d coordinates.

    Raises ValueError if the joint density has more than ``MOST_TERMS`` components.
    """
    _refuse_many(len(density.weights) ** t, MOST_TERMS, "combinations of outputs")
    rows = list(itertools.product(range(len(density.weights)), repeat=t))
    return LaplaceMixture(density.centres[rows].reshape(len(rows), -1), density.weights[rows].prod(1), density.sigma)


def worst_log_ratio(p, q):
    """Returns the exact maximum of |log p(z)/q(z)| over all z as a `WorstCase`. It is the pure epsilon of this pair of densities.

    p and q are `LaplaceMixture` objects with the same sigma and dimension d. The maximum is found on a grid. Along one coordinate,
    between two adjacent kinks, both densities have the form a e^{z/sigma} + b e^{-z/sigma}. Their ratio is a Moebius function of
    e^{2z/sigma}, hence monotone; outside the outermost kinks it is constant. The extremes are therefore attained on the grid of
    kinks, which are the coordinates of the centres.

    Raises ValueError if sigma or d differ, and if the grid has more than ``MOST_POINTS`` points.
    """
    if p.sigma != q.sigma or p.centres.shape[1] != q.centres.shape[1]:
        raise ValueError(
            f"sigma={p.sigma} and {q.sigma}, dimensions {p.centres.shape[1]} and {q.centres.shape[1]}: "
            "p and q must have the same sigma and the same number of dimensions"
        )
    kinks = [np.unique(column) for column in np.concatenate([p.centres, q.centres]).T]
    _refuse_many(math.prod(map(len, kinks)), MOST_POINTS, "points to search")
    grid = np.stack(np.meshgrid(*kinks, indexing="ij"), axis=-1).reshape(-1, len(kinks))
    ratio = p.log_density(grid) - q.log_density(grid)
    worst = int(np.argmax(np.abs(ratio)))
    return WorstCase(float(abs(ratio[worst])), grid[worst], "p" if ratio[worst] > 0 else "q")


def without(records, row=0):
    """Returns the neighbouring data set D' of Theorem 2, of shape (n - 1, d): the records (n, d) or (n,) without one row."""
    return np.delete(as_rows(records), row, axis=0)


def extreme_records(n, diameter=1.0):
    """Returns a data set (n, 1) that reaches the bound of Theorem 2.

    The first record, x0, is ``diameter``; all others are 0.
    """
    return np.concatenate([[[float(diameter)]], np.zeros((n - 1, 1))])


def as_rows(records):
    """Converts records of shape (n, d) or (n,) to a float array of shape (n, d) or (n, 1)."""
    records = np.asarray(records, dtype=float)
    return records.reshape(len(records), -1)


def _refuse_many(count, limit, what):
    if count > limit:
        raise ValueError(
            f"{count} {what}: at most {limit} can be enumerated; use fewer records, fewer dimensions, or a smaller k or t"
        )
