"""Designs: how each attack was first evaluated, its baseline, and what later work changes of that, one named thing at a time.

A profile of the scenario ``ablation`` holds them as ``changes`` in ``profiles.toml``, by name and by attack, where ``all`` is every
attack that has no line of its own. A line has ``values`` of the attack, another attack ``around`` it, ``data``, ``model``,
``recipe``, ``extractor`` (false: from scratch) and ``attacker``. A design is the baseline with some of the changes, in their order.
"""

import dataclasses
import functools
from collections.abc import Sequence

from .. import attacks, data, models, registry
from ..attacks import Attack
from .extractor import Extractor
from .grid import Part, grid
from .profiles import Profile, profile, recipe
from .spec import Trial

SCENARIO = "ablation"
BASELINE = "baseline"


def design(
    name: str, attack: str, changes: Sequence[str] = (), *, clean: bool = False, defence: Part | str = "none", **seeds
) -> list[Trial]:
    """The trials of an attack in its baseline set-up with some changes, at the profile of that name; ``seeds`` are those of `grid`.

    ``clean``: those of its control, which poisons nothing. Raises LookupError where the profile has no such change of the attack.
    """
    how = dict(_how(name, attack, tuple(changes)))
    if clean:
        how["attack"] = unpoisoned(how["attack"])
    return grid(SCENARIO, name, defence=defence, **how, **seeds)


def unpoisoned(attack: Attack) -> Attack:
    """The clean control of an attack: no poisons, the same goals."""
    if hasattr(attack, "inner"):
        return dataclasses.replace(attack, inner=registry.label(unpoisoned(attacks.load(attack.inner))))
    return dataclasses.replace(attack, poison_rate=0.0)


@functools.lru_cache(maxsize=1024)
def _how(name: str, attack: str, changes: tuple[str, ...]) -> tuple[tuple[str, object], ...]:
    """What `grid` is given, as pairs."""
    base = profile(SCENARIO, name)
    lines = [_line(base, attack, change) for change in (BASELINE, *changes)]
    line = {key: value for each in lines for key, value in each.items()}
    values = {key: value for each in lines for key, value in _values(each.get("values", ""))}
    made = attacks.load(attack, **values)
    if "around" in line:
        made = attacks.load(line["around"], inner=registry.label(made))
    model = models.load(line.get("model", base.model))
    how = {key: line[key] for key in ("data", "attacker") if key in line}
    how |= {"attack": made, "model": model, "recipe": recipe(line["recipe"]) if "recipe" in line else base.recipe}
    return *how.items(), ("extractor", _extractor(line.get("extractor", base.extractor), model))


def _line(base: Profile, attack: str, change: str) -> dict:
    known = base.changes.get(change, {})
    if attack not in known and "all" not in known:
        raise LookupError(f"the profile {base.name} has no {change!r} of {attack}; it has: {', '.join(base.changes) or 'none'}")
    return known.get(attack, known.get("all"))


def _values(text: str) -> list[tuple[str, object]]:
    """``"eps=8/255, size=3"`` -> the pairs."""
    ((_, values),) = registry.parse(f"attack({text})")
    return list(values.items())


def _extractor(choice: Extractor | dict | bool, model: models.Model) -> Extractor | None:
    """What victims start from; its network is the victims'."""
    if isinstance(choice, dict):
        return Extractor(data.source(choice["data"]), model, recipe(choice["recipe"]))
    return dataclasses.replace(choice, model=model) if choice else None
