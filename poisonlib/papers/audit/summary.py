"""The whole audit: every check of every cell, by paper and by cell."""

from dataclasses import dataclass

from ..claims import Claim, load, names
from .counts import Grim, applies
from .errors import ErrorCheck, check_error
from .repeats import Condition, conditions
from .sentences import Said, sentences
from .sums import Sum, sums

MEASURES = ("success", "difference", "clean accuracy", "train accuracy")
PERCENT, ERROR, OTHER = "%", "±", "≠"
FLAGS = {
    PERCENT: "no count gives the percentage at the stated n",
    ERROR: "the standard error is not the rule's",
    OTHER: "another cell says otherwise",
}


@dataclass(frozen=True)
class Audit:
    """Every check that applies to the printed results of the papers: success rates, differences of them, accuracies."""

    results: tuple[Claim, ...]
    percentages: tuple[Grim, ...]
    errors: tuple[ErrorCheck, ...]
    conditions: tuple[Condition, ...]
    sums: tuple[Sum, ...]
    sentences: tuple[Said, ...]

    def of(self, paper: str) -> "Audit":
        """The part that concerns one paper; a condition belongs to every paper that prints it."""
        return Audit(
            tuple(claim for claim in self.results if claim.paper == paper),
            tuple(each for each in self.percentages if each.claim.paper == paper),
            tuple(each for each in self.errors if each.claim.paper == paper),
            tuple(each for each in self.conditions if any(claim.paper == paper for claim in each.cells)),
            tuple(each for each in self.sums if each.claim.paper == paper),
            tuple(each for each in self.sentences if each.paper == paper),
        )

    @property
    def impossible(self) -> list[Grim]:
        return [each for each in self.percentages if not each.possible]

    @property
    def off(self) -> list[ErrorCheck]:
        """Standard errors that do not follow from the rule, be N the trials or the trained networks."""
        return [each for each in self.errors if each.off]

    @property
    def differing(self) -> list[Condition]:
        return [each for each in self.conditions if each.differs]

    @property
    def contradicting(self) -> list[Condition]:
        """Of those that differ, the ones with one n that the paper itself takes for the same."""
        return [each for each in self.conditions if each.contradicts]

    @property
    def wrong(self) -> list[Sum]:
        return [each for each in self.sums if not each.right]

    @property
    def unconfirmed(self) -> list[Said]:
        return [each for each in self.sentences if not each.holds]

    def beyond(self, level: float = 0.05) -> list[Condition]:
        """Conditions whose cells differ by more than sampling allows at that level, each tested alone."""
        return [each for each in self.differing if each.p is not None and each.p < level]

    def flags(self) -> dict[tuple, str]:
        """What is wrong with a cell, by its `key`: the `FLAGS` in their order, "" for nothing that a check found.

        Cells that no check concerns are missing.
        """
        checked = {key(each.claim): "" for group in (self.percentages, self.errors, self.sums) for each in group}
        checked |= {key(claim): "" for each in self.conditions for claim in each.cells}
        found = [(key(each.claim), PERCENT) for each in self.impossible] + [(key(each.claim), ERROR) for each in self.off]
        other = [key(claim) for each in self.contradicting for claim in each.cells]
        other += [key(each.claim) for each in self.wrong]
        for place, flag in found + [(place, OTHER) for place in dict.fromkeys(other)]:
            checked[place] += flag
        return checked


def key(claim: Claim) -> tuple[str, str, str, str]:
    """Where a cell stands: paper, table, row, column."""
    return claim.paper, claim.table, claim.row, claim.column


def audit() -> Audit:
    """The audit of all transcribed papers."""
    printed = [claim for name in names() for claim in load(name).claims() if claim.value is not None and not claim.derived]
    return Audit(
        results=tuple(claim for claim in printed if claim.measure in MEASURES),
        percentages=tuple(Grim(claim) for claim in printed if applies(claim)),
        errors=tuple(check_error(claim) for claim in printed if claim.stderr is not None),
        conditions=tuple(conditions()),
        sums=tuple(sums()),
        sentences=tuple(sentences()),
    )
