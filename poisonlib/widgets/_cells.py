"""What a cell's trials come to, what tells it from others, and what clean controls do in its place."""

import functools
import json
import re
from collections.abc import Sequence

from ..experiments.spec import canonical
from ..papers import Point
from ..papers.statistics import Estimate, estimate, mean_rate
from ._records import Cell, Setting

PARTS = ("attack", "defence", "data", "model", "training")  # what a reader tells cells apart by


@functools.lru_cache(maxsize=4096)
def point(cell: Cell) -> Point:
    """Success and clean accuracy with their 95 % intervals; the unit is the trial, as in `papers.points`."""
    return Point((estimate if cell.single else mean_rate)(cell.success), mean_rate(cell.accuracy, method="t"))


def measured(cell: Cell, measure: str) -> Estimate:
    """What a paper's column of that measure has of a cell."""
    return point(cell).success if measure == "success" else point(cell).accuracy


def chance(cell: Cell, cells: Sequence[Cell]) -> float | None:
    """How often clean controls do what the attacker wants, all else and the seeds being the cell's; None where there are none."""
    seeds, place = set(cell.seeds), without(cell.setting.text, "attack")
    alike = [each for each in cells if each.setting.control and without(each.setting.text, "attack") == place]
    rates = [share for each in alike for seed, share in zip(each.seeds, each.success, strict=True) if seed in seeds]
    return sum(rates) / len(rates) if rates and not cell.setting.control else None


@functools.lru_cache(maxsize=4096)
def without(text: str, part: str) -> str:
    """A setting's text with one of its parts left out."""
    return canonical(json.loads(text) | {part: None})


def trials(cells: Sequence[Cell]) -> int:
    return sum(len(cell.seeds) for cell in cells)


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
    """The attacks with just those numbers in which the cells of one attack differ."""
    numbers, kinds = [_numbers(cell.setting) for cell in cells], [cell.setting.kind for cell in cells]
    common = {kind: set.intersection(*(n for n, k in zip(numbers, kinds, strict=True) if k == kind)) for kind in kinds}
    own = [", ".join(f"{name}={value}" for name, value in sorted(n - common[kind])) for n, kind in zip(numbers, kinds, strict=True)]
    return [f"{kind}({text})" if text else kind for kind, text in zip(kinds, own, strict=True)]


@functools.lru_cache(maxsize=4096)
def _numbers(setting: Setting) -> set[tuple[str, str]]:
    """The attack's numbers, by name, in the setting's words, which leave out defaults: those that are words stay out."""
    attack = json.loads(setting.text)["attack"].items()
    plain = {name: f"{value:.3g}" for name, value in attack if isinstance(value, float)}
    return set((plain | dict(re.findall(r"(\w+)='?([^,')]+)", setting.attack))).items())


def shared(cells: Sequence[Cell]) -> str:
    """What all of these cells have in common, "" for nothing."""
    return " · ".join(getattr(cells[0].setting, part) for part in PARTS if cells and not differs(part, cells))


def differs(part: str, cells: Sequence[Cell]) -> bool:
    return len({getattr(cell.setting, part) for cell in cells}) > 1


def short(text: str, most: int) -> str:
    """A text of at most that many characters; what is left out is left out of its middle."""
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"
