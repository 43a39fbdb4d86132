"""Can a printed percentage be a count? The test is GRIM (Brown & Heathers, Social Psychological and Personality Science 8, 2017).

Where n outcomes are each a hit or a miss, a success rate is one of the n + 1 shares k/n. Printed with enough digits, most
percentages are none of them: after 20 trials 70 % and 75 % are possible, 72.73 % is not. The test says nothing of averages of
rates, and nothing where n is so large, or the digits are so few, that every percentage is some count.
"""

import functools
import math
import re
from dataclasses import dataclass
from fractions import Fraction

from ..claims import Claim


@functools.lru_cache(maxsize=1024)
def percentage(printed: str) -> tuple[Fraction, Fraction]:
    """``"72.73%"`` or ``"92.00 ± 2.71"``: the number before the ± in per cent, exactly, and one unit of its last digit.

    Raises ValueError for any other text.
    """
    found = re.fullmatch(r"([+-]?\d+(?:\.(\d+))?)%?(?: ± [\d.]+)?", printed)
    if not found:
        raise ValueError(f"{printed!r}: write a percentage, such as 36%, 12.00 or 92.00 ± 2.71")
    return Fraction(found[1]), Fraction(1, 10 ** len(found[2] or ""))


def bounds(printed: str) -> tuple[Fraction, Fraction]:
    """The least and the greatest percentage that round to the printed one; halves round to either side."""
    value, unit = percentage(printed)
    return value - unit / 2, value + unit / 2


def counts(printed: str, n: int, cut: bool = False) -> list[int]:
    """The numbers of hits k, from 0 to n, for which 100 k/n rounds to the printed percentage; ``cut``: or is cut to it."""
    value, unit = percentage(printed)
    low, high = value - unit / 2, value + unit / 2
    last = math.ceil((value + unit) * n / 100) - 1 if cut else -1
    return list(range(max(0, math.ceil(low * n / 100)), min(n, max(last, math.floor(high * n / 100))) + 1))


def ruled_out(decimals: int, n: int) -> float:
    """The share of the percentages from 0 to 100 with so many decimals that no count of n outcomes prints as: the test's power."""
    steps = 100 * 10**decimals
    shares = (Fraction(k * steps, n) for k in range(n + 1))
    prints = {side for share in shares for side in (math.floor(share + Fraction(1, 2)), math.ceil(share - Fraction(1, 2)))}
    return 1 - len(prints) / (steps + 1)


def allowing(printed: str, most: int = 100) -> list[int]:
    """The numbers of outcomes, from 1 to ``most``, at which some count prints so."""
    return [n for n in range(1, most + 1) if counts(printed, n)]


def applies(claim: Claim) -> bool:
    """Whether the claim is a printed rate of a stated number of hits and misses."""
    return bool(claim.outcomes) and claim.value is not None and not claim.derived


@dataclass(frozen=True)
class Grim:
    """A success rate of hits and misses beside the counts that its stated number of outcomes allows.

    Raises ValueError for a claim that is no such rate.
    """

    claim: Claim

    def __post_init__(self):
        if not applies(self.claim):
            place = f"{self.claim.place}, {self.claim.row}, {self.claim.column}"
            raise ValueError(f"{place}: {self.claim.printed!r} is no rate of a stated number of hits and misses")

    @property
    def n(self) -> int:
        return self.claim.outcomes

    @property
    def possible(self) -> bool:
        """Whether some count prints as the claim does."""
        return bool(counts(self.claim.printed, self.n))

    @property
    def nearest(self) -> tuple[int, int]:
        """The greatest count whose share is not above the printed one, and the least whose share is not below it."""
        share = percentage(self.claim.printed)[0] * self.n / 100
        return math.floor(share), math.ceil(share)
