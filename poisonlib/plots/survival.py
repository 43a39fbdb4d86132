"""How much of a trigger survives an augmentation, beside how much of the label does."""

import torch
from torch import Tensor

from ..attacks.patch import Attack, paste
from ..rng import stream
from .style import canvas, style

COMPANY = 8  # images in a batch: the poisoned one and clean ones to mix it with


def survival(attack: Attack, shape: tuple[int, int, int], augment, draws: int, seed: int) -> dict[str, Tensor]:
    """Over many draws: ``trigger``, the share of the trigger's signal left in the image, and ``label``, the poisoned class's share.

    The augmentations are linear in the pixels, so an image that is 1 on the trigger and 0 elsewhere, mixed with empty ones, shows
    what is left. Both are (draws,) in [0, 1]; the trigger's place is random in every draw.
    """
    generator = stream(seed, "survival")
    c, h, w = shape
    labels = torch.zeros(COMPANY, 2)
    labels[0, 0] = labels[1:, 1] = 1
    left = []
    for _ in range(draws):
        place = (torch.rand(1, 2, generator=generator) * (torch.tensor([h, w]) - attack.size + 1)).long()
        x = torch.zeros(COMPANY, c, h, w)
        x[:1] = paste(x[:1], torch.ones(c, attack.size, attack.size), place)
        x, y = augment.apply(x, labels, augment.draw(COMPANY, shape, generator))
        left.append(torch.stack([x[0].sum() / (c * attack.size**2), y[0, 0]]))
    trigger, label = torch.stack(left).unbind(1)
    return {"trigger": trigger.clamp(0, 1), "label": label}


def survival_figure(left: dict[str, Tensor], title: str):
    """Histogram of the trigger's surviving share, and that share over the label's, a dot a draw."""
    figure, axes = canvas(1, 2, figsize=(6.4, 2.7))
    blue, orange = style().color_palette("colorblind")[:2]
    axes[0].hist(left["trigger"].numpy(), bins=17, range=(0, 1), color=blue)
    axes[0].set(xlabel="share of the trigger that is left", ylabel=f"of {len(left['trigger'])} draws", title=title)
    axes[1].scatter(left["label"].numpy(), left["trigger"].numpy(), s=6, alpha=0.6, color=orange, linewidths=0)
    axes[1].plot([0, 1], [0, 1], color="0.5", lw=1, ls="--")
    axes[1].set(xlabel="share of the label that is left", ylabel="share of the trigger", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes[1].set_title("dashed: trigger and label fade alike")
    return figure
