"""The panel: controls, below them a picture, and below that one line that says what it shows, or why nothing can be shown."""

import asyncio
import dataclasses
import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import seaborn  # noqa: F401 (takes a second, for which the first picture should not wait)
import traitlets

from ..plots.drawing import Drawing, swept
from ._controls import Control, tidy

WAIT = 0.12  # seconds without a change after which the picture is drawn again
GRID = ipywidgets.Layout(grid_template_columns="repeat(auto-fill, minmax(21em, 1fr))", width="100%")

# ipywidgets does not connect the label of a slider with the slider, so screen readers do not read it. The sliders appear a little
# later than this script runs.
NAME_SLIDERS = """
const name = (tries) => {
    for (const slider of document.querySelectorAll(".poisonlib-panel .widget-slider"))
        slider.querySelector("[role=slider]")?.setAttribute("aria-label", slider.querySelector("label").textContent);
    if (tries) setTimeout(name, 200, tries - 1);
};
name(10);
"""


class Picture(ipywidgets.Image):
    """An image with an alternative text: the front end reads it from ``tooltip``, but only if ``description`` is empty."""

    description = traitlets.Unicode("").tag(sync=True)


class Panel(ipywidgets.VBox):
    """Shows the states of one frozen dataclass, with a control for each field.

    Args:
        state: the state that is shown first.
        controls: one declaration for each field that can be changed.
        render: draws a state; a pure function.
        words: describes the picture of a state in a line; a pure function.
        notice: announces slow work on a state; "" if there is none. It is shown while the work runs. The same notice is shown only
            once, as the results of slow work are cached.
        early: draws what is known before that work, if anything; it is shown together with the notice.

    If a state cannot be drawn, the panel shows the error message and keeps the last picture. Where an event loop runs, as in a
    kernel, the picture is drawn again ``WAIT`` seconds after the last change; in a script it is drawn at once.
    """

    def __init__(
        self,
        state: Any,
        controls: Sequence[Control],
        render: Callable[[Any], Drawing],
        words: Callable[[Any], str],
        notice: Callable[[Any], str] = lambda state: "",
        early: Callable[[Any], Drawing | None] = lambda state: None,
    ):
        self.first, self.render, self.words, self.notice, self.early = state, render, words, notice, early
        self.controls = {control.field: control.widget(getattr(state, control.field)) for control in controls}
        self.picture = Picture(tooltip="The picture that the line below it describes", layout={"max_width": "100%"})
        self.line = ipywidgets.HTML()
        self.timer, self.noticed = None, {""}
        script = {"output_type": "display_data", "data": {"application/javascript": NAME_SLIDERS}, "metadata": {}}
        naming = ipywidgets.Output(outputs=(script,), layout={"display": "none"})
        super().__init__([ipywidgets.GridBox(list(self.controls.values()), layout=GRID), self.picture, self.line, naming])
        self.add_class("poisonlib-panel")
        for widget in self.controls.values():
            widget.observe(self.changed, "value")
        self.redraw()

    @property
    def state(self):
        """The state that the controls describe. Raises whatever the dataclass raises for a value that it does not accept."""
        return dataclasses.replace(self.first, **{field: tidy(widget.value) for field, widget in self.controls.items()})

    def changed(self, change=None) -> None:
        """Draw after `WAIT` seconds. A drawing that was scheduled before is cancelled."""
        self.schedule(WAIT)

    def schedule(self, wait: float) -> None:
        """Draw after ``wait`` seconds, or at once where no event loop runs."""
        if self.timer:
            self.timer.cancel()
        try:
            self.timer = asyncio.get_running_loop().call_later(wait, self.redraw)
        except RuntimeError:
            self.redraw()

    def redraw(self) -> None:
        """Draw the current state. Never raises: nobody would see an exception in a timer, so the panel shows its message."""
        try:
            with swept():
                complete = self.draw(self.state)
        except Exception as error:
            self.say(f"Not shown: {message(error)}")
        else:
            if not complete:
                self.schedule(0.0)

    def draw(self, state: Any) -> bool:
        """Draw a state; returns False if only its early picture was drawn, which happens once, with the notice."""
        if (notice := self.notice(state)) not in self.noticed:
            self.say(notice)
            self.noticed.add(notice)
            if early := self.early(state):
                self.picture.value = early.png()
                return False
        self.picture.value = self.render(state).png()
        self.say(self.words(state))
        return True

    def say(self, words: str) -> None:
        """Show a line of text below the picture."""
        self.line.value = f'<p role="status" style="line-height: 1.4">{html.escape(words)}</p>'


def message(error: Exception) -> str:
    """The error's message; for errors that are not about an unsuitable value, preceded by the error's type."""
    words = str(error.args[0]) if error.args else ""
    expected = isinstance(error, LookupError | TypeError | ValueError | FileNotFoundError)
    return words if expected and words else f"{type(error).__name__}: {error}"
