"""Additive Laplacian input noise: the privacy mechanism of DP-InstaHide (section 3, Theorem 2), which follows mixup."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params


@dataclass(frozen=True)
class Laplace(Augment):
    """Adds independent noise of density ``exp(-|t| / scale) / (2 * scale)`` to every pixel; labels stay.

    ``scale`` is in units of [0, 1] (16/255 in most of the paper); the standard deviation is sqrt(2) times that. The result may
    leave [0, 1]; ``clip=True`` clips it, which is post-processing and keeps the guarantee. ``variant="released"`` clips the
    *noise* to +-scale, as the public code does: such noise has bounded support and no finite pure privacy guarantee. (That code
    draws the noise in normalised units with one scale for all channels, which differs from this by up to 4 % on CIFAR-10.)
    """

    scale: float = 16 / 255
    clip: bool = False
    variant: str = "paper"

    def __post_init__(self):
        check.number("scale", self.scale, 0)
        check.flag("clip", self.clip)
        check.variant(self.variant)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """No parameters: `apply` draws the noise."""
        return {}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Raises ValueError without a ``generator`` (on x's device)."""
        if generator is None:
            raise ValueError("generator=None: give a generator on x's device for the noise")
        noise = self.scale * (_exponential(x, generator) - _exponential(x, generator))
        if self.variant == "released":
            noise = noise.clamp(-self.scale, self.scale)
        noisy = x + noise
        return noisy.clamp(0, 1) if self.clip else noisy, y


def _exponential(x: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Exponential(1) draws like x; the difference of two is Laplacian. Four times faster on a CPU than ``exponential_``."""
    return -torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator).neg_().log1p_()
