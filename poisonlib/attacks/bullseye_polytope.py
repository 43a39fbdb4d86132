"""Bullseye polytope (Aghakhani et al., arXiv:2005.00191): the poisons' mean feature is the target's.

With the target at the centre, not only somewhere within the poisons' polytope, a victim with other features has it there as well.
"Just How Toxic" describes it in section 2, without an equation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from ._feature_space import FeatureSpace, Polytope, distances


@dataclass(frozen=True)
class BullseyePolytope(Polytope):
    """Moves ``poison_rate`` of the training set, all of the intended class, by at most ``eps`` a pixel; labels stay correct.

    Half the squared distance of the mean feature from the target's, as a share of the target's squared norm, is averaged over the
    surrogates. ``variant="released"`` is the benchmark's code, which does not square: its gradient does not shrink near the aim.
    Steps and step size are the benchmark's.
    """

    variant: str = "paper"

    def __post_init__(self):
        super().__post_init__()
        check.variant(self.variant)

    def loss(self, space: FeatureSpace) -> Callable[[Tensor], Tensor]:
        return lambda x: bullseye(space(x), space.aims, squared=self.variant == "paper")


def bullseye(
    features: Sequence[Float[Tensor, "m d"]], aims: Sequence[Float[Tensor, " d"]], squared: bool = True
) -> Float[Tensor, ""]:
    """The mean over networks of |mean(f) - t|^2 / (2 |t|^2) or, not squared, of |mean(f) - t| / |t|."""
    shares = torch.stack([distances(f.mean(0), aim) for f, aim in zip(features, aims, strict=True)])
    return shares.mean() / 2 if squared else (shares + 1e-12).sqrt().mean()
