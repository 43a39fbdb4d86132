"""Cells: the trials of one setting, what they come to, and what clean controls do in their place."""

import functools
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from .. import attacks, augment, data, filters, models, registry, steps
from ..experiments import Record, Trial
from ..experiments.failures import Failure
from ..experiments.index import Summary
from ..experiments.profiles import as_planned
from ..experiments.record import Records
from ..experiments.spec import canonical
from .means import Mean, mean
from .statistics import Estimate, estimated


@dataclass(frozen=True)
class Setting:
    """All of a trial but its seed, in words; ``text`` is the whole of it."""

    text: str  # `Record.setting`
    kind: str  # the attack's name, without its values
    attack: str
    defence: str
    data: str
    model: str
    training: str
    control: bool  # whether the attack changes no training image


@dataclass(frozen=True)
class Cell:
    """The trials of one setting, in the order of their seeds; several victims of one seed are one trial. All rates are shares."""

    setting: Setting
    seeds: tuple[int, ...]
    success: tuple[float, ...]
    accuracy: tuple[float, ...]
    confidence: tuple[float | None, ...]  # mean probability of the intended class; None in older records
    seconds: tuple[float, ...]
    processor_seconds: tuple[float | None, ...]  # None in older records
    devices: tuple[str, ...]
    planned: bool  # whether the seeds are those that a profile plans, so that their number was fixed beforehand
    failed: tuple[int, ...] = ()  # seeds of trials that have no result, which count neither as hits nor as misses
    members: tuple[str, ...] = ()  # of an average over networks: the texts of their settings

    @property
    def settings(self) -> tuple[str, ...]:
        """The texts of the settings behind the cell: mostly one."""
        return self.members or (self.setting.text,)


@dataclass(frozen=True)
class Point:
    """How often an attack succeeds, how accurate the victims are, and what the paper prints of both (shares)."""

    success: Estimate
    accuracy: Estimate
    paper: tuple[float, float] | None = None


def cells(records: Iterable[Record | Summary]) -> tuple[Cell, ...]:
    """The records as cells, sorted by attack, data, network and the attack's values, undefended victims first.

    A record that is given twice counts once. Several victims of one seed make one value, their mean: the unit is the goal. Records
    that `experiments.run` returns say which trials failed.
    """
    groups: dict[str, dict[tuple[int, int], Record | Summary]] = {}
    for record in records:
        groups.setdefault(record.setting, {})[record.seed, record.start] = record
    lost: dict[str, list[int]] = {}
    for failure in failures(records):
        lost.setdefault(failure.setting, []).append(failure.seed)
    made = (_cell(setting(text), group.values(), lost.get(text, ())) for text, group in groups.items())
    return tuple(sorted(made, key=_order))


def failures(records: Iterable[Record | Summary]) -> tuple[Failure, ...]:
    """The trials without a result that belong to records: those of a run, none of any other list."""
    return records.failures if isinstance(records, Records) else ()


def _cell(about: Setting, records: Iterable[Record | Summary], failed: Collection[int]) -> Cell:
    by_seed: dict[int, list[Record | Summary]] = {}
    for record in sorted(records, key=lambda record: (record.seed, record.start)):
        by_seed.setdefault(record.seed, []).append(record)
    victims = by_seed.values()
    return Cell(
        about,
        tuple(by_seed),
        *(tuple(_mean(each, name) for each in victims) for name in MEANS),
        tuple(", ".join(sorted({record.device for record in each})) for each in victims),
        as_planned_at(about.text, tuple(by_seed)),
        tuple(sorted(failed)),
    )


MEANS = ("success", "accuracy", "confidence", "seconds", "processor_seconds")


def _mean(victims: Sequence[Record | Summary], name: str) -> float | None:
    """The mean of a number over the victims of one seed, of which there mostly is one."""
    return mean_of([getattr(each, name) for each in victims])


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean, bit for bit the value itself where there is one; None where one of the numbers is None."""
    return values[0] if len(values) == 1 else None if None in values else sum(values) / len(values)


@functools.lru_cache(maxsize=4096)
def as_planned_at(text: str, seeds: tuple[int, ...]) -> bool:
    """Whether a profile plans these seeds of a setting, so that their number was fixed beforehand."""
    trial = trial_of(text)
    return trial is not None and as_planned(trial, seeds)


def trial_of(setting: str) -> Trial | None:
    """The trial with the seed 0 of a `Record.setting`; None where a class that it names, or a value, cannot be read here."""
    try:
        return Trial.read(json.loads(setting))
    except (LookupError, TypeError, ValueError):
        return None


@functools.lru_cache(maxsize=4096)
def setting(text: str) -> Setting:
    """`Record.setting` in words. A choice whose class cannot be imported here is shown as its description says."""
    spec = json.loads(text)
    attack = _loaded(attacks.load, spec["attack"])
    return Setting(
        text,
        spec["attack"]["name"],
        _words(attacks.load, spec["attack"]),
        " + ".join(_words(load, part) for load, part in _parts(spec["defence"])) or "none",
        _words(data.source, spec["data"]),
        _words(models.load, spec["model"]),
        f"{spec['recipe']['epochs']} epochs, {spec['numerics']['precision']}",
        attack is not None and attack.clean,
    )


def _parts(defence: dict) -> list[tuple[Callable, dict]]:
    """What loads each part of a defence, and the part's description: augmentations, step and filter."""
    single = [(load, defence[part]) for load, part in ((steps.load, "step"), (filters.load, "filter")) if defence[part]]
    return [(augment.load, part) for part in defence["augment"]] + single


def _loaded(load: Callable, description: dict):
    try:
        return load(description)
    except (LookupError, TypeError, ValueError):
        return None


def _words(load: Callable, description: dict) -> str:
    """A choice's label; without its class, ``"my_package.Mixup(k=4)"`` with all of its values."""
    if choice := _loaded(load, description):
        return registry.label(choice)
    values = ", ".join(f"{name}={value!r}" for name, value in description.items() if name != "name")
    return description["name"] + (f"({values})" if values else "")


def _order(cell: Cell) -> tuple:
    it, values = cell.setting, canonical(json.loads(cell.setting.text)["attack"])
    return it.kind, it.data, it.model, it.training, values, it.defence != "none", it.defence, it.text


@functools.lru_cache(maxsize=4096)
def point(cell: Cell) -> Point:
    """Success and clean accuracy with their 95 % intervals; the unit is the trial.

    Accuracies spread evenly about their mean, so they get Student's interval; success rates get one that assumes nothing. Where the
    number of trials was not planned, both are intervals that hold at any number.
    """
    return Point(*(estimated(judged(cell, measure)) for measure in ("success", "clean accuracy")))


def outcomes(cell: Cell, measure: str) -> dict[int, float]:
    """What a paper's column of that measure ("success" or "clean accuracy") has of a cell, by seed."""
    return dict(zip(cell.seeds, cell.success if measure == "success" else cell.accuracy, strict=True))


def judged(cell: Cell, measure: str, seeds: Collection[int] | None = None) -> Mean:
    """How the mean of a measure is judged, over all trials or those of some seeds."""
    values = [value for seed, value in outcomes(cell, measure).items() if seeds is None or seed in seeds]
    return mean(values, even=measure != "success", planned=cell.planned)


def measured(cell: Cell, measure: str) -> Estimate:
    """The estimate of a measure ("success" or "clean accuracy") with its 95 % interval."""
    return point(cell).success if measure == "success" else point(cell).accuracy


def chance(cell: Cell, cells: Sequence[Cell]) -> Estimate | None:
    """How often clean controls do what the attacker wants: those of the same attack, with the cell's seeds and all else alike.

    None where ``cells`` holds no such control, and for a control.
    """
    if cell.setting.control:
        return None
    alike = [each for each in cells if each.setting.control and _place(each.setting) == _place(cell.setting)]
    pairs = [pair for each in alike for pair in zip(each.seeds, each.success, strict=True)]
    rates = [[rate for control, rate in pairs if control == seed] for seed in cell.seeds]
    means = [sum(each) / len(each) for each in rates if each]  # several controls of one seed have one goal
    return estimated(mean(means, planned=cell.planned)) if means else None


def undefended(cell: Cell, cells: Sequence[Cell]) -> Cell | None:
    """The same attack, not adapted to anything, without the defence and all else alike; the cell itself where it has none."""
    wanted = _undefended(cell.setting.text)
    return next((each for each in cells if each.setting.text == wanted), None)


@functools.lru_cache(maxsize=4096)
def _undefended(text: str) -> str:
    spec = json.loads(text)
    attack = spec["attack"] | ({"adaptive": "none"} if "adaptive" in spec["attack"] else {})
    return canonical(spec | {"attack": attack, "defence": {"augment": [], "step": None, "filter": None}})


def control(cell: Cell, cells: Sequence[Cell]) -> Cell | None:
    """The clean control of a cell: the same kind of attack without a poison, with its goal and all else alike."""
    alike = (each for each in cells if each.setting.control and _place(each.setting) == _place(cell.setting))
    return next(alike, None)


def _place(setting: Setting) -> tuple[str, str, str]:
    """What a clean control has in common with its cell: all but the attack, of which its goal, and the attacker's networks."""
    return setting.kind, _goal(setting.text), without(without(setting.text, "attack"), "attacker")


GOAL = ("pair", "size", "pattern")  # values of an attack that decide which images are its goal


@functools.lru_cache(maxsize=4096)
def _goal(text: str) -> str:
    attack = json.loads(text)["attack"]
    return canonical({name: attack[name] for name in GOAL if name in attack})


@functools.lru_cache(maxsize=4096)
def without(text: str, part: str) -> str:
    """A setting's text with one of its parts left out."""
    return canonical(json.loads(text) | {part: None})


def trials(cells: Sequence[Cell]) -> int:
    """The number of trials in some cells."""
    return sum(len(cell.seeds) for cell in cells)
