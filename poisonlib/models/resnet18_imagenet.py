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

from .. import files
from ._network import Architecture, Network

SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"  # its first digits stand in the file's name


def trained() -> dict[str, torch.Tensor]:
    """torchvision's state dict, from torch's cache.

    Raises FileNotFoundError where it is missing and POISONLIB_DOWNLOAD is not 1, ValueError where the file holds anything else.
    """
    from torchvision.models import ResNet18_Weights

    url = ResNet18_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.exists():
        if os.environ.get("POISONLIB_DOWNLOAD") != "1":
            raise FileNotFoundError(f"{path} is missing: put {url} there, or set POISONLIB_DOWNLOAD=1 to download it")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=SHA256, progress=False)
    return files.read_weights(path, SHA256)


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
