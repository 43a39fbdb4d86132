"""Filters: one file each, with a class ``Filter`` that sees features and labels and says which training images to keep.

One that can tell beforehand that it cannot judge a training set says so with ``refuse(train)``: ValueError.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from .. import registry
from ._roc import roc as roc


@dataclass(frozen=True)
class Verdict:
    """What a filter says of n training images."""

    keep: Bool[Tensor, " n"]
    scores: Float[Tensor, " n"]  # the higher, the more suspicious; comparable within a class and, as far as can be, across


def names() -> list[str]:
    return registry.names(__name__)


def load(choice, **numbers):
    """One filter: ``load("spectral_signatures", expected=0.01)``."""
    return registry.load(__name__, "Filter", choice, **numbers)
