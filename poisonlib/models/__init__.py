"""Networks: one file an architecture, and any ``nn.Module`` of one's own."""

import importlib
from collections.abc import Callable

from torch import nn

from .. import registry
from ._network import Model as Model
from ._network import Network as Network
from ._network import Wrapped as Wrapped


def names() -> list[str]:
    """The architectures of this package, and ``module`` for one's own."""
    return registry.names(__name__)


def load(choice, **values) -> Model:
    """An architecture: ``load("resnet", depth=18)``. Its ``build(classes, shape, mean, std)`` makes a network."""
    return registry.load(__name__, Model, choice, **values)


def from_module(factory: Callable[..., nn.Module], *, features: str = "", normalise: bool = True, **arguments) -> Model:
    """The architecture that calls ``factory(**arguments)``, a module class or a function that returns a module, for each network.

    The module maps images (n, c, h, w) to logits (n, classes). If ``factory`` has a parameter ``num_classes`` that is not given, it
    gets the number of classes. ``features`` names the layer whose input filters take for the features; "" means the last
    ``nn.Linear``. With ``normalise=False`` the module gets pixels in [0, 1]. Arguments are plain values, which records can hold.
    Raises TypeError for other arguments and for a factory that has no import path, such as one defined inside a function.
    """
    path = f"{factory.__module__}.{getattr(factory, '__qualname__', type(factory).__qualname__)}"
    try:
        found = registry.imported(path)
    except LookupError:
        found = None
    if found is not factory:
        raise TypeError(f"{path} is not what Python finds under this name; define it at the top level of a module or notebook")
    return importlib.import_module(f"{__name__}.module").Module(path, tuple(sorted(arguments.items())), features, normalise)
