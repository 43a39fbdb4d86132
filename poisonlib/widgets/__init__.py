"""Explorers for notebooks: frozen states, pure functions that draw them, and a panel of controls that goes through the states.

Everything an explorer shows is a picture of a state, so that the same call shows it where there are no widgets. Nothing else in the
package needs this room.
"""

from ..plots.drawing import Drawing as Drawing
from ..plots.drawing import tiles as tiles
from ._controls import Choice as Choice
from ._controls import Real as Real
from ._controls import Tick as Tick
from ._controls import Whole as Whole
from ._controls import Words as Words
from ._panel import Panel as Panel
