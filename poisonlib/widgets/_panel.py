"""The panel: controls above a picture, and under it one line that says in words what is seen, or why it cannot be."""

import asyncio
import dataclasses
import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import traitlets

from ..plots.drawing import Drawing, swept
from ._controls import Control, tidy

WAIT = 0.12  # seconds of rest after a change before the picture is drawn again
GRID = ipywidgets.Layout(grid_template_columns="repeat(auto-fill, minmax(21em, 1fr))", width="100%")

# ipywidgets gives its sliders a label that screen readers do not see. Views appear a little later than this script runs.
NAME_SLIDERS = """
const name = (tries) => {
    for (const slider of document.querySelectorAll(".poisonlib-panel .widget-slider"))
        slider.querySelector("[role=slider]")?.setAttribute("aria-label", slider.querySelector("label").textContent);
    if (tries) setTimeout(name, 200, tries - 1);
};
name(10);
"""


class Picture(ipywidgets.Image):
    """An image with a name for screen readers: the front end reads ``tooltip`` only where there is an empty ``description``."""

    description = traitlets.Unicode("").tag(sync=True)


class Panel(ipywidgets.VBox):
    """Goes through states of one frozen dataclass, a control a field.

    ``render(state)`` gives the picture and ``words(state)`` the line under it; both are pure. ``notice(state)`` says what takes
    long about a state, "" if nothing does; it is shown while that happens, and the same words only once, as such work is kept; with
    it comes ``early(state)``, a picture of what is known before, if there is one. A state that cannot be drawn gives its error in
    words and leaves the last picture. The picture is drawn again ``WAIT`` seconds after the last change where an event loop runs,
    as in a kernel, and at once where none does, as in a script.
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
        """What the controls say now. Raises what the dataclass raises for a value that it does not take."""
        return dataclasses.replace(self.first, **{field: tidy(widget.value) for field, widget in self.controls.items()})

    def changed(self, change=None) -> None:
        """Draw soon; an earlier drawing that has not begun is dropped."""
        self.soon(WAIT)

    def soon(self, wait: float) -> None:
        """Draw in so many seconds, or at once where nothing could wait for that."""
        if self.timer:
            self.timer.cancel()
        try:
            self.timer = asyncio.get_running_loop().call_later(wait, self.redraw)
        except RuntimeError:
            self.redraw()

    def redraw(self) -> None:
        """Draw the state now, or what is known of it early, and the rest next. Never raises: in a timer nobody would see it."""
        try:
            with swept():
                whole = self.draw(self.state)
        except Exception as error:
            self.say(f"Not shown: {explained(error)}")
        else:
            if not whole:
                self.soon(0.0)

    def draw(self, state: Any) -> bool:
        """Whether this was the whole picture; the early one comes once, with the notice."""
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
        self.line.value = f'<p role="status" style="line-height: 1.4">{html.escape(words)}</p>'


def explained(error: Exception) -> str:
    """An error's own words; those that no package's author wrote with a reader in mind come with the error's name."""
    words = str(error.args[0]) if error.args else ""
    return (
        words
        if isinstance(error, LookupError | TypeError | ValueError | FileNotFoundError) and words
        else f"{type(error).__name__}: {error}"
    )
