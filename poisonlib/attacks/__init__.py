"""Attacks: one file each, with a class ``Attack`` whose ``craft(scene, seed)`` gives ``(Poison, Goal)``.

An attack never trains: it declares the networks that it wants in ``surrogates`` and finds them, trained, in its scene. One that
optimises says how well with ``objective(scene, poison, goal, seed)``, the lower the better; one that knows the defence has
``adaptive`` other than ``"none"``; one that can tell from a scene without networks that it cannot work, whatever the seed, says so
with ``refuse(scene)``, before any is trained.
"""

from dataclasses import dataclass
from typing import Any

from .. import registry
from ..augment import Pipeline
from ..data import ImageSet
from ..models import Network


@dataclass(frozen=True)
class Surrogate:
    """A network that the attacker trains on the clean training set, as the victim does but from another start."""

    number: int = 0  # each has initial weights and an order of its own
    defended: bool = False  # trained under the victim's defence
    pretrained: bool = False  # not trained at all: the architecture with its public weights


@dataclass(frozen=True)
class Scene:
    """What an attacker sees: data, the networks it asked for, and how the victim will train as far as the attack may know it."""

    train: ImageSet  # it may alter some of these images
    test: ImageSet  # its goal comes from here
    surrogates: tuple[Network, ...] = ()
    ordinary: Pipeline = Pipeline()  # flips and crops that everybody trains with
    defence: Pipeline = Pipeline()
    step: Any = None  # of ``poisonlib.steps``
    numerics: Any = None  # of ``poisonlib.training``: the precision to craft in, and whether the gradient is compiled


def names() -> list[str]:
    return registry.names(__name__)


def load(choice, **numbers):
    """The attack that ``choice`` names: ``load("patch", share=0.1)``, ``load("patch(share=0.1)")``."""
    return registry.load(__name__, "Attack", choice, **numbers)
