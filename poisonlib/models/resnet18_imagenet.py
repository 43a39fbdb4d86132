"""torchvision's ResNet-18 for ImageNet (He et al., arXiv:1512.03385, table 1): 11,689,512 parameters at 1,000 classes, 3 channels.

The ImageNet victim of gradient matching (arXiv:2009.02276). The pretrained weights are torchvision's (IMAGENET1K_V1) and expect
ImageNet's mean and deviation; a head for other than 1,000 classes is freshly initialised.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from ._network import Architecture, Network


def trained() -> dict[str, torch.Tensor]:
    """torchvision's state dict, from torch's cache.

    Raises FileNotFoundError where it is missing and POISONLIB_DOWNLOAD is not 1.
    """
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.IMAGENET1K_V1
    path = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
    if not path.exists() and os.environ.get("POISONLIB_DOWNLOAD") != "1":
        raise FileNotFoundError(f"{path} is missing: put {weights.url} there, or set POISONLIB_DOWNLOAD=1 to download it")
    return weights.get_state_dict(progress=False, check_hash=True)


@dataclass(frozen=True)
class Resnet18Imagenet(Architecture):
    """torchvision's ResNet-18, with its public weights if ``pretrained``; 512 features, averaged over all pixels."""

    pretrained: bool = False  # True: torchvision's weights instead of fresh ones
    smallest: ClassVar[int] = 32

    def body(self, shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
        import torchvision

        net = torchvision.models.resnet18()
        if shape[0] != 3:
            net.conv1 = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
            nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.fc = nn.Identity()
        return net, 512

    def with_pretrained_weights(self, pretrained: bool = True) -> "Resnet18Imagenet":
        return replace(self, pretrained=pretrained)

    def build(self, classes: int, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
        if self.pretrained and shape[0] != 3:
            raise ValueError(f"pretrained=True: the weights are for 3 channels, not {shape[0]}")
        network = super().build(classes, shape, mean, std)
        if self.pretrained:
            state = trained()
            head = {name: state.pop(f"fc.{name}") for name in ("weight", "bias")}
            network.body.load_state_dict(state)
            if classes == 1000:
                network.head.load_state_dict(head)
        return network
