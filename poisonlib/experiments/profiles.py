"""Profiles (``profiles.toml``): the same experiment at the scale of a laptop, a GPU or the paper; and the rules of verdicts."""

import functools
from collections.abc import Collection
from dataclasses import dataclass, field

from .. import data, models, registry, training
from ..scenarios import RULES, profiles, tables
from ..scenarios import names as scenarios
from .extractor import Extractor


@dataclass(frozen=True)
class Profile:
    """Everything of a trial that a table does not vary."""

    name: str
    note: str
    data: data.Data
    model: models.Model
    recipe: training.Recipe
    numerics: training.Numerics
    trials: int  # in each cell
    few: int  # in each cell of a side question
    kept: int  # in each cell of the records that are kept with the code
    first_seed: int
    tuned: str  # the seeds on which the profile's numbers were chosen
    attacks: dict[str, dict]  # values of an attack at this scale, by its name; a grid can change them
    defences: dict[str, dict]  # likewise of an augmentation, a step or a filter
    extractor: Extractor | None = None  # what victims start from
    changes: dict[str, dict[str, dict]] = field(
        default_factory=dict
    )  # of an experiment's baseline, by name and attack; see `designs`


@dataclass(frozen=True)
class Rules:
    """How verdicts are reached; fixed before the trials were run."""

    level: float  # of every test, after Holm's correction
    margin: dict[str, float]  # by measure: rates that differ by less are similar
    gate: float  # by how much an undefended attack must be shown to beat its clean control
    told: float  # the power from which on a number of trials could have told a difference


@functools.cache
def rules() -> Rules:
    """The rules in ``profiles.toml``."""
    return Rules(**tables()[RULES])


def profile(scenario: str, name: str) -> Profile:
    """One profile: ``profile("backdoor", "quick")``. Raises LookupError that lists the choices.

    The precision ``"auto"`` becomes the fastest one that this machine's processor or GPU supports, so a trial always states one.
    """
    if name not in profiles(scenario):
        raise LookupError(f"no profile {name!r} for {scenario}; choose one of: {', '.join(profiles(scenario))}")
    table = tables()[scenario][name]
    _check_keys(f"{scenario}.{name}", table)
    model, pretraining = models.load(table["model"]), table.get("extractor")
    return Profile(
        name=name,
        note=table["note"],
        data=data.source(table["data"]),
        model=model,
        recipe=_recipe(table),
        numerics=training.Numerics.here(**table.get("numerics", {})),
        trials=table["trials"],
        few=table["few"],
        kept=table.get("kept", table["trials"]),
        first_seed=table.get("first_seed", 0),
        tuned=table.get("tuned", ""),
        attacks=dict(_numbers(attack) for attack in table.get("attacks", [])),
        defences=dict(_numbers(defence) for defence in table.get("defences", [])),
        extractor=pretraining and Extractor(data.source(pretraining["data"]), model, _recipe(pretraining)),
        changes=table.get("changes", {}),
    )


CHANGED = ("epochs", "batch_size", "lr", "frozen")  # values of a recipe that a profile may change
NEEDED = ("note", "data", "model", "recipe", "trials", "few")
MORE = ("numerics", "kept", "first_seed", "tuned", "attacks", "defences", "extractor", "changes", *CHANGED)


def _check_keys(place: str, table: dict) -> None:
    """Raises ValueError for a line that a profile cannot have, or lacks."""
    if unknown := sorted(table.keys() - {*NEEDED, *MORE}):
        raise ValueError(f"profiles.toml, {place}: unknown {', '.join(unknown)}; a profile has: {', '.join((*NEEDED, *MORE))}")
    if missing := [key for key in NEEDED if key not in table]:
        raise ValueError(f"profiles.toml, {place}: there is no {', '.join(missing)}")


def recipe(text: str) -> training.Recipe:
    """``"benchmark_a(augment='none')"``: a recipe by name, with values changed."""
    name, values = _numbers(text)
    return training.load(name, **values)


def _recipe(table: dict) -> training.Recipe:
    """The recipe that a table names, with the values that it changes."""
    changed = {key: table[key] for key in CHANGED if key in table}
    return training.load(recipe(table["recipe"]), **changed)


def _numbers(text: str) -> tuple[str, dict]:
    """``"noise(eps=16/255)"`` -> ``("noise", {"eps": ...})``."""
    return registry.one(text)


@functools.cache
def _planned() -> tuple[tuple[tuple[set, ...], int, int], ...]:
    """(parts of the set-ups, first seed, number of trials) of the cells that each profile plans, one for each of its numbers."""
    every = [profile(scenario, name) for scenario in scenarios() for name in profiles(scenario)]
    return tuple((_parts(each), each.first_seed, count) for each in every for count in {each.trials, each.few, each.kept})


def _parts(of: Profile) -> tuple[set, ...]:
    """What a profile and its changes name: data sets, networks, schedules, and what victims start from."""
    lines = [line for change in of.changes.values() for line in change.values()]
    named = {key: [line[key] for line in lines if key in line] for key in ("data", "model", "recipe", "extractor")}
    mine, network, schedule, start = set_up(of)
    before = {_start(Extractor(data.source(e["data"]), of.model, recipe(e["recipe"]))) if e else None for e in named["extractor"]}
    return (
        {mine, *(registry.label(data.source(each)) for each in named["data"])},
        {network, *map(models.load, named["model"])},
        {schedule, *map(recipe, named["recipe"])},
        {start} | before,
    )


def set_up(of) -> tuple:
    """Data set, network, schedule and extractor of a trial or a profile; data sets without the digest of their content."""
    return registry.label(of.data), of.model, of.recipe, _start(of.extractor)


def _start(of: Extractor | None) -> tuple | None:
    return of and (registry.label(of.data), of.recipe, of.seed, of.step)


def on_setups(trial) -> bool:
    """Whether a trial's seed is the number of one of a benchmark's setups."""
    return bool(getattr(trial.attack, "setups", ""))


def as_planned(trial, seeds: Collection[int]) -> bool:
    """Whether these are just the seeds that a profile plans for a cell of its data, network and schedule: those of ``trial``.

    On setups of a benchmark, which bring their training images, seeds number the setups and begin at 0.
    """
    (data_set, *place), mine, numbered = set_up(trial), set(seeds), on_setups(trial)
    for (planned_data, *parts), first, count in _planned():
        first = 0 if numbered else first
        known = all(map(set.__contains__, parts, place)) and (numbered or data_set in planned_data)
        if known and mine == set(range(first, first + count)):
            return True
    return False
