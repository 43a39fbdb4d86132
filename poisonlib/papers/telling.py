"""What tells cells apart, in as few words as will do."""

import functools
import json
import re
from collections.abc import Sequence

from .cells import Cell, Setting

PARTS = ("attack", "defence", "data", "model", "training")  # what a reader tells cells apart by


def names(cells: Sequence[Cell]) -> list[str]:
    """What tells these cells apart, a name each: attack and defence where they differ, and as much more as is needed.

    " #2" marks the second of two that differ in something rarer.
    """
    differing = [part for part in PARTS if differs(part, cells)] or ["defence"]
    least = sum(part in PARTS[:2] for part in differing)
    choices = [_joined(cells, differing[:count]) for count in range(max(least, 1), len(differing) + 1)]
    plain = next((names for names in choices if len(set(names)) == len(names)), choices[-1])
    return [name + (f" #{plain[:i].count(name) + 1}" if name in plain[:i] else "") for i, name in enumerate(plain)]


def _joined(cells: Sequence[Cell], parts: Sequence[str]) -> list[str]:
    texts = [_lean(cells) if part == "attack" else [getattr(cell.setting, part) for cell in cells] for part in parts]
    return [" · ".join(each) for each in zip(*texts, strict=True)]


def _lean(cells: Sequence[Cell]) -> list[str]:
    """The attacks with just those values in which the cells of one attack differ."""
    values, kinds = [_values(cell.setting) for cell in cells], [cell.setting.kind for cell in cells]
    common = {kind: set.intersection(*(v for v, k in zip(values, kinds, strict=True) if k == kind)) for kind in kinds}
    own = [", ".join(f"{name}={value}" for name, value in sorted(v - common[kind])) for v, kind in zip(values, kinds, strict=True)]
    return [f"{kind}({text})" if text else kind for kind, text in zip(kinds, own, strict=True)]


@functools.lru_cache(maxsize=4096)
def _values(setting: Setting) -> set[tuple[str, str]]:
    """The attack's values by name: every number, and of the rest what the label shows, which leaves out defaults."""
    attack = json.loads(setting.text)["attack"].items()
    numbers = {name: f"{value:.3g}" for name, value in attack if isinstance(value, float)}
    return set((numbers | dict(re.findall(r"(\w+)='?([^,')]+)", setting.attack))).items())


def shared(cells: Sequence[Cell]) -> str:
    """What all of these cells have in common, "" for nothing."""
    return " · ".join(getattr(cells[0].setting, part) for part in PARTS if cells and not differs(part, cells))


def differs(part: str, cells: Sequence[Cell]) -> bool:
    """Whether these cells differ in one of `PARTS`."""
    return len({getattr(cell.setting, part) for cell in cells}) > 1
