"""Ours beside the paper's: which of our cells measures each cell of a table, and the verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..experiments import Record, Trial, rules
from .averages import Averages, average, averages, named
from .belonging import alike, attacked_as, belongs, columns, same_setting
from .cells import Cell, cells, chance, measured, trial_of
from .cells import judged as judged_mean
from .claims import Claim, Finding, Table, load
from .comparison import Comparison, TableCell
from .costs import worked
from .effects import effects
from .gaps import barred, gap
from .printed import printed
from .together import together
from .verdicts import Asked, Question, answered, judged


def compare(records: Sequence[Record], paper: str, table: str | Sequence[str]) -> Comparison:
    """A paper's table beside those of our records that belong to its cells, with verdicts by the rules of `experiments.rules`.
    Several tables stand together (`together`), and sentences are tested that compare a cell of one with a cell of another.

    A record belongs to a cell if its attack, defence and values are what the claim's ``means`` say; data and network may differ,
    and the cell then says that the setting is not the paper's. Records of the attack under a defence that the table lacks make
    further rows. Records of clean controls give the chance rate; records whose classes cannot be imported here are left out.
    Where the benchmark averages over networks, so do we over those of our victims (`averages`). Raises ValueError for records of
    several settings in one cell otherwise.
    """
    claimed, every = together(load(paper), [table] if isinstance(table, str) else table), cells(records)
    trials = {cell: trial for cell in every if (trial := trial_of(cell.setting.text))}
    claims, means = [*claimed.claims, *_further(claimed, list(trials.values()))], averages(every)
    mine = [_mine(claim, trials, means) for claim in claims]
    every = (*every, *means.values())
    trials |= {mean: trial_of(mean.members[0]) for mean in means.values()}
    compared = _compared(claims, mine, every, trials)
    by_name = {(cell.claim.row, cell.claim.column): cell for cell in compared}
    asked = {each: [by_name.get(claimed.place_of(place)) for place in each.places] for each in load(paper).findings}
    findings = [each for each, found in asked.items() if _measured(*found)]
    verdicts, at_any_n = (answered([_question(f, asked[f], every, planned) for f in findings]) for planned in (True, False))
    seen = effects([(cell.claim, cell.trials) for cell in compared if cell.trials], every)
    used = {text for own in mine if own for text in own.settings}
    behind = {record.key: record for record in records if record.setting in used}
    said = tuple(zip(findings, verdicts, strict=True))
    return Comparison(claimed, compared, said, tuple(at_any_n), seen, tuple(behind.values()))


def _measured(*cells: TableCell | None) -> bool:
    return all(cell and cell.ours for cell in cells)


def _further(table: Table, trials: Sequence[Trial]) -> Iterator[Claim]:
    """Claims without a value, one a column, for each defence that the table lacks and under which its attack was run."""
    asking, found = columns(table), []
    for trial in trials:
        asked = any(attacked_as(trial, column) for column in asking)
        known = any(belongs(trial, claim) for claim in table.claims) or any(alike(trial.defence, other) for other in found)
        if asked and not known:
            found.append(trial.defence)
            for column in asking:
                yield replace(column, row=trial.defence.label, means=column.means | {"defence": trial.defence})


def _mine(claim: Claim, trials: Mapping[Cell, Trial], means: Averages) -> Cell | None:
    """The cell of ours that measures a claim."""
    found = named(claim, {cell: trial for cell, trial in trials.items() if belongs(trial, claim)})
    if mean := average(claim, found, means):
        return mean
    if len(found) > 1:
        raise ValueError(f"{claim.table}, {claim.row}: records of {len(found)} settings; give those of one")
    return next(iter(found), None)


def _compared(
    claims: Sequence[Claim], mine: Sequence[Cell | None], every: Sequence[Cell], trials: Mapping[Cell, Trial]
) -> tuple[TableCell, ...]:
    """The cells of the table with their verdicts, which are corrected over all of them."""
    made = [_cell(claim, own, every, trials) for claim, own in zip(claims, mine, strict=True)]
    asked = {i: one for i, cell in enumerate(made) if (one := _asked(cell))}
    open_to = {i: one for i, one in asked.items() if not _barred(made[i], every)}
    said = dict(zip(open_to, judged(list(open_to.values()), len(asked) - len(open_to)), strict=True))
    return tuple(replace(cell, verdict=said.get(i)) for i, cell in enumerate(made))


def _cell(claim: Claim, own: Cell | None, every: Sequence[Cell], trials: Mapping[Cell, Trial]) -> TableCell:
    if own is None:
        return TableCell(claim, None, None, None, False)
    rate = chance(own, every) if claim.measure == "success" else None
    return TableCell(claim, measured(own, claim.measure), rate, None, same_setting(trials[own], claim), worked(own), own)


def _asked(cell: TableCell) -> Asked | None:
    """What is asked of a cell; None where there is nothing to compare: no printed value, or one trial."""
    if cell.trials is None or len(cell.trials.seeds) < 2:
        return None
    ours = judged_mean(cell.trials, cell.claim.measure)
    paper = printed(cell.claim, cell.trials.success if cell.claim.measure == "success" else cell.trials.accuracy)
    return Asked(ours, paper, rules().margin[cell.claim.measure]) if paper else None


def _barred(cell: TableCell, every: Sequence[Cell]) -> str:
    """Why nothing is said of a defence in this cell; "" where something can be said."""
    return barred(cell.trials, every) if cell.claim.measure == "success" and cell.trials.setting.defence != "none" else ""


def _question(each: Finding, found: Sequence[TableCell], every: Sequence[Cell], planned: bool) -> Question:
    """What a finding asks of its cells, in the same trials where they share seeds; without ``planned`` by what holds at any n."""
    order = [cell.trials for cell in (reversed(found) if each.kind == "higher" else found)]
    measure = found[0].claim.measure
    margin = rules().margin[measure] if each.within is None else each.within
    mine, others = ([replace(cell, planned=cell.planned and planned) for cell in group] for group in (order, every))
    means = [judged_mean(cell, measure) for cell in mine]
    if each.bound is not None:
        return Question(each.kind, None, margin, means[0], None, bound=each.bound)
    gate = "" if measure != "success" else _gate(mine, others)
    return Question(each.kind, gap(*mine, measure), margin, *means, gate)


def _gate(pair: Sequence[Cell], every: Sequence[Cell]) -> str:
    """Why nothing is said of two cells: with a defence, each attack must beat its control; of two undefended ones, the better."""
    if all(cell.setting.defence == "none" for cell in pair):
        pair = [max(pair, key=lambda cell: sum(cell.success) / len(cell.success))]
    return next(filter(None, (barred(cell, every) for cell in pair)), "")
