"""Figures that are quick to draw again: no pyplot, which would hold them and is not for threads, and no layout engine."""

import io
from collections.abc import Sequence

from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..plots.images import shown

INCHES, DPI = (8.6, 3.7), 90
SIZE = 9  # points of small print


class Drawing(Figure):
    """A figure in the package's look on a white ground, which dark themes need; shows itself in any notebook."""

    def __init__(self, size: tuple[float, float] = INCHES):
        plots.style()
        super().__init__(figsize=size, dpi=DPI, facecolor="white")

    def png(self) -> bytes:
        """The picture as a file, the same bytes for the same figure."""
        file = io.BytesIO()
        self.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()

    _repr_png_ = png

    def stage(self, left: float, bottom: float, width: float, height: float, wide: float) -> Axes:
        """Bare axes for `tiles` over a part of the figure (shares of it), ``wide`` units from left to right; y falls from 0."""
        axis = self.add_axes((left, bottom, width, height))
        inches = self.get_size_inches()
        axis.set(xlim=(0, wide), ylim=(wide * height * inches[1] / (width * inches[0]), 0))
        axis.set_axis_off()
        return axis


def tiles(
    axis: Axes,
    images: Sequence[Shaped[Tensor, "c h w"]],
    captions: Sequence[str],
    top: float,
    side: float = 1.0,
    pitch: float = 1.15,
) -> None:
    """Images in a row, ``side`` units wide, a new one every ``pitch`` units, their upper edge at ``top``, captions above."""
    limits = axis.axis()
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = i * pitch
        extent = (left, left + side, top + side, top)
        axis.imshow(shown(image).numpy(), extent=extent, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
        axis.text(left + side / 2, top - 0.04, caption, ha="center", va="bottom", fontsize=SIZE, linespacing=1.15)
    axis.axis(limits)
