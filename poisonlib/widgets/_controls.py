"""Declarations of controls: which field of a state each one changes, its label, one sentence of help, and what it allows.

All are plain ipywidgets, which bring keyboard use with them. A declaration's ``widget(value)`` makes the control. What a control
says goes through `tidy`: browsers count in binary steps, and 0.05 + 19 * 0.05 is not 1.
"""

from dataclasses import dataclass

import ipywidgets

LOOK = {"style": {"description_width": "8em"}, "layout": {"width": "auto"}}


@dataclass(frozen=True)
class Choice:
    """One of several strings. A value that is not among them is offered as well: a notebook may begin with one of its own."""

    field: str
    label: str
    help: str
    options: tuple[str, ...]

    def widget(self, value: str) -> ipywidgets.Dropdown:
        options = list(dict.fromkeys([*self.options, value]))
        return ipywidgets.Dropdown(options=options, value=value, description=self.label, tooltip=self.help, **LOOK)


@dataclass(frozen=True)
class Words:
    """Free text with suggestions; taken over at Enter or when the field is left."""

    field: str
    label: str
    help: str
    options: tuple[str, ...] = ()

    def widget(self, value: str) -> ipywidgets.Combobox:
        return ipywidgets.Combobox(
            options=self.options,
            value=value,
            description=self.label,
            tooltip=self.help,
            placeholder=self.help,
            continuous_update=False,
            **LOOK,
        )


@dataclass(frozen=True)
class Whole:
    """A whole number from ``least`` to ``most``; the range is widened to hold the value that it begins with."""

    field: str
    label: str
    help: str
    least: int
    most: int

    def widget(self, value: int) -> ipywidgets.IntSlider:
        least, most = min(self.least, value), max(self.most, value)
        return ipywidgets.IntSlider(value=value, min=least, max=most, description=self.label, tooltip=self.help, **LOOK)


@dataclass(frozen=True)
class Real:
    """A number from ``least`` to ``most``; the range is widened to hold the value that it begins with."""

    field: str
    label: str
    help: str
    least: float
    most: float
    step: float

    def widget(self, value: float) -> ipywidgets.FloatSlider:
        least, most = min(self.least, value), max(self.most, value)
        return ipywidgets.FloatSlider(
            value=value, min=least, max=most, step=self.step, description=self.label, tooltip=self.help, **LOOK
        )


@dataclass(frozen=True)
class Tick:
    """Yes or no."""

    field: str
    label: str
    help: str

    def widget(self, value: bool) -> ipywidgets.Checkbox:
        return ipywidgets.Checkbox(value=value, description=self.label, tooltip=self.help, indent=False)


def tidy(value):
    """A control's value without the rounding errors of its steps."""
    return round(value, 9) if isinstance(value, float) else value


Control = Choice | Words | Whole | Real | Tick
