"""Feature collision, "Poison Frogs" (Shafahi et al., arXiv:1804.00792): poisons that look like their bases, with the target's
features.

"Just How Toxic", section 2, equation 1 and the l-inf form of its benchmark.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from ..data import Goal, Poison
from ..tensors import project, to_bytes, to_float
from . import Surrogate, ThreatModel
from ._feature_space import FeatureSpace, check_one_target, distances
from ._targeted import Targeted

GROWTH, CUT = 1.2, 0.3  # what a step that was taken, or refused, makes of a poison's step size
RELEASED_RATE, RELEASED_CUT = 1e-3, 0.2

Loss = Callable[[Tensor], Tensor]  # images (m c h w) -> the loss of each (m,)
Backward = Callable[[Tensor, Tensor], Tensor]  # images (m c h w), rates (m 1 1 1) -> images


@dataclass(frozen=True)
class FeatureCollision(Targeted):
    """Moves ``poison_rate`` of the training set, all of the intended class, towards the target's features; labels stay correct.

    Forward-backward splitting, for each poison with a step size of its own that grows while its objective falls: a step down the
    squared distance of features, summed over the surrogates, then back towards the base. With ``norm="linf"``, the benchmark's, the
    second is the projection onto a change of at most ``eps`` a pixel; with ``norm="l2"``, the paper's, it shrinks the change
    (``penalty``), and there is no bound.

    ``variant="released"`` is the benchmark's code: it compares each loss with the last one that it took, which is that of the
    watermark before its first projection, and moves no more once it is larger. A poison is then often a clipped watermark and a
    single step. (Its end of poisons that hardly move is left out.)
    """

    eps: float = 8 / 255  # largest change of a pixel, in units of [0, 1]; with norm="l2" only a unit
    steps: int = 120
    opacity: float = 0.3  # of the target that is blended into the bases first; 0: none
    step_size: float = 0.25  # what the first step moves the pixel that it moves most, as a share of eps
    norm: str = "linf"
    penalty: float = 0.1  # beta: with norm="l2", half of it times the squared change is added to the squared distance of features
    ensemble: int = 1  # surrogates
    variant: str = "paper"

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "ensemble"):
            check.whole(name, getattr(self, name), 1)
        check.share("opacity", self.opacity, "the target")
        check.number("step_size", self.step_size, 0, above=True)
        check.number("penalty", self.penalty, 0)
        check.one_of("norm", self.norm, ("linf", "l2"))
        check.variant(self.variant)
        check_one_target(self.targets)
        if (self.norm, self.variant) == ("l2", "released"):
            raise ValueError("norm='l2', variant='released': the released loop weighs the penalty otherwise; choose norm='linf'")

    @property
    def bound(self) -> float | None:
        return self.eps if self.norm == "linf" else None

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        return tuple(Surrogate(number) for number in range(0 if self.clean else self.ensemble))

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        images, _ = self._descend(threat_model, to_float(base.images), goal)
        return Poison(base.ids, to_bytes(images, base.images, self.bound or 1.0)), goal

    @torch.no_grad()
    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """The mean squared distance of stored poisons from the target in features, a share of the target's squared norm, summed
        over the surrogates."""
        space = FeatureSpace(threat_model, goal)
        features = space(to_float(poison.images))
        return sum(distances(f, aim).mean() for f, aim in zip(features, space.aims, strict=True)).item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """The mean squared distance before each step, on the CPU; with norm="l2", penalty included."""
        base, goal = self.choose(threat_model, seed)
        return self._descend(threat_model, to_float(base.images), goal)[1].cpu()

    def _descend(self, threat_model: ThreatModel, base: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
        space, start = FeatureSpace(threat_model, goal), torch.lerp(base, to_float(goal.images[:1]), self.opacity)

        def distance(x: Tensor) -> Tensor:
            return sum((f - aim).square().sum(1) for f, aim in zip(space(x), space.aims, strict=True))

        def shrunk(x: Tensor, rate: Tensor) -> Tensor:
            return ((x + rate * self.penalty * base) / (1 + rate * self.penalty)).clamp(0, 1)

        def projected(x: Tensor, rate: Tensor) -> Tensor:
            return base + project(x - base, base, self.eps)

        def penalised(x: Tensor) -> Tensor:
            return self.penalty / 2 * (x - base).square().flatten(1).sum(1)

        bounded = self.norm == "linf"
        backward, rest = (projected, lambda x: x.new_zeros(len(x))) if bounded else (shrunk, penalised)
        if self.variant == "released":
            return stalling(distance, backward, start, self.steps)
        at = backward(start, base.new_zeros(len(base), 1, 1, 1))
        return split(distance, rest, backward, at, self.steps, self.step_size * self.eps)


def split(
    smooth: Loss, rest: Loss, backward: Backward, x: Float[Tensor, "m c h w"], steps: int, first: float
) -> tuple[Float[Tensor, "m c h w"], Float[Tensor, " steps"]]:
    """(images, mean objective before each step) of forward-backward splitting, each image by itself (Shafahi et al., Algorithm 1).

    The objective is ``smooth + rest``, and ``backward`` makes the step that belongs to ``rest``. A step that does not lower it is
    not taken, and a shorter one is tried. ``first`` is what the first one moves the pixel that it moves most.
    """
    value, gradient = _with_gradient(smooth, x)
    value = value + rest(x)
    rate = first / gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)
    values = []
    for _ in range(steps):
        values.append(value.mean())
        candidate = backward(x - rate * gradient, rate)
        found, slope = _with_gradient(smooth, candidate)
        found = found + rest(candidate)
        better = found < value
        value, chosen = torch.where(better, found, value), better[:, None, None, None]
        x, gradient = torch.where(chosen, candidate, x), torch.where(chosen, slope, gradient)
        rate = torch.where(chosen, rate * GROWTH, rate * CUT)
    return x, torch.stack(values)


def stalling(
    smooth: Loss, backward: Backward, x: Float[Tensor, "m c h w"], steps: int
) -> tuple[Float[Tensor, "m c h w"], Float[Tensor, " steps"]]:
    """The benchmark's loop: an image whose loss has risen above that of the last step taken stays where it is."""
    rate = torch.full((len(x), 1, 1, 1), RELEASED_RATE, device=x.device)
    last, values = torch.full((len(x),), torch.inf, device=x.device), []
    for _ in range(steps):
        value, gradient = _with_gradient(smooth, x)
        values.append(value.mean())
        better = value <= last
        last, chosen = torch.where(better, value, last), better[:, None, None, None]
        x = torch.where(chosen, backward(x - rate * gradient, rate), x)
        rate = torch.where(chosen, rate, rate * RELEASED_CUT)
    return x, torch.stack(values)


def _with_gradient(loss: Loss, x: Float[Tensor, "m c h w"]) -> tuple[Float[Tensor, " m"], Float[Tensor, "m c h w"]]:
    """The loss of each image, and its gradient: images do not influence each other, so that of the sum has all of them."""
    x = x.detach().requires_grad_()
    value = loss(x)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]
