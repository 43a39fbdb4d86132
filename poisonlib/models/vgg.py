"""VGG with BatchNorm (Simonyan & Zisserman, arXiv:1409.1556, table 1) and one linear layer, for 32 x 32 pixels and more.

Victims of the poisoning benchmark (arXiv:2006.12557): VGG-11 from scratch and in the black-box setting, 9,231,114 parameters at 10
classes and 3 channels; VGG-16 on TinyImageNet, 14,825,736 parameters at 200 classes.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from .. import check
from ._network import Architecture

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # before each max pool


@dataclass(frozen=True)
class Vgg(Architecture):
    """A VGG of ``depth`` layers with BatchNorm; 8 x ``width`` features."""

    depth: int  # 11, 13, 16 or 19
    width: int = 64  # channels of the first stage; 8 x width features
    smallest: ClassVar[int] = 32

    def __post_init__(self):
        super().__post_init__()
        check.one_of("depth", self.depth, CONVOLUTIONS)

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Sequential, int]:
        """Stages of 1, 2, 4, 8, 8 times ``width`` channels, each followed by a 2 x 2 max pool, and a max pool over what remains.

        At 32 x 32 pixels one pixel remains; at 64 x 64 the last pool is the extra 2 x 2 pool of the benchmark's network.
        """
        channels, height, breadth = shape
        counts, layers, c_in = CONVOLUTIONS[self.depth], [], channels
        for i, count in enumerate(counts):
            c_out = self.width * min(1 << i, 8)
            for _ in range(count):
                layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU()]
                c_in = c_out
            layers.append(nn.MaxPool2d(2))
        left = height >> len(counts), breadth >> len(counts)
        return nn.Sequential(*layers, nn.MaxPool2d(left), nn.Flatten()), c_in
