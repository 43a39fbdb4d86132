"""ResNet-10, 18 and 34 for small images (He et al., arXiv:1512.03385): no pooling after the stem, four stages.

ResNet-18 is the victim of gradient matching (arXiv:2009.02276), DP-InstaHide (arXiv:2103.02079) and the poisoning benchmark
(arXiv:2006.12557, whose code uses torch's default initialisation instead): 11,173,962 parameters at 10 classes and 3 channels. With
``stem="tiny"`` ResNet-34 is the TinyImageNet network of gradient matching and of the benchmark: 21,387,272 parameters at 200
classes. ResNet-10 has one block in each stage, for machines without a GPU: half the arithmetic of ResNet-18.

With ``norm="group"`` GroupNorm (Wu & He, arXiv:1803.08494) replaces BatchNorm, which `poisonlib.steps.dp_sgd` does not admit: batch
statistics make the gradient of one example depend on the others. 16 groups are those of De et al., arXiv:2204.13650, for DP-SGD.
"""

import functools
import math
from dataclasses import dataclass

from torch import nn

from .. import check
from ._network import Architecture
from ._resnet import STEMS, ResNet, projection

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # in each stage
NORMS = ("batch", "group")


@dataclass(frozen=True)
class Resnet(Architecture):
    """A residual network of ``depth`` layers in four stages; 8 x ``width`` features, averaged over all pixels."""

    depth: int  # 10, 18 or 34
    width: int = 64  # channels of the first stage; 8 x width features
    stem: str = "cifar"  # 3 x 3 at full resolution; "tiny": 7 x 7 with stride 2, for 64 x 64 pixels
    norm: str = "batch"  # or "group"
    groups: int = 16  # of channels in each GroupNorm; where they do not divide the width, their greatest common divisor

    def __post_init__(self):
        super().__post_init__()
        check.one_of("depth", self.depth, BLOCKS)
        check.one_of("stem", self.stem, STEMS)
        check.one_of("norm", self.norm, NORMS)

    def body(self, shape: tuple[int, int, int]) -> tuple[ResNet, int]:
        group = functools.partial(nn.GroupNorm, math.gcd(self.groups, self.width))
        norm = nn.BatchNorm2d if self.norm == "batch" else group
        net = ResNet(shape[0], self.width, BLOCKS[self.depth], self.stem, functools.partial(projection, norm=norm), norm)
        return net, net.d
