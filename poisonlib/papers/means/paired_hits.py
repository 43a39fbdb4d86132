"""The difference of two shares of hits in the same trials: McNemar's mid-p test and Tango's score interval.

Fagerland, Lydersen & Laake, *The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact
conditional* (2013); Tango, *Equivalence test and confidence interval for the difference in proportions for the paired-sample
design* (1998).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ._mean import Mean, Numbers


@dataclass(frozen=True)
class PairedHits(Mean):
    """``gained`` trials hit in the first arm alone, ``lost`` in the second, of ``trials``; the mean is that of first - second.

    At the bound 0 the p-value is McNemar's mid-p, elsewhere that of Tango's score, which is McNemar's asymptotic one at 0. Neither
    is exact: where nearly all pairs are discordant, a test at 5 % errs in up to 7 % of cases at 12 trials, and in 9 % at 4.
    """

    name: ClassVar[str] = "paired hits (Tango)"
    lowest: ClassVar[float] = -1.0
    gained: int
    lost: int
    trials: int

    @property
    def value(self) -> float:
        return (self.gained - self.lost) / self.trials

    def _above(self, bound):
        return np.where(bound == 0, _mid_p(self.gained, self.lost), _score(self.gained, self.lost, self.trials, bound))

    def _below(self, bound):
        return np.where(bound == 0, _mid_p(self.lost, self.gained), _score(self.lost, self.gained, self.trials, -bound))


def _mid_p(gained: int, lost: int) -> float:
    """The probability of more gains than these among the discordant trials, and half of that of as many, if both are as likely."""
    from scipy.stats import binom

    both = gained + lost
    return float(binom.sf(gained, both, 0.5) + binom.pmf(gained, both, 0.5) / 2)


def _score(gained: int, lost: int, n: int, bound: Numbers) -> Numbers:
    """The upper tail of Tango's score for a difference of ``bound``, with the likeliest share of losses under that difference."""
    from scipy.stats import norm

    linear = -gained - lost + (2 * n - gained + lost) * bound
    constant = -lost * bound * (1 - bound)
    losses = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
    spread = np.sqrt(np.maximum(n * (2 * losses + bound * (1 - bound)), 1e-12))
    return norm.sf((gained - lost - n * bound) / spread)
