"""What telling two rates apart takes: trials, as `papers.power` counts them, and the hours that records of like trials suggest."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from ..experiments.place import choose, place
from ..papers.power import trials_to_tell
from ._records import Cell

needed = functools.lru_cache(maxsize=4096)(trials_to_tell)


@dataclass(frozen=True)
class Cost:
    """Mean seconds of a trial of one data set and network, on this device, or where that has no record on others."""

    where: str
    seconds: float
    trials: int
    here: bool


def costs(cells: Sequence[Cell]) -> list[Cost]:
    """What trials took, for every data set and network among the cells."""
    taken: dict[str, list[tuple[str, float]]] = {}
    for cell in cells:
        pairs = taken.setdefault(f"{cell.setting.data} · {cell.setting.model}", [])
        pairs += zip(cell.devices, cell.seconds, strict=True)
    return [_cost(where, pairs) for where, pairs in taken.items()]


def _cost(where: str, pairs: list[tuple[str, float]]) -> Cost:
    here = [seconds for device, seconds in pairs if device == this_device()]
    seconds = here or [seconds for _, seconds in pairs]
    return Cost(where, sum(seconds) / len(seconds), len(seconds), bool(here))


@functools.cache
def this_device() -> str:
    return place(choose())["device"]
