"""Attacks: one file each, with a class that derives from `Attack`."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from .. import registry
from ..augment import Pipeline
from ..data import Goal, ImageSet, Poison
from ..models import Network
from ..steps import Step


@dataclass(frozen=True)
class Surrogate:
    """A network that the attacker trains on the clean training set like the victim, but from other initial weights."""

    number: int = 0  # each has its own initial weights and order
    defended: bool = False  # trained under the victim's defence
    pretrained: bool = False  # not trained: the architecture with its public weights
    step: Step | None = None  # a step that the attacker trains it with, such as adversarial training
    pretraining: Step | None = None  # a step with which the extractor that it starts from was pretrained


@runtime_checkable
class Precision(Protocol):
    """How the crafting gradient is computed; `poisonlib.training.Numerics` is one."""

    compiled: bool

    def autocast(self, device) -> AbstractContextManager:
        """The context in which the network is called."""


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker knows and may change: data, surrogate networks, and how the victim trains, as far as the attack uses it."""

    train: ImageSet  # the attacker may change some of these images
    test: ImageSet  # the goal's images come from here
    surrogates: tuple[Network, ...] = ()
    augment: Pipeline = Pipeline()  # the victim's ordinary augmentation, such as flips and crops
    defence: Pipeline = Pipeline()
    step: Step | None = None
    numerics: Precision | None = None
    label_smoothing: float = 0.0  # of the loss that the victim descends on


@runtime_checkable
class Attack(registry.Choice, Protocol):
    """An attack: a frozen dataclass with one verb, ``craft``. It never trains: it declares the networks that it needs.

    The defaults below are those of an attack that optimises nothing and does not know the defence.
    """

    eps: float | None = None  # largest change of a pixel in units of [0, 1]; None if there is no such bound
    adaptive: str = "none"  # how the attacker uses what they know of the defence; "none" if they do not

    @property
    def bound(self) -> float | None:
        """The largest change of a stored pixel: ``eps``, unless the attack also puts a whole trigger on the poisons."""
        return self.eps

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        """The networks that ``threat_model.surrogates`` must hold."""
        return ()

    @property
    def clean(self) -> bool:
        """Whether the attack changes no training image: a clean control."""
        return False

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        """The poisoned images, and the goal by which success is measured.

        The images of ``threat_model`` serve other trials, too: copy what is to be changed, as with ``pixels(...).clone()``.
        """
        raise NotImplementedError

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where the attack cannot work, whatever the seed. ``threat_model`` has no surrogates yet."""

    def facing(self, defended: bool) -> "Attack":
        """The attack on a victim with or without a defence to adapt to."""
        return self

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float | None:
        """The optimised objective at stored poisons (the lower, the better); None for an attack that optimises nothing."""
        return None

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"] | None:
        """The objective before each step, on the CPU; None for an attack that optimises nothing."""
        return None


def names() -> list[str]:
    """The attacks of this package."""
    return registry.names(__name__)


def load(choice, **values) -> Attack:
    """An attack: ``load("patch", poison_rate=0.1)``, ``load("patch(poison_rate=0.1)")``, ``load("my_package.MyAttack")``."""
    return registry.load(__name__, Attack, choice, **values)


def craft(attack, threat_model: ThreatModel, *, seed: int) -> tuple[Poison, Goal]:
    """The poison and goal of an attack, or of its name, with all checks.

    Raises ValueError where the attack cannot work on these data or lacks surrogates, where it writes into the images that it was
    given or poisons none, and where a poison breaks the attack's own eps.
    """
    attack = load(attack)
    attack.validate(threat_model)
    if len(threat_model.surrogates) < len(attack.surrogates):
        wanted, given = len(attack.surrogates), len(threat_model.surrogates)
        raise ValueError(f"surrogates: {registry.label(attack)} needs {wanted} trained networks in its threat model, not {given}")
    known = [part for of in (threat_model.train, threat_model.test) for part in (of.images, of.labels, of.ids)]
    before = [part._version for part in known]  # torch counts what is written into a tensor
    poison, goal = attack.craft(threat_model, seed)
    if [part._version for part in known] != before:
        raise ValueError(f"{registry.label(attack)} wrote into the images or labels that it was given; let it change a copy")
    if not len(poison) and not attack.clean:
        raise ValueError(f"{registry.label(attack)} poisons no image; a control that is meant to do so says it with clean=True")
    if not 0 <= goal.intended_class < len(threat_model.train.classes) or not len(goal.images):
        raise ValueError(f"{registry.label(attack)}: its goal has {len(goal.images)} images and the class {goal.intended_class}")
    change = largest_change(threat_model.train, poison)
    if attack.bound is not None and change > attack.bound * 255 + 1e-4:
        raise ValueError(
            f"{registry.label(attack)} changed a pixel by {change}/255, which is more than its eps of {attack.bound * 255:g}/255"
        )
    return poison, goal


def largest_change(train: ImageSet, poison: Poison) -> int:
    """The largest change of a pixel, in steps of 1/255. Raises KeyError or ValueError where the poison does not fit the set."""
    if not len(poison):
        return 0
    base = train.pixels(train.positions(poison.ids.to(train.device)))
    if base.shape != poison.images.shape:
        raise ValueError(f"poisons of shape {tuple(poison.images.shape[1:])}; the training images are {train.shape}")
    return int((poison.images.to(base.device).int() - base.int()).abs().max())


def given(poison: Poison, goal: Goal, title: str) -> Attack:
    """An attack that was crafted elsewhere: poison and goal, kept in the output folder under a digest, for trials to use.

    ``title`` is what tables and figures call the attack. The returned attack can be given to `experiments.grid`.
    """
    from .external import store

    return store(poison, goal, title)
