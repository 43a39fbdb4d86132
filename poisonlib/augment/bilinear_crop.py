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

from .. import check
from . import Augment, Params
from ._colour import check_channels, check_colour, colour


@dataclass(frozen=True)
class BilinearCrop(Augment):
    """Shifts each image by up to ``pad`` pixels (a real number) in each direction; labels stay.

    ``fill`` is the colour of the border, in [0, 1]: one level for all channels or one for each. The public code pads normalised
    images with 0, so give the data set's mean colour to follow it; the default is black, as for ``crop``.
    """

    pad: int | float = 4
    fill: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        check.number("pad", self.pad, 0)
        check_colour(self.fill)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``shift`` (n, 2): pixels that the sampling grid moves right and down, each uniform in [-pad, pad)."""
        check_channels(self.fill, shape[0])
        return {"shift": (torch.rand(n, 2, generator=generator) * 2 - 1) * self.pad}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        right, down = params["shift"].to(x.dtype).unbind(1)
        rows, columns = _resampler(x.shape[2], down)[:, None], _resampler(x.shape[3], right)[:, None]
        outside = colour(self.fill, x)
        return rows @ (x - outside) @ columns.mT + outside, y


def _resampler(size: int, shift: Float[Tensor, " n"]) -> Float[Tensor, "n size size"]:
    """Weights (image, to, from) of linear interpolation at ``to + shift``; pixels outside have weight 0."""
    position = torch.arange(size, device=shift.device, dtype=shift.dtype)
    distance = (position - position[:, None] - shift[:, None, None]).abs()
    return (1 - distance).clamp(min=0)
