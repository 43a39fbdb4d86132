"""What trials share, as work of its own: networks and crafts that one process makes, and others are handed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from .. import training
from . import provenance
from .cache import Cache, Content
from .crafting import fetch_craft, held_out, surrogate
from .networks import fetch_extractor, images
from .spec import Trial, digest
from .trial import fetch_victim

EXTRACTOR, SURROGATE, UNPOISONED, CRAFT, VICTIM = "extractor", "surrogate", "unpoisoned", "craft", "victim"


@dataclass(frozen=True)
class Handed(Cache):
    """A cache in memory, of what this process was handed and has made; nothing is read from disk or written there."""

    root: Path = Path(os.devnull)
    contents: dict[str, Content] = field(default_factory=dict)  # by the digest of their identity

    def kept(self, identity: dict) -> Content | None:
        """The content for an identity; None where it was neither handed over nor made."""
        return self.contents.get(digest(identity))

    def fetch(self, identity: dict, make: Callable[[], Content], keep: bool = True) -> Content:
        """The content for an identity, made by ``make()`` where it was not handed over."""
        content = self.kept(identity)
        if content is None:
            content = self.contents[digest(identity)] = make()
        return content


@dataclass(frozen=True)
class Part:
    """A network or a craft that a trial needs: the extractor or the surrogate with that number, the network of the undefended clean
    control on which a craft is judged, the craft, or the victim.
    """

    kind: str
    trial: Trial
    number: int = 0

    @cached_property
    def identity(self) -> dict:
        """The description of all that decides it, as in a `Cache`."""
        if self.kind == EXTRACTOR:
            return provenance.extractor(self.trial.extractors[self.number], self.trial.numerics)
        if self.kind == SURROGATE:
            return provenance.surrogate(self.trial, self._wanted)
        return {UNPOISONED: provenance.unpoisoned, CRAFT: provenance.craft, VICTIM: provenance.victim}[self.kind](self.trial)

    @cached_property
    def name(self) -> str:
        """The digest of its identity: parts with one name are the same, whichever trial they were found in."""
        return digest(self.identity)

    @property
    def needs(self) -> "list[Part]":
        """The parts that it is made from."""
        if self.kind == EXTRACTOR:
            return []
        if self.kind == VICTIM and not self.trial.attack.clean:
            return _extractors(self.trial) + _crafts(self.trial)
        wanted = self.trial.attack.surrogates if self.kind == CRAFT else ()
        own = [Part(SURROGATE, self.trial, each.number) for each in wanted if not each.pretrained]
        judge = [Part(UNPOISONED, self.trial)] if wanted and len(own) == len(wanted) else []
        return _extractors(self.trial) + own + judge

    def make(self, device: torch.device, handed: Handed) -> Content:
        """Make it from what was handed over; the tensors are on the CPU."""
        with training.settings(self.trial.numerics):
            self._fetch(device, handed)
        tensors, note = handed.contents[self.name]
        return {name: tensor.detach().cpu() for name, tensor in tensors.items()}, note

    def _fetch(self, device: torch.device, handed: Handed) -> None:
        if self.kind == EXTRACTOR:
            fetch_extractor(self.trial.extractors[self.number], self.trial.numerics, device, handed)
            return
        train = images(self.trial.source, "train", device)
        if self.kind == SURROGATE:
            surrogate(self.trial, train, self._wanted, handed)
        elif self.kind == UNPOISONED:
            held_out(self.trial, train, handed)
        elif self.kind == CRAFT:
            fetch_craft(self.trial, device, handed)
        else:
            poisoned = train if self.trial.attack.clean else train.with_poison(fetch_craft(self.trial, device, handed).poison)
            fetch_victim(self.trial, poisoned, handed, keep=True)

    @property
    def _wanted(self):
        return next(each for each in self.trial.attack.surrogates if each.number == self.number)


def parts(trial: Trial, keep: bool) -> list[Part]:
    """What a trial's own task is handed: its extractors, its craft, and its victim where other trials need that. ``keep`` as in
    `run_trial`.
    """
    shared = keep or trial.attack.clean or trial.defence.filter is not None
    return [*_extractors(trial), *_crafts(trial), *([Part(VICTIM, trial)] if shared else [])]


def _extractors(trial: Trial) -> list[Part]:
    return [Part(EXTRACTOR, trial, number) for number in range(len(trial.extractors))]


def _crafts(trial: Trial) -> list[Part]:
    return [Part(CRAFT, trial)] if trial.attack.surrogates else []
