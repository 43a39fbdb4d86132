"""One style for every figure: readable in a paper's column, in JupyterLab's light and dark themes, and in grey.

Colours are named by what they stand for. They are those of seaborn's palette "colorblind".
"""

import io
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from .. import files, paths
from .card import card

_BLUE, _ORANGE, _GREEN, _RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
_PALETTE = (_BLUE, _ORANGE, _GREEN, _RED, "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")

OURS, PAPER, CHANCE = _BLUE, "0.1", "0.1"  # what we measured; what a paper prints and clean controls do, which marks tell apart
CLEAN, POISONED, REST = _BLUE, _ORANGE, "0.55"  # untouched images and their class, the attacker's images, all others
THEOREM, EXACT, ATTACK, VIOLATED = _BLUE, _GREEN, _ORANGE, _RED  # a bound, the true value, an attack's, one beyond the bound
HERE, ELSEWHERE = _GREEN, "0.7"  # timed on this device, on another
INK, GUIDE, NOTE = "0.1", "0.5", "0.3"  # marks and words, lines that guide the eye, small print
MARKS = "osDv^<>PX*hpd"  # shapes that tell series apart, beside their colours
MARK = 6.0  # points: the size of a mark

SMALL, ROOM = 7.5, 0.18  # points, and inches that a line at the lower edge takes


class Look(NamedTuple):
    """How the marks of one series are drawn."""

    mark: str
    colour: str
    size: float = MARK  # points
    joined: bool = False  # with others of its colour, from which a white rim sets it apart


def colours(count: int) -> list[str]:
    """That many colours; ten differ, after which they repeat."""
    return [_PALETTE[i % len(_PALETTE)] for i in range(count)]


def looks(count: int) -> list[Look]:
    """A mark and a colour for each of ``count`` series; the marks alone tell thirteen apart."""
    return [Look(MARKS[i % len(MARKS)], colour) for i, colour in enumerate(colours(count))]


def short(text: str, most: int) -> str:
    """A text of at most that many characters; what is left out is left out of its middle."""
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"


def style():
    """seaborn, set up as every figure here uses it."""
    import seaborn

    seaborn.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=1.05)
    return seaborn


def canvas(*args, **kwargs):
    """``matplotlib.pyplot.subplots`` in our style, on white."""
    style()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(*args, layout="constrained", **kwargs)
    figure.patch.set_facecolor("white")
    return figure, axes


def small_lines(words: str, width: float) -> list[str]:
    """The lines of `small_print` in a figure so many inches wide; none for no words."""
    from matplotlib.textpath import TextPath

    if not words:
        return []
    wide, room = TextPath((0, 0), words, size=SMALL).get_extents().width / 72, 0.96 * width
    letters = len(words) if wide <= room else max(1, int(len(words) * room / wide))
    return wrap(words, letters, break_long_words=False, break_on_hyphens=False)


def small_print(figure, words: str) -> None:
    """Lines at the lower right edge, if there are words. A `canvas` grows by `ROOM` each; elsewhere the caller leaves that room."""
    width, height = figure.get_size_inches()
    if lines := small_lines(words, width):
        if figure.get_layout_engine():
            figure.set_size_inches(width, height + ROOM * len(lines))
        figure.supxlabel("\n".join(lines), x=0.99, ha="right", fontsize=SMALL, color=NOTE)


def sample(**look):
    """A line outside any axes, for a legend that explains how something is drawn."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def save(figure, name: str, alt: str) -> Path:
    """Write a figure to ``outputs/figures/NAME.png`` at 150 dots per inch, with ``alt`` as its description for screen readers."""
    path, file = paths.outputs() / "figures" / f"{name}.png", io.BytesIO()
    literal(figure).savefig(file, format="png", dpi=150, metadata={"Software": None, "Description": alt})
    files.write_atomically(path, file.getvalue())
    return path


def literal(figure):
    """The figure, in which a dollar in a name is a dollar and begins no mathematics; numbers at logarithmic axes stay powers."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if "$" in text.get_text() and not text.get_text().startswith("$\\mathdefault"):
            text.set_parse_math(False)
    return figure


def show(figure) -> None:
    """Show a figure in a notebook once, as a `card`, and close it."""
    from IPython.display import Image, display
    from matplotlib import pyplot

    file = io.BytesIO()
    cut = "tight" if figure.get_layout_engine() else None
    literal(figure).savefig(file, format="png", bbox_inches=cut, metadata={"Software": None})
    display(Image(card(file.getvalue())))
    pyplot.close(figure)
