"""A network of one's own: any class or function that returns an ``nn.Module``, known by its import path."""

import inspect
from dataclasses import dataclass

from torch import nn

from .. import registry
from . import Model, Network, Wrapped

Plain = int | float | str | bool | None


@dataclass(frozen=True)
class Module(Model):
    """Networks made by calling ``factory`` with ``arguments``; see `poisonlib.models.from_module`.

    Raises LookupError for a factory that cannot be imported, TypeError for arguments that a record cannot hold.
    """

    factory: str  # import path, "package.module.Class"
    arguments: tuple[tuple[str, Plain], ...] = ()
    features: str = ""  # the layer whose input are the features; "" means the last nn.Linear
    normalise: bool = True  # False: the module gets pixels in [0, 1]

    def __post_init__(self):
        for name, value in self.arguments:
            if not isinstance(value, Plain):
                raise TypeError(f"{name}={value!r}: arguments must be numbers, texts, True, False or None")

    def depends_on(self) -> tuple[type, ...]:
        return type(self), registry.imported(self.factory)

    def build(self, classes: int, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
        """A fresh module with normalisation before it. Raises TypeError where the factory does not return a module."""
        factory, arguments = registry.imported(self.factory), dict(self.arguments)
        if "num_classes" in inspect.signature(factory).parameters:
            arguments.setdefault("num_classes", classes)
        module = factory(**arguments)
        if not isinstance(module, nn.Module):
            raise TypeError(f"{self.factory} returned {type(module).__name__}, not an nn.Module")
        if not self.normalise:
            mean, std = (0.0,) * shape[0], (1.0,) * shape[0]
        return Wrapped(module, self.features, mean, std)
