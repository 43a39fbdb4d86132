"""Cells of a reader's own grid beside one of them, trial by trial: what the same seeds gained or lost."""

from collections.abc import Hashable, Mapping, Sequence

from ..experiments import rules
from ..experiments.record import Record
from .statistics import paired_difference


def seed_by_seed(found: Mapping[Hashable, Sequence[Record]], against: Hashable):
    """A pandas table, a row for each cell but ``against``: trials that it lost and gained, and the difference of success. Several
    starts of one seed share their goal, so their mean is one trial.

    ``found``: the records of each cell, all with the same seeds. The intervals are those of `statistics.paired_difference`, of each
    comparison alone and, where there are several, of all at once (Bonferroni's).

    Raises KeyError where there is no cell ``against``, ValueError for a cell with other seeds, or with several records of one.
    """
    import pandas

    hits_of = {name: _hits(name, records) for name, records in found.items()}
    base = hits_of.pop(against)
    for name, hits in hits_of.items():
        if hits.keys() != base.keys():
            odd = sorted(hits.keys() ^ base.keys())[:3]
            raise ValueError(f"{name!r} and {against!r} differ in the trials (seed, start) {odd}; give cells with the same seeds")
    rows = [_row(_by_seed(hits), _by_seed(base), len(hits_of)) for hits in hits_of.values()]
    return pandas.DataFrame(rows, index=pandas.Index(list(hits_of)))


def _hits(name: Hashable, records: Sequence[Record]) -> dict[tuple[int, int], float]:
    """Success by seed and start."""
    hits = {(record.seed, record.trial.start): record.success for record in records}
    if len(hits) < len(records):
        raise ValueError(f"{name!r} has {len(records)} records of {len(hits)} trials (seed, start); give cells of one setting")
    return hits


def _by_seed(hits: Mapping[tuple[int, int], float]) -> list[float]:
    """The mean over starts, a seed after the other."""
    starts: dict[int, list[float]] = {}
    for (seed, _), rate in sorted(hits.items()):
        starts.setdefault(seed, []).append(rate)
    return [sum(rates) / len(rates) for rates in starts.values()]


def _row(mine: list[float], base: list[float], comparisons: int) -> dict:
    level = rules().level
    gap = paired_difference(mine, base, level=1 - level)
    changes = [a - b for a, b in zip(mine, base, strict=True)]
    row = {"trials": len(base), "lost": sum(change < 0 for change in changes), "gained": sum(change > 0 for change in changes)}
    row |= {"difference, points": f"{100 * gap.value:+.0f}", f"{100 * (1 - level):g} % interval": _ends(gap)}
    together = f"{100 * (1 - level):g} % for all {comparisons}"
    return row if comparisons == 1 else row | {together: _ends(gap.at(1 - level / comparisons))}


def _ends(gap) -> str:
    return f"{100 * gap.low:+.0f} to {100 * gap.high:+.0f}"
