"""One side of a panel: a picture and the line below it."""

import ipywidgets

from ..plots.drawing import Drawing
from . import _look

LABEL = "The picture that the line below it describes"


class Side(ipywidgets.VBox):
    """A picture with its line. ``name`` tells two sides apart; it is shown where there are two."""

    def __init__(self, name: str):
        self.name, self.state = name, None
        self.head = ipywidgets.HTML(f'<span class="poisonlib-name">{name}</span>', layout={"display": "none"})
        self.picture, self.line = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__([self.head, self.picture, self.line], layout={"min_width": "0"})
        self.picture.add_class("poisonlib-picture")

    def draw(self, drawing: Drawing) -> None:
        """Show a picture, which is not dim any more."""
        self.picture.value = drawing.svg(LABEL, self.name)
        self.picture.remove_class("poisonlib-dim")

    def say(self, words: str, kind: str = "") -> None:
        """Show a line of text; with an error the picture, which is not that of the state, becomes dim."""
        self.line.value = _look.paragraph(words, kind)
        if kind == "error":
            self.picture.add_class("poisonlib-dim")

    def take(self, other: "Side", drawing: Drawing) -> None:
        """Show what another side shows: its state, which is drawn anew, and its line."""
        self.state, self.line.value = other.state, other.line.value
        self.draw(drawing)

    def name_shown(self, shown: bool) -> None:
        """Show the side's name, or do not."""
        self.head.layout.display = "" if shown else "none"
