"""Random crop: each image is padded, and a window of its original size is cut out.

With black borders this is torchvision's ``RandomCrop(size, padding=pad)``, the augmentation of the poisoning benchmark
(Schwarzschild et al., "Just How Toxic is Data Poisoning?"); with reflected ones that of fast CIFAR-10 training (Jordan,
arXiv:2404.00498).
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from .. import check
from ..registry import LATER
from . import Augment, Params

BORDERS = ("black", "reflect")


@dataclass(frozen=True)
class Crop(Augment):
    """Shifts each image by -pad..pad whole pixels in each direction; labels stay.

    ``border="black"`` fills the border with black, ``"reflect"`` with the image's mirror image, the edge itself not repeated.
    """

    pad: int = 4
    border: str = field(default="black", metadata=LATER)

    def __post_init__(self):
        check.whole("pad", self.pad, 0)
        check.one_of("border", self.border, BORDERS)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``corner`` (n, 2): row and column of the window's first pixel in the padded image, each uniform in 0..2*pad.

        Raises ValueError where a border is wider than the image that it reflects.
        """
        if self.border == "reflect" and self.pad >= min(shape[1:]):
            raise ValueError(
                f"pad={self.pad}: images of {shape[1]} x {shape[2]} pixels can be reflected by at most {min(shape[1:]) - 1}"
            )
        return {"corner": torch.randint(2 * self.pad + 1, (n, 2), generator=generator)}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        if self.border == "reflect" and self.pad:
            return _Window.apply(_reflected(x, self.pad), params["corner"], 0, x.shape[2:]), y
        return _Window.apply(x, params["corner"], self.pad, x.shape[2:]), y

    def views(self, shape: tuple[int, int, int]) -> int:
        """One for each corner of the window."""
        return (2 * self.pad + 1) ** 2

    def view(self, params: Params) -> Int64[Tensor, " n"]:
        row, column = params["corner"].unbind(1)
        return row * (2 * self.pad + 1) + column


def _reflected(x: Float[Tensor, "n c h w"], pad: int) -> Float[Tensor, "n c H W"]:
    """The images with reflected borders; unlike ``F.pad``, the gradient is deterministic on CUDA."""
    for side in (2, 3):
        size = x.shape[side]
        x = torch.cat([x.narrow(side, 1, pad).flip(side), x, x.narrow(side, size - 1 - pad, pad).flip(side)], side)
    return x


class _Window(torch.autograd.Function):
    """One window of each image, which is padded with black. Its gradient is the opposite window of the padded gradient: fast and
    deterministic.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, corner, pad, size):
        windows = F.pad(x, (pad,) * 4).unfold(2, size[0], 1).unfold(3, size[1], 1)
        return windows[torch.arange(len(x), device=x.device), :, corner[:, 0], corner[:, 1]]

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, corner, ctx.pad, size = inputs
        ctx.size, ctx.opposite = x.shape[2:], x.shape[2] + ctx.pad - size[0]  # how far the gradient is to be padded
        ctx.save_for_backward(corner)

    @staticmethod
    def backward(ctx, gradient):
        (corner,) = ctx.saved_tensors
        return _Window.apply(gradient, ctx.pad + ctx.opposite - corner, ctx.opposite, ctx.size), None, None, None
