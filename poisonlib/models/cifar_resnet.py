"""ResNet-20, 32, ... of He et al. for CIFAR-10 (arXiv:1512.03385, section 4.2): three stages of n blocks, 6 n + 2 layers.

ResNet-32 is the victim of clean-label backdoors in the poisoning benchmark (arXiv:2006.12557): 464,154 parameters at 10 classes
and 3 channels, with shortcuts that have none (option A).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import check
from ._network import Architecture, Network
from ._resnet import ResNet, projection


class Pad(nn.Module):
    """Option A: every ``stride``-th pixel, with channels of zeros on both sides."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.stride, self.before = stride, (c_out - c_in) // 2
        self.after = c_out - c_in - self.before

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


SHORTCUTS = {"pad": Pad, "projection": projection}


def he_fan_in(module: nn.Module):
    """He's normal initialisation over the fan in, for convolutions and the head, as in the benchmark's code."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)


@dataclass(frozen=True)
class CifarResnet(Architecture):
    """A residual network of ``depth`` layers in three stages; 4 x ``width`` features, averaged over all pixels."""

    depth: int = 32  # layers: 6 n + 2, with n blocks in each of three stages
    width: int = 16  # channels of the first stage; 4 x width features
    shortcut: str = "pad"  # option A; "projection": option B, with the initialisation of `resnet`

    def __post_init__(self):
        super().__post_init__()
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth={self.depth}: choose 8, 14, 20, ... (6 n + 2)")
        check.one_of("shortcut", self.shortcut, SHORTCUTS)

    def body(self, shape: tuple[int, int, int]) -> tuple[ResNet, int]:
        net = ResNet(shape[0], self.width, (self.depth // 6,) * 3, shortcut=SHORTCUTS[self.shortcut])
        return net, net.d

    def build(self, classes: int, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
        network = super().build(classes, shape, mean, std)
        return network.apply(he_fan_in) if self.shortcut == "pad" else network
