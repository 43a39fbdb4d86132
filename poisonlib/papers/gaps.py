"""Two cells beside each other: the difference of their means, and whether there is an attack to defend against at all."""

from collections.abc import Sequence

from ..experiments import rules
from ..words import plural
from .cells import Cell, control, judged, outcomes, undefended
from .means import Mean, Unpaired, paired


def gap(first: Cell, second: Cell, measure: str) -> Mean | None:
    """The mean of first - second of a measure: in the trials of the seeds that both have; without any, of independent trials.

    None where a single trial is all that there is to compare.
    """
    one, other = outcomes(first, measure), outcomes(second, measure)
    shared = sorted(one.keys() & other.keys())
    if not shared and min(len(one), len(other)) > 1:
        return Unpaired(judged(first, measure), judged(second, measure))
    if len(shared) < 2:
        return None
    planned = first.planned and second.planned and len(shared) == len(one) == len(other)
    return paired([one[s] for s in shared], [other[s] for s in shared], even=measure != "success", planned=planned)


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
    rates = [100 * sum(each.success) / len(each.success) for each in (plain, clean)]
    found = f"the undefended attack succeeds in {rates[0]:.1f} % ({plural(len(plain.seeds), 'trial')})"
    return f"{found}, its clean control in {rates[1]:.1f} %; it is not shown to beat it by more than {100 * least:g} points"
