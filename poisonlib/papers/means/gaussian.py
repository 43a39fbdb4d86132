"""Student's t that may be looked at after every trial (Lai 1976; Wang & Ramdas, arXiv:2310.03722; Ly et al., arXiv:2208.14743)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean

PRIOR = 9.0  # the variance of the effect, in squared deviations between runs: defences move accuracy by far more than runs differ


@dataclass(frozen=True)
class Gaussian(Mean):
    """The Bayes factor of a normal effect of unknown size against none, whatever the spread (the right Haar prior on it), is a fair
    game under normal values; the p-value is one over it. At least two values, not all equal.
    """

    name: ClassVar[str] = "t, valid at any n"
    values: tuple[float, ...]
    lowest: float = 0.0

    @property
    def value(self) -> float:
        return float(np.mean(self.values))

    @property
    def trials(self) -> int:
        return len(self.values)

    def _factor(self, bound):
        n = self.trials
        squared = (self.value - bound) ** 2 * n / np.var(self.values, ddof=1) / (n - 1)
        wide = 1 + n * PRIOR
        return wide**-0.5 * ((1 + squared) / (1 + squared / wide)) ** (n / 2)

    def _above(self, bound):
        return np.where(bound < self.value, np.minimum(1, 1 / self._factor(bound)), 1.0)

    def _below(self, bound):
        return np.where(bound > self.value, np.minimum(1, 1 / self._factor(bound)), 1.0)
