"""What the results explorer's pictures show, in words."""

from collections.abc import Sequence

from ..papers.belonging import Beside
from ..papers.cells import Cell, measured, names, point, trials
from ..papers.costs import Cost, needed
from ..papers.dose import Series
from ..papers.statistics import Estimate


def lead(source: str, every: Sequence[Cell], chosen: Sequence[Cell]) -> str:
    return f"Records {source}: {trials(chosen)} of {trials(every)} trials, {len(chosen)} of {len(every)} cells."


def nothing(source: str, every: Sequence[Cell]) -> str:
    """Why there is no picture."""
    if every:
        return f"None of the {len(every)} cells of the records {source} is chosen: choose fewer conditions."
    return f"There are no records in {source} yet: run a notebook, or choose a kept run as the source."


def extremes(shown: Sequence[Cell], left: int) -> str:
    """The cells of lowest and highest success among those shown; ``left`` are not."""
    ranked = sorted(zip(names(shown), map(point, shown), strict=True), key=lambda pair: pair[1].success.value)
    said = [f"{name}: success {rate.success}, clean accuracy {100 * rate.accuracy.value:.1f} %" for name, rate in ranked]
    count = f"{len(shown)} cells are shown, those with the most trials; {left} are not." if left > 0 else "All are shown."
    return f"{count} Lowest: {said[0]}. Highest: {said[-1]}."


def table(spots: Sequence[Beside]) -> str:
    """How much of a paper's table is measured, and how often its values lie inside our intervals."""
    rates = [(spot.claim.value, measured(cell, spot.claim.measure)) for spot in spots for cell in spot.ours]
    inside = sum(rate.low <= value <= rate.high for value, rate in rates)
    return (
        f"Of the {len(spots)} values in {spots[0].claim.place} of {spots[0].claim.paper}, {sum(bool(s.ours) for s in spots)} are "
        f"measured; the paper's value lies inside {inside} of our {len(rates)} intervals."
    )


def doses(name: str, lines: Sequence[Series], most: int) -> str:
    """Each series from its weakest to its strongest dose, with the slope of its curve or why it has none."""
    if not lines:
        return f"No cells that are chosen differ in {name} alone: a response needs two doses, a curve three."
    labels = names([line.cells[-1] for line in lines[:most]])
    said = "; ".join(f"{label}, {_ends(line)}" for label, line in zip(labels, lines, strict=False))
    return f"{said}." + (f" {len(lines) - most} more series are not shown." if len(lines) > most else "")


def _ends(line: Series) -> str:
    ends = " to ".join(f"{_percent(point(line.cells[i]).success)} at {line.doses[i]:g}" for i in (0, -1))
    return f"{ends} ({line.curve if isinstance(line.curve, str) else line.curve.words})"


def _percent(rate: Estimate) -> str:
    return f"{100 * rate.value:.0f} %"


def power(p1: float, p2: float, sure: float, cells: int, costs: Sequence[Cost]) -> str:
    """Trials for the question, and hours for the grid."""
    each = needed(p1, p2, sure)
    rates = f"To tell {100 * p1:.0f} % from {100 * p2:.0f} % in {100 * sure:.0f} % of cases (two-sided, 5 %)"
    question = f"{rates}, each cell needs {each} trials"
    hours = "; ".join(_hours(cost, each * cells) for cost in costs)
    return f"{question}; {cells} cells, {each * cells}. " + (
        f"One worker: {hours}." if hours else "No trial that is chosen was timed, so the hours are not known."
    )


def _hours(cost: Cost, trials: int) -> str:
    device = "this device" if cost.here else "another device"
    return f"{cost.where} {cost.seconds * trials / 3600:.2g} h on {device} ({cost.trials} recorded at {cost.seconds:.3g} s)"
