"""DP-SGD: each example's gradient is clipped, then noise is added to their sum (Abadi et al., arXiv:1607.00133, Algorithm 1).

DP-InstaHide and "Strong data augmentation" compare themselves with DP-SGD by name; what they run is ``noisy_sgd``. Per-example
gradients are Opacus' (requirements-opacus.txt); they take the batch size times the network's memory. What it certifies, and under
which assumption: `poisonlib.privacy.dp_sgd_training_epsilon`. An example is what the augmentations hand over: where mixup or cutmix
mix several images into each, a guarantee for examples says nothing about images.
"""

import contextlib
import importlib.util
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._gradients import clipped, normal

IMAGINED = 128  # examples in the batch that an attacker imagines: the papers' batch


@dataclass(frozen=True)
class Step:
    """Each example's gradient is scaled down to norm ``clip`` where it is longer; N(0, (clip * noise)^2) is added to their sum.

    The sum is divided by the number of examples, so that rates mean what they mean without this step.
    """

    noise: float = 1.0
    clip: float = 1.0

    def __post_init__(self):
        if not 0 <= self.noise < math.inf or not 0 < self.clip < math.inf:
            raise ValueError(f"noise={self.noise!r}, clip={self.clip!r}: choose finite numbers, at least 0 and above 0")

    def refuse(self, network: nn.Module) -> None:
        """Raises ValueError where Opacus is not installed, and for BatchNorm, which lets examples into each other's gradients."""
        if importlib.util.find_spec("opacus") is None:
            raise ValueError("dp_sgd needs Opacus, which is not installed: pip install -r requirements-opacus.txt")
        layers = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
        if layers:
            raise ValueError(
                f"dp_sgd and BatchNorm ({layers[0]}, {len(layers)} such layers): batch statistics let every example into the "
                "gradients of all others; choose a network without, such as resnet18_group"
            )

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """``loss(x, y)`` is the mean over the examples, each of which has gone through the network on its own."""
        parameters = [p for p in network.parameters() if p.requires_grad]
        with _examples(network):
            value = loss(x, y)
            torch.autograd.grad(value, parameters)
            gradients = [p.grad_sample.to(p.dtype) for p in parameters]
        for parameter, gradient in zip(parameters, self._private(gradients, generator), strict=True):
            parameter.grad = gradient
        return value

    def release(self, gradients, generator: torch.Generator) -> list[Tensor]:
        """What an attacker makes of it who holds the gradient of a batch only: the mechanism on 128 examples with that gradient.

        An approximation, the attacker's: the victim clips the gradients of which this is the mean. The noise is that of the papers'
        batch, whatever the victim's; it is a constant, so that the result is differentiable in the gradients.
        """
        return [gradient + self._noise(gradient, generator) / IMAGINED for gradient in clipped(gradients, self.clip)]

    def _private(self, gradients: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        """Gradients of n examples, each parameter's (n, ...), to the one that the victim takes."""
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = self.clip / norms.clamp(min=self.clip)
        sums = [torch.tensordot(factors, gradient, 1) for gradient in gradients]
        return [(total + self._noise(total, generator)) / len(norms) for total in sums]

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return self.clip * self.noise * normal(like, generator)


@contextlib.contextmanager
def _examples(network: nn.Module) -> Iterator[None]:
    """Within, a backward pass leaves each example's gradient in a parameter's ``grad_sample``; afterwards no trace is left."""
    from opacus.grad_sample import GradSampleModule

    watched = GradSampleModule(network, loss_reduction="mean")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Full backward hook is firing")  # the first layer's input is the images
            yield
    finally:
        watched.to_standard_module()
        for module in network.modules():
            vars(module).pop("activations", None)
