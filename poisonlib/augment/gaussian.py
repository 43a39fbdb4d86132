"""Additive Gaussian input noise: the common alternative to DP-InstaHide's Laplacian noise."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params


@dataclass(frozen=True)
class Gaussian(Augment):
    """Adds independent N(0, scale^2) noise to every pixel; labels stay.

    ``scale``, the standard deviation, is in units of [0, 1]. The result may leave
    [0, 1]; ``clip=True`` clips it.
    """

    scale: float = 16 / 255
    clip: bool = False

    def __post_init__(self):
        check.number("scale", self.scale, 0)
        check.flag("clip", self.clip)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """No parameters: `apply` draws the noise."""
        return {}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Raises ValueError without a ``generator`` (on x's device)."""
        if generator is None:
            raise ValueError("generator=None: give a generator on x's device for the noise")
        noisy = x + self.scale * torch.empty_like(x).normal_(generator=generator)
        return noisy.clamp(0, 1) if self.clip else noisy, y
