"""Sentences that say what the augmentation explorer's pictures show."""

from ...plots.survival import survival
from ._pictures import STRIP
from ._state import COUNTED, State, prepare, surviving


def words(state: State) -> str:
    """What `render` shows, in a line."""
    example = prepare(state)
    left = survival(example.batch, [example.outcome])
    partners = ", ".join(example.classes[example.batch.labels[i]] for i in example.partners)
    return (
        f"Poison {state.image} of {example.count} of {state.attack}, class {example.own_class}, under {state.label}, "
        f"{f'mixed with images of class {partners}' if partners else 'not mixed with other images'}. "
        f"It keeps {example.label.get(example.own_class, 0):.0%} of its label and {left.energy.item():.0%} of the perturbation's "
        f"norm, on {left.area.item():.0%} of its pixels.{_predicted(state)}"
    )


def _predicted(state: State) -> str:
    if state.victim == "none":
        return ""
    clean, poisoned, augmented = prepare(state).predictions
    found = f"{clean} for the clean image, {poisoned} for the poison, {augmented} after augmentation"
    return f" The {state.victim} victim predicts {found}."


def samples_words(state: State, n: int = COUNTED) -> str:
    """What `samples` shows, in a line."""
    left = surviving(state, n)
    return (
        f"{STRIP} of {n} samples of {state.label}. On average, {left.energy.mean().item():.0%} of the perturbation's norm is left, "
        f"on {left.area.mean().item():.0%} of its pixels."
    )


def notice(state: State) -> str:
    """The slow work that a state needs: each poison is crafted once, and each victim is trained once."""
    craft = f"Crafting {state.attack} on {state.data}, seed {state.seed}"
    if state.victim == "none" or state.many:
        return f"{craft} ..."
    return f"{craft}, and training the {state.victim} victim{f' with {state.label}' if state.victim == 'defended' else ''} ..."
