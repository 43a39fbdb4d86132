"""Random crop: each image is padded with black, and a window of its original size is cut out.

torchvision's ``RandomCrop(size, padding=pad)``, the augmentation of the poisoning benchmark (Schwarzschild et al., "Just How Toxic
is Data Poisoning?").
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params


@dataclass(frozen=True)
class Crop(Augment):
    """Shifts each image by -pad..pad whole pixels in each direction; the border is filled with black; labels stay."""

    pad: int = 4

    def __post_init__(self):
        check.number("pad", self.pad, 0)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``corner`` (n, 2): row and column of the window's first pixel in the padded image, each uniform in 0..2*pad."""
        return {"corner": torch.randint(2 * self.pad + 1, (n, 2), generator=generator)}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        return _Window.apply(x, params["corner"], self.pad), y


class _Window(torch.autograd.Function):
    """One window of each padded image. Its gradient is the opposite window of the padded gradient: fast and deterministic."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, corner, pad):
        _, _, h, w = x.shape
        windows = F.pad(x, (pad,) * 4).unfold(2, h, 1).unfold(3, w, 1)
        return windows[torch.arange(len(x), device=x.device), :, corner[:, 0], corner[:, 1]]

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, corner, ctx.pad = inputs
        ctx.save_for_backward(corner)

    @staticmethod
    def backward(ctx, gradient):
        (corner,) = ctx.saved_tensors
        return _Window.apply(gradient, 2 * ctx.pad - corner, ctx.pad), None, None
