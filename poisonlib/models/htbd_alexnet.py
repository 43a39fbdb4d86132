"""The AlexNet of the hidden-trigger experiments in the poisoning benchmark (arXiv:2006.12557, appendix): ImageNet's, cut to CIFAR.

Five 3 x 3 convolutions (the first with stride 2), three overlapping max pools, two fully connected layers of 4,096 with dropout:
20,126,538 parameters at 10 classes and 3 x 32 x 32, where one pixel is left below the fully connected layers.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ._network import Architecture


def side_left(side: int) -> int:
    """Pixels a side after the stem (32 -> 16) and three pools (16 -> 7 -> 3 -> 1)."""
    side = (side + 1) // 2
    for _ in range(3):
        side = (side - 1) // 2
    return side


@dataclass(frozen=True)
class HtbdAlexnet(Architecture):
    """Five 3 x 3 convolutions, then two fully connected layers of 64 x ``width`` with dropout."""

    width: int = 64  # channels of the stem; the others have 3, 6, 4, 4 x width, the fully connected layers 64 x width
    smallest: ClassVar[int] = 29

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Sequential, int]:
        (channels, height, breadth), w, d = shape, self.width, 64 * self.width
        layers = [nn.Conv2d(channels, w, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2)]
        layers += [nn.Conv2d(w, 3 * w, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)]
        layers += [nn.Conv2d(3 * w, 6 * w, 3, 1, 1), nn.ReLU(), nn.Conv2d(6 * w, 4 * w, 3, 1, 1), nn.ReLU()]
        layers += [nn.Conv2d(4 * w, 4 * w, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()]
        layers += [nn.Dropout(), nn.Linear(4 * w * side_left(height) * side_left(breadth), d), nn.ReLU()]
        return nn.Sequential(*layers, nn.Dropout(), nn.Linear(d, d), nn.ReLU()), d
