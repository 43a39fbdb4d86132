"""What a trial is: frozen numbers, a canonical text of them, and the hash of that text under which its record is stored."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from .. import attacks, augment, data, filters, models, registry, steps, training
from ..attacks import Surrogate
from ..augment import Pipeline

# Fields that came after records had been written. Where they say what older records mean, they are left out, so that those keep
# their names.
LATER = {"recipe": {"frozen": False}, "numerics": {"compiled": False}, "defence": {"step": None}}


@dataclass(frozen=True)
class Defence:
    """What the victim does differently: augmentations, another step, a filter of the training set (which then retrains)."""

    augment: Pipeline = Pipeline()
    filter: Any = None
    step: Any = None

    @property
    def label(self) -> str:
        parts = [*self.augment.parts, *(part for part in (self.step, self.filter) if part)]
        return " + ".join(registry.label(part) for part in parts) or "none"

    @property
    def trains(self) -> bool:
        """Whether it changes how a network is trained, which an adaptive attacker can do as well; a filter does not."""
        return bool(self.augment.parts or self.step)

    def describe(self) -> dict:
        return {
            "augment": [registry.describe(part) for part in self.augment.parts],
            "filter": registry.describe(self.filter) if self.filter else None,
            "step": registry.describe(self.step) if self.step else None,
        }


def defence(choice) -> Defence:
    """``"none"``, ``"mixup(k=4)"``, ``"cutmix + laplace(scale=16/255)"``, ``"noisy_sgd + deep_knn"``, a description or a `Defence`.

    Raises LookupError for a name that is no augmentation, step or filter, ValueError for more than one step or filter.
    """
    if isinstance(choice, Defence):
        return choice
    if isinstance(choice, dict):
        filter_, step = (choice.get(kind) for kind in ("filter", "step"))
        return Defence(augment.pipeline(choice["augment"]), filter_ and filters.load(filter_), step and steps.load(step))
    found = {room: [] for room in (augment, filters, steps)}
    for name, numbers in [] if choice == "none" else registry.parse(choice):
        room = next((room for room in found if name in room.names()), None)
        if room is None:
            known = [name for room in found for name in room.names()]
            raise LookupError(f"no defence {name!r}; choose none, or join with +: {', '.join(known)}")
        found[room].append(room.load(name, **numbers))
    for room, kind in ((filters, "filter"), (steps, "step")):
        if len(found[room]) > 1:
            raise ValueError(f"{choice!r}: one {kind} at most")
    return Defence(Pipeline(tuple(found[augment])), *(next(iter(found[room]), None) for room in (filters, steps)))


@dataclass(frozen=True)
class Trial:
    """One complete experiment. Equal trials give equal bytes on the same machine, whatever else runs."""

    data: Any
    model: Any
    recipe: training.Recipe
    attack: Any
    defence: Defence
    numerics: training.Numerics
    seed: int

    def describe(self) -> dict:
        """The trial as plain JSON values; `Trial.read` takes it back."""
        parts = {
            "data": registry.describe(self.data),
            "model": registry.describe(self.model),
            "recipe": dataclasses.asdict(self.recipe),
            "attack": registry.describe(self.attack),
            "defence": self.defence.describe(),
            "numerics": dataclasses.asdict(self.numerics),
            "seed": self.seed,
        }
        for part, fields in LATER.items():
            parts[part] = {k: v for k, v in parts[part].items() if k not in fields or v != fields[k]}
        return json.loads(canonical(parts))

    @classmethod
    def read(cls, description: dict) -> "Trial":
        return cls(
            data.source(description["data"]),
            models.load(description["model"]),
            training.load(description["recipe"]),
            attacks.load(description["attack"]),
            defence(description["defence"]),
            training.Numerics(**description["numerics"]),
            description["seed"],
        )

    @property
    def key(self) -> str:
        return digest(self.describe())

    def victim(self) -> dict:
        """All that decides the weights of a network trained on this trial's whole training set; the filter does not.

        Two trials whose victims are described alike share one network; an attack that says it is ``clean`` leaves no trace.
        """
        identity = self._under(self.defence)
        return identity | {"attack": None} if getattr(self.attack, "clean", False) else identity

    def surrogate(self, wanted: Surrogate) -> dict:
        """All that decides the weights of a network of the attacker's: neither the attack nor, unless known, the defence."""
        known = self.defence if wanted.defended else Defence()
        return self._under(known) | {"attack": None, "surrogate": wanted.number}

    def craft(self) -> dict:
        """All that decides the poison: the defence only if the attacker knows it."""
        adaptive = getattr(self.attack, "adaptive", "none") != "none"
        return self._under(self.defence if adaptive else Defence()) | {"craft": True}

    def _under(self, defence: Defence) -> dict:
        """The trial with what of a defence plays a part in training. The form is that of the oldest records."""
        parts = defence.describe()
        return self.describe() | {"defence": parts["augment"]} | ({"step": parts["step"]} if parts["step"] else {})


def canonical(value) -> str:
    """The one JSON text of a description: sorted names, no spaces, shortest floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value) -> str:
    """SHA-256 of the canonical text, as 32 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]
