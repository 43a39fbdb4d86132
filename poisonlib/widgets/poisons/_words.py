"""Sentences that say what the poison explorer's pictures show."""

from jaxtyping import Float
from torch import Tensor

from ... import registry
from ...attacks.gradient_matching import GradientMatching
from ...data import Goal
from ...experiments import Trial
from ...tensors import to_float
from .. import _trial
from . import _pictures, inside
from ._state import State

PLACES = {"poisons": "the poisons", "intended": "the rest of the intended class", "source": "its own class"}


def _named(source: Trial) -> tuple[Goal, str, str]:
    """The goal, the name of the source class, and that of the intended class."""
    goal, classes = inside.poison(source)[1], _trial.images(source, "train").classes
    return goal, classes[goal.source_class], classes[goal.intended_class]


def poisons(source: Trial, page: int) -> str:
    """What `_pictures.poisons` shows."""
    train, (made, _), (goal, true, intended) = _trial.images(source, "train"), inside.poison(source), _named(source)
    shown, at = _pictures.page_of(made, page), train.positions(made.ids)
    change = (to_float(made.images) - to_float(train.images[at])).abs().amax().item()
    labels = [train.classes[i] for i in train.labels[at].unique().tolist()]
    of = f"of class {labels[0]}" if len(labels) == 1 else f"of the classes {', '.join(labels)}"
    aim = f"{len(goal.images)} test images" if len(goal.images) > 1 else "one test image"
    return (
        f"{registry.name_of(source.attack)}, seed {source.seed}: the attacker wants {aim} of class {true} to be classified as "
        f"{intended}. {len(made)} of {len(train)} training images are poisoned, all {of}, and keep their labels; no pixel changes "
        f"by more than {change * 255:.0f}/255. Poisons {shown[0]} to {shown[-1]} are shown."
    )


def craft(source: Trial) -> str:
    """What `_pictures.craft` shows."""
    values, name = inside.trace(source), registry.name_of(source.attack)
    if values is None:
        return f"{name} optimises nothing, so there are no crafting steps to show."
    steps = f"{values[0]:.2f} before the first step and {values[-1]:.3f} before the last of {len(values)} steps"
    if not isinstance(source.attack, GradientMatching):
        return f"The objective of {name} is {steps}.{_transfer(source)}"
    return (
        f"{name} turns the gradient of the poisons towards that of the target: the misalignment, 1 − cosine, is {steps}; "
        f"0 is perfect, 1 is chance.{_transfer(source)}"
    )


def _transfer(source: Trial) -> str:
    """A sentence on the objective on a network that the attacker does not have; "" where that was not measured."""
    if not (found := inside.held_out(source)):
        return ""
    poisons, unpoisoned = found
    so = "the poisons transfer" if poisons < unpoisoned else "the poisons do not transfer"
    return (
        f" On a clean network that the attacker does not have, it is {poisons:.2f}, and {unpoisoned:.2f} for the same images "
        f"unpoisoned: {so}."
    )


def training(trial: Trial, epoch: int) -> str:
    """What `_pictures.training` shows: the probabilities after an epoch, or after the last if there are fewer."""
    goal, true, intended = _named(inside.known(trial))
    last = min(max(epoch, 1), trial.recipe.epochs)
    found = {name: inside.victim(trial, kind).probabilities[last - 1] for kind, name in _pictures.titles(trial).items()}
    of = f"the average for {len(goal.images)} images" if len(goal.images) > 1 else "for the target"
    said = [
        f"{name}: {_percent(each, goal.intended_class)} and {_percent(each, goal.source_class)}" for name, each in found.items()
    ]
    return (
        f"Probabilities of the intended class {intended} and the source class {true} after {last} of {trial.recipe.epochs} epochs, "
        f"{of}: {'; '.join(said)}."
    )


def _percent(probabilities: Float[Tensor, " k"], label: int) -> str:
    return f"{probabilities[label].item():.0%}"


def features(source: Trial) -> str:
    """What `_pictures.features` shows, and which group's mean lies nearest to the target's."""
    groups, shares = inside.groups(source)
    (goal, true, intended), target = _named(source), groups["target"].mean(0)
    nearest = min((name for name in PLACES if len(groups[name])), key=lambda name: (groups[name].mean(0) - target).norm().item())
    what = f"the mean of {len(goal.images)} targets" if len(goal.images) > 1 else "the target"
    return (
        f"The undefended victim's features of the training images of classes {intended} (intended) and {true} (source), in the "
        f"plane of the two principal components, which hold {shares.sum():.0%} of the variance. In it, {what} lies nearest to the "
        f"mean of {PLACES[nearest]}."
    )


def filters(trial: Trial) -> str:
    """What `_pictures.filters` shows."""
    source = inside.known(trial)
    train, count = _trial.images(source, "train"), len(inside.poison(source)[0])
    said = [f"{name}: {', '.join(_pictures.counted(each, count))}" for name, each in inside.filtered(trial).items()]
    return (
        f"{count} of {len(train)} training images are poisons. What each filter would remove, given that share and the undefended "
        f"victim's features: {'; '.join(said)}."
    )


def notice(state: State) -> str:
    """The slow work that a state needs: poisons are crafted once for each attack and seed, each victim is trained once."""
    work = f"Crafting {state.attack}, seed {state.seed}"
    if state.view in ("poisons", "craft"):
        return f"{work} ..."
    if state.view == "training":
        defended = f", one of them with {state.defence}" if state.defence not in ("none", "") else ""
        return f"{work}, and training victims{defended}: this takes some seconds ..."
    last = "computing its features" if state.view == "features" else "filtering by its features"
    return f"{work}, training a victim, and {last}: this takes some seconds ..."
