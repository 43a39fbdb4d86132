"""ResNet-18 with GroupNorm (Wu & He, arXiv:1803.08494) in place of BatchNorm: the victim of ``dp_sgd`` and its non-private control.

BatchNorm lets the examples of a batch into each other's gradients, so that clipping them one by one means nothing. 16 groups are
those of De et al., arXiv:2204.13650, for DP-SGD. As many parameters as resnet18: 11,173,962 at 10 classes and 3 channels.
"""

import functools
import math
from dataclasses import dataclass

from torch import nn

from ._network import Architecture
from ._resnet import ResNet, check_stem, projection


@dataclass(frozen=True)
class Model(Architecture):
    width: int = 64  # channels of the first stage; 8 x width features
    groups: int = 16  # of channels in every layer; where they do not divide the width, their greatest common divisor
    stem: str = "cifar"  # 3 x 3 at full resolution; "tiny": 7 x 7 with stride 2, for 64 x 64 pixels

    def __post_init__(self):
        super().__post_init__()
        check_stem(self.stem)

    def body(self, shape: tuple[int, int, int]) -> tuple[ResNet, int]:
        norm = functools.partial(nn.GroupNorm, math.gcd(self.groups, self.width))
        shortcut = functools.partial(projection, norm=norm)
        net = ResNet(shape[0], self.width, (2, 2, 2, 2), self.stem, shortcut, norm)
        return net, net.d
