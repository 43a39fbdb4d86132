"""The difference of two means of independent trials, each judged in its own way."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean, Numbers

POINTS = 201


@dataclass(frozen=True)
class Unpaired(Mean):
    """first - second. Whatever the second mean q is, "first - second is at most b" means that the first is at most q + b; the two
    independent p-values are combined by Fisher's rule (1932), and the largest over q counts.
    """

    name: ClassVar[str] = "independent trials (Fisher)"
    lowest: ClassVar[float] = -1.0
    first: Mean
    second: Mean

    @property
    def value(self) -> float:
        return self.first.value - self.second.value

    @property
    def trials(self) -> int:
        return min(self.first.trials, self.second.trials)

    def _above(self, bound):
        q = np.linspace(0, 1, POINTS)
        return combined(self.first.above(np.asarray(bound)[..., None] + q), self.second.below(q)).max(-1)

    def _below(self, bound):
        q = np.linspace(0, 1, POINTS)
        return combined(self.first.below(np.asarray(bound)[..., None] + q), self.second.above(q)).max(-1)


def combined(first: Numbers, second: Numbers) -> Numbers:
    """Fisher's combination of two independent p-values: the chance of a product as small."""
    product = np.asarray(first) * np.asarray(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(product > 0, product * (1 - np.log(product)), 0.0)
