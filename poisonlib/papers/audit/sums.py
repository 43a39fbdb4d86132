"""Numbers that a paper prints and that follow from others it prints: differences from a baseline, averages over networks."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..claims import Claim, load
from .counts import percentage


@dataclass(frozen=True)
class Sum:
    """A printed number beside what the cells give from which it follows, both in points."""

    claim: Claim
    parts: tuple[Claim, ...]
    follows: Fraction
    room: Fraction  # how far rounding alone can move it

    @property
    def printed(self) -> Fraction:
        return percentage(self.claim.printed)[0]

    @property
    def right(self) -> bool:
        return abs(self.printed - self.follows) <= self.room


def sums() -> list[Sum]:
    """*Just How Toxic*: every difference from Table 4's baseline and every average over the networks of Table 25."""
    return [*_differences(), *_averages()]


def _differences() -> Iterator[Sum]:
    paper = load("just_how_toxic")
    for claim in paper.claims():
        if claim.measure == "difference":
            parts = tuple(paper.claim(table, row, "Success Rate (%)") for table, row in _of(claim))
            values = [percentage(part.printed)[0] for part in parts]
            yield Sum(claim, parts, values[0] - values[1], _room(claim, parts))


def _of(claim: Claim) -> tuple[tuple[str, str], tuple[str, str]]:
    """The row of a difference and the baseline of its attack."""
    return (claim.table, claim.row), ("table4", claim.row.split()[0])


def _averages() -> Iterator[Sum]:
    paper = load("just_how_toxic")
    table = paper.table("table25")
    networks = [column.name for column in table.columns if column.name != "Average"]
    for row in table.rows:
        claim, parts = paper.claim("table25", row, "Average"), tuple(paper.claim("table25", row, name) for name in networks)
        mean = sum(percentage(part.printed)[0] for part in parts) / len(parts)
        yield Sum(claim, parts, mean, _room(claim, parts[:1]))


def _room(claim: Claim, parts: tuple[Claim, ...]) -> Fraction:
    """Half a unit of the last digit of each number that is rounded by itself; of a mean, once for its equal parts."""
    return sum((percentage(each.printed)[1] / 2 for each in (claim, *parts)), Fraction(0))
