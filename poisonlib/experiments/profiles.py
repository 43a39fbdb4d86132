"""Profiles: the same experiment at the scale of a laptop, of one GPU, and of the paper (``profiles.toml``)."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import data, models, registry, training


@dataclass(frozen=True)
class Profile:
    """Everything of a trial that the table under study does not vary, how many trials a cell gets, and a side question's cell.

    ``attacks``: numbers of an attack at this scale, by its name, which a grid may still change.
    """

    name: str
    note: str
    data: Any
    model: Any
    recipe: training.Recipe
    numerics: training.Numerics
    trials: int
    few: int
    attacks: dict[str, dict]


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
    """One profile: ``profile("backdoor", "quick")``. Raises LookupError that lists the choices."""
    if name not in profiles(scenario):
        raise LookupError(f"no profile {name!r} for {scenario}; choose one of: {', '.join(profiles(scenario))}")
    table = _table()[scenario][name]
    changes = {key: table[key] for key in ("epochs", "batch", "rate") if key in table}
    return Profile(
        name=name,
        note=table["note"],
        data=data.source(table["data"]),
        model=models.load(table["model"]),
        recipe=training.load(table["recipe"], **changes),
        numerics=training.Numerics(**table.get("numerics", {})),
        trials=table["trials"],
        few=table["few"],
        attacks=dict(_numbers(attack) for attack in table.get("attacks", [])),
    )


def _numbers(text: str) -> tuple[str, dict]:
    """``"noise(eps=16/255)"`` -> ``("noise", {"eps": ...})``."""
    ((name, numbers),) = registry.parse(text)
    return name, numbers
