"""Convex polytope (Zhu et al., arXiv:1905.05897): the target's feature lies within the polytope of the poisons' features.

A linear head that classifies all poisons correctly then classifies the target as it does them. "Just How Toxic", section 2,
equation 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ._feature_space import FeatureSpace, Polytope, distances

SOLVER_STEPS = 300  # of a solve from nothing; one that begins at the last step's weights takes a tenth


@dataclass(frozen=True)
class ConvexPolytope(Polytope):
    """Moves ``poison_rate`` of the training set, all of the intended class, by at most ``eps`` a pixel; labels stay correct.

    Half the squared distance of the target's feature from the nearest convex combination of the poisons' features, as a share of
    its squared norm, is summed over the surrogates; each of them has its own weights. Before each step the weights are solved for,
    beginning at the last ones, by accelerated projected gradients. Steps and step size are the benchmark's; the paper takes 4,000
    steps, or fewer where the distance vanishes. The benchmark's plain projected gradients reach the same weights more slowly.
    """

    def loss(self, space: FeatureSpace) -> Callable[[Tensor], Tensor]:
        weights: list[Tensor | None] = [None] * len(space.aims)

        def value(x: Float[Tensor, "m c h w"]) -> Float[Tensor, ""]:
            features = space(x)
            for i, (own, aim) in enumerate(zip(features, space.aims, strict=True)):
                steps = SOLVER_STEPS if weights[i] is None else SOLVER_STEPS // 10
                weights[i] = nearest(own.detach(), aim, weights[i], steps)
            return polytope(features, space.aims, weights)

        return value


def polytope(
    features: Sequence[Float[Tensor, "m d"]], aims: Sequence[Float[Tensor, " d"]], weights: Sequence[Float[Tensor, " m"]]
) -> Float[Tensor, ""]:
    """The sum over networks of |sum_j c_j f_j - t|^2 / (2 |t|^2) (equation 2); its gradient is that of the minimum over weights."""
    combined = [w.to(f.dtype) @ f for f, w in zip(features, weights, strict=True)]
    return torch.stack([distances(mean, aim) for mean, aim in zip(combined, aims, strict=True)]).sum() / 2


@torch.no_grad()
def nearest(
    features: Float[Tensor, "m d"], aim: Float[Tensor, " d"], start: Float[Tensor, " m"] | None = None, steps: int = SOLVER_STEPS
) -> Float[Tensor, " m"]:
    """The weights c >= 0 with sum 1 that bring sum_j c_j f_j nearest to ``aim``, in float64; ``start`` is uniform by default.

    Accelerated projected gradients (Beck and Teboulle 2009) with restarts where the momentum points uphill (O'Donoghue and Candes
    2015), on the Gram matrix of f_j - aim, whose size is the number of poisons.
    """
    shifted = features.double() - aim.double()
    gram = shifted @ shifted.T
    rate = 1 / torch.linalg.eigvalsh(gram)[-1].clamp(min=1e-30)
    weights = start if start is not None else torch.full_like(gram[0], 1 / len(gram))
    ahead, momentum = weights, torch.ones((), dtype=gram.dtype, device=gram.device)
    for _ in range(steps):
        after = to_simplex(ahead - rate * (gram @ ahead))
        uphill = ((ahead - after) @ (after - weights)) > 0
        momentum = torch.where(uphill, torch.ones_like(momentum), momentum)
        faster = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        ahead = after + torch.where(uphill, torch.zeros_like(momentum), (momentum - 1) / faster) * (after - weights)
        weights, momentum = after, faster
    return weights


def to_simplex(x: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """The nearest point with no negative entry and sum 1 (Duchi et al. 2008, Figure 1)."""
    ordered = x.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(x) + 1, device=x.device, dtype=x.dtype)
    last = (ordered > excess).sum() - 1
    return (x - excess.gather(0, last[None])).clamp(min=0)
