"""The poison explorer: one trial from the inside, from the poisons and their crafting to victims, features and filters."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .. import attacks, augment, registry, steps
from .. import filters as sieves
from ..data import Goal
from ..experiments import Trial
from ..plots.drawing import Drawing, blank
from ..tensors import to_float
from . import _inside_pictures as pictures
from . import _trial, inside
from ._controls import Choice, Whole, Words
from ._panel import Panel

VIEWS = ("poisons", "craft", "training", "features", "filters")
PLACES = {"poisons": "the poisons", "base": "the rest of the wanted class", "true": "its own class"}


@dataclass(frozen=True)
class State:
    """What is looked at. The trial is that of the smallest profile which has numbers for the attack, on scikit-learn's digits."""

    view: str = "poisons"
    attack: str = "gradient_matching"
    defence: str = "none"  # of the victim that is compared with the undefended one
    page: int = 0  # of the poisons
    seed: int = 0  # another pair of classes, other poisons, other victims

    def __post_init__(self):
        if self.view not in VIEWS:
            raise ValueError(f"view={self.view!r}: choose one of {', '.join(VIEWS)}")

    @property
    def trial(self) -> Trial:
        """Raises LookupError, TypeError or ValueError for texts that mean no attack or defence, or do not go together."""
        return _trial.trial_of("digits", self.attack, self.seed, self.defence or "none")


def render(state: State) -> Drawing:
    """The state's view. Raises LookupError, TypeError or ValueError, each with words for a reader."""
    trial = state.trial
    source = inside.known(trial)
    if state.view == "poisons":
        return pictures.poisons(source, state.page)
    if state.view == "training":
        return pictures.training(trial)
    return {"craft": pictures.craft, "features": pictures.features, "filters": pictures.filters}[state.view](source)


def words(state: State) -> str:
    """What `render` shows, in a line or two."""
    trial = state.trial
    if state.view == "training":
        return _training(trial)
    source = inside.known(trial)
    if state.view == "poisons":
        return _poisons(source, state.page)
    return {"craft": _craft, "features": _features, "filters": _filters}[state.view](source)


def _named(source: Trial) -> tuple[Goal, str, str]:
    """The goal, the true and the wanted class by name."""
    goal, classes = inside.poison(source)[1], _trial.images(source, "train").classes
    return goal, classes[goal.labels[0]], classes[goal.wanted]


def _poisons(source: Trial, page: int) -> str:
    train, (made, _), (goal, true, wanted) = _trial.images(source, "train"), inside.poison(source), _named(source)
    shown = pictures.page_of(made, page)
    change = (to_float(made.images) - to_float(train.images[train.positions(made.rows)])).abs().amax().item()
    aim = f"{len(goal.images)} test images" if len(goal.images) > 1 else "one test image"
    return (
        f"{registry.name_of(source.attack)}, seed {source.seed}: {aim} of class {true} shall be taken for class {wanted}. "
        f"{len(made)} of {len(train)} training images are poisoned, all of class {wanted}, and keep that label; no pixel moves "
        f"by more than {change * 255:.0f}/255. Shown are poisons {shown[0]} to {shown[-1]}."
    )


def _craft(source: Trial) -> str:
    values, name = inside.trace(source), registry.name_of(source.attack)
    if values is None:
        return f"{name} does not optimise its poisons: it makes them in one go, so there is no objective to follow."
    return (
        f"{name} turns the poisons' gradient towards the target's: 1 − cosine falls from {values[0]:.2f} before the first step "
        f"to {values[-1]:.3f} before the last of {len(values)}; 0 is perfect, 1 is chance."
    )


def _training(trial: Trial) -> str:
    goal, true, wanted = _named(inside.known(trial))
    found = {name: inside.victim(trial, kind).probabilities[-1] for kind, name in pictures.titles(trial).items()}
    of = f"{len(goal.images)} images of class {true} are on average" if len(goal.images) > 1 else f"the target, class {true}, is"
    label = int(goal.labels[0])
    said = [f"{name}: {_share(each, goal.wanted)} (true class {_share(each, label)})" for name, each in found.items()]
    return f"After {trial.recipe.epochs} epochs {of} taken for class {wanted} with probability: {'; '.join(said)}."


def _share(probabilities: Float[Tensor, " k"], label: int) -> str:
    return f"{probabilities[label].item():.0%}"


def _features(source: Trial) -> str:
    groups, shares = inside.groups(source)
    (goal, true, wanted), target = _named(source), groups["target"].mean(0)
    nearest = min(PLACES, key=lambda name: (groups[name].mean(0) - target).norm().item())
    what = f"the middle of {len(goal.images)} targets" if len(goal.images) > 1 else "the target"
    return (
        f"Training images of classes {wanted} (wanted) and {true} in the undefended victim's features, on the two components "
        f"that hold {shares.sum():.0%} of their variance. There {what} lies nearest to the middle of {PLACES[nearest]}."
    )


def _filters(source: Trial) -> str:
    train, count = _trial.images(source, "train"), len(inside.poison(source)[0])
    said = [f"{e.name} {e.removed}, {e.poisons} of them poisons (ROC area {e.area:.2f})" for e in inside.verdicts(source)]
    return (
        f"Of {len(train)} training images {count} are poisons. What each filter, told that number, would remove, judging by the "
        f"undefended victim's features: {'; '.join(said)}."
    )


def notice(state: State) -> str:
    """What takes long: poisons are crafted once for each attack and seed, victims trained once for each defence as well."""
    work = f"Crafting {state.attack}, seed {state.seed}"
    if state.view in ("poisons", "craft"):
        return f"{work} ..."
    if state.view == "training":
        defended = f", one under {state.defence}" if state.defence not in ("none", "") else ""
        return f"{work}, and training victims{defended}: some seconds ..."
    last = "looking at its features" if state.view == "features" else "filtering by its features"
    return f"{work}, training a victim, and {last}: some seconds ..."


def early(state: State) -> Drawing | None:
    """What is known of the picture before that is done: of the poisons which images they will be, of the other views words."""
    return pictures.beginning(inside.known(state.trial), state.page) if state.view == "poisons" else blank(notice(state))


def controls() -> list:
    known = ("none", "mixup(k=4)", *augment.names(), *steps.names(), *sieves.names())
    return [
        Choice("view", "View", "which part of the trial", VIEWS),
        Choice("attack", "Attack", "what poisons the training set", tuple(attacks.names())),
        Words("defence", "Defence", "of one more victim: names joined by +", known),
        Whole("page", "Page", "of the poisons", 0, 3),
        Whole("seed", "Seed", "another pair of classes, other poisons, other victims", 0, 20),
    ]


def explorer(state: State = State()) -> Panel:
    """The panel that goes through all states, beginning with this one."""
    return Panel(state, controls(), render, words, notice, early)
