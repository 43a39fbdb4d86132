"""What surrounds the controls: presets, a second picture to compare with, a play button, and the state as a line."""

from collections.abc import Mapping
from typing import Any

import ipywidgets

from . import _line, _look

BEAT = 350  # milliseconds a step of the play button
WIDE = {"width": "auto"}


class Tools:
    """The buttons of a panel: ``presets`` stand above its controls, ``below`` below them."""

    def __init__(self, panel, presets: Mapping[str, Any], play: str):
        self.panel = panel
        self.presets = ipywidgets.HBox([_preset(panel, *each) for each in presets.items()], layout=_look.ROW)
        self.keep = ipywidgets.ToggleButton(description="Keep as A", tooltip="keep this picture beside the next ones", layout=WIDE)
        self.swap = ipywidgets.Button(
            description="Swap A and B", tooltip="show the kept state in the controls", layout=WIDE, disabled=True
        )
        self.line = ipywidgets.Text(
            description="State",
            tooltip="copy this line to keep a state; paste one to see it",
            continuous_update=False,
            layout={"width": "min(48em, 100%)"},
        )
        self.keep.observe(self._kept, "value")
        self.swap.on_click(self._swapped)
        self.line.observe(self._typed, "value")
        played = [_player(panel.controls[play])] if play else []
        self.below = ipywidgets.HBox([self.keep, self.swap, *played, self.line], layout=_look.ROW)

    def follow(self, line: str) -> None:
        """Show the state's line."""
        self.line.unobserve(self._typed, "value")
        self.line.value = line
        self.line.observe(self._typed, "value")

    def _typed(self, change) -> None:
        try:
            self.panel.show(_line.read(change["new"], type(self.panel.first)))
        except Exception as error:
            self.panel.say(f"Not shown: {error}", "error")

    def _kept(self, change) -> None:
        """Keep the picture that is shown, or drop the one that was kept."""
        panel, shown = self.panel, bool(change["new"] and self.panel.side.state is not None)
        if shown:
            panel.kept.take(panel.side, panel.render(panel.side.state))
        panel.kept.layout.display = "" if shown else "none"
        self.swap.disabled = not shown
        for side in (panel.kept, panel.side):
            side.name_shown(shown)

    def _swapped(self, _) -> None:
        panel, before = self.panel, self.panel.kept.state
        panel.kept.take(panel.side, panel.render(panel.side.state))
        panel.show(before)


def _preset(panel, name: str, state: Any) -> ipywidgets.Button:
    button = ipywidgets.Button(description=name, tooltip=_line.written(state), layout=WIDE)
    button.on_click(lambda _: panel.show(state))
    return button


def _player(control: ipywidgets.IntSlider) -> ipywidgets.Play:
    """A play button that moves a control, and is disabled with it."""
    play = ipywidgets.Play(value=control.value, min=max(control.min, 1), max=control.max, interval=BEAT, show_repeat=False)
    ipywidgets.link((play, "value"), (control, "value"))
    ipywidgets.dlink((control, "disabled"), (play, "disabled"))
    return play


def offer(widget: ipywidgets.Widget, value: Any) -> None:
    """Set a control to a value, which is added to what it offers if need be."""
    if isinstance(widget, ipywidgets.Dropdown) and value not in widget.options:
        widget.options = (*widget.options, value)
    if isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        widget.min, widget.max = min(widget.min, value), max(widget.max, value)
    widget.value = value
