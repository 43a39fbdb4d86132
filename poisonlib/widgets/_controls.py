"""Declarations of controls: the field of the state that a control changes, its label, its help text, and the values it allows.

``declaration.widget(value)`` makes a plain ipywidgets control, which can be used with the keyboard. Read its value through `tidy`,
which removes rounding errors: in a browser, 0.05 + 19 * 0.05 is not 1.
"""

from dataclasses import dataclass

import ipywidgets

LOOK = {"style": {"description_width": "8em"}, "layout": {"width": "auto"}}


@dataclass(frozen=True)
class Choice:
    """One of several strings. An initial value that is not among them is added, as a notebook may start with one of its own."""

    field: str
    label: str
    help: str
    options: tuple[str, ...]

    def widget(self, value: str) -> ipywidgets.Dropdown:
        options = list(dict.fromkeys([*self.options, value]))
        return ipywidgets.Dropdown(options=options, value=value, description=self.label, tooltip=self.help, **LOOK)


@dataclass(frozen=True)
class Words:
    """Free text with suggestions. It takes effect when Enter is pressed or the field loses the focus."""

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
    """A whole number from ``least`` to ``most``. The range is extended if the initial value lies outside it."""

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
    """A number from ``least`` to ``most``. The range is extended if the initial value lies outside it."""

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
    """True or False."""

    field: str
    label: str
    help: str

    def widget(self, value: bool) -> ipywidgets.Checkbox:
        return ipywidgets.Checkbox(value=value, description=self.label, tooltip=self.help, indent=False)


def tidy(value):
    """The value of a control; floats are rounded to 9 decimals."""
    return round(value, 9) if isinstance(value, float) else value


Control = Choice | Words | Whole | Real | Tick
