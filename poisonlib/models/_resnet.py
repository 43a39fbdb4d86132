"""Residual networks of basic blocks (He et al., arXiv:1512.03385): a stem, stages that double the width, global average pooling."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STEMS = {"cifar": (3, 1, 1), "tiny": (7, 2, 3)}  # kernel, stride, padding of the first convolution; no pooling after either


class Thinned(nn.Conv2d):
    """A 1 x 1 convolution of every ``stride``-th pixel: the same as a convolution with that stride.

    On processors with AVX2 at most, oneDNN's backward pass of a strided 1 x 1 convolution with fewer than 8 channels writes beyond
    its memory (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        down, across = self.stride
        return F.conv2d(x[:, :, ::down, ::across], self.weight, self.bias, (1, 1), self.padding, self.dilation)


def projection(c_in: int, c_out: int, stride: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Module:
    """Option B of the paper's section 3.3: a 1 x 1 convolution where the shape changes."""
    layer = nn.Conv2d if c_in >= 8 else Thinned
    return nn.Sequential(layer(c_in, c_out, 1, stride, bias=False), norm(c_out))


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is the identity where the shape stays; ``norm(channels)`` makes a norm layer."""

    def __init__(self, c_in: int, c_out: int, stride: int, shortcut: Callable[[int, int, int], nn.Module], norm=nn.BatchNorm2d):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), norm(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), norm(c_out)
        self.shortcut = nn.Identity() if (c_in, stride) == (c_out, 1) else shortcut(c_in, c_out, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """The body: ``blocks`` basic blocks a stage, ``width`` channels in the first stage and twice as many in each further one.

    Convolutions use He's normal initialisation over the fan out, as in the gradient-matching code (arXiv:2009.02276).
    ``norm(channels)`` makes the layer after each convolution, ``shortcut(c_in, c_out, stride)`` each shortcut.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        blocks: tuple[int, ...],
        stem: str = "cifar",
        shortcut=projection,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ):
        super().__init__()
        kernel, stride, padding = STEMS[stem]
        self.stem = nn.Sequential(nn.Conv2d(channels, width, kernel, stride, padding, bias=False), norm(width), nn.ReLU())
        stages, c_in = [], width
        for i, count in enumerate(blocks):
            c_out = width << i
            first = Block(c_in, c_out, 1 if i == 0 else 2, shortcut, norm)
            stages.append(nn.Sequential(first, *(Block(c_out, c_out, 1, shortcut, norm) for _ in range(count - 1))))
            c_in = c_out
        self.stages, self.d = nn.Sequential(*stages), c_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.stages(self.stem(x)).mean((2, 3))
