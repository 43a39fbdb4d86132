"""Two cells beside each other: the difference of their means, and whether there is an attack to defend against at all."""

import functools
import itertools
from collections.abc import Sequence

from ..experiments import rules
from ..words import plural
from .cells import Cell, control, judged, outcomes, undefended
from .means import Mean, Unpaired, paired


def seeds(first: Cell, second: Cell) -> tuple[list[int], list[int]]:
    """The seeds of each cell that are compared: those that both have, if they are half of the smaller cell's or more. Else all, so
    that no trial of the one shares its goal with one of the other: what both have counts in the smaller cell.
    """
    shared = sorted(set(first.seeds) & set(second.seeds))
    if 2 * len(shared) >= min(len(first.seeds), len(second.seeds)):
        return shared, shared
    own = [[seed for seed in cell.seeds if seed not in shared] for cell in (first, second)]
    return (list(first.seeds), own[1]) if len(first.seeds) <= len(second.seeds) else (own[0], list(second.seeds))


def gap(first: Cell, second: Cell, measure: str) -> Mean | None:
    """The mean of first - second of a measure over the `seeds`: trial by trial where they are shared, else of independent trials.

    None where a single trial is all that there is to compare.
    """
    mine, others = seeds(first, second)
    if min(len(mine), len(others)) < 2:
        return None
    if mine != others:
        return Unpaired(judged(first, measure, mine), judged(second, measure, others))
    planned = first.planned and second.planned and len(mine) == len(first.seeds) == len(second.seeds)
    one, other = ([outcomes(cell, measure)[seed] for seed in mine] for cell in (first, second))
    return paired(one, other, even=measure != "success", planned=planned)


def barred(cell: Cell, every: Sequence[Cell]) -> str:
    """Why nothing can be said of a defence against the attack of this cell: without a defence, the attack is not shown to beat its
    clean control by more than the gate. "" where it is.
    """
    plain = undefended(cell, every)
    clean = plain and control(plain, every)
    if not clean:
        return "no clean control was run beside the undefended attack" if plain else "the attack was not run without a defence"
    beats, least = gap(plain, clean, "success"), rules().gate
    if beats is not None and float(beats.above(least)) <= rules().level:
        return ""
    rates, needed = (
        [100 * sum(each.success) / len(each.success) for each in (plain, clean)],
        gate_takes(plain.planned and clean.planned),
    )
    found = f"the undefended attack succeeds in {rates[0]:.1f} % ({plural(len(plain.seeds), 'trial')})"
    found += f", its clean control in {rates[1]:.1f} %; it is not shown to beat it by more than {100 * least:g} points"
    return found if beats is not None and beats.trials >= needed else f"{found}, which takes {needed} trials at least"


@functools.cache
def gate_takes(planned: bool = True) -> int:
    """The least number of trials that pass the gate if the attack succeeds in all of them and its control in none; ``planned``: it
    was fixed beforehand.
    """
    perfect = (paired([1.0] * n, [0.0] * n, planned=planned) for n in itertools.count(1))
    return next(each.trials for each in perfect if float(each.above(rules().gate)) <= rules().level)
