"""One trial from beginning to end: craft, train, filter, evaluate, record."""

import contextlib
import time
import traceback
from collections.abc import Iterator

import torch
from jaxtyping import Bool
from torch import Tensor

from .. import attacks, registry, training
from ..data import ImageSet, Poison
from ..filters import FilterResult, roc
from ..models import Network
from . import provenance
from .cache import Cache
from .crafting import fetch_craft
from .environment import current, environment, peak_memory, reset_peak_memory
from .networks import fetch_network, images, test_features, trained, weights_of
from .record import Cost, FilterReport, Poisons, Record
from .spec import Trial, canonical
from .validation import validate_filtered


def run_trial(trial: Trial, device: torch.device, cache: Cache, keep: bool = False) -> Record:
    """The trial's record. ``keep`` says that another trial needs the same victim; victims of clean controls are always kept."""
    with current(device):
        return _record(trial, device, cache, keep)


def _record(trial: Trial, device: torch.device, cache: Cache, keep: bool) -> Record:
    clock = Clock()
    reset_peak_memory(device)
    with training.settings(trial.numerics):
        train, test = (images(trial.source, split, device) for split in ("train", "test"))
        with clock.stage("craft"):
            crafted = fetch_craft(trial, device, cache)
            poisoned = train.with_poison(crafted.poison)
        with clock.stage("train"):
            victim = fetch_victim(trial, poisoned, cache, keep)
        with clock.stage("filter"):
            kept, report = filtered(trial, victim, poisoned, crafted.poison)
        if trial.defence.filter:
            with clock.stage("train"):
                victim = trained(trial, kept, trial.defence, trial.victim_seed, cache)
        with clock.stage("evaluate"):
            known = test_features(trial, victim, test)
            evaluation = training.evaluate(victim, test, crafted.goal, trial.numerics, known)
    poison, goal = crafted.poison, crafted.goal
    return Record(
        spec=trial.describe(),
        evaluation=evaluation,
        intended_class=goal.intended_class,
        source_class=goal.source_class,
        poisons=Poisons(len(poison), poison.digest, attacks.largest_change(train, poison)),
        craft=crafted.report,
        filter=report,
        cost=Cost(clock.total, clock.stages, peak_memory(device), clock.processor),
        environment=environment(device),
        code=provenance.code(trial),
        data=provenance.content(trial),
        extractors=weights_of(trial, device, cache),
    )


def fetch_victim(trial: Trial, train: ImageSet, cache: Cache, keep: bool) -> Network:
    """A network trained on the whole (poisoned) training set under the trial's defence, or the same one from the cache."""
    keep = keep or trial.attack.clean or trial.defence.filter is not None
    return fetch_network(trial, train, trial.defence, trial.victim_seed, cache, provenance.victim(trial), keep)


def filtered(trial: Trial, victim: Network, train: ImageSet, poison: Poison) -> tuple[ImageSet, FilterReport | None]:
    """The training set without the images that the filter removes, judging by the victim's features; all of it without a filter."""
    if not trial.defence.filter:
        return train, None
    result = trial.defence.filter.score(training.features(victim, train.images, trial.numerics), train.labels)
    if len(result.keep) != len(train):
        label = registry.label(trial.defence.filter)
        raise ValueError(f"{label} decided about {len(result.keep)} images; the training set has {len(train)}")
    report = judged(result, torch.isin(train.ids, poison.ids.to(train.device)))
    validate_filtered(trial, train, len(train) - report.removed)
    return train.kept(result.keep.to(train.device)), report


def judged(result: FilterResult, poisoned: Bool[Tensor, " n"]) -> FilterReport:
    """What a filter's decision was worth, given which images were poisons."""
    removed = ~result.keep.to(poisoned.device)
    fpr, tpr, auc = roc(result.scores, poisoned) or (None, None, None)
    curve = None if auc is None else (tuple(fpr), tuple(tpr))
    return FilterReport(int(removed.sum()), int((poisoned & removed).sum()), auc, curve, result.rounds)


def failure(description: dict) -> str:
    """The exception that is being handled, with its traceback and the trial in which it happened."""
    return f"{traceback.format_exc()}in the trial {canonical(description)}"


class Clock:
    """Seconds by stage."""

    def __init__(self):
        self.start, self.begun = time.perf_counter(), time.process_time()
        self.stages: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        begun = time.perf_counter()
        yield
        self.stages[name] = round(self.stages.get(name, 0) + time.perf_counter() - begun, 3)

    @property
    def total(self) -> float:
        return round(time.perf_counter() - self.start, 3)

    @property
    def processor(self) -> float:
        return round(time.process_time() - self.begun, 3)
