"""Filters: one file each, with a class that derives from `Filter` and decides which training images to keep."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from .. import registry
from ..data import ImageSet
from ._roc import roc as roc


@dataclass(frozen=True)
class FilterResult:
    """A filter's decision about n training images."""

    keep: Bool[Tensor, " n"]
    scores: Float[Tensor, " n"]  # the higher, the more suspicious; comparable within a class and, as far as possible, across
    rounds: tuple[int, ...] = ()  # of a filter that begins at random: the images that each of several rounds alone would remove

    def __post_init__(self):
        if self.keep.dtype != torch.bool or self.keep.ndim != 1 or self.keep.shape != self.scores.shape:
            found = f"{self.keep.dtype} of shape {tuple(self.keep.shape)}, scores of shape {tuple(self.scores.shape)}"
            raise ValueError(f"keep: {found}; give a bool and a score for each image")
        if lost := int(self.scores.isnan().sum()):
            raise ValueError(f"scores: {lost} of {len(self.scores)} are NaN; give each image a number, which may be infinite")


@runtime_checkable
class Filter(registry.Choice, Protocol):
    """A filter: a frozen dataclass with one verb, ``score``. It sees features and labels, never a network."""

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Score the training images, given their features in a network that was trained on them.

        Raises ValueError where the features are NaN or infinite.
        """
        raise NotImplementedError

    def validate(self, train: ImageSet) -> None:
        """Raises ValueError where the filter cannot work on this training set, whatever the features."""

    def assuming(self, poison_rate: float) -> "Filter":
        """The same filter for a defender who assumes this share of the training set to be poisoned, if it uses such a number."""
        return self


def names() -> list[str]:
    """The filters of this package."""
    return registry.names(__name__)


def load(choice, **values) -> Filter:
    """A filter: ``load("spectral_signatures", expected=0.01)``."""
    return registry.load(__name__, Filter, choice, **values)
