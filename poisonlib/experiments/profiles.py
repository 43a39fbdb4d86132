"""Profiles (``profiles.toml``): the same experiment at the scale of a laptop, of one GPU, and of the paper."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .. import data, models, registry, training


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
    attacks: dict[str, dict]  # values of an attack at this scale, by its name; a grid can change them
    defences: dict[str, dict]  # likewise of an augmentation, a step or a filter


@functools.cache
def _table() -> dict[str, dict[str, dict]]:
    return tomllib.loads((Path(__file__).parent / "profiles.toml").read_text())


def scenarios() -> list[str]:
    """The kinds of experiment that have profiles."""
    return list(_table())


def profiles(scenario: str) -> list[str]:
    """The names of a scenario's profiles, smallest first. Raises LookupError for an unknown scenario."""
    if scenario not in _table():
        raise LookupError(f"no scenario {scenario!r}; choose one of: {', '.join(_table())}")
    return list(_table()[scenario])


def profile(scenario: str, name: str) -> Profile:
    """One profile: ``profile("backdoor", "quick")``. Raises LookupError that lists the choices.

    The precision ``"auto"`` becomes the fastest one that this machine's processor or GPU supports, so a trial always states one.
    """
    if name not in profiles(scenario):
        raise LookupError(f"no profile {name!r} for {scenario}; choose one of: {', '.join(profiles(scenario))}")
    table = _table()[scenario][name]
    changes = {key: table[key] for key in ("epochs", "batch_size", "lr") if key in table}
    return Profile(
        name=name,
        note=table["note"],
        data=data.source(table["data"]),
        model=models.load(table["model"]),
        recipe=training.load(table["recipe"], **changes),
        numerics=training.Numerics.here(**table.get("numerics", {})),
        trials=table["trials"],
        few=table["few"],
        attacks=dict(_numbers(attack) for attack in table.get("attacks", [])),
        defences=dict(_numbers(defence) for defence in table.get("defences", [])),
    )


def _numbers(text: str) -> tuple[str, dict]:
    """``"noise(eps=16/255)"`` -> ``("noise", {"eps": ...})``."""
    ((name, numbers),) = registry.parse(text)
    return name, numbers
