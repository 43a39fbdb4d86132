"""What the filters share: they look at one class at a time, and refuse features that are not numbers."""

from collections.abc import Iterator

from jaxtyping import Float, Int64, Integer
from torch import Tensor


def by_class(features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> Iterator[Int64[Tensor, " members"]]:
    """The rows of each class that has any, ascending. Raises ValueError where a feature is NaN or infinite."""
    refuse_bad(features)
    return ((labels == label).nonzero().squeeze(1) for label in labels.unique())


def refuse_bad(features: Float[Tensor, "n d"]) -> None:
    """Raises ValueError where a feature is NaN or infinite."""
    bad = (~features.isfinite()).any(1).sum().item()
    if bad:
        raise ValueError(f"{bad} of {len(features)} images have features that are NaN or infinite; a filter cannot judge them")
