"""What the filters share: iteration over classes, and a check that features are finite."""

from collections.abc import Iterator

from jaxtyping import Float, Int64, Integer
from torch import Tensor


def by_class(features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> Iterator[Int64[Tensor, " members"]]:
    """The rows of each class that has any, ascending. Raises ValueError where a feature is NaN or infinite."""
    check_finite(features)
    return ((labels == label).nonzero().squeeze(1) for label in labels.unique())


def check_finite(features: Float[Tensor, "n d"]) -> None:
    """Raises ValueError where a feature is NaN or infinite."""
    bad = (~features.isfinite()).any(1).sum().item()
    if bad:
        raise ValueError(f"{bad} of {len(features)} images have features that are NaN or infinite")
