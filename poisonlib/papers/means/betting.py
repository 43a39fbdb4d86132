"""A bet against a bound, which may be looked at after every trial: valid however often, and whenever one stops.

Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting* (2024); the mixture over stakes is Cover's
universal portfolio (Orabona & Jun, arXiv:2110.14099). In a fair game capital ever grows 1/p-fold with probability p (Ville).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean, Numbers

STAKES = (np.arange(64) + 0.5) / 64  # shares of the capital that are at risk in each trial, one gambler each


@dataclass(frozen=True)
class Betting(Mean):
    """Gamblers who bet that the mean is above (or below) a bound, each a fixed share of their capital on every trial.

    If the mean were at most m, a stake c of the capital would be worth (1 - c) + c x / m after a trial x, on average no more than
    before. The p-value is one over the mean capital of the gamblers. The order of the trials does not matter.
    """

    name: ClassVar[str] = "betting, valid at any n"
    values: tuple[float, ...]
    lowest: float = 0.0

    @property
    def value(self) -> float:
        return float(np.mean(self.values))

    @property
    def trials(self) -> int:
        return len(self.values)

    def _above(self, bound):
        scaled = (np.asarray(self.values) - self.lowest) / (1 - self.lowest)
        return _p(scaled, (bound - self.lowest) / (1 - self.lowest))

    def _below(self, bound):
        scaled = (np.asarray(self.values) - self.lowest) / (1 - self.lowest)
        return _p(1 - scaled, 1 - (bound - self.lowest) / (1 - self.lowest))


def _p(values: np.ndarray, most: Numbers) -> Numbers:
    """The p-value against "values (n,) in [0, 1] have a mean of at most ``most``"; 0 for a most of 0 and any value above it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.nan_to_num(values / np.asarray(most)[..., None], nan=0.0, posinf=np.inf)  # (..., n); 0 of 0 is worth nothing
        worth = np.log1p(STAKES[:, None] * (odds[..., None, :] - 1)).sum(-1)  # (..., stakes)
    top = worth.max(-1, keepdims=True)
    finite = np.where(np.isfinite(top), top, 0.0)
    capital = np.where(np.isinf(top[..., 0]), np.inf, np.exp(finite[..., 0]) * np.exp(worth - finite).mean(-1))
    return np.minimum(1, 1 / capital)
