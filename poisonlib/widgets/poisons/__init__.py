"""The poison explorer: one trial from the inside, from the poisons and their crafting to victims, features and filters."""

from torch import nn

from ... import augment, steps
from ... import filters as filter_room
from ...plots.drawing import Drawing, blank
from .. import _trial
from .._controls import Choice, Control, Whole, Words
from .._panel import Panel
from . import _pictures, _words, inside
from ._state import EPOCHS, useful
from ._state import VIEWS as VIEWS
from ._state import State as State
from ._words import notice as notice

PRESETS = {
    "A poison that only an optimiser finds": State(view="craft"),
    "As much noise does nothing": State(view="training", attack="noise"),
    "4-way mixup drowns it": State(view="training", defence="mixup(k=4)"),
    "A trigger in a victim's features": State(view="features", attack="patch"),
}


def render(state: State) -> Drawing:
    """The picture of a state. Raises LookupError, TypeError or ValueError, each with a message for the reader."""
    return _of(_pictures, state)


def words(state: State) -> str:
    """What `render` shows, in a line or two."""
    return _of(_words, state)


def _of(module, state: State):
    """The view's picture or words."""
    trial = state.trial
    source = inside.known(trial)
    views = {
        "poisons": lambda: module.poisons(source, state.page),
        "craft": lambda: module.craft(source),
        "training": lambda: module.training(trial, state.epoch),
        "features": lambda: module.features(source),
        "filters": lambda: module.filters(trial),
    }
    return views[state.view]()


def _runs(step: str) -> bool:
    """Whether what a step needs is installed: Opacus is an option."""
    try:
        steps.load(step).validate(nn.Identity())
    except ValueError:
        return False
    return True


def early(state: State) -> Drawing | None:
    """What is known before the slow work: which images gradient matching will poison; for other views, the notice."""
    return _pictures.early(inside.known(state.trial), state.page) if state.view == "poisons" else blank(notice(state))


def controls() -> list[Control]:
    """One control for each field of `State`."""
    known = ("none", "mixup(k=4)", *augment.names(), *filter(_runs, steps.names()), *filter_room.names())
    return [
        Choice("view", "View", "which part of the trial is shown", VIEWS),
        Choice("attack", "Attack", "the attack that poisons the training set", _trial.attack_names()),
        Words("defence", "Defence", "of one more victim: names joined by +; for a class of your own, its import path", known),
        Whole("page", "Page", "of the poisons, from 0", 0, 3),
        Whole("seed", "Seed", "another seed chooses other classes, poisons and victims", 0, 20),
        Whole("epoch", "Epoch", "training view: how far the victims are; the play button goes through them", 1, EPOCHS),
    ]


def explorer(state: State | None = None) -> Panel:
    """A panel with a control for each choice. ``state``: what it shows first, by default ``State()``."""
    return Panel(state or State(), controls(), render, words, notice, early, useful, PRESETS, play="epoch")
