"""Horizontal flip of some of the images (the standard CIFAR augmentation; DP-InstaHide, section A.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .. import check
from . import Augment, Params


@dataclass(frozen=True)
class Flip(Augment):
    """Mirrors each image left to right, independently with ``probability``; labels stay."""

    probability: float = 0.5

    def __post_init__(self):
        check.share("probability", self.probability)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``flip`` (n,): which images are mirrored."""
        return {"flip": torch.rand(n, generator=generator) < self.probability}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        mirrored = params["flip"].to(x.dtype)[:, None, None, None]
        return torch.lerp(x, x.flip(-1), mirrored), y  # weights of 0 and 1: faster than `torch.where`, with the same bits

    def views(self, shape: tuple[int, int, int]) -> int:
        """Two: as it is, and mirrored."""
        return 2

    def view(self, params: Params) -> Int64[Tensor, " n"]:
        return params["flip"].long()
