"""Explorers for notebooks: frozen states, pure functions that draw them, and a panel of controls that goes through the states.

One sub-package for each explorer: `augmentations`, `poisons`, `results`. Everything that a panel shows is a picture of a state, so
``render(state)`` shows the same where there are no widgets. No other part of the package imports this one.
"""

from ..plots.drawing import Drawing as Drawing
from ..plots.drawing import tiles as tiles
from ._controls import Choice as Choice
from ._controls import Real as Real
from ._controls import Tick as Tick
from ._controls import Whole as Whole
from ._controls import Words as Words
from ._panel import Panel as Panel
