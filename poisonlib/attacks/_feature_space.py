"""What attacks in feature space share: the features of poisons and target in several networks, and descent on the pixels."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from ..data import Goal, Poison
from ..tensors import project, to_bytes, to_float
from . import Surrogate, ThreatModel
from ._targeted import Targeted


class Features:
    """The surrogates' features of images. The networks are in eval mode, so images do not influence each other."""

    def __init__(self, threat_model: ThreatModel):
        self.networks = [network.eval() for network in threat_model.surrogates]
        self.numerics = threat_model.numerics

    def __call__(self, x: Float[Tensor, "m c h w"]) -> list[Float[Tensor, "m d"]]:
        """The features of images, network by network."""
        with self.numerics.autocast(x.device) if self.numerics else contextlib.nullcontext():
            return [network.features(x).float() for network in self.networks]


class FeatureSpace(Features):
    """The features of images, and ``aims``, those of the target, network by network."""

    def __init__(self, threat_model: ThreatModel, goal: Goal):
        super().__init__(threat_model)
        with torch.no_grad():
            self.aims = [features[0] for features in self(to_float(goal.images))]


def distances(features: Float[Tensor, "*m d"], aim: Float[Tensor, " d"]) -> Float[Tensor, "*m"]:
    """Squared distances from the target's features, as a share of their squared norm: 1 is the distance of the origin."""
    return (features - aim).square().sum(-1) / aim.square().sum().clamp(min=1e-12)


@dataclass(frozen=True)
class Polytope(Targeted):
    """Base of attacks that place the target within or amid the poisons of all networks: their values, and Adam on the pixels."""

    eps: float = 8 / 255  # largest change of a pixel, in units of [0, 1]
    steps: int = 1200
    step_size: float = 0.25  # Adam's, as a share of eps; the benchmark's 0.04 in normalised units is 2/255
    ensemble: int = 1  # surrogates

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "ensemble"):
            check.whole(name, getattr(self, name), 1)
        check.number("step_size", self.step_size, 0, above=True)
        check_one_target(self.targets)

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        return tuple(Surrogate(number) for number in range(0 if self.clean else self.ensemble))

    def loss(self, space: FeatureSpace) -> Callable[[Tensor], Tensor]:
        """The objective as a function of the poisons' pixels (m c h w)."""
        raise NotImplementedError

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        x = to_float(base.images)
        delta, _ = descend(self.loss(FeatureSpace(threat_model, goal)), x, self.eps, self.steps, self.step_size * self.eps)
        return Poison(base.ids, to_bytes(x + delta, base.images, self.eps)), goal

    @torch.no_grad()
    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """The objective at stored poisons."""
        return self.loss(FeatureSpace(threat_model, goal))(to_float(poison.images)).item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """The objective before each step, on the CPU."""
        base, goal = self.choose(threat_model, seed)
        loss = self.loss(FeatureSpace(threat_model, goal))
        return descend(loss, to_float(base.images), self.eps, self.steps, self.step_size * self.eps)[1].cpu()


def check_one_target(targets: int) -> None:
    """Raises ValueError unless there is one target: these attacks move features towards those of one image."""
    if targets != 1:
        raise ValueError(f"targets={targets!r}: the attack moves features towards those of one image; choose 1")


def descend(
    loss: Callable[[Tensor], Tensor], base: Float[Tensor, "m c h w"], eps: float, steps: int, step_size: float
) -> tuple[Float[Tensor, "m c h w"], Float[Tensor, " steps"]]:
    """(perturbation, loss before each step) of Adam from the clean images, projected after each step."""
    delta, values = torch.zeros_like(base), []
    adam = torch.optim.Adam([delta], lr=step_size)
    for _ in range(steps):
        x = (base + delta).requires_grad_()
        value = loss(x)
        (delta.grad,) = torch.autograd.grad(value, x)
        adam.step()
        delta.copy_(project(delta, base, eps))
        values.append(value.detach())
    return delta, torch.stack(values)
