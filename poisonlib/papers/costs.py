"""What trials take, going by records of like trials, and how many are needed to tell two rates apart."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from ..experiments.environment import choose, environment
from .cells import Cell
from .power import trials_to_tell

needed = functools.lru_cache(maxsize=4096)(trials_to_tell)


@dataclass(frozen=True)
class Cost:
    """Mean seconds of a trial of one data set and network: on this device or, where that has no record, on others."""

    where: str  # data and network
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


def worked(cell: Cell) -> str:
    """``"8.3 core-minutes"``: what a trial of the cell took on average; several means where trials were timed in several ways.

    Core-minutes are those of the process. Of a GPU, and in records without processor time, it is the time by the clock. Work that
    trials share, such as a surrogate, is counted in the trial that was run first.
    """
    taken: dict[str, list[float]] = {}
    for device, seconds, own in zip(cell.devices, cell.seconds, cell.processor_seconds, strict=True):
        if device.startswith("cpu"):
            kind, spent = ("minutes by the clock", seconds) if own is None else ("core-minutes", own)
        else:
            kind, spent = "GPU-minutes", seconds
        taken.setdefault(kind, []).append(spent / 60)
    return "; ".join(f"{sum(minutes) / len(minutes):.2g} {kind}" for kind, minutes in sorted(taken.items()))


@functools.cache
def this_device() -> str:
    """The name of the device that trials would run on here, as records hold it."""
    return environment(choose()).device
