"""Do the printed standard errors follow from the paper's own rule?

*Just How Toxic is Data Poisoning?*, A.1: E = sqrt(P (1 - P) / N), "where P is the observed probability of success, and N is the
number of trials. If there are fewer than five observed successes or failures, we set P = 1/2 to upper-bound standard error." Where
networks are trained on the same poisons and averaged, N may be read in two ways: the trials, as it says, or the trained networks.
An error that follows from either is not off.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..claims import Claim
from .counts import counts, percentage

FEW = 5
NETWORKS = "the rule, N = trained networks"
TRIALS = "the rule, N = trials"
INCLUSIVE = "the rule, but five count as few"
FEWER = "the rule, with fewer trials"
BOTH = "fewer trials, and five count as few"
NONE = "no reading found"
READINGS = (NETWORKS, TRIALS, INCLUSIVE, FEWER, BOTH, NONE)


def standard_error(printed: str, n: int, few: int = FEW) -> float:
    """A.1's rule in points, for a printed percentage and N = n.

    P is the share of the count that prints so; where no count does, the printed share itself. It is 1/2 where there are fewer than
    ``few`` hits or misses.
    """
    share = percentage(printed)[0] / 100
    found = counts(printed, n)
    hits = Fraction(min(found, key=lambda k: abs(Fraction(k, n) - share))) if found else share * n
    p = Fraction(1, 2) if min(hits, n - hits) < few else hits / n
    return 100 * math.sqrt(p * (1 - p) / n)


def follows(claim: Claim, n: int, few: int = FEW) -> bool:
    """Whether the printed error is the rule's for N = n, rounded or cut: the paper does both."""
    text = claim.printed.split(" ± ")[1]
    unit = 10.0 ** -len(text.partition(".")[2])
    away = standard_error(claim.printed, n, few) - float(text)
    return abs(away) <= unit / 2 + 1e-9 or 0 <= away < unit - 1e-9


@dataclass(frozen=True)
class ErrorCheck:
    """A printed standard error, in points, beside the rule's with N = trained networks, and what it follows from."""

    claim: Claim
    error: float
    rule: float
    reading: str
    n: int | None  # of that reading; None for none

    @property
    def off(self) -> bool:
        """Whether the error follows from neither reading of N."""
        return self.reading not in (NETWORKS, TRIALS)

    @property
    def factor(self) -> float:
        """Printed over the rule's."""
        return self.error / self.rule


def check_error(claim: Claim) -> ErrorCheck:
    """The first of the `READINGS` from which the error follows. Raises ValueError for a claim without an error.

    Fewer trials must make the percentage possible, too, and are searched from the stated number down.
    """
    if claim.stderr is None or not claim.outcomes:
        raise ValueError(f"{claim.place}, {claim.row}, {claim.column}: {claim.printed!r} has no standard error of hits and misses")
    found = ((reading, n) for reading, n, few in _readings(claim) if follows(claim, n, few))
    reading, n = next(found, (NONE, None))
    error = float(claim.printed.split(" ± ")[1])
    return ErrorCheck(claim, error, standard_error(claim.printed, claim.outcomes), reading, n)


def _readings(claim: Claim) -> Iterator[tuple[str, int, int]]:
    yield NETWORKS, claim.outcomes, FEW
    yield TRIALS, claim.trials, FEW
    yield INCLUSIVE, claim.outcomes, FEW + 1
    for reading, few in ((FEWER, FEW), (BOTH, FEW + 1)):
        for trials in range(claim.trials - 1, 0, -1):
            if counts(claim.printed, trials * claim.victims):
                yield reading, trials * claim.victims, few
