"""Three 3 x 3 convolutions with BatchNorm and global average pooling: the network of the backdoor profile ``quick``.

This project's own. A feature has a receptive field of at most 9 x 9 pixels and the average forgets where it was, so a small trigger
weighs as much against the shape of a small digit as it does against an object in a 32 x 32 photograph. 14,634 parameters at width
16, 10 classes and 3 channels.
"""

from dataclasses import dataclass

from torch import nn

from ._network import Architecture


@dataclass(frozen=True)
class ConvnetGap(Architecture):
    """Three 3 x 3 convolutions with BatchNorm; 2 x ``width`` features, averaged over all pixels."""

    width: int = 16  # channels of the first convolution; twice as many features

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
        w = self.width
        layers = [
            *_layer(shape[0], w, 1),
            *_layer(w, 2 * w, 2),
            *_layer(2 * w, 2 * w, 1),
            nn.AvgPool2d((-(-shape[1] // 2), -(-shape[2] // 2))),
            nn.Flatten(),
        ]
        return nn.Sequential(*layers), 2 * w


def _layer(c_in: int, c_out: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
