"""Ours beside the paper's: for every cell of a table the interval of our trials, the printed value, and a verdict."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import attacks, paths, registry
from ..experiments import Defence, Trial, defence, profile, scenarios
from .claims import Claim, Finding, Table, load
from .setting import caption, setting
from .statistics import Estimate, Verdict, estimate, finding, from_paper, mean_rate, paired_difference, verdict

DIRECT = ("attack", "data", "model")  # what a claim names by the choice's name


@dataclass(frozen=True)
class Cell:
    """One cell: what the paper prints, what our trials measured (None: not run), the chance rate of clean controls."""

    claim: Claim
    outcomes: dict[int, float]  # seed -> share in [0, 1]
    ours: Estimate | None
    chance: Estimate | None
    verdict: Verdict | None
    same_setting: bool  # whether data, network and schedule are those of a profile `paper`


@dataclass(frozen=True)
class Comparison:
    """A table of the paper beside our trials, and what its findings come to."""

    table: Table
    cells: tuple[Cell, ...]
    findings: tuple[tuple[Finding, Verdict], ...]
    records: tuple[dict, ...] = field(default=(), repr=False)  # behind the cells, once for each

    @property
    def caption(self) -> str:
        """Data, network, trials a cell and kind of device, in a line for a figure's lower edge."""
        return caption(self.records)

    def cell(self, row: str, column: str) -> Cell:
        """One cell by its printed names. Raises LookupError."""
        for cell in self.cells:
            if (cell.claim.row, cell.claim.column) == (row, column):
                return cell
        raise LookupError(f"{self.table.name} has no row {row!r} with a column {column!r}")

    def frame(self):
        """A pandas table for the reader: ours with its interval, trials, chance rate, the paper's value, the verdict."""
        import pandas as pd

        return pd.DataFrame([_reader_row(cell) for cell in self.cells if cell.ours])

    def findings_frame(self):
        """A pandas table, shown uncut: each finding in the paper's words, what its own cells and our trials say of it, and why."""
        from .findings import frame

        return frame(self.findings)

    def save(self, name: str, records: Sequence[dict]) -> Path:
        """Write the comparison for the report, as ``outputs/tables/NAME.json``; returns the path."""
        return save(self, name, records)

    def word(self, identity: str) -> str:
        """holds, contradicted or undecided, for one finding by its id. Raises LookupError."""
        for each, said in self.findings:
            if each.id == identity:
                return said.word
        raise LookupError(f"no finding {identity!r}; choose one of: {', '.join(f.id for f, _ in self.findings)}")


def compare(records: Sequence[dict], paper: str, table: str, margin: float = 0.10) -> Comparison:
    """A paper's table beside those of our records that belong to its cells, with verdicts at an equivalence margin (a share).

    A record belongs to a cell if its attack, defence and numbers are what the claim's ``means`` say; data and network may differ,
    and the cell then says that the setting is not the paper's. Records of clean controls give the chance rate. Raises ValueError
    for records that differ in more than a cell can tell apart.
    """
    claimed = load(paper).table(table)
    trials = [(Trial.read(record["spec"]), record) for record in records]
    mine = [_of(claim, trials) for claim in claimed.claims]
    cells = tuple(_cell(claim, own, trials, margin) for claim, own in zip(claimed.claims, mine, strict=True))
    by_name = {(table, cell.claim.row, cell.claim.column): cell for cell in cells}
    checks = (each for each in load(paper).findings if each.less in by_name and each.more in by_name)
    verdicts = ((each, _finding(each, by_name[each.less], by_name[each.more])) for each in checks)
    used = tuple(record for own in mine for _, record in own)
    return Comparison(claimed, cells, tuple((each, said) for each, said in verdicts if said), used)


def _of(claim: Claim, trials) -> list[tuple[Trial, dict]]:
    return [(trial, record) for trial, record in trials if claim.means.get("defence") and _belongs(trial, claim)]


def _cell(claim: Claim, mine, trials, margin: float) -> Cell:
    outcomes = {trial.seed: _outcome(record, claim.measure) for trial, record in mine}
    if len(outcomes) < len({trial.key for trial, _ in mine}):
        raise ValueError(f"{claim.table}, {claim.row}: records of several settings with the same seeds; give those of one")
    ours = _estimate(outcomes, claim)
    paper = None if claim.value is None else from_paper(claim.value, claim.trials, claim.binary)
    said = verdict(ours, paper, margin) if ours and paper and ours.trials > 1 else None
    same = all(_paper_setting(trial, claim) for trial, _ in mine)
    return Cell(claim, outcomes, ours, _chance(claim, mine, trials), said, bool(mine) and same)


def _paper_setting(trial: Trial, claim: Claim) -> bool:
    """Whether data, network and schedule are those of a profile ``paper``, and the attack's other numbers are the paper's."""
    full = [profile(scenario, "paper") for scenario in scenarios()]
    if (trial.data, trial.model, trial.recipe) not in [(each.data, each.model, each.recipe) for each in full]:
        return False
    defaults = registry.describe(attacks.load(registry.name_of(trial.attack)))
    return all(name in claim.means or value == defaults[name] for name, value in registry.describe(trial.attack).items())


def _belongs(trial: Trial, claim: Claim) -> bool:
    """Whether a trial measures a cell: defence, attack, and every number of the attack that the claim names. Controls never do."""
    if getattr(trial.attack, "clean", False):
        return False
    attack, defended = registry.describe(trial.attack), defence(claim.means["defence"])
    numbers = {"variant": "paper"} if "variant" in attack else {}
    numbers |= {name: value for name, value in claim.means.items() if name not in (*DIRECT, "defence")}
    if "adaptive" in numbers and not defended.trains:
        numbers["adaptive"] = "none"  # with nothing to adapt to, the adaptive attack is the basic one
    alike = all(name in attack and _equal(attack[name], value) for name, value in numbers.items())
    named = claim.means.get("attack") in (None, attack["name"])
    return alike and named and _alike(trial.defence, defended)


def _alike(ours: Defence, theirs: Defence) -> bool:
    """Whether two defences are the same but for the number of poisons that their filters reckon with, which goes by the budget."""
    filters = [dataclasses.replace(d.filter, expected=0.0) if hasattr(d.filter, "expected") else d.filter for d in (ours, theirs)]
    return (ours.augment, ours.step) == (theirs.augment, theirs.step) and filters[0] == filters[1]


def _equal(ours, theirs) -> bool:
    return math.isclose(ours, theirs) if isinstance(theirs, float) else ours == theirs


def _outcome(record: dict, measure: str) -> float:
    if measure == "success":
        hits, of = record["result"]["success"]
        return hits / of
    right, of = (sum(column) for column in zip(*record["result"]["clean"], strict=True))
    return right / of


def _estimate(outcomes: dict[int, float], claim: Claim) -> Estimate | None:
    """Accuracies spread evenly about their mean, so Student's interval serves them; successes get one that assumes nothing."""
    if not outcomes:
        return None
    values = list(outcomes.values())
    if claim.measure != "success":
        return mean_rate(values, method="t")
    return estimate(values) if claim.binary else mean_rate(values)


def _chance(claim: Claim, mine, trials) -> Estimate | None:
    """How often clean victims of the same attack and setting do what the attacker wants, over the seeds of the cell."""
    if claim.measure != "success" or not mine:
        return None
    like, seeds = mine[0][0], {trial.seed for trial, _ in mine}
    controls = [
        _outcome(record, "success")
        for trial, record in trials
        if getattr(trial.attack, "clean", False) and trial.seed in seeds and _setting(trial) == _setting(like)
    ]
    return (estimate(controls) if claim.binary else mean_rate(controls)) if controls else None


def _setting(trial: Trial) -> tuple:
    return registry.name_of(trial.attack), trial.defence, trial.data, trial.model, trial.recipe


def _finding(each: Finding, less: Cell, more: Cell) -> Verdict | None:
    """The verdict on a finding, paired by seed where both cells share their seeds."""
    if not (less.ours and more.ours):
        return None
    first, second = (more, less) if each.kind == "higher" else (less, more)
    gap = None
    if first.outcomes.keys() == second.outcomes.keys() and len(first.outcomes) > 1:
        seeds = sorted(first.outcomes)
        method = "bounded" if each.kind != "similar" and first.claim.measure == "success" else "t"
        pair = [[cell.outcomes[seed] for seed in seeds] for cell in (first, second)]
        gap = paired_difference(*pair, method=method)
    return finding(each.kind, first.ours, second.ours, gap=gap)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _reader_row(cell: Cell) -> dict:
    claim, ours = cell.claim, cell.ours
    said = cell.verdict.word if cell.verdict else "-"
    return {
        "row": claim.row,
        "column": claim.column,
        "ours %": _percent(ours.value),
        "95 % interval": f"{_percent(ours.low)} to {_percent(ours.high)}",
        "n": ours.trials,
        "chance %": _percent(cell.chance.value) if cell.chance else "",
        "paper": claim.printed,
        "paper's n": claim.trials or "",
        "verdict": said if cell.same_setting else f"({said}: other setting)",
    }


def save(comparison: Comparison, name: str, records: Sequence[dict]) -> Path:
    """Write what a reader of the report needs to ``outputs/tables/NAME.json``: both tables, setting, cost and place."""
    used = {cell.claim.row for cell in comparison.cells if cell.ours}
    content = {
        "paper": load(comparison.table.paper).about["title"],
        "place": comparison.table.place,
        "caption": comparison.table.caption,
        "cells": comparison.frame().to_dict("records"),
        "findings": comparison.findings_frame().to_dict("records"),
        "missing": [row for row in comparison.table.rows if row not in used],
        "setting": setting(records),
    }
    path = paths.outputs() / "tables" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
