"""A target that looks otherwise on the day: the victim sees its mirror image ("Just How Toxic", section 4 and appendix A.10)."""

from dataclasses import dataclass, replace
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from .. import check
from ..data import Goal, Poison
from . import Attack, Surrogate, ThreatModel, load


@dataclass(frozen=True)
class FlippedTarget(Attack):
    """The attack ``inner``, as text, whose success is measured on the horizontal mirror images of its targets.

    The poisons are those of the inner attack, byte by byte: the attacker knows the targets as they are.
    """

    inner: str = "feature_collision"

    def __post_init__(self):
        if isinstance(self.attack, FlippedTarget):
            raise ValueError(f"inner={self.inner!r}: choose an attack other than flipped_target")
        check.one_of("adaptive", self.attack.adaptive, ("none",))

    @cached_property
    def attack(self) -> Attack:
        """The inner attack."""
        return load(self.inner)

    def depends_on(self) -> tuple[type, ...]:
        return type(self), *self.attack.depends_on()

    @property
    def eps(self) -> float | None:
        return self.attack.eps

    @property
    def poison_rate(self) -> float:
        """The share of images that the inner attack poisons."""
        return self.attack.poison_rate

    @property
    def bound(self) -> float | None:
        return self.attack.bound

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        return self.attack.surrogates

    @property
    def clean(self) -> bool:
        return self.attack.clean

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where the inner attack cannot work."""
        self.attack.validate(threat_model)

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        poison, goal = self.attack.craft(threat_model, seed)
        return poison, mirrored(goal)

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float | None:
        """The inner attack's objective, with the targets as the attacker knows them."""
        return self.attack.objective(threat_model, poison, mirrored(goal), seed)

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"] | None:
        """The inner attack's objective before each step, on the CPU."""
        return self.attack.trace(threat_model, seed)


def mirrored(goal: Goal) -> Goal:
    """The goal with its images flipped from left to right."""
    return replace(goal, images=goal.images.flip(-1))
