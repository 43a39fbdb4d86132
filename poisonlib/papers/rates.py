"""Rates of our own trials, with intervals, for figures that stand for no table of a paper."""

from collections import Counter
from collections.abc import Sequence

from ..experiments import Record
from .cells import Point, cells, point, setting
from .comparison import Comparison


def points(records: Sequence[Record]) -> dict[str, Point]:
    """A point for each defence, by its label, over all of its records, in their order.

    Raises ValueError where these differ in more than their seeds, and where a trial comes twice.
    """
    keys = Counter(record.key for record in records)
    twice = {setting(record.setting).defence for record in records if keys[record.key] > 1}
    labels = dict.fromkeys(setting(record.setting).defence for record in records)
    every = cells(records)
    mine = {label: [cell for cell in every if cell.setting.defence == label] for label in labels}
    for label, found in mine.items():
        if len(found) > 1:
            raise ValueError(f"{label}: records of several attacks or settings; give those of one")
        if label in twice:
            raise ValueError(f"{label}: some of the records are given twice; give each once")
    return {label: point(cell) for label, (cell,) in mine.items()}


def table_points(comparison: Comparison, success: str, accuracy: str) -> dict[str, Point]:
    """A point for each row that was measured in both columns of a table, beside the paper's values where it prints both."""
    found = {}
    for row in comparison.rows:
        hit, right = comparison.cell(row, success), comparison.cell(row, accuracy)
        if hit.ours and right.ours:
            printed = hit.claim.value, right.claim.value
            found[row] = Point(hit.ours, right.ours, None if None in printed else printed)
    return found
