"""What every way of judging a mean has in common: a p-value for each bound, and the interval of those that are not rejected."""

import abc
from typing import ClassVar

import numpy as np

Numbers = int | float | np.ndarray


class Mean(abc.ABC):
    """The mean of one value a trial, all in [lowest, 1].

    ``above(bound)`` is the p-value against "the mean is at most bound", ``below(bound)`` that against "it is at least bound", a
    number or an array of them. A bound outside the range is never wrong, so its p-value is 0 or 1.
    """

    name: ClassVar[str]  # of the method, for the reader
    value: float
    trials: int
    lowest: float

    def above(self, bound: Numbers) -> Numbers:
        """The p-value against "the mean is at most ``bound``"."""
        bound = np.asarray(bound, dtype=float)
        return np.where(bound < self.lowest, 0.0, np.where(bound >= 1, 1.0, self._above(np.clip(bound, self.lowest, 1))))

    def below(self, bound: Numbers) -> Numbers:
        """The p-value against "the mean is at least ``bound``"."""
        bound = np.asarray(bound, dtype=float)
        return np.where(bound > 1, 0.0, np.where(bound <= self.lowest, 1.0, self._below(np.clip(bound, self.lowest, 1))))

    def interval(self, level: float) -> tuple[float, float]:
        """(low, high): what neither p-value rejects at (1 - level) / 2; it always holds the mean itself."""
        tail = (1 - level) / 2
        low = _root(lambda bound: self.above(bound) - tail, self.lowest, self.value)
        high = _root(lambda bound: tail - self.below(bound), self.value, 1.0)
        return low, high

    @abc.abstractmethod
    def _above(self, bound: Numbers) -> Numbers:
        """As `above`, for bounds in the range."""

    @abc.abstractmethod
    def _below(self, bound: Numbers) -> Numbers:
        """As `below`, for bounds in the range."""


def either(mean: Mean, bound: Numbers) -> Numbers:
    """The two-sided p-value against "the mean is ``bound``"."""
    return np.minimum(1, 2 * np.minimum(mean.above(bound), mean.below(bound)))


def _root(rising, low: float, high: float) -> float:
    """Where an increasing function crosses 0; the end that is nearer to it where it does not."""
    from scipy.optimize import brentq

    if high <= low or rising(low) >= 0:
        return low
    return high if rising(high) <= 0 else float(brentq(rising, low, high, xtol=1e-10))
