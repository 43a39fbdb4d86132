"""Grids of images with sharp pixels and a caption above each."""

from collections.abc import Sequence

from jaxtyping import Float, Shaped
from torch import Tensor

from .style import canvas


def shown(image: Shaped[Tensor, "c h w"]) -> Shaped[Tensor, "h w colours"]:
    """An image for matplotlib, grey if it has one channel. Integers of 0 to 255 or floats in [0, 1]; other values are clipped."""
    image = image.detach().cpu()
    image = (image if image.is_floating_point() else image / 255).clamp(0, 1)
    return (image.expand(3, -1, -1) if len(image) == 1 else image[:3]).permute(1, 2, 0)


def panels(
    rows: Sequence[Sequence[Shaped[Tensor, "c h w"]]],
    captions: Sequence[Sequence[str]],
    heads: Sequence[str] = (),
    side: float = 1.35,
):
    """A grid of images, a row for each list, ``side`` inches each; ``captions`` go above each image, ``heads`` left of each row."""
    wide = max(len(row) for row in rows)
    figure, axes = canvas(len(rows), wide, figsize=(side * wide, (side + 0.35) * len(rows)), squeeze=False)
    for i, line in enumerate(axes):
        for j, axis in enumerate(line):
            axis.set_axis_off()
            if j < len(rows[i]):
                axis.imshow(shown(rows[i][j]).numpy(), interpolation="nearest", vmin=0, vmax=1)
                axis.set_title(captions[i][j], fontsize=8, pad=3)
        if heads:
            line[0].text(-0.12, 0.5, heads[i], transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=9)
    return figure


def shares(label: Float[Tensor, " classes"], classes: Sequence[str], in_line: int = 2) -> str:
    """A mixed label as a caption, the largest share first: ``"67% 3, 33% 2"``, ``in_line`` of them in a line."""
    order = [i for i in label.argsort(descending=True, stable=True).tolist() if round(100 * label[i].item())]
    words = [f"{label[i]:.0%} {classes[i]}" for i in order]
    return "\n".join(", ".join(words[i : i + in_line]) for i in range(0, len(words), in_line))
