"""Hidden-trigger backdoor, HTBD (Saha et al., arXiv:1910.00033): poisons with the features of images that carry the trigger.

The trigger itself is on no training image. "Just How Toxic", section 2, equation 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor

from .. import check
from ..data import Goal, Poison
from ..rng import stream
from ..tensors import to_bytes, to_float
from . import Surrogate, ThreatModel
from ._backdoor import Backdoor
from ._feature_space import Features
from ._signed_adam import minimise

Pairing = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HiddenTrigger(Backdoor):
    """Moves ``poison_rate`` of the training set, all of the intended class, by at most ``eps`` a pixel towards as many training
    images of the source class with the trigger, in the surrogates' features; labels stay correct.

    Before each step, poisons and sources are paired one to one with the least sum of squared distances. ``variant="released"`` is
    the benchmark's code: pairs are the smallest distances of all, whichever they join, and what a poison is paired with replaces
    its source for good, so sources are lost; and its trigger lies five pixels off the corner, as far as there is room. The public
    codes descend with plain SGD in 5,000 steps (that one) or with these steps (that of DP-InstaHide).
    """

    steps: int = 250
    step_size: float = 0.4  # of the first steps, as a share of eps
    ensemble: int = 1  # surrogates
    variant: str = "paper"

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "ensemble"):
            check.whole(name, getattr(self, name), 1)
        check.number("step_size", self.step_size, 0, above=True)
        check.variant(self.variant)

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        return tuple(Surrogate(number) for number in range(0 if self.clean else self.ensemble))

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Row and column of the trigger's top left pixel."""
        off = 5 if self.variant == "released" else 0
        return max(0, height - self.size - off), max(0, width - self.size - off)

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        x = to_float(base.images)
        delta, _ = self._descend(threat_model, x, goal, seed)
        return Poison(base.ids, to_bytes(x + delta, base.images, self.eps)), goal

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """The mean squared distance of stored poisons from their sources in features, under the best one-to-one pairing."""
        collision = Collision(threat_model, self.sources(threat_model, len(poison), goal, seed), assign)
        with torch.no_grad():
            return collision.value(to_float(poison.images)).item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """The mean squared distance before each step, on the CPU."""
        base, goal = self.choose(threat_model, seed)
        return self._descend(threat_model, to_float(base.images), goal, seed)[1].cpu()

    def _descend(self, threat_model: ThreatModel, x: Tensor, goal: Goal, seed: int) -> tuple[Tensor, Tensor]:
        pairing = Overwriting() if self.variant == "released" else assign
        collision = Collision(threat_model, self.sources(threat_model, len(x), goal, seed), pairing)
        step_size = self.step_size * self.eps
        return minimise(collision.value_and_grad, x, torch.zeros_like(x), self.eps, self.steps, step_size)

    def sources(self, threat_model: ThreatModel, count: int, goal: Goal, seed: int) -> Integer[Tensor, "m c h w"]:
        """Random training images of the source class with the trigger; where there are too few, all of them over and over."""
        pool = threat_model.train.of_class(goal.source_class)
        order = torch.randperm(len(pool), generator=stream(seed, "sources")).to(pool.ids.device)
        chosen = pool.images[order.repeat(-(-count // len(pool)))[:count]]
        return self.stamp(chosen, self.trigger(threat_model.train, seed))


class Collision:
    """Mean squared distance in features between poisons and the sources that they are paired with, summed over the surrogates."""

    def __init__(self, threat_model: ThreatModel, sources: Integer[Tensor, "m c h w"], pairing: Pairing):
        self.features, self.pairing = Features(threat_model), pairing
        with torch.no_grad():
            self.aims = self.features(to_float(sources))

    def value(self, x: Float[Tensor, "m c h w"]) -> Float[Tensor, ""]:
        """The distance at images, which are paired anew."""
        features = self.features(x)
        costs = [torch.cdist(f.detach(), aim).square() for f, aim in zip(features, self.aims, strict=True)]
        partner = self.pairing(torch.stack(costs).sum(0))
        pairs = zip(features, self.aims, strict=True)
        return torch.stack([(f - aim[partner]).square().sum(1).mean() for f, aim in pairs]).sum()

    def value_and_grad(self, x: Float[Tensor, "m c h w"], i: int) -> tuple[Tensor, Float[Tensor, "m c h w"]]:
        """The value and its gradient with respect to the pixels."""
        x = x.detach().requires_grad_()
        value = self.value(x)
        return value.detach(), torch.autograd.grad(value, x)[0]


def assign(cost: Float[Tensor, "m m"]) -> Int64[Tensor, " m"]:
    """For each row the column that it is paired with: one to one, with the least sum of costs."""
    from scipy.optimize import linear_sum_assignment

    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(cost.device)


class Overwriting:
    """The released pairing. It looks at the m smallest costs of all, one by one from the smallest: the row of each takes the
    column's source, which stays its own from then on. Rows that have none keep theirs.
    """

    def __init__(self):
        self.held: Tensor | None = None  # for each row the source that it has now

    def __call__(self, cost: Float[Tensor, "m m"]) -> Int64[Tensor, " m"]:
        m = len(cost)
        held = torch.arange(m) if self.held is None else self.held
        smallest = cost.cpu()[:, held].flatten().sort(stable=True).indices[:m]
        rows, columns = smallest // m, smallest % m
        after = held.tolist()
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            after[row] = int(held[column])
        self.held = torch.tensor(after)
        return self.held.to(cost.device)
