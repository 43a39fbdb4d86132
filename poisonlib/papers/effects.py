"""What each defence does to an attack: in hits and in log-odds of the intended class, beside undefended victims of its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..experiments import rules
from .cells import Cell, control, outcomes, undefended
from .claims import Claim
from .gaps import barred, gap, seeds
from .means import Mean
from .verdicts import holm

SURE = 1e-6  # a probability of the intended class is kept this far from 0 and 1
FLIPS = 9_999  # random sign flips, where there are more ways to flip them


@dataclass(frozen=True)
class Shift:
    """The mean difference of log-odds of the intended class in the same trials, and its sign-flip p-value."""

    value: float
    trials: int
    p: float


@dataclass(frozen=True)
class Effect:
    """An attack under a defence beside the same attack without one, in the same trials.

    All p-values are one-sided and Holm's, over the defences of the table; those that the gate stops count, too.
    """

    row: str
    column: str
    success: float  # of these trials, a share
    undefended: float
    gap: Mean | None  # of success, defended - undefended; None where they share at most one trial
    lowers: float  # p-value against "the defence does not lower success"
    raises: float
    shift: Shift | None  # of log-odds, defended - undefended, against "not lower"; None where a record lacks the probability
    left: Shift | None  # of log-odds, defended attack - undefended clean control, against "not higher"
    gate: str  # why nothing is said of the defence, "" where something is

    @property
    def word(self) -> str:
        """lowers, raises, undecided or not tested: by success."""
        if self.gate or self.gap is None:
            return "not tested"
        level = rules().level
        return "lowers" if self.lowers <= level else "raises" if self.raises <= level else "undecided"

    def shown(self) -> dict:
        """For the reader: success in per cent, its difference in points with the interval of a one-sided test (90 % where its
        level is 5 %), natural log-odds.
        """
        low, high = (100 * end for end in self.gap.interval(1 - 2 * rules().level)) if self.gap else (np.nan, np.nan)
        return {
            "row": self.row,
            "column": self.column,
            "n": self.gap.trials if self.gap else 0,
            "undefended %": f"{100 * self.undefended:.1f}",
            "defended %": f"{100 * self.success:.1f}",
            "difference": f"{100 * (self.success - self.undefended):+.1f} ({low:+.1f} to {high:+.1f})" if self.gap else "",
            "p": "" if self.word == "not tested" else f"{self.lowers:.2g}",
            "success": self.word,
            "log-odds": f"{self.shift.value:+.2f}" if self.shift else "",
            "p lower": f"{self.shift.p:.2g}" if self.shift else "",
            "beside the control": f"{self.left.value:+.2f}" if self.left else "",
            "p higher": f"{self.left.p:.2g}" if self.left else "",
        }


def effects(measured: Sequence[tuple[Claim, Cell]], every: Sequence[Cell]) -> tuple[Effect, ...]:
    """An effect for each success cell with a defence; ``every`` holds the undefended cells and the clean controls."""
    asked = [(claim, cell) for claim, cell in measured if claim.measure == "success" and cell.setting.defence != "none"]
    found = [effect for claim, cell in asked if (effect := _effect(claim, cell, every))]
    return tuple(_corrected(found))


def _effect(claim: Claim, cell: Cell, every: Sequence[Cell]) -> Effect | None:
    plain = undefended(cell, every)
    if plain is None:
        return None
    difference, clean = gap(cell, plain, "success"), control(plain, every)
    rates = [np.mean([outcomes(c, "success")[seed] for seed in s]) for c, s in zip((cell, plain), seeds(cell, plain), strict=True)]
    sides = [1.0, 1.0] if difference is None else [float(difference.below(0.0)), float(difference.above(0.0))]
    left = shift(cell, clean, "greater") if clean else None
    change, gate = shift(cell, plain, "less"), barred(cell, every)
    return Effect(claim.row, claim.column, *map(float, rates), difference, *sides, change, left, gate)


def _corrected(found: Sequence[Effect]) -> list[Effect]:
    """The effects with Holm's p-values. Those on success are over what is measured, those on log-odds over all that have them."""
    tested = [i for i, each in enumerate(found) if each.word != "not tested"]
    made, stopped = list(found), sum(each.gap is not None for each in found) - len(tested)
    for side in ("lowers", "raises"):
        for i, p in zip(tested, holm([getattr(found[i], side) for i in tested], stopped), strict=True):
            made[i] = replace(made[i], **{side: p})
    for side in ("shift", "left"):
        having = [i for i, each in enumerate(made) if getattr(each, side)]
        for i, p in zip(having, holm([getattr(made[i], side).p for i in having]), strict=True):
            made[i] = replace(made[i], **{side: replace(getattr(made[i], side), p=p)})
    return made


def shift(first: Cell, second: Cell, alternative: str) -> Shift | None:
    """The log-odds of the intended class in first - second, over the seeds that both have; ``alternative``: less or greater.

    Under "no effect" each difference is as likely to have the other sign (Fisher 1935). None for fewer than two trials.
    """
    one, other = (_log_odds(cell) for cell in (first, second))
    seeds = sorted(one.keys() & other.keys())
    if len(seeds) < 2:
        return None
    gaps = np.array([one[seed] - other[seed] for seed in seeds])
    against = _flipped if first.planned and second.planned else _bet
    return Shift(float(gaps.mean()), len(seeds), against(gaps if alternative == "greater" else -gaps))


def _flipped(gaps: np.ndarray) -> float:
    """The share of sign flips under which the mean is as high."""
    from scipy.stats import permutation_test

    options = dict(permutation_type="samples", vectorized=True, n_resamples=FLIPS, alternative="greater", rng=0)
    return float(permutation_test((gaps,), np.mean, **options).pvalue)


def _bet(gaps: np.ndarray) -> float:
    """Its counterpart for any number of trials: exp(λ d - λ² d² / 2) is a fair game where the signs of d are (de la Peña 1999)."""
    stakes = np.geomspace(0.02, 5, 25)[:, None]
    return float(min(1, 1 / np.exp((stakes * gaps - (stakes * gaps) ** 2 / 2).sum(1)).mean()))


def _log_odds(cell: Cell) -> dict[int, float]:
    """By seed, where the record holds the probability."""
    known = {seed: each for seed, each in zip(cell.seeds, cell.confidence, strict=True) if each is not None}
    sure = {seed: min(max(each, SURE), 1 - SURE) for seed, each in known.items()}
    return {seed: float(np.log(each / (1 - each))) for seed, each in sure.items()}
