"""Adversarial training: every batch gives way to its worst perturbation within a ball (Madry et al., arXiv:1706.06083, 2.1).

A network that is trained so relies on features that a small perturbation cannot change; so the perturbations that do fool it are
large and visible, which is what the clean-label backdoor wants of its surrogate (Turner et al. 2018).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import check
from ..tensors import project
from . import Step


@dataclass(frozen=True)
class AdversarialTraining(Step):
    """The gradient of a batch is taken at images that ``steps`` steps of projected gradient ascent changed by at most ``eps`` a
    pixel.

    The defaults are those of Madry et al. for CIFAR-10. While the perturbation is sought, the network is in eval mode, so batch
    statistics are those of the images that it descends on.
    """

    eps: float = 8 / 255  # largest change of a pixel, in units of [0, 1]
    steps: int = 7
    step_size: float = 0.25  # as a share of eps; 2/255 of 8/255

    def __post_init__(self):
        check.number("eps", self.eps, 0, 1, above=True)
        check.whole("steps", self.steps, 1)
        check.number("step_size", self.step_size, 0, above=True)

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        worst, _ = pgd(lambda x: loss(x, y), x, self.eps, self.steps, self.step_size * self.eps, generator)
        for module, mode in modes:
            module.training = mode
        value = loss(worst, y)
        value.backward()
        return value

    def mechanism(self, gradients, generator: torch.Generator) -> list[Tensor]:
        """The gradients as they are: an attacker who has those of a batch cannot tell those of its perturbation from them."""
        return list(gradients)


def pgd(
    loss: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n c h w"],
    eps: float,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, " steps"]]:
    """Projected gradient ascent (Madry et al., section 2.1): images within ``eps`` of ``x`` and in [0, 1] that raise ``loss``, and
    the loss before each step. Where ``x`` lies outside [0, 1], as after an augmentation's noise, it is brought into it.

    It begins at a random point of the ball and moves every pixel by ``step_size`` along the sign of its gradient. ``loss`` maps
    images to a mean or sum over them; ``generator`` is a stream on x's device.
    """
    noise = torch.rand(x.shape, device=x.device, generator=generator) * 2 - 1
    delta, values = project(noise * eps, x, eps), []
    for _ in range(steps):
        seen = (x + delta).requires_grad_()
        value = loss(seen)
        values.append(value.detach())
        delta = project(delta + step_size * torch.autograd.grad(value, seen)[0].sign(), x, eps)
    return x + delta, torch.stack(values)
