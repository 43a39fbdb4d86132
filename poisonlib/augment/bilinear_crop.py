"""Random shift by fractions of a pixel, with bilinear interpolation: the crop of the public code behind Witches' Brew.

That code moves the grid of ``grid_sample(align_corners=True, padding_mode="zeros")`` by up to ``linspace(0, 1, w)[2 * pad]`` either
way, which is ``pad`` pixels. A shift is separable and linear, so here it is two small matrices an image, ``rows @ x @ columns.T``:
the same pixels (within 0.2/255 where products run in TF32), and a backward pass that is deterministic on every device, which that
of ``grid_sample`` is not. Interpolation makes it a low-pass filter too, unlike ``crop``: noise and perturbations are weaker in
training than in testing.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from . import Draw, _check
from ._colour import colour


@dataclass(frozen=True)
class Augment:
    """Shifts each image by up to ``pad`` pixels (a real number) in each direction; labels stay.

    ``fill`` is the colour, in [0, 1], of what comes in from outside: one level for all channels or one for each. The public code
    pads normalised images with 0, so to follow it give the data set's mean colour; the default is black, as for ``crop``.
    """

    pad: int = 4
    fill: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        _check.number("pad", self.pad, 0)
        _check.fill(self.fill)

    def draw(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Draw:
        """``shift`` (n, 2): pixels that the sampling grid moves right and down, each uniform in [-pad, pad)."""
        _check.channels(self.fill, shape[0])
        return {"shift": (torch.rand(n, 2, generator=generator) * 2 - 1) * self.pad}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], draw: Draw, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        right, down = draw["shift"].to(x.dtype).unbind(1)
        rows, columns = _resampler(x.shape[2], down)[:, None], _resampler(x.shape[3], right)[:, None]
        outside = colour(self.fill, x)
        return rows @ (x - outside) @ columns.mT + outside, y


def _resampler(size: int, shift: Float[Tensor, " n"]) -> Float[Tensor, "n size size"]:
    """Weights (image, to, from) of linear interpolation at ``to + shift``; what lies outside weighs nothing."""
    position = torch.arange(size, device=shift.device, dtype=shift.dtype)
    distance = (position - position[:, None] - shift[:, None, None]).abs()
    return (1 - distance).clamp(min=0)
