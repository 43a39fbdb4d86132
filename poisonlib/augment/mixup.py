"""k-way mixup: each training image is a weighted mean of k images, and its label the same mean of their labels.

Zhang et al., "mixup", arXiv:1710.09412; k images with Dirichlet weights: Borgnia et al., "Strong data augmentation sanitizes
poisoning and backdoor attacks", section 3; equal weights, drawn without replacement: DP-InstaHide, eq. 1 and section 3.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .. import check
from . import Augment, Params
from ._random import LEAST_ALPHA, dirichlet, partners


@dataclass(frozen=True)
class Mixup(Augment):
    """Mixes each image with k - 1 distinct others of its batch, with its own weights from Dirichlet(alpha, ..., alpha).

    ``alpha=None`` gives every image of a mix the weight 1/k, as DP-InstaHide's theorem assumes. ``variant="released"`` is the
    public code: one weight vector for the whole batch and k independent permutations of it, so that an image may be mixed with
    itself; that code has no equal weights, but ``alpha=None`` is accepted.
    """

    k: int = 2
    alpha: float | None = 1.0
    variant: str = "paper"
    mixes: ClassVar[bool] = True

    def __post_init__(self):
        check.whole("k", self.k, 1)
        check.variant(self.variant)
        if self.alpha is not None:
            check.number("alpha", self.alpha, LEAST_ALPHA)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``partner`` (n, k): the members of each mix, itself first in "paper"; ``weight`` (n, k): their weights, which sum to 1.

        Raises ValueError where "paper" needs more distinct images than the batch has (k > n).
        """
        rows = 1 if self.variant == "released" else n
        weight = torch.full((rows, self.k), 1 / self.k) if self.alpha is None else dirichlet(rows, self.k, self.alpha, generator)
        if self.variant == "released":
            partner = torch.stack([torch.randperm(n, generator=generator) for _ in range(self.k)], 1)
        else:
            partner = partners(n, self.k, generator)
        return {"partner": partner, "weight": weight.repeat(n // rows, 1)}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        mixed = (_mix(values.flatten(1), params["partner"], params["weight"]) for values in (x, y))
        return next(mixed).view_as(x), next(mixed)


def _mix(values: Float[Tensor, "n d"], partner: Int64[Tensor, "n k"], weight: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
    """Row i: the sum over j of ``weight[i, j] * values[partner[i, j]]``."""
    weight = weight.to(values.dtype)
    mean = weight[:, :1] * values.index_select(0, partner[:, 0])  # in a fifth of the time of ``values[partner[:, 0]]``
    for member, share in zip(partner.T[1:], weight.T[1:], strict=True):
        mean = torch.addcmul(mean, share[:, None], values.index_select(0, member))
    return mean
