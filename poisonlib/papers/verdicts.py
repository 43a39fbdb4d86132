"""Verdicts: what our trials say of a printed number, and of a sentence about two of them. Agreement is shown, never assumed.

Three questions are asked of a cell. *The printed value*: does our rate lie within the margin of it, taken as it stands (two
one-sided tests; Schuirmann 1987)? *Its count*: is it among those that our trials lead one to expect of the paper's? *Its n*: could
so few trials have told our rate from the printed one (Simonsohn, *Small telescopes*, 2015)? The rules are those of
`experiments.rules`; p-values are corrected by Holm (1979) over a table, as if what the gate stops had been tested and not shown:
which attacks pass it depends on the same trials.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..experiments import rules
from ..words import plural
from .means import Mean
from .printed import Printed, together

TOO_SMALL = "paper too small to tell"
CELL = {  # the words for a cell
    "agrees": "our rate is shown to lie within the margin of the printed value",
    "differs": "it is shown to lie outside, and the paper's count is not one that our trials lead one to expect",
    TOO_SMALL: "it is shown to lie outside, but the paper's count is not unlikely, and so few trials would seldom have told",
    "open": "neither is shown",
}
FINDING = {  # the words for a sentence
    "holds": "our trials show it",
    "contradicted": "our trials show the opposite",
    "undecided": "our trials show neither",
    "not tested": "the undefended attack is not shown to beat its clean control, or there are fewer than two trials to compare",
}


@dataclass(frozen=True)
class CellVerdict:
    """What our trials say of a printed number: a word, and the answers to the three questions."""

    word: str
    value: str  # agrees, differs or open: our rate and the printed value
    count: str  # expected or unexpected: the paper's count after our trials
    told: float  # the probability that the paper's number of trials had told our rate from the printed value
    text: str


@dataclass(frozen=True)
class Verdict:
    """What our trials say of a sentence: a word, the numbers behind it in words, and the p-values before correction."""

    word: str
    text: str
    p: float  # against the opposite of what is claimed
    against: float  # of the opposite


@dataclass(frozen=True)
class Asked:
    """The p-values behind the verdict on a cell."""

    ours: Mean
    paper: Printed
    margin: float

    @property
    def within(self) -> float:
        """Against "our rate lies outside the margin of the printed value"."""
        return float(max(self.ours.above(self.paper.value - self.margin), self.ours.below(self.paper.value + self.margin)))

    @property
    def outside(self) -> float:
        """Against "our rate lies within it"."""
        ends = self.ours.above(self.paper.value + self.margin), self.ours.below(self.paper.value - self.margin)
        return float(min(1, 2 * min(ends)))


def judged(asked: Sequence[Asked], stopped: int = 0) -> list[CellVerdict]:
    """The verdicts on the cells of a table, each kind of p-value corrected over all of them and so many that the gate stops."""
    within, outside = (holm([getattr(each, side) for each in asked], stopped) for side in ("within", "outside"))
    counts = holm([together(each.ours, each.paper) for each in asked], stopped)
    return [_judged(*each) for each in zip(asked, within, outside, counts, strict=True)]


def _judged(asked: Asked, within: float, outside: float, count: float) -> CellVerdict:
    level = rules().level
    value = "agrees" if within <= level else "differs" if outside <= level else "open"
    expected = "expected" if count > level else "unexpected"
    told = asked.paper.told(asked.ours.value, level)
    word = value if (value, expected) != ("differs", "expected") else TOO_SMALL if told < rules().told else "open"
    points = f"{100 * asked.margin:g} points of the printed {100 * asked.paper.value:.4g} %"
    says = {"agrees": f"is shown to lie within {points}", "differs": f"is shown not to lie within {points}"}
    near = says.get(value, f"may or may not lie within {points}")
    first = f"{_counted(asked.ours.value, asked.ours.trials)} {near}"
    second = f"after our trials the paper's value is {expected} (p = {count:.2g})"
    third = f"had ours been the truth, its {plural(asked.paper.trials, 'trial')} would have told with probability {told:.0%}"
    return CellVerdict(word, value, expected, told, f"{word}: {first}; {second}; {third}.")


@dataclass(frozen=True)
class Question:
    """A sentence about two rates: ``gap`` is the mean of first - second, which is claimed to be lower, higher or similar. Or about
    a single one, which is claimed to lie below or above a ``bound``.
    """

    kind: str
    gap: Mean | None  # None: nothing was measured twice
    margin: float
    first: Mean
    second: Mean | None
    gate: str = ""  # why nothing is said, where the attack does not succeed
    bound: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there are enough trials for a test."""
        return self.gap is not None or (self.bound is not None and self.first.trials > 1)

    @property
    def tested(self) -> bool:
        """Whether a verdict is asked for."""
        return self.measured and not self.gate

    @property
    def p(self) -> float:
        """Against the opposite of what is claimed."""
        if self.bound is not None:
            return float(self.first.below(self.bound) if self.kind == "below" else self.first.above(self.bound))
        if self.kind == "similar":
            return float(max(self.gap.above(-self.margin), self.gap.below(self.margin)))
        return float(self.gap.below(0.0) if self.kind == "lower" else self.gap.above(0.0))

    @property
    def against(self) -> float:
        """Against what is claimed."""
        if self.bound is not None:
            return float(self.first.above(self.bound) if self.kind == "below" else self.first.below(self.bound))
        if self.kind == "similar":
            return float(min(1, 2 * min(self.gap.above(self.margin), self.gap.below(-self.margin))))
        return float(self.gap.above(0.0) if self.kind == "lower" else self.gap.below(0.0))


def answered(questions: Sequence[Question]) -> list[Verdict]:
    """The verdicts on the sentences of a table: one-sided tests, corrected over those that are measured."""
    tested = [each for each in questions if each.tested]
    stopped = sum(each.measured for each in questions) - len(tested)
    pairs = zip(*(holm([getattr(each, side) for each in tested], stopped) for side in ("p", "against")), strict=True)
    corrected = iter(list(pairs))
    return [_answered(each, *next(corrected)) if each.tested else _silent(each) for each in questions]


def _silent(question: Question) -> Verdict:
    return Verdict("not tested", f"not tested: {question.gate or 'there are fewer than two trials to compare'}.", 1.0, 1.0)


def _answered(question: Question, p: float, against: float) -> Verdict:
    level = rules().level
    word = "holds" if p <= level else "contradicted" if against <= level else "undecided"
    link = {"holds": "", "contradicted": "that ", "undecided": "whether "}[word]
    shown, judge = against if word == "contradicted" else p, question.gap or question.first
    sided = 1 - 2 * level  # of the interval that a one-sided test belongs to
    low, high = (100 * end for end in judge.interval(sided))
    interval = f"{100 * sided:g} % interval {low:+.1f} to {high:+.1f}, p = {shown:.2g} ({judge.name}, Holm)"
    return Verdict(word, f"{word}: {link}{_said(question)}, its {interval}.", question.p, question.against)


def _said(question: Question) -> str:
    """``"5.0 % (20 trials) is lower than 90.0 % (20 trials); the difference is -85.0 points"``."""
    first, *others = [_counted(each.value, each.trials) for each in (question.first, question.second) if each]
    if question.bound is not None:
        return f"{first} lies {question.kind} {100 * question.bound:g} %"
    than = f"within {100 * question.margin:g} points of" if question.kind == "similar" else f"{question.kind} than"
    return f"{first} is {than} {others[0]}; the difference is {100 * question.gap.value:+.1f} points"


def _counted(value: float, trials: int) -> str:
    return f"{100 * value:.1f} % ({plural(trials, 'trial')})"


def holm(p_values: Iterable[float], others: int = 0) -> list[float]:
    """Holm's corrected p-values (1979): with a bound on each, the probability of any false rejection is below that bound.

    ``others``: how many further ones of the family are 1.
    """
    p_values = np.asarray(list(p_values), dtype=float)
    order = np.argsort(p_values)
    corrected = np.minimum(1, np.maximum.accumulate(p_values[order] * (np.arange(len(p_values), 0, -1) + others)))
    return corrected[np.argsort(order)].tolist()
