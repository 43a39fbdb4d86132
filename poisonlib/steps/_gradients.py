"""What the steps share: clipping a gradient by its global norm, and noise of a tensor's shape."""

from collections.abc import Sequence

import torch
from torch import Tensor


def clipped(gradients: Sequence[Tensor], clip: float) -> list[Tensor]:
    """A gradient, given tensor by tensor, scaled down to global norm ``clip`` where it is longer; differentiable."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    return [gradient * (clip / norm.clamp(min=clip)) for gradient in gradients]


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal draws of a tensor's shape, on its device."""
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)
