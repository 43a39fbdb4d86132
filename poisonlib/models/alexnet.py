"""The small AlexNet of Poison Frogs (arXiv:1804.00792) as the poisoning benchmark has it (arXiv:2006.12557).

Two 5 x 5 convolutions, local response norm, max pools, fully connected 384 and 192: 1,756,426 parameters at 10 classes and
3 x 32 x 32. The first block pools before the norm, the second after it.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ._network import Architecture


class Norm(nn.LocalResponseNorm):
    """Local response normalisation over 9 channels. Pixels are flattened so that torch pools in two dimensions: the pooling that
    it uses for images has no deterministic gradient on CUDA."""

    def __init__(self):
        super().__init__(9, alpha=0.001, beta=0.75, k=1.0)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return super().forward(x.flatten(2)).view_as(x)


@dataclass(frozen=True)
class Alexnet(Architecture):
    """Two 5 x 5 convolutions with local response norm, then two fully connected layers of 6 and 3 x ``width``."""

    width: int = 64  # channels of both convolutions; the layers above have 6 and 3 x width

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Sequential, int]:
        (channels, height, breadth), width = shape, self.width
        pixels = -(-height // 4) * -(-breadth // 4)
        layers = [nn.Conv2d(channels, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Norm()]
        layers += [nn.Conv2d(width, width, 5, padding=2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2, 1), nn.Flatten()]
        layers += [nn.Linear(width * pixels, 6 * width), nn.ReLU(), nn.Linear(6 * width, 3 * width), nn.ReLU()]
        return nn.Sequential(*layers), 3 * width
