"""One look for every figure: readable in a paper's column, in JupyterLab's light and dark themes, and in grey."""

from pathlib import Path

from .. import paths

ROOM = 0.18  # inches that a line at the lower edge takes


def style():
    """seaborn, set up as every figure here uses it."""
    import seaborn

    seaborn.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=1.05)
    return seaborn


def canvas(*args, **kwargs):
    """``matplotlib.pyplot.subplots`` in our style, with a white ground (dark themes would swallow black labels)."""
    style()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(*args, layout="constrained", **kwargs)
    figure.patch.set_facecolor("white")
    return figure, axes


def small_print(figure, words: str) -> None:
    """A line at the lower right edge of a `canvas`, which grows by it; nothing for no words. Legends belong elsewhere then."""
    if words:
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + ROOM)
        figure.supxlabel(words, x=0.99, ha="right", fontsize=7.5, color="0.3")


def sample(**look):
    """A line on no axes, for a legend that explains how something is drawn."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def save(figure, name: str, alt: str) -> Path:
    """Write a figure to ``outputs/figures/NAME.png`` at 150 dots an inch, ``alt`` inside for those who cannot see it."""
    path = paths.outputs() / "figures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None, "Description": alt})
    return path


def show(figure) -> None:
    """Show a figure in a notebook, once, and let go of it."""
    from IPython.display import display
    from matplotlib import pyplot

    display(figure)
    pyplot.close(figure)
