"""Steps: one file each, with a class that derives from `Step` and changes how the victim computes the gradient of a batch."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .. import registry


@runtime_checkable
class Step(registry.Choice, Protocol):
    """A gradient computation, such as that of DP-SGD: a frozen dataclass of numbers.

    One that changes gradients alone sets ``on_images = False``: it may be given the features of a frozen extractor for x.
    """

    on_images: ClassVar[bool] = True

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Leave the gradient of a batch in the parameters' ``grad`` and return the batch's loss.

        ``loss(x, y)`` is the mean loss of images x (n c h w) with soft labels y (n k); ``generator`` is a stream on x's device.
        """
        raise NotImplementedError

    def mechanism(self, gradients: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        """What the step makes of a batch's gradient, differentiable in it: for an attacker who knows the step."""
        raise NotImplementedError

    def validate(self, network: nn.Module) -> None:
        """Raises ValueError where the step cannot train this network, or not on this machine."""


def names() -> list[str]:
    """The steps of this package."""
    return registry.names(__name__)


def load(choice, **values) -> Step:
    """A step: ``load("noisy_sgd", noise=0.01)``."""
    return registry.load(__name__, Step, choice, **values)
