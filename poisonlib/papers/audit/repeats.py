"""The same condition printed in several cells: do they agree, and if not, could sampling alone be the reason?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..claims import Claim, load
from .counts import applies, bounds, percentage

# Just How Toxic prints its benchmark in Table 2 and again elsewhere.
BENCHMARK = {
    "CIFAR-10 / Transfer / WB": {"table24": "WB", "table11": "25"},
    "CIFAR-10 / Transfer / BB": {"table24": "BB"},
    "CIFAR-10 / From Scratch": {"table25": "Average"},
    "TinyImageNet / Transfer / WB": {"table26": "Transfer learning / WB"},
    "TinyImageNet / Transfer / BB": {"table26": "Transfer learning / BB"},
    "TinyImageNet / From Scratch": {"table26": "From scratch VGG16"},
}
BENCHMARK_WORDS = "one benchmark: section 5 (25 poisons), A.16"

# Cells of Just How Toxic that are Table 4's baselines: (row, table, column), why, and whether that is only our reading.
RATE = "Success Rate (%)"
BASELINES = (
    ("CP", "table7", RATE, "A.4: 'our baseline set-up for CP uses a ResNet-18 victim model'", False),
    ("HTBD", "table8", RATE, "A.5: 'no change form the baseline since this was the ε values used in our baseline'", False),
    ("CLBD", "table12", RATE, "A.8: 'we consider the CLBD baseline black-box'", False),
    ("CP", "table10", "5", "section 3: the baseline, too, has 5 poisons and 50 images per class", True),
    ("CLBD", "table10", "500", "section 3: the baseline, too, has 500 poisons and all of CIFAR-10", True),
)
SAME_WORDS = "attack, defence, share of poisons, data and network"


@dataclass(frozen=True)
class Condition:
    """Cells that report the same condition, and why they are taken to."""

    name: str
    cells: tuple[Claim, ...]
    because: str
    our_reading: bool = False  # no sentence of the paper says so

    @property
    def lowest(self) -> Claim:
        return min(self.cells, key=lambda claim: claim.value)

    @property
    def highest(self) -> Claim:
        return max(self.cells, key=lambda claim: claim.value)

    @property
    def apart(self) -> Fraction:
        """Points by which the lowest and the highest cell differ at least, whatever was rounded away; 0 where they agree."""
        return max(Fraction(0), bounds(self.highest.printed)[0] - bounds(self.lowest.printed)[1])

    @property
    def differs(self) -> bool:
        """Whether rounding alone does not explain the difference."""
        return self.apart > 0

    @property
    def one_n(self) -> bool:
        """Whether all cells state the same number of outcomes, so that nothing says that they are different runs."""
        return len({claim.outcomes or claim.trials for claim in self.cells}) == 1

    @property
    def contradicts(self) -> bool:
        """Whether the paper prints two numbers for what it says is one, at one n."""
        return self.differs and self.one_n and not self.our_reading

    @property
    def p(self) -> float | None:
        """Fisher's exact test, two-sided, of the lowest against the highest cell; None where trials are no hits and misses.

        A percentage that is no count at the stated number of outcomes counts as the nearest one.
        """
        if not all(applies(claim) for claim in self.cells):
            return None
        from scipy.stats import fisher_exact

        return float(fisher_exact([_split(self.lowest), _split(self.highest)])[1])

    @property
    def spread(self) -> float | None:
        """For averages of rates: the least standard deviation between trials, in points, at which the difference lies within 1.96
        standard errors. None for hits and misses.
        """
        if all(applies(claim) for claim in self.cells):
            return None
        return float(self.apart) / (1.96 * math.sqrt(sum(1 / claim.trials for claim in (self.lowest, self.highest))))

    @property
    def most_spread(self) -> float:
        """The greatest standard deviation, in points, of shares with the mean of all trials of both cells."""
        ends = self.lowest, self.highest
        mean = sum(claim.value * claim.trials for claim in ends) / sum(claim.trials for claim in ends)
        return 100 * math.sqrt(mean * (1 - mean))


def _split(claim: Claim) -> tuple[int, int]:
    """Hits and misses, to the nearest count."""
    hits = round(percentage(claim.printed)[0] * claim.outcomes / 100)
    return hits, claim.outcomes - hits


def conditions() -> list[Condition]:
    """Every condition of the three papers that several cells print."""
    return [*_by_words(), *_benchmark(), *_baselines()]


def _by_words() -> Iterator[Condition]:
    """The short paper and DP-InstaHide: cells whose means are the same in this package's words."""
    found: dict[tuple, list[Claim]] = {}
    for paper in ("strong_augmentation", "dp_instahide"):
        for claim in load(paper).claims():
            if claim.value is not None and not claim.derived:
                found.setdefault((claim.measure, *sorted(claim.means.items())), []).append(claim)
    for cells in found.values():
        if len(cells) > 1:
            several = len({claim.paper for claim in cells}) > 1  # no sentence of either says that these are the same runs
            yield Condition(f"{cells[0].row}, {cells[0].column}", tuple(cells), SAME_WORDS, several)


def _benchmark() -> Iterator[Condition]:
    paper = load("just_how_toxic")
    for first in paper.table("table2").claims:
        others = [(table, column) for table, column in BENCHMARK[first.column].items() if first.row in paper.table(table).rows]
        cells = (first, *(paper.claim(table, first.row, column) for table, column in others))
        if first.value is not None:
            yield Condition(f"{first.row}, {first.column}", cells, BENCHMARK_WORDS)


def _baselines() -> Iterator[Condition]:
    paper = load("just_how_toxic")
    for row, table, column, because, our_reading in BASELINES:
        cells = paper.claim("table4", row, RATE), paper.claim(table, row, column)
        yield Condition(f"{row}, baseline", cells, because, our_reading)


def together(found: Sequence[Condition]) -> float:
    """The two-sided exact p-value of all these conditions at once: the first cell of each against its second.

    Given the hits of both cells together, those of the first are hypergeometric; their sum over the conditions, which must be
    independent, is compared with its distribution (the exact test of a common odds ratio of 1: Gart 1970).
    """
    from scipy.stats import hypergeom

    chances, seen = np.ones(1), 0
    for condition in found:
        (hits, misses), (others, missed) = (_split(claim) for claim in condition.cells[:2])
        seen += hits
        among = hypergeom(hits + misses + others + missed, hits + others, hits + misses)
        chances = np.convolve(chances, among.pmf(np.arange(hits + others + 1)))
    return float(min(1.0, chances[chances <= chances[seen] * (1 + 1e-7)].sum()))
