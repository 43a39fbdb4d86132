"""DP-SGD: each example's gradient is clipped, then noise is added to their sum (Abadi et al., arXiv:1607.00133, Algorithm 1).

DP-InstaHide and "Strong data augmentation" compare with DP-SGD by name, but run ``noisy_sgd``. Opacus computes the per-example
gradients (requirements-opacus.txt), which take as much memory as the network times the batch size. For the guarantee and its
assumptions see `poisonlib.privacy.dp_sgd_training_epsilon`. An example is what the augmentations return: where mixup or CutMix mix
several images into one, a guarantee for examples says nothing about images.
"""

import contextlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import check
from . import Step
from ._gradients import clipped, normal

ASSUMED_BATCH = 128  # examples in the batch that an attacker assumes: the papers' batch size


@dataclass(frozen=True)
class DPSGD(Step):
    """Each example's gradient is scaled down to norm ``clip`` where it is longer; N(0, (clip * noise)^2) is added to their sum.

    The sum is divided by the number of examples, so that learning rates keep their meaning.
    """

    on_images: ClassVar[bool] = False

    noise: float = 1.0
    clip: float = 1.0

    def __post_init__(self):
        check.number("noise", self.noise, 0)
        check.number("clip", self.clip, 0, above=True)

    def validate(self, network: nn.Module) -> None:
        """Raises ValueError where Opacus is not installed, and for BatchNorm, which makes a gradient depend on other examples."""
        if importlib.util.find_spec("opacus") is None:
            raise ValueError("dp_sgd needs Opacus, which is not installed: pip install -r requirements-opacus.txt")
        layers = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
        if layers:
            raise ValueError(
                f"dp_sgd and BatchNorm ({layers[0]}, {len(layers)} such layers): batch statistics make the gradient of "
                "each example depend on all others; choose a network without, such as resnet(depth=18, norm='group')"
            )

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """See `Step.backward`; each example must pass through the network independently of the others."""
        parameters = [p for p in network.parameters() if p.requires_grad]
        with _examples(network):
            value = loss(x, y)
            torch.autograd.grad(value, parameters)
            gradients = [p.grad_sample.to(p.dtype) for p in parameters]
        for parameter, gradient in zip(parameters, self._private(gradients, generator), strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(gradient)  # in its layout: CUDA's fused step takes no other
        return value

    def mechanism(self, gradients, generator: torch.Generator) -> list[Tensor]:
        """The mechanism on 128 examples that all have the given gradient.

        An approximation for an attacker who has the gradient of a batch only; the victim clips the gradients of which it is the
        mean. The noise is that of a batch of 128 whatever the victim's batch size, and a constant, so that the result is
        differentiable.
        """
        return [gradient + self._noise(gradient, generator) / ASSUMED_BATCH for gradient in clipped(gradients, self.clip)]

    def _private(self, gradients: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        """The clipped, summed, noised and averaged gradients of n examples, given as (n, ...) for each parameter."""
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = self.clip / norms.clamp(min=self.clip)
        sums = [torch.tensordot(factors, gradient, 1) for gradient in gradients]
        return [(total + self._noise(total, generator)) / len(norms) for total in sums]

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return self.clip * self.noise * normal(like, generator)


@contextlib.contextmanager
def _examples(network: nn.Module) -> Iterator[None]:
    """Inside the block, a backward pass leaves per-example gradients in ``grad_sample``; afterwards the network is as before."""
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
