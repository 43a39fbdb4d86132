"""Figures as cards: on a ground that is a little darker than paper, with round corners and a rim.

A notebook cannot know whether the page that shows it is light or dark; a card is read on both.
"""

import io

import numpy as np
from PIL import Image, ImageChops, ImageDraw

GROUND, RIM = (244, 244, 242), (200, 200, 200)  # what white becomes, and the line around it
RADIUS = 10  # pixels of a corner
SMOOTH = 4  # a corner's edge is drawn that much larger
COLOURS, ALPHAS = 232, 24  # of a card's palette: for the picture, and for the edges of its corners


def card(png: bytes, colours: int = COLOURS) -> bytes:
    """A figure's PNG file as a card of the same size, whose corners are transparent.

    It has a palette, which takes a third of the space: at most ``colours`` (up to `COLOURS`) for the picture.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    toned = ImageChops.multiply(picture, Image.new("RGB", picture.size, GROUND))
    toned = Image.composite(toned, Image.new("RGB", picture.size, RIM), _rounded(picture.size, 1))
    made = few(toned, colours)
    palette, pixels, opaque = made.getpalette("RGB"), np.array(made), np.array(_rounded(picture.size, 0)).astype(int)
    used = len(palette) // 3  # what follows in the palette is the rim's colour, ever more opaque
    pixels[opaque < 255] = (used + opaque * (ALPHAS - 1) // 255)[opaque < 255]
    made = Image.fromarray(pixels, "P")
    made.putpalette(palette + list(RIM) * ALPHAS)
    file = io.BytesIO()
    shades = np.linspace(0, 255, ALPHAS).round().astype(int).tolist()
    made.save(file, "png", optimize=True, transparency=bytes([255] * used + shades))
    return file.getvalue()


def few(picture: Image.Image, colours: int = 256) -> Image.Image:
    """A picture in at most that many colours, its rarest among them: a trigger keeps those that it has."""
    return picture.quantize(colours, Image.Quantize.MAXCOVERAGE)


def _rounded(size: tuple[int, int], inset: int) -> Image.Image:
    """A mask of the rectangle that is ``inset`` pixels within a picture of that size, with round corners and smooth edges."""
    large = Image.new("L", (size[0] * SMOOTH, size[1] * SMOOTH))
    box = (inset * SMOOTH, inset * SMOOTH, (size[0] - inset) * SMOOTH - 1, (size[1] - inset) * SMOOTH - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, (RADIUS - inset) * SMOOTH, fill=255)
    return large.reduce(SMOOTH)
