"""What a grid will cost, before it is run."""

import functools
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from .. import check
from ..data import ImageSet
from ..words import plural
from . import cluster
from .cache import Cache
from .environment import choose
from .extractor import Extractor
from .ledger import Ledger
from .networks import images
from .parts import CRAFT, EXTRACTOR, Part, parts
from .schedule import DAMAGED, FAILED, Costs, outstanding
from .snapshot import looked_up, snapshot
from .spec import Trial

ASSUMED = 1e14  # floating-point operations a second that a data-centre GPU sustains on such networks


@dataclass(frozen=True)
class Plan:
    """The work that the ledger and the cache lack. One multiply-add counts as two floating-point operations."""

    trials: int
    recorded: int
    stale: dict[str, int]  # recorded with other code or with other data; failed; damaged
    trainings: int
    crafts: int
    operations: float | None  # of the trainings; None where the data set is not on this machine
    hours: float | None  # of one worker on this device, from records of such trials; None without such records
    workers: int = 1  # of a cluster
    spread: float | None = None  # hours on these workers

    def __str__(self):
        text = f"{plural(self.trials, 'trial')}, {self.recorded} recorded"
        if old := ", ".join(f"{count} {how}" for how, count in self.stale.items() if how not in (FAILED, DAMAGED)):
            text += f" (of these, {old}; again=True repeats them)"
        if FAILED in self.stale:
            text += f", {self.stale[FAILED]} failed (again=True repeats them)"
        if DAMAGED in self.stale:
            text += f", {self.stale[DAMAGED]} with a damaged record (to be run again)"
        text += f"; to do: {plural(self.trainings, 'training')}, {plural(self.crafts, 'craft')}"
        if self.operations is not None:
            hours = self.operations / ASSUMED / 3600
            text += f", {self.operations / 1e15:.3g} PFLOP ({hours:.2g} h at {ASSUMED / 1e12:.0f} TFLOP/s)"
        if self.hours is not None:
            text += f"; {self.hours:.2g} h for one worker on this device, going by the ledger"
        if self.workers > 1:
            text += f"; {'no record tells the hours' if self.spread is None else f'{self.spread:.2g} h'} on {self.workers} workers"
        return text


@snapshot()
def plan(
    trials: Sequence[Trial],
    ledger: Ledger | None = None,
    device: str = "auto",
    again: bool = False,
    engine: "str | cluster.Ray" = "processes",
    workers: int | None = None,
) -> Plan:
    """Count what `run` would do: each victim and each craft once, however many cells share it.

    ``again`` counts the trials that were recorded with other code or data as work, too. ``engine="ray"`` tells the hours on all
    workers that the cluster has now, or on so many ``workers``.
    """
    if workers is not None:
        check.whole("workers", workers, 1)
    ray = cluster.load(engine)
    ledger, cache = ledger or Ledger.open(), Cache.open()
    jobs, stale = outstanding(trials, ledger, again)
    missing, keys = [job.trial for job in jobs], {trial.key for trial in trials}
    known = sum(ledger.path(key).exists() and stale.get(key) != DAMAGED for key in keys)
    made = _made(missing, cache)
    networks = [part.trial.extractors[part.number] if part.kind == EXTRACTOR else part.trial for part in made if part.kind != CRAFT]
    work, crafts = [*networks, *(trial for trial in missing if trial.defence.filter)], len(made) - len(networks)
    seconds, width = _seconds(missing, ledger, choose(device)), workers or (ray.width() if ray else 1)
    counts = len(keys), known, dict(Counter(stale.values())), len(work), crafts
    return Plan(*counts, _operations(work), _hours(seconds, 1), width, _hours(seconds, width))


def _seconds(missing: Sequence[Trial], ledger: Ledger, device: torch.device) -> list[float]:
    """Seconds that each trial is expected to take one worker; none where the cost of one is not known."""
    seconds = [looked_up(_costs, ledger, device).expected(trial) for trial in missing]
    return [] if None in seconds else seconds


def _costs(ledger: Ledger, device: torch.device) -> Costs:
    return Costs(ledger.summaries(), device)


def _hours(seconds: Sequence[float], workers: int) -> float | None:
    """Hours until so many workers have done all trials, each of which goes to the worker that is free first; None without any."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free) / 3600 if seconds else None


def _made(missing: Sequence[Trial], cache: Cache) -> list[Part]:
    """What `run` makes for trials and the cache lacks: extractors, victims, crafts, and for a craft its surrogates and the network
    on which it is judged.
    """
    own = _lacking((part for trial in missing for part in parts(trial, keep=True)), cache)
    needs = _lacking((need for part in own.values() if part.kind == CRAFT for need in part.needs), cache)
    return list((own | needs).values())


def _lacking(wanted: Iterable[Part], cache: Cache) -> dict[str, Part]:
    """Parts that the cache lacks, each once, by name."""
    distinct = {part.name: part for part in wanted}
    return {name: part for name, part in distinct.items() if not cache.path(part.identity).exists()}


def _operations(work: Sequence[Trial | Extractor]) -> float | None:
    """Operations of all trainings: a backward pass costs twice a forward pass, and a frozen extractor needs none."""
    try:
        images_shown = [len(_train(job.data)) * job.recipe.epochs * (1 if job.recipe.frozen else 3) for job in work]
        return float(sum(shown * _forward(job.model, job.data) for shown, job in zip(images_shown, work, strict=True)))
    except FileNotFoundError:
        return None


def _train(source) -> ImageSet:
    return images(source, "train", torch.device("cpu"))


@functools.lru_cache(maxsize=64)
def _forward(model, source) -> int:
    """Operations of the forward pass of one image, counted in one such pass: shapes alone would do, but importing what torch wants
    for those takes longer.
    """
    from torch.utils.flop_counter import FlopCounterMode  # takes a third of a second, for triton's sake

    train = _train(source)
    with torch.random.fork_rng(devices=[]):
        network = model.build(len(train.classes), train.shape, train.mean, train.std).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *train.shape))
    return counter.get_total_flops()
