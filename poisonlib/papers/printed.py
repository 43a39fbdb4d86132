"""A printed number taken as a measurement: what the paper's trials could show, had they been drawn as ours were."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .claims import Claim
from .means import Mean, Numbers, combined, either

POINTS = 201


@dataclass(frozen=True)
class Printed:
    """A mean of ``trials`` trials. ``spread``: the deviation between runs, None where a trial is one hit or miss."""

    value: float
    trials: int
    rounding: float  # half of the last printed digit
    spread: float | None = None
    freedom: int = 1  # degrees of freedom of the spread, which is that of our own runs

    def p(self, mean: Numbers) -> Numbers:
        """The two-sided p-value of the printed value where the truth is ``mean``.

        Hits or misses: twice the smaller binomial tail of the count, the nearest one where no count gives the printed value. Rates:
        Student's, with our deviation between runs.
        """
        from scipy.stats import binom, t

        if self.spread is None:
            count = round(self.value * self.trials)
            tails = binom.cdf(count, self.trials, mean), binom.sf(count - 1, self.trials, mean)
            return np.minimum(1, 2 * np.minimum(*tails))
        away = np.maximum(np.abs(np.asarray(mean) - self.value) - self.rounding, 0)
        if self.spread == 0:
            return (away == 0).astype(float)
        return 2 * t.sf(away / self.spread * np.sqrt(self.trials), self.freedom)

    def told(self, truth: float, level: float) -> float:
        """The probability that so many trials differ from the printed value at ``level``, where the truth is another."""
        from scipy.stats import binom, norm

        if self.spread is None:
            counts = np.arange(self.trials + 1)
            tails = binom.cdf(counts, self.trials, self.value), binom.sf(counts - 1, self.trials, self.value)
            rejects = 2 * np.minimum(*tails) <= level
            return float(binom.pmf(counts, self.trials, truth)[rejects].sum())
        away = np.maximum(abs(truth - self.value) - self.rounding, 0)
        if self.spread == 0:
            return float(away > 0)
        shift, edge = away / self.spread * np.sqrt(self.trials), norm.isf(level / 2)
        return float(norm.sf(edge - shift) + norm.cdf(-edge - shift))


def printed(claim: Claim, ours: Sequence[float]) -> Printed | None:
    """The claim as a measurement; rates have the deviation between ours. None where the paper states no value or no trials."""
    if claim.value is None or not claim.trials:
        return None
    rounding = _rounding(claim.printed)
    if claim.binary and claim.measure == "success":
        return Printed(claim.value, claim.trials, rounding)
    return Printed(claim.value, claim.trials, rounding, float(np.std(ours, ddof=1)), len(ours) - 1) if len(ours) > 1 else None


def together(ours: Mean, paper: Printed) -> float:
    """The p-value against "ours and the paper's trials have one mean".

    For each mean that they could share the two independent p-values are combined by Fisher's rule, and the largest counts. The
    values of the paper that are not rejected are our prediction of what its trials show.
    """
    low, high = sorted((ours.value, paper.value))
    shared = np.linspace(low, high, POINTS)
    return float(combined(either(ours, shared), paper.p(shared)).max())


def _rounding(text: str) -> float:
    """Half of the last digit of a printed percentage: "98.3%" -> 0.0005."""
    digits = text.split(" ")[0].rstrip("%").partition(".")[2]
    return 0.5 / 10 ** (2 + len(digits))
