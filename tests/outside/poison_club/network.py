"""A plain PyTorch module that knows nothing of poisonlib."""

from torch import nn


class TwoLayers(nn.Module):
    """Logits of small images."""

    def __init__(self, num_classes=10, pixels=64, width=32):
        super().__init__()
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU())
        self.out = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.out(self.hidden(x))
