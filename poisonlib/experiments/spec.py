"""What a trial is: a frozen description, its canonical text, and the hash of that text under which its record is stored."""

import dataclasses
import functools
import hashlib
import json
import re
from dataclasses import dataclass

from .. import attacks, augment, data, filters, models, registry, steps, training
from ..attacks import Attack, Surrogate
from ..augment import Augment, Pipeline
from ..data import Data
from ..filters import Filter
from ..models import Model
from ..registry import Choice
from ..rng import derive
from ..steps import Step
from . import extractor as origins
from .extractor import Extractor, Origin


@dataclass(frozen=True)
class Defence:
    """What a defended victim does differently: augmentations, a step, and a filter of the training set, after which it retrains."""

    augment: Pipeline = Pipeline()
    filter: Filter | None = None
    step: Step | None = None

    @property
    def parts(self) -> tuple[Choice, ...]:
        """Augmentations in their order, step and filter."""
        return (*self.augment.parts, *(part for part in (self.step, self.filter) if part))

    @property
    def label(self) -> str:
        """``"mixup(k=4) + noisy_sgd"``, or ``"none"``."""
        return " + ".join(registry.label(part) for part in self.parts) or "none"

    @property
    def changes_training(self) -> bool:
        """Whether it changes how a network is trained, to which an adaptive attacker can adapt; a filter alone does not."""
        return bool(self.augment.parts or self.step)

    def describe(self) -> dict:
        """The defence as plain JSON values."""
        return {
            "augment": [registry.describe(part) for part in self.augment.parts],
            "filter": registry.describe(self.filter) if self.filter else None,
            "step": registry.describe(self.step) if self.step else None,
        }


def defence(choice, values: "dict[str, dict] | None" = None) -> Defence:
    """``"none"``, ``"mixup(k=4)"``, ``"cutmix + laplace(scale=16/255)"``, ``"noisy_sgd + my_package.MyFilter"``, an augmentation,
    step or filter, a list of these, a description, or a `Defence`. ``values``: what parts given as text have by their name unless
    the text says otherwise.

    Raises LookupError for a name that is no augmentation, step or filter, ValueError for more than one step or filter.
    """
    if isinstance(choice, Defence):
        return choice
    if isinstance(choice, dict):
        filter_, step = (choice.get(kind) for kind in ("filter", "step"))
        return Defence(augment.pipeline(choice["augment"]), filter_ and filters.load(filter_), step and steps.load(step))
    parts = _parts(choice, values or {})
    found = {kind: [part for part in parts if registry.is_a(part, kind)] for kind in ROOMS}
    for kind in (Filter, Step):
        if len(found[kind]) > 1:
            raise ValueError(f"{choice!r}: give one {kind.__name__.lower()} at most")
    return Defence(Pipeline(tuple(found[Augment])), *(next(iter(found[kind]), None) for kind in (Filter, Step)))


ROOMS = {Augment: augment, Filter: filters, Step: steps}


def _parts(choice, values: dict[str, dict]) -> list[Choice]:
    """The augmentations, filters and steps that a text, an object or a list of these means, in their order."""
    if isinstance(choice, str):
        calls = [] if choice in ("none", "") else registry.parse(choice)
        return [_room(name).load(name, **values.get(name, {}) | given) for name, given in calls]
    if isinstance(choice, list | tuple):
        return [part for each in choice for part in _parts(each, values)]
    room = next((room for kind, room in ROOMS.items() if registry.is_a(choice, kind)), None)
    if room is None:
        raise TypeError(f"{choice!r}: each part must be an augmentation, a filter or a step, or the name of one")
    return [room.load(choice)]


def _room(name: str):
    """The room that a defence's name belongs to."""
    if "." in name:
        bases = getattr(registry.imported(name), "__mro__", ())
        room = next((room for kind, room in ROOMS.items() if kind in bases), None)
        if room is None:
            raise TypeError(f"{name} derives from none of augment.Augment, filters.Filter and steps.Step")
        return room
    room = next((room for room in ROOMS.values() if name in room.names()), None)
    if room is None:
        known = ", ".join(name for room in ROOMS.values() for name in room.names())
        raise LookupError(
            f"no defence {name!r}; choose none, or join with +: {known}; or give the import path of a class of your own"
        )
    return room


@dataclass(frozen=True)
class Trial:
    """One complete experiment. Equal trials give equal bytes on the same machine, whatever else runs.

    Three scenarios: from scratch; transfer learning, where the victim starts from an ``extractor`` and, with a recipe that is
    ``frozen``, trains the head alone; and fine-tuning, where it trains all layers from there. ``attacker``: from what the
    attacker's surrogates start, one after the other; empty means from what the victim does. That is a white box where the victim
    has an extractor, as they then share its weights.
    """

    data: Data
    model: Model
    recipe: training.Recipe
    attack: Attack
    defence: Defence
    numerics: training.Numerics
    seed: int
    start: int = 0  # which of several victims of the same goal and poisons: each begins elsewhere and draws other batches
    extractor: Extractor | None = None  # its model is the trial's
    attacker: tuple[Origin, ...] = ()

    def describe(self) -> dict:
        """The trial as plain JSON values; `Trial.read` takes it back."""
        return json.loads(self.text)

    @property
    def text(self) -> str:
        """The canonical text of its description. It is written once."""
        if WRITTEN in self.__dict__:
            return self.__dict__[WRITTEN]
        text = canonical(self._described())  # a class of the user's own may be defined anew
        if not OWN.search(text):
            self.__dict__[WRITTEN] = text
        return text

    def _described(self) -> dict:
        return {
            "data": registry.describe(self.data),
            "model": registry.describe(self.model),
            "recipe": registry.plain(self.recipe),
            "attack": registry.describe(self.attack),
            "defence": self.defence.describe(),
            "numerics": registry.plain(self.numerics),
            "seed": self.seed,
            **({"extractor": self.extractor.describe()} if self.extractor else {}),
            **({"attacker": [origins.describe(each) for each in self.attacker]} if self.attacker else {}),
            **({"start": self.start} if self.start else {}),
        }

    def __getstate__(self) -> dict:
        """What is pickled: the trial without its text."""
        return {name: value for name, value in self.__dict__.items() if name != WRITTEN}

    @classmethod
    def read(cls, description: dict) -> "Trial":
        """The trial that a description means.

        Raises LookupError for a name that there is not, TypeError or ValueError for values.
        """
        text = canonical({**description, "seed": 0})
        read = _read.__wrapped__ if OWN.search(text) else _read  # a class of the user's own may be defined anew
        return dataclasses.replace(read(text), seed=description["seed"])

    @property
    def key(self) -> str:
        """The name of the trial's record."""
        return hashed(self.text)

    @property
    def source(self) -> Data:
        """The data set that this very trial has, which may depend on its seed."""
        return self.data.for_seed(self.seed)

    @property
    def victim_seed(self) -> int:
        """The seed from which the victim begins and draws its batches; the goal and the poisons come from ``seed``."""
        return derive(self.seed, "start", self.start) if self.start else self.seed

    @property
    def known_defence(self) -> Defence:
        """What the attacker knows of the defence: all of it, or nothing."""
        knows = self.attack.adaptive != "none" or any(wanted.defended for wanted in self.attack.surrogates)
        return self.defence if knows else Defence()

    @property
    def origin(self) -> Origin:
        """What the victim starts from."""
        return self.extractor or self.model

    def surrogate_origin(self, wanted: Surrogate) -> Origin:
        """What one of the attacker's surrogates starts from. An extractor is pretrained in the way that the attack wants."""
        origin = self.attacker[wanted.number % len(self.attacker)] if self.attacker else self.origin
        if wanted.pretraining and isinstance(origin, Extractor):
            return dataclasses.replace(origin, step=wanted.pretraining)
        return origin

    @property
    def knowledge(self) -> str:
        """What the attacker has: "white box", the victim's extractor; "grey box", only its architecture; "black box", neither."""
        known = self.attacker or (self.origin,)
        if self.extractor in known:
            return "white box"
        return "grey box" if any(origins.model_of(each) == self.model for each in known) else "black box"

    @property
    def extractors(self) -> tuple[Extractor, ...]:
        """The extractors of victim and attacker, each once."""
        every = self.extractor, *map(self.surrogate_origin, self.attack.surrogates)
        return tuple(dict.fromkeys(each for each in every if isinstance(each, Extractor)))

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All of the trial's parts that have code of their own."""
        elsewhere = [part for each in self.extractors for part in each.choices]
        elsewhere += [each for each in self.attacker if not isinstance(each, Extractor)]
        own = self.data, self.model, self.attack, *self.defence.parts, *augment.pipeline(self.recipe.augment).parts
        return *own, *elsewhere


WRITTEN = "_text"  # where a trial keeps its canonical text, beside its fields: it counts neither in comparisons nor in pickles
OWN = re.compile(r'"(name|factory|inner)":"[^"]*\w\.([^\W\d]|\\u)')  # an import path; JSON writes other letters as \\u...


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> Trial:
    description = json.loads(text)
    return Trial(
        data.source(description["data"]),
        models.load(description["model"]),
        training.load(description["recipe"]),
        attacks.load(description["attack"]),
        defence(description["defence"]),
        training.Numerics(**description["numerics"]),
        0,
        description.get("start", 0),
        Extractor.read(description["extractor"]) if "extractor" in description else None,
        tuple(map(origins.read, description.get("attacker", ()))),
    )


def canonical(value) -> str:
    """The one JSON text of a description: sorted names, no spaces, shortest floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value) -> str:
    """SHA-256 of the canonical text, as 32 hexadecimal digits."""
    return hashed(canonical(value))


def hashed(text: str) -> str:
    """`digest` of what a canonical text describes."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
