"""Colours for what an augmentation paints: checked when it is made, a tensor where it is used."""

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check


def check_colour(fill: tuple[float, ...]) -> None:
    """Raises ValueError unless ``fill`` is one level in [0, 1] for all channels, or one for each."""
    if not isinstance(fill, list | tuple) or not fill:
        raise ValueError(f"fill={fill!r}: give a tuple with one level, as (0.5,), or one for each channel")
    for level in fill:
        check.number("fill", level, 0, 1)


def check_channels(fill: tuple[float, ...], channels: int) -> None:
    """Raises ValueError unless ``fill`` has one level, or as many as the images have channels."""
    if len(fill) not in (1, channels):
        raise ValueError(f"fill={fill!r}: choose 1 level, or {channels}, one for each channel")


def colour(fill: tuple[float, ...], x: Float[Tensor, "n c h w"]) -> Float[Tensor, "levels 1 1"]:
    """``fill`` in x's dtype, made on x's device (a copy from the host would make the host wait), ready to broadcast over images."""
    return torch.stack([x.new_full((1, 1), level) for level in fill])
