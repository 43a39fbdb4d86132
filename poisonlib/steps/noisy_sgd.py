"""SGD with a clipped and noised mini-batch gradient: what the papers call DP-SGD. It has no privacy guarantee.

Borgnia et al., "Strong data augmentation", Table 2 (noise 0.01 and 0.05); DP-InstaHide, section A.2 ("gradient clipping to a factor
of 1 on the mini-batch level", noise 0.0001 to 0.01). One image can change the clipped mean by as much as the clip, and the noise is
far below that: ``dp_sgd`` is the private one. The public code of Witches' Brew does not clip (``released``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .. import check
from . import Step
from ._gradients import clipped, normal


@dataclass(frozen=True)
class NoisySGD(Step):
    """The batch's gradient is scaled down to norm ``clip`` where it is longer; then N(0, (clip * noise)^2) is added to every
    entry.
    """

    on_images: ClassVar[bool] = False

    noise: float = 0.01
    clip: float = 1.0
    variant: str = "paper"

    def __post_init__(self):
        check.number("noise", self.noise, 0)
        check.number("clip", self.clip, 0, above=True)
        check.variant(self.variant)

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        value = loss(x, y)
        parameters = [p for p in network.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
        for parameter, gradient in zip(parameters, self.mechanism(gradients, generator), strict=True):
            parameter.grad = gradient
        return value

    def mechanism(self, gradients, generator: torch.Generator) -> list[Tensor]:
        """The gradients that the victim descends on; differentiable, as the noise is a constant (straight-through)."""
        if self.variant == "paper":
            gradients = clipped(gradients, self.clip)
        return [gradient + self.clip * self.noise * normal(gradient, generator) for gradient in gradients]
