"""Cutout: a square of each image is painted (DeVries & Taylor, arXiv:1708.04552, section 3.1); labels stay."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params
from ._box import inside, random_boxes
from ._colour import check_channels, check_colour, colour


@dataclass(frozen=True)
class Cutout(Augment):
    """Paints one square in each image; its centre is uniform over the pixels, and it is clipped at the border.

    ``share`` is the side as a share of the image's shorter side: 16 of 32 pixels for CIFAR-10 in the paper. ``fill`` is the colour
    in [0, 1]: one level for all channels or one for each; black by default, as DP-InstaHide says (section 2).
    ``variant="released"`` is the public code: one square for the whole batch, whose side does not depend on ``share`` but is
    ``int(w * sqrt(1 - 0.66))`` rounded down to an even number (18 of 32 pixels). That code paints normalised images with 0, so give
    the mean colour as ``fill`` to follow it in this, too.
    """

    share: float = 0.5
    fill: tuple[float, ...] = (0.0,)
    variant: str = "paper"

    def __post_init__(self):
        check.share("share", self.share)
        check_colour(self.fill)
        check.variant(self.variant)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``box`` (n, 4): top, left, bottom, right."""
        c, h, w = shape
        check_channels(self.fill, c)
        released = self.variant == "released"
        side = int(w * math.sqrt(1 - 0.66)) // 2 * 2 if released else round(self.share * min(h, w))
        rows = 1 if released else n
        return {"box": random_boxes(torch.full((rows, 2), side), h, w, generator).repeat(n // rows, 1)}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        return torch.where(inside(params["box"], *x.shape[2:]), colour(self.fill, x), x), y
