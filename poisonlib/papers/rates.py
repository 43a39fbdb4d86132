"""Rates of our own trials, with intervals, for figures that no table of a paper stands behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..experiments import Trial
from ..experiments.spec import canonical
from .compare import Comparison
from .statistics import Estimate, estimate, mean_rate


@dataclass(frozen=True)
class Point:
    """One defence: how often the attack succeeds, how well the network does, and what the paper prints of both (shares)."""

    success: Estimate
    accuracy: Estimate
    paper: tuple[float, float] | None = None


def points(records: Sequence[dict]) -> dict[str, Point]:
    """A point a defence, by its label, over all of its records.

    Raises ValueError where these differ in more than their seeds, and where a trial comes twice.
    """
    cells: dict[str, list[dict]] = {}
    for record in records:
        cells.setdefault(Trial.read(record["spec"]).defence.label, []).append(record)
    return {label: _point(label, mine) for label, mine in cells.items()}


def _point(label: str, records: Sequence[dict]) -> Point:
    if len({canonical(record["spec"] | {"seed": 0}) for record in records}) > 1:
        raise ValueError(f"{label}: records of several attacks or settings; give those of one")
    if len({record["key"] for record in records}) < len(records):
        raise ValueError(f"{label}: {len(records)} records, some of them twice; give each once")
    success = [record["result"]["success"] for record in records]
    single = all(of == 1 for _, of in success)
    shares = [hits / of for hits, of in success]
    clean = [[sum(column) for column in zip(*record["result"]["clean"], strict=True)] for record in records]
    return Point((estimate if single else mean_rate)(shares), mean_rate([right / of for right, of in clean], method="t"))


def table_points(comparison: Comparison, success: str, accuracy: str) -> dict[str, Point]:
    """A point a row that was measured in both columns of a table, beside the paper's values where it prints both."""
    found = {}
    for row in comparison.table.rows:
        hit, right = comparison.cell(row, success), comparison.cell(row, accuracy)
        if hit.ours and right.ours:
            printed = hit.claim.value, right.claim.value
            found[row] = Point(hit.ours, right.ours, None if None in printed else printed)
    return found
