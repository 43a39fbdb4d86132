"""Figures for explorers, which are quick to draw again: without pyplot, which keeps figures and is not for threads, and without a
layout engine.
"""

import contextlib
import gc
import html
import io
import re
from collections.abc import Iterator, Sequence

from jaxtyping import Shaped
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .card import card
from .images import shown
from .style import literal, style

INCHES, DPI = (8.6, 3.7), 90
SIZE = 9  # points of small print
THEME = {  # colours in a figure, and what a page that is light or dark shows instead
    "#0173b2": "var(--poisonlib-blue, #0173b2)",
    "#000000": "var(--poisonlib-ink, #000000)",
    "#1a1a1a": "var(--poisonlib-ink, #1a1a1a)",
    "#262626": "var(--poisonlib-ink, #262626)",
    "#4d4d4d": "var(--poisonlib-ink, #4d4d4d)",
    "#cccccc": "var(--poisonlib-rule, #cccccc)",
    "#ffffff": "var(--poisonlib-ground, #ffffff)",
}


class Drawing(Figure):
    """A figure in the package's look on white; notebooks show it as a card."""

    def __init__(self, size: tuple[float, float] = INCHES):
        style()
        super().__init__(figsize=size, dpi=DPI, facecolor="white")

    def png(self) -> bytes:
        """The picture as a PNG file, lightly compressed: quick, and the same bytes for the same figure."""
        file = io.BytesIO()
        literal(self).savefig(file, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})
        return file.getvalue()

    def svg(self, label: str, salt: str = "") -> str:
        """The picture as an SVG element: sharp at any width, without a ground, and in the page's colours where it sets them.

        ``label`` is its text for screen readers. Two pictures in one page need a ``salt`` each, which is part of their identities.
        """
        file = io.StringIO()
        with rc_context({"svg.fonttype": "path", "svg.hashsalt": f"poisonlib{salt}", "image.composite_image": False}):
            self.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        _, _, body = file.getvalue().partition("</metadata>")
        body = re.sub("|".join(THEME), lambda found: THEME[found[0]], re.sub(r'<g id="[^"]*"', "<g", body))
        width, height = (72 * inches for inches in self.get_size_inches())
        look = f"width: 100%; max-width: {4 * width / 3:.0f}px; height: auto; fill: {THEME['#000000']}; stroke-linejoin: round"
        head = f'role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width:g} {height:g}" style="{look}"'
        return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {head}>{body.partition("</defs>")[2]}'

    def _repr_png_(self) -> bytes:
        return card(self.png())

    def stage(self, left: float, bottom: float, width: float, height: float, wide: float) -> Axes:
        """Axes for `tiles` without ticks over a part of the figure (given as shares), ``wide`` units wide; y runs down from 0."""
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
        axis.imshow(shown(image).numpy(), extent=extent, interpolation="none", vmin=0, vmax=1, aspect="auto")
        axis.text(left + side / 2, top - 0.04, caption, ha="center", va="bottom", fontsize=SIZE, linespacing=1.15)
    axis.axis(limits)


def blank(words: str) -> Drawing:
    """A figure that shows only words."""
    figure = Drawing((8.6, 1.6))
    figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=SIZE + 1, wrap=True)
    return figure


@contextlib.contextmanager
def swept() -> Iterator[None]:
    """Switches the garbage collector off within the block and collects the youngest generation afterwards.

    A figure is thousands of objects that refer to each other. Collected young they cost a few milliseconds; otherwise they bring on
    a full collection over all objects, torch's included, which takes a fifth of a second during some later drawing.
    """
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if active:
            gc.enable()
