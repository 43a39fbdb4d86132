"""MobileNetV2 for small images (Sandler et al., arXiv:1801.04381, table 2, with stride 1 in the stem and the second stage).

Victim of the poisoning benchmark (arXiv:2006.12557) and of gradient matching (arXiv:2009.02276): 2,296,922 parameters at 10 classes
and 3 channels, 2,540,312 at 200. As there, and unlike the paper's, a block of stride 1 that changes its width has a 1 x 1 shortcut,
and ReLU has no ceiling of 6.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ._network import Architecture

STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, stride of the first block."""


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and BatchNorm; padding keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out))


class Block(nn.Module):
    """The inverted residual (section 3.3): widen, filter each channel alone, narrow without a ReLU."""

    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int):
        super().__init__()
        wide = c_in * expansion
        self.widen, self.filter, self.narrow = conv(c_in, wide), conv(wide, wide, 3, stride, wide), conv(wide, c_out)
        self.residual = stride == 1
        self.shortcut = conv(c_in, c_out) if self.residual and c_in != c_out else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        y = self.narrow(F.relu(self.filter(F.relu(self.widen(x)))))
        return y + self.shortcut(x) if self.residual else y


@dataclass(frozen=True)
class MobilenetV2(Architecture):
    """Inverted residual blocks in seven stages; 1,280 features (more if ``width`` is above 1), averaged over all pixels."""

    width: float = 1.0  # multiplier of all channels (rounded), but below 1 not of the 1,280 features (section 4)

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Sequential, int]:
        def scaled(count):
            return max(1, round(count * self.width))

        c_in, d = scaled(32), round(1280 * max(1, self.width))
        layers = [conv(shape[0], c_in, 3), nn.ReLU()]
        for expansion, count, blocks, stride in STAGES:
            for i in range(blocks):
                layers.append(Block(c_in, scaled(count), expansion, stride if i == 0 else 1))
                c_in = scaled(count)
        return nn.Sequential(*layers, conv(c_in, d), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), d
