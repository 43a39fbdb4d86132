"""SGD with a clipped and noised mini-batch gradient: what the papers call DP-SGD, and what carries no privacy guarantee.

Borgnia et al., "Strong data augmentation", Table 2 (noise 0.01 and 0.05); DP-InstaHide, section A.2 ("gradient clipping to a factor
of 1 on the mini-batch level", noise 0.0001 to 0.01). One image can still change the clipped mean by as much as the clip, and the
noise is far below that: ``dp_sgd`` is the private one. The public code of Witches' Brew forgot to clip (``released``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ._gradients import clipped, normal


@dataclass(frozen=True)
class Step:
    """The batch's gradient is scaled down to norm ``clip`` where it is longer; then N(0, (clip * noise)^2) is added everywhere."""

    noise: float = 0.01
    clip: float = 1.0
    variant: str = "paper"

    def __post_init__(self):
        if not 0 <= self.noise < math.inf or not 0 < self.clip < math.inf:
            raise ValueError(f"noise={self.noise!r}, clip={self.clip!r}: choose finite numbers, at least 0 and above 0")
        if self.variant not in ("paper", "released"):
            raise ValueError(f"variant={self.variant!r}: choose one of 'paper', 'released'")

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        value = loss(x, y)
        parameters = [p for p in network.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(value, parameters)
        for parameter, gradient in zip(parameters, self.release(gradients, generator), strict=True):
            parameter.grad = gradient
        return value

    def release(self, gradients, generator: torch.Generator) -> list[Tensor]:
        """The gradients as the victim takes them; differentiable in them, the noise being a constant (straight through)."""
        if self.variant == "paper":
            gradients = clipped(gradients, self.clip)
        return [gradient + self.clip * self.noise * normal(gradient, generator) for gradient in gradients]
