"""Three convolutions and a fully connected layer, without BatchNorm: the network of the targeted profiles ``laptop``.

This project's own. Gradient matching succeeds on it at 16 x 16 pixels, where networks with BatchNorm and global average pooling
gave no success at all. 47,530 parameters at 10 classes and 1 x 16 x 16, 146,122 at 3 x 32 x 32.
"""

from dataclasses import dataclass

from torch import nn

from ._network import Architecture


@dataclass(frozen=True)
class Convnet(Architecture):
    """Three convolutions and a fully connected layer, without BatchNorm; 4 x ``width`` features."""

    width: int = 16  # channels of the first convolution; 2 x width in the others, 4 x width features

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Sequential, int]:
        (channels, height, breadth), w = shape, self.width
        pixels = -(-height // 4) * -(-breadth // 4)
        layers = [nn.Conv2d(channels, w, 3, 1, 1), nn.ReLU(), nn.Conv2d(w, 2 * w, 3, 2, 1), nn.ReLU()]
        layers += [nn.Conv2d(2 * w, 2 * w, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * w * pixels, 4 * w), nn.ReLU()]
        return nn.Sequential(*layers), 4 * w
