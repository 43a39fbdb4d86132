"""Poisons that were crafted elsewhere, kept in the output folder under a digest of their content."""

import functools
import hashlib
from dataclasses import dataclass, field

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
    """Write both, unless they are there already; returns the attack for trials."""
    sources = {"poison": poison, "goal": goal}
    tensors = {f"{name}.{part}": getattr(sources[name], part).cpu() for name, parts in PARTS.items() for part in parts}
    content = _digest(tensors, goal.intended_class)
    if not _path(content, paths.outputs()).exists():
        files.write_tensors(_path(content, paths.outputs()), tensors, {"intended_class": goal.intended_class})
    return External(title, content)


def _path(content: str, outputs):
    return outputs / "data" / f"{content}.safetensors"


def _digest(tensors: dict, intended_class: int) -> str:
    parts = (
        f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + tensor.contiguous().numpy().tobytes()
        for name, tensor in sorted(tensors.items())
    )
    return hashlib.sha256(b"".join(parts) + str(intended_class).encode()).hexdigest()[:32]


@functools.lru_cache(maxsize=4)
def _read(content: str, outputs) -> tuple[Poison, Goal]:
    found = files.read_tensors(_path(content, outputs))
    if not found or _digest(found[0], found[1].get("intended_class")) != content:
        raise FileNotFoundError(
            f"{_path(content, outputs)} is missing or damaged; call attacks.given again with the same poison and goal"
        )
    tensors, note = found
    poison, goal = ([tensors[f"{name}.{part}"] for part in parts] for name, parts in PARTS.items())
    return Poison(*poison), Goal(*goal, note["intended_class"])
