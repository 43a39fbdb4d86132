"""One trial from beginning to end: craft, train, filter, train again, score."""

import contextlib
import time
import traceback

import torch

from .. import training
from ..data import ImageSet, Poison
from ..filters import roc
from ..models import Network
from ..training import count_correct, features, logits
from .crafted import images, obtain
from .ledger import SCHEMA
from .models import Cache
from .place import peak_memory, place, reset_peak_memory
from .spec import Trial, canonical


def run_trial(trial: Trial, device: torch.device, cache: Cache, keep: bool = False) -> dict:
    """The trial's record. Everything but ``cost`` and ``place`` is the same whenever and beside whatever it runs.

    ``keep`` says that another trial will want the victim of the poisoned set; clean victims are always kept.
    """
    clock = Clock()
    with training.settings(trial.numerics):
        reset_peak_memory(device)
        train, test = (images(trial.data, split, device) for split in ("train", "test"))
        crafted = obtain(trial, device, cache)
        poison, goal = crafted.poison, crafted.goal
        clock.lap("craft")
        poisoned, judged = train.with_poison(poison), None
        if trial.defence.filter:
            poisoned, judged = _filtered(trial, poisoned, poison, cache, clock)
            network = _trained(trial, poisoned)
        else:
            network = _victim(trial, poisoned, cache, keep)
        clock.lap("train")
        answers = logits(network, goal.images, trial.numerics)
        clean = count_correct(network, test, trial.numerics).tolist()
        clock.lap("evaluate")
    return {
        "schema": SCHEMA,
        "key": trial.key,
        "spec": trial.describe(),
        "result": {
            "success": [int((answers.argmax(1) == goal.wanted).sum()), len(goal.images)],
            "wanted probability": round(float(answers.softmax(1)[:, goal.wanted].mean()), 6),
            "clean": clean,
            "wanted": goal.wanted,
            "victim class": int(goal.labels[0]),
            "poisons": {"count": len(poison), "digest": poison.digest, "largest change": _largest_change(train, poison)},
            "craft": crafted.known,
            "filter": judged,
        },
        "cost": {"seconds": round(clock.total, 3), "stages": clock.laps, "peak memory bytes": peak_memory(device)},
        "place": place(device),
    }


def failure(description: dict) -> str:
    """The exception that is being handled, traceback and all, and the trial that it happened in."""
    return f"{traceback.format_exc()}in the trial {canonical(description)}"


def _trained(trial: Trial, train: ImageSet) -> Network:
    network = training.initialise(trial.model, train, trial.seed)
    how = dict(augment=trial.defence.augment, step=trial.defence.step, numerics=trial.numerics)
    training.fit(network, train, trial.recipe, seed=trial.seed, **how)
    return network


def _victim(trial: Trial, train: ImageSet, cache: Cache, keep: bool) -> Network:
    """A network trained on the trial's whole training set, or the same one from the cache, bit for bit.

    One that will be kept is trained under its lock, where nothing is crafted and no other lock is taken.
    """
    identity = trial.victim()
    kept = keep or identity["attack"] is None
    with cache.alone(identity) if kept else contextlib.nullcontext():
        network = training.initialise(trial.model, train, trial.seed)
        if cache.restore(network, identity):
            return network.to(memory_format=trial.numerics.layout)
        network = _trained(trial, train)
        if kept:
            cache.keep(network, identity)
    return network


def _filtered(trial: Trial, train: ImageSet, poison: Poison, cache: Cache, clock: "Clock") -> tuple[ImageSet, dict]:
    """The training set without what the filter removes, as judged on the features of a victim of the whole set."""
    network = _victim(trial, train, cache, keep=True)
    clock.lap("train")
    verdict = trial.defence.filter.judge(features(network, train.images, trial.numerics), train.labels)
    poisoned = torch.isin(train.rows, poison.rows.to(train.rows.device))
    *curve, area = roc(verdict.scores, poisoned) or (None,)
    judged = {
        "removed": int((~verdict.keep).sum()),
        "poisons removed": int((poisoned & ~verdict.keep).sum()),
        "auc": area,
        "roc": curve or None,
    }
    clock.lap("filter")
    if not verdict.keep.any():
        raise ValueError(f"{trial.defence.label}: all {len(train)} images were removed, and nothing is left to train on")
    return train.take(verdict.keep), judged


def _largest_change(train: ImageSet, poison: Poison) -> int:
    """Largest change of any pixel, in steps of 1/255."""
    if not len(poison):
        return 0
    base = train.pixels(train.positions(poison.rows.to(train.device)))
    return int((poison.images.to(base.device).int() - base.int()).abs().max())


class Clock:
    """Seconds by stage."""

    def __init__(self):
        self.start = self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = round(self.laps.get(stage, 0) + now - self.last, 3)
        self.last = now

    @property
    def total(self) -> float:
        return self.last - self.start
