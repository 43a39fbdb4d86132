"""Student's t: for values that spread evenly about their mean, as the clean accuracy of networks does."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean


@dataclass(frozen=True)
class Student(Mean):
    """Far narrower for few trials than a bound that assumes nothing. At least two values, not all equal."""

    name: ClassVar[str] = "t"
    values: tuple[float, ...]
    lowest: float = 0.0

    @property
    def value(self) -> float:
        return float(np.mean(self.values))

    @property
    def trials(self) -> int:
        return len(self.values)

    def interval(self, level):
        from scipy.stats import t

        half = t.isf((1 - level) / 2, self.trials - 1) * np.std(self.values, ddof=1) / np.sqrt(self.trials)
        return max(self.lowest, self.value - half), min(1.0, self.value + half)

    def _distance(self, bound):
        return (self.value - bound) / (np.std(self.values, ddof=1) / np.sqrt(self.trials))

    def _above(self, bound):
        from scipy.stats import t

        return t.sf(self._distance(bound), self.trials - 1)

    def _below(self, bound):
        from scipy.stats import t

        return t.cdf(self._distance(bound), self.trials - 1)
