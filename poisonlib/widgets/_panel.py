"""The panel: presets and controls, below them a picture, and below that a line that says what it shows, or why it shows nothing."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import ipywidgets
import seaborn  # noqa: F401 (takes a second, for which the first picture should not wait)

from ..plots.drawing import Drawing, swept
from . import _line, _look, _tools
from ._controls import Control, tidy
from ._side import Side
from ._work import Work, loop, still

WAIT = 0.12  # seconds without a change after which the picture is drawn again


class Panel(ipywidgets.VBox):
    """Shows the states of one frozen dataclass, with a control for each field.

    Args:
        state: the state that is shown first.
        controls: one declaration for each field that can be changed.
        render: draws a state; a pure function.
        words: describes the picture of a state in a line; a pure function that needs all that ``render`` needs.
        notice: announces slow work on a state; "" if there is none. It is shown while the work is done. The same notice is shown
            only once, as the results of slow work are cached.
        early: draws what is known before that work, if anything; it is shown together with the notice.
        useful: the fields that have an effect in a state; the controls of the others are disabled.
        presets: states by the name of a button.
        play: the field, a whole number, that a play button goes through; "" for none.

    If a state cannot be drawn, the panel shows the error message, and the last picture becomes dim. Where an event loop runs, as in
    a kernel, the picture is drawn again ``WAIT`` seconds after the last change, and slow work (that of ``words``) is done in a
    thread, so that the controls go on answering; in a script all is done at once.
    """

    def __init__(
        self,
        state: Any,
        controls: Sequence[Control],
        render: Callable[[Any], Drawing],
        words: Callable[[Any], str],
        notice: Callable[[Any], str] = lambda state: "",
        early: Callable[[Any], Drawing | None] = lambda state: None,
        useful: Callable[[Any], Collection[str]] | None = None,
        presets: Mapping[str, Any] | None = None,
        play: str = "",
    ):
        self.first, self.render, self.words, self.notice, self.early, self.useful = state, render, words, notice, early, useful
        self.controls = {control.field: control.widget(getattr(state, control.field)) for control in controls}
        self.kept, self.side, self.work = Side("A"), Side("B"), Work()
        self.timer, self.noticed, self.held = None, {""}, False
        self.tools = _tools.Tools(self, presets or {}, play)
        self.kept.layout.display = "none"
        sides = ipywidgets.GridBox([self.kept, self.side], layout=_look.SIDES)
        grid = ipywidgets.GridBox(list(self.controls.values()), layout=_look.GRID)
        super().__init__([self.tools.presets, grid, self.tools.below, sides, _look.behind()])
        self.add_class("poisonlib-panel")
        for widget in self.controls.values():
            widget.observe(self.changed, "value")
        self.redraw()

    @property
    def picture(self) -> ipywidgets.HTML:
        """The picture that follows the controls."""
        return self.side.picture

    @property
    def line(self) -> ipywidgets.HTML:
        """The line below it."""
        return self.side.line

    @property
    def state(self):
        """The state that the controls describe. Raises whatever the dataclass raises for a value that it does not accept."""
        return dataclasses.replace(self.first, **{field: tidy(widget.value) for field, widget in self.controls.items()})

    def show(self, state: Any) -> None:
        """Set every control to a state, then draw it once."""
        self.held = True
        try:
            for field, widget in self.controls.items():
                _tools.offer(widget, getattr(state, field))
        finally:
            self.held = False
        self.redraw()

    def changed(self, change=None) -> None:
        """Draw after `WAIT` seconds. A drawing that was scheduled before is cancelled."""
        if not self.held:
            self.schedule(WAIT)

    def schedule(self, wait: float) -> None:
        """Draw after ``wait`` seconds, or at once where no event loop runs."""
        if self.timer:
            self.timer.cancel()
        if running := loop():
            self.timer = running.call_later(wait, self.redraw)
        else:
            self.redraw()

    def redraw(self) -> None:
        """Draw the current state. Never raises: nobody would see an exception in a timer, so the panel shows its message."""
        try:
            state = self.state
            self.limit(state)
            with swept():
                self.draw(state)
        except Exception as error:
            self.say(f"Not shown: {message(error)}", "error")

    def limit(self, state: Any) -> None:
        """Disable the controls that have no effect in a state, and show the state as a line."""
        for field, widget in self.controls.items():
            widget.disabled = bool(self.useful) and field not in self.useful(state)
        self.tools.follow(_line.written(state))

    def draw(self, state: Any) -> None:
        """Draw a state or, where slow work is needed first, what is known before it; the rest follows when the work is done."""
        if (notice := self.notice(state)) not in self.noticed:
            self.say(notice, "busy")
            if loop():
                if early := self.early(state):
                    self.side.draw(early)
                self.work.start(lambda: self.words(state), lambda error: self.worked(notice, error))
                return
        self.side.draw(self.render(state))
        self.side.state = state
        self.say(self.words(state))
        self.noticed.add(notice)

    def worked(self, notice: str, error: BaseException | None) -> None:
        """Show what the work that was announced is for, or why it failed, if that is still wanted; else what is wanted now."""
        if error is None:
            self.noticed.add(notice)
        elif self.wanted() == notice:
            self.say(f"Not shown: {message(error)}", "error")
            return
        self.redraw()

    def wanted(self) -> str:
        """The notice of the current state; "" where the controls describe none."""
        try:
            return self.notice(self.state)
        except Exception:
            return ""

    def say(self, words: str, kind: str = "") -> None:
        """Show a line of text below the picture; see `_look.paragraph` for its kinds."""
        self.side.say(words, kind)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """The widget; where a notebook is executed for its outputs, the picture too, for readers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        return bundle | {"image/png": self.render(self.state)._repr_png_()} if still() else bundle


def message(error: BaseException) -> str:
    """The error's message; for errors that are not about an unsuitable value, preceded by the error's type."""
    words = str(error.args[0]) if error.args else ""
    expected = isinstance(error, LookupError | TypeError | ValueError | FileNotFoundError)
    return words if expected and words else f"{type(error).__name__}: {error}"
