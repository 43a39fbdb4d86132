"""Poisons that were crafted elsewhere, kept in the output folder under a digest of their content."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from .. import files, paths
from ..data import Goal, Poison
from . import Attack, ThreatModel, largest_change

PARTS = {"poison": ("ids", "images"), "goal": ("images", "labels", "ids")}


@dataclass(frozen=True)
class External(Attack):
    """Poison and goal that `poisonlib.attacks.given` wrote to ``outputs/data/``; the seed changes nothing."""

    title: str  # what tables and figures call it
    content: str = field(metadata={"shown": False})  # digest of the tensors

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        """Raises FileNotFoundError where the file is missing or damaged."""
        poison, goal = _read(self.content, paths.outputs())
        device = threat_model.train.device
        at = [tensor.to(device) for tensor in (goal.images, goal.labels, goal.ids)]
        return Poison(poison.ids.to(device), poison.images.to(device)), Goal(*at, goal.intended_class)

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where the poisons are not of this training set, or the goal is not of its classes."""
        poison, goal = _read(self.content, paths.outputs())
        try:
            largest_change(threat_model.train, poison)
        except KeyError as error:
            raise ValueError(f"{self.title!r} was not crafted for this training set: {error.args[0]}") from None
        if goal.images.shape[1:] != threat_model.test.images.shape[1:] or goal.intended_class >= len(threat_model.test.classes):
            raise ValueError(
                f"{self.title!r}: its goal does not fit the test set, images {threat_model.test.shape} of "
                f"{len(threat_model.test.classes)} classes"
            )


def store(poison: Poison, goal: Goal, title: str) -> External:
    """Write both, unless they are there already; returns the attack for trials. Raises ValueError for a poison without images."""
    if not len(poison):
        raise ValueError("the poison holds no image")
    sources = {"poison": poison, "goal": goal}
    tensors = {f"{name}.{part}": getattr(sources[name], part) for name, parts in PARTS.items() for part in parts}
    return External(title, files.keep(paths.outputs() / "data", tensors, {"intended_class": goal.intended_class}))


@functools.lru_cache(maxsize=4)
def _read(content: str, outputs: Path) -> tuple[Poison, Goal]:
    tensors, note = files.kept(outputs / "data", content)
    poison, goal = ([tensors[f"{name}.{part}"] for part in parts] for name, parts in PARTS.items())
    return Poison(*poison), Goal(*goal, note["intended_class"])
