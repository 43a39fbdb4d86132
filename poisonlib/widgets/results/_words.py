"""Sentences that say what the results explorer's pictures show."""

from collections import Counter
from collections.abc import Sequence

from ...papers.belonging import Beside, beside
from ...papers.cells import Cell, measured, point, trials
from ...papers.costs import Cost, costs, needed
from ...papers.dose import Series
from ...papers.statistics import Estimate
from ...papers.telling import names
from ...words import plural
from ._state import NONE, Selection, State, prepare

LINES = 4  # series in one picture of doses


def words(state: State) -> str:
    """What `render` shows, in a line, and how many records cannot be read."""
    selection = prepare(state)
    return " ".join(filter(None, (_shown(state, selection), unreadable(selection.unreadable))))


def _shown(state: State, selection: Selection) -> str:
    if state.view == "power":
        return power(state.p1, state.p2, state.power, state.cells, costs(selection.chosen))
    if not selection.chosen:
        return nothing(selection)
    lead = (
        f"Records {selection.source}: {trials(selection.chosen)} of {plural(trials(selection.every), 'trial')}, "
        f"{len(selection.chosen)} of {plural(len(selection.every), 'cell')}."
    )
    if state.view == "dose":
        return f"{lead} {doses(state.dose, selection.lines(state.dose))}"
    if state.view == "forest" and state.table != NONE:
        return f"{lead} {table(beside(selection.chosen, state.table))}"
    return f"{lead} {extremes(selection.most(state.rows), len(selection.chosen) - state.rows)}"


def unreadable(messages: Sequence[str]) -> str:
    """How many records cannot be read, and the most frequent reason; "" if all can be read."""
    if not messages:
        return ""
    (reason, times), *others = Counter(messages).most_common()
    return f"{plural(len(messages), 'record')} cannot be read and {'is' if len(messages) == 1 else 'are'} left out: " + (
        f"{times} because {reason}; the others for other reasons." if others else f"{reason}."
    )


def nothing(selection: Selection) -> str:
    """Why there is no picture."""
    if selection.every:
        return f"None of the {len(selection.every)} cells of the records {selection.source} is selected: set fewer conditions."
    if selection.unreadable:
        return f"None of the records in {selection.source} can be read."
    return f"There are no records in {selection.source} yet: run a notebook, or choose a kept run as the source."


def extremes(shown: Sequence[Cell], left: int) -> str:
    """The cells with the lowest and the highest success; ``left``: how many are not shown."""
    ranked = sorted(zip(names(shown), map(point, shown), strict=True), key=lambda pair: pair[1].success.value)
    said = [f"{name}: success {rate.success}, clean accuracy {100 * rate.accuracy.value:.1f} %" for name, rate in ranked]
    count = f"The {len(shown)} cells with the most trials are shown, {left} are not." if left > 0 else "All are shown."
    return f"{count} Lowest: {said[0]}. Highest: {said[-1]}."


def table(spots: Sequence[Beside]) -> str:
    """How much of a paper's table is measured, and how often the paper's value lies inside our interval."""
    rates = [(spot.claim.value, measured(cell, spot.claim.measure)) for spot in spots for cell in spot.ours]
    inside = sum(rate.low <= value <= rate.high for value, rate in rates)
    place = f"{spots[0].claim.place} of {spots[0].claim.paper}"
    if not rates:
        return f"None of the {len(spots)} values in {place} is measured by the selected cells."
    return (
        f"Of the {len(spots)} values in {place}, {sum(bool(spot.ours) for spot in spots)} are measured; the paper's value lies "
        f"inside {inside} of our {len(rates)} intervals."
    )


def doses(name: str, lines: Sequence[Series]) -> str:
    """The response of each series to its weakest and strongest dose, with the slope of its curve, or why it has none."""
    if not lines:
        return f"No selected cells differ only in {name}: a response needs two doses, and a curve needs three."
    labels = names([line.cells[-1] for line in lines[:LINES]])
    said = "; ".join(f"{label}, {_ends(line)}" for label, line in zip(labels, lines, strict=False))
    return f"{said}." + (f" {len(lines) - LINES} more series are not shown." if len(lines) > LINES else "")


def _ends(line: Series) -> str:
    ends = " and ".join(f"{_percent(point(line.cells[i]).success)} at {line.doses[i]:g}" for i in (0, -1))
    return f"{ends} ({line.curve if isinstance(line.curve, str) else line.curve.words})"


def _percent(rate: Estimate) -> str:
    return f"{100 * rate.value:.0f} %"


def power(p1: float, p2: float, sure: float, cells: int, times: Sequence[Cost]) -> str:
    """The number of trials that tell the rates apart with probability ``sure``, and the hours that the planned grid takes."""
    each = needed(p1, p2, sure)
    rates = f"To tell {100 * p1:.0f} % from {100 * p2:.0f} % with a power of {100 * sure:.0f} % (one-sided exact test at 5 %)"
    question = f"{rates}, each cell needs {each} trials, and {cells} cells need {each * cells}."
    if not times:
        return f"{question} No selected trial was timed, so the hours are not known."
    return f"{question} One worker: {'; '.join(_hours(cost, each * cells) for cost in times)}."


def _hours(cost: Cost, count: int) -> str:
    device = "this device" if cost.here else "another device"
    mean = f"mean of {plural(cost.trials, 'trial')}: {cost.seconds:.3g} s"
    return f"{cost.where} {cost.seconds * count / 3600:.2g} h on {device} ({mean})"


def notice(state: State) -> str:
    """Work that takes seconds the first time: reading records, and finding those that belong to a paper's table."""
    if state.view == "forest" and state.table != NONE:
        return f"Finding the records {state.source} that belong to {state.table} ..."
    return f"Reading the records {state.source} ..."
