"""What networks have in common: normalisation inside, a head on features; and how an architecture becomes a network."""

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from .. import check, registry


class Network(nn.Module):
    """``head(features(x))`` for images x (n c h w), floats in [0, 1], which it normalises with per-channel mean and deviation."""

    def __init__(self, body: nn.Module, head: nn.Linear, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.body, self.head = body, head
        self._set_normalisation(mean, std)

    def _set_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def normalised(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """``(x - mean) / std``."""
        return (x - self.mean) / self.std

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Penultimate features: the input of the head."""
        return self.body(self.normalised(x))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits."""
        return self.head(self.features(x))

    def validate(self, x: Float[Tensor, "n c h w"]) -> None:
        """Raises ValueError where the head was not recognised."""

    def below_head(self) -> list[nn.Parameter]:
        """The parameters of the feature extractor: all but the head's."""
        head = {id(parameter) for parameter in self.head.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in head]


class Wrapped(Network):
    """Any module that maps images to logits. ``layer`` names the module that is the head; "" means the last ``nn.Linear``.

    Raises ValueError where there is no such layer.
    """

    def __init__(self, module: nn.Module, layer: str, mean: tuple[float, ...], std: tuple[float, ...]):
        nn.Module.__init__(self)
        self.module, self.layer, self.named = module, layer or _last_linear(module), bool(layer)
        if self.layer not in dict(module.named_modules()):
            known = ", ".join(name for name, _ in module.named_modules() if name)
            raise ValueError(f"features={layer!r}: the module has no such layer; choose one of: {known}")
        self._set_normalisation(mean, std)

    @property
    def head(self) -> nn.Module:
        """The layer whose input are the features."""
        return self.module.get_submodule(self.layer)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The input of the head in a forward pass, flattened."""
        seen = []
        hook = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self(x)
        finally:
            hook.remove()
        return seen[-1].flatten(1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits."""
        return self.module(self.normalised(x))

    def validate(self, x: Float[Tensor, "n c h w"]) -> None:
        """Raises ValueError where no layer was named and the last ``nn.Linear`` does not return one value a class."""
        outputs = []
        hook = self.head.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
        try:
            logits = self(x)
        finally:
            hook.remove()
        if not self.named and not (outputs and outputs[-1].shape == logits.shape):
            raise ValueError(f"{self.layer}, the last nn.Linear, does not make the logits; name the layer: features=...")


def _last_linear(module: nn.Module) -> str:
    found = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise ValueError(f"{type(module).__name__} has no nn.Linear; name the layer whose input are the features")
    return found[-1]


@runtime_checkable
class Model(registry.Choice, Protocol):
    """An architecture: a frozen dataclass with one verb, ``build``."""

    pretrained: bool = False

    def build(self, classes: int, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
        """A freshly initialised network on the CPU for images (c, h, w); parameters come from torch's global generator."""
        raise NotImplementedError

    def fit_to(self, network: Network, images: Integer[Tensor, "n c h w"]) -> None:
        """Set the weights of a fresh network that depend on its own training set, given as stored pixels; most have none."""

    def with_pretrained_weights(self, pretrained: bool = True) -> "Model":
        """The same with public pretrained weights, or without. Raises ValueError where there are none."""
        if pretrained:
            raise ValueError(f"pretrained=True: there are no public weights for {registry.label(self)}; choose resnet18_imagenet")
        return self


@dataclass(frozen=True)
class Architecture(Model):
    """Base of this package's architectures: sizes, and a method ``body`` that makes the layers below the head.

    Every number is a size, so it must be positive. Parameters are drawn from torch's global CPU generator, body first, then head.
    """

    normalise: bool = field(default=True, kw_only=True)  # False: the body gets pixels in [0, 1]
    smallest: ClassVar[int] = 8  # pixels a side; ``build`` refuses smaller images

    def __post_init__(self):
        for size in fields(self):
            value, kind = getattr(self, size.name), str(size.type)
            if "int" in kind:
                check.whole(size.name, value, 1)
            elif "float" in kind:
                check.number(size.name, value, 0, math.inf, above=True)
            elif "bool" in kind:
                check.flag(size.name, value)

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
        """The layers below the head for images (c, h, w), and the number d of features that they return."""
        raise NotImplementedError

    def build(self, classes: int, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
        """A freshly initialised network on the CPU for images (c, h, w); ``mean`` and ``std`` have one number a channel.

        Raises ValueError for images that are too small, and where ``mean`` and ``std`` do not fit the channels.
        """
        channels, height, width = shape
        if min(height, width) < self.smallest:
            least = f"at least {self.smallest} x {self.smallest} pixels"
            raise ValueError(f"{registry.name_of(self)} needs images of {least}, not {height} x {width}")
        if not len(mean) == len(std) == channels or min(std) <= 0:
            raise ValueError(f"{channels} channels need as many means and positive deviations, not {mean} and {std}")
        if not self.normalise:
            mean, std = (0.0,) * channels, (1.0,) * channels
        body, d = self.body(shape)
        return Network(body, self.head(d, classes), mean, std)

    def head(self, d: int, classes: int) -> nn.Linear:
        """The layer from d features to logits."""
        return nn.Linear(d, classes)
