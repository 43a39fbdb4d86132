"""The augmentation explorer: one poisoned image, its partners, what comes out, and how much of the perturbation is left."""

import functools
from dataclasses import dataclass, replace
from textwrap import fill

import torch
from jaxtyping import Float
from seaborn import color_palette
from torch import Tensor

from .. import attacks, augment, registry
from ..augment import Pipeline
from ..plots.drawing import SIZE, Drawing, tiles
from ..plots.survival import BATCH, Batch, Outcome, batch_of, outcome, survival
from . import _trial
from ._controls import Choice, Real, Tick, Whole, Words
from ._panel import Panel

BLUE, ORANGE = color_palette("colorblind")[:2]
NUMBERS = {"k": "k", "alpha": "alpha", "probability": "probability", "share": "share", "scale": "noise"}  # theirs: the state's
LINE, LINES = 36, 3  # letters in a line of a caption, and lines
STRIP, COUNTED, LIVE = 8, 200, 100  # draws that are shown, counted, and counted while somebody waits


@dataclass(frozen=True)
class State:
    """What is looked at. The numbers count where the augmentation's text gives none of its own, as ``"mixup(k=4)"`` does."""

    data: str = "digits"
    attack: str = "patch"
    image: int = 0  # among the poisons
    augmentation: str = "mixup + laplace"
    k: int = 4  # images in a mix
    alpha: float = 1.0  # of the Dirichlet or beta distribution of weights and boxes
    probability: float = 1.0  # that anything happens to an image
    share: float = 0.5  # side of cutout's square as a share of the image's
    noise: float = 0.06  # scale of the noise, pixels being in [0, 1]
    draw: int = 0  # another draw of the same augmentation
    seed: int = 0  # another pair of classes, other poisons, another victim
    victim: str = "none"
    many: bool = False  # many draws instead of one in detail

    def __post_init__(self):
        if self.victim not in _trial.VICTIMS:
            raise ValueError(f"victim={self.victim!r}: choose one of {', '.join(_trial.VICTIMS)}")

    @property
    def pipeline(self) -> Pipeline:
        """Raises LookupError, TypeError or ValueError for a text that means no augmentation."""
        calls = [] if self.augmentation in ("none", "") else registry.parse(self.augmentation)
        return Pipeline(tuple(augment.load(name, **(self._numbers(name) | given)) for name, given in calls))

    def _numbers(self, name: str) -> dict:
        part = augment.load(name)
        return {theirs: getattr(self, ours) for theirs, ours in NUMBERS.items() if hasattr(part, theirs)}

    @property
    def label(self) -> str:
        return " + ".join(registry.label(part) for part in self.pipeline.parts) or "no augmentation"

    @property
    def applied(self) -> str:
        """The same with every mixup's k in words: the tables' ``mixup`` mixes two images, the panel's as many as it says."""
        return " + ".join(_applied(part) for part in self.pipeline.parts) or "no augmentation"


def _applied(part) -> str:
    if not hasattr(part, "k"):
        return registry.label(part)
    return f"{part.k}-way {registry.label(replace(part, k=type(part)().k))}"


@dataclass(frozen=True)
class Scene:
    """A state, computed: everything that its pictures and words show."""

    batch: Batch
    classes: tuple[str, ...]
    count: int  # poisons
    outcome: Outcome
    seen: tuple[str, ...]  # what the victim takes the clean, the poisoned and the augmented image for; "" without a victim

    @property
    def own(self) -> str:
        return self.classes[self.batch.labels[0]]

    @property
    def partners(self) -> list[int]:
        """Positions in the batch that have a share of the label, the largest first, the image itself left out."""
        order = self.outcome.weights.argsort(descending=True, stable=True).tolist()
        return [i for i in order if i and self.outcome.weights[i] > 0]

    @property
    def label(self) -> dict[str, float]:
        """The augmented label: classes and their shares, the largest first."""
        shares = torch.zeros(len(self.classes)).index_add(0, self.batch.labels, self.outcome.weights)
        return {self.classes[i]: shares[i].item() for i in shares.argsort(descending=True, stable=True).tolist() if shares[i] > 0}


@functools.lru_cache(maxsize=32)
def _batch(data: str, attack: str, seed: int, image: int) -> tuple[Batch, tuple[str, ...], int]:
    trial = _trial.trial_of(data, attack, seed)
    train, (poison, _) = _trial.images(trial, "train"), _trial.craft(trial)
    return batch_of(train, poison, image, seed), train.classes, len(poison)


@functools.lru_cache(maxsize=32)
def prepare(state: State) -> Scene:
    """Raises LookupError, TypeError, ValueError or FileNotFoundError, each with words for a reader."""
    batch, classes, count = _batch(state.data, state.attack, state.seed, state.image)
    mixed = outcome(batch, state.pipeline, state.seed, "draw", state.draw)
    return Scene(batch, classes, count, mixed, _seen(state, torch.stack([batch.clean[0], batch.poisoned[0], mixed.image]), classes))


def _seen(state: State, x: Float[Tensor, "3 c h w"], classes: tuple[str, ...]) -> tuple[str, ...]:
    if state.victim == "none":
        return ("", "", "")
    known = state.pipeline if state.victim == "defended" else Pipeline()
    network = _trial.victim(_trial.trial_of(state.data, state.attack, state.seed), known)
    with torch.no_grad():
        top = network(x).softmax(1).max(1)
    return tuple(f"{classes[i]} ({p:.0%})" for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True))


def render(state: State) -> Drawing:
    """One draw in detail: clean image, poison, perturbation, partners, what comes out, its label, and what the victim sees."""
    scene, figure = prepare(state), Drawing()
    batch, weights, partners = scene.batch, scene.outcome.weights, scene.partners
    stage = figure.stage(0.01, 0.0, 0.74, 1.0, wide=4.5)
    change = 0.5 + 5 * batch.perturbation  # ten times the change, in a range from -1 to 1
    titles = [f"clean: {scene.own}", f"poisoned: {scene.own}", "change × 10", f"augmented: {state.applied}"]
    titles[-1] = fill(titles[-1], LINE, max_lines=LINES, break_on_hyphens=False)
    sight = [f"\nseen as {seen}" if seen else "" for seen in scene.seen]
    heads = [title + line for title, line in zip(titles, [*sight[:2], "\ngrey: none", sight[2]], strict=True)]
    tiles(stage, [batch.clean[0], batch.poisoned[0], change, scene.outcome.image], heads, top=0.5)
    stage.text(0, 1.64, "mixed with" if partners else "mixed with nothing in this draw", fontsize=SIZE, va="center")
    shares = [f"{scene.classes[batch.labels[i]]}\n{weights[i]:.0%}" for i in partners]
    tiles(stage, [batch.poisoned[i] for i in partners], shares, top=2.06, side=0.55, pitch=0.64)
    _bars(figure.add_axes((0.84, 0.12, 0.145, 0.72)), scene)
    return figure


def _bars(axis, scene: Scene) -> None:
    """The label's shares; the image's own class in another colour."""
    names, shares = list(scene.label), list(scene.label.values())
    axis.barh(range(len(names)), shares, color=[ORANGE if name == scene.own else BLUE for name in names], height=0.7)
    axis.set(xlim=(0, 1), ylim=(max(len(names), 4) - 0.4, -0.6), xticks=(0, 0.5, 1))
    axis.set_yticks(range(len(names)), names)
    axis.set_title("label after it", fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
    axis.grid(visible=False, axis="y")


@functools.lru_cache(maxsize=32)
def surviving(state: State, n: int = COUNTED) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """(area, energy) over n draws, as `plots.survival.survival` defines them: shares of the perturbation's pixels and of its norm.

    The same draw, with the same noise, is applied to the clean and to the poisoned image; their difference is what is left.
    """
    batch, augmentation = _batch(state.data, state.attack, state.seed, state.image)[0], state.pipeline
    left = survival(batch, [outcome(batch, augmentation, state.seed, "draw", i) for i in range(n)])
    return left.area, left.energy


def draws(state: State, n: int = COUNTED) -> Drawing:
    """Some draws as images, and over ``n`` draws two histograms: how much of the perturbation's area and of its energy is left."""
    (batch, _, _), augmentation = _batch(state.data, state.attack, state.seed, state.image), state.pipeline
    figure, left = Drawing(), surviving(state, n)
    shown = [outcome(batch, augmentation, state.seed, "draw", i) for i in range(STRIP)]
    stage = figure.stage(0.01, 0.6, 0.98, 0.4, wide=STRIP * 1.1)
    tiles(stage, [each.image for each in shown], [f"draw {i}" for i in range(STRIP)], top=0.3, pitch=1.1)
    for start, values, name in zip((0.07, 0.57), left, ("perturbed pixels", "perturbation's norm"), strict=True):
        axis = figure.add_axes((start, 0.15, 0.4, 0.4))
        axis.hist(values.numpy(), bins=21, range=(0, max(1.05, values.max().item())), histtype="stepfilled", color=BLUE)
        axis.set_xlabel(f"share of the {name} that is left; mean {values.mean():.2f}", fontsize=SIZE)
        axis.set_ylabel(f"of {n} draws", fontsize=SIZE)
        axis.locator_params(nbins=3)
        axis.tick_params(labelsize=SIZE)
    return figure


def words(state: State) -> str:
    """What `render` shows, in a line."""
    scene = prepare(state)
    left = survival(scene.batch, [scene.outcome])
    area, energy = left.area.item(), left.energy.item()
    partners = ", ".join(scene.classes[scene.batch.labels[i]] for i in scene.partners) or "none"
    what = f"Poison {state.image} of {scene.count} of {state.attack}, a {scene.own}, under {state.label}; partners: {partners}."
    label = f"It keeps {scene.label.get(scene.own, 0):.0%} of its label"
    left = f"{label}, and {energy:.0%} of the perturbation's norm on {area:.0%} of its pixels."
    if not scene.seen[0]:
        return f"{what} {left}"
    clean, poisoned, augmented = scene.seen
    return (
        f"{what} {left} The {state.victim} victim takes it clean for {clean}, poisoned for {poisoned}, augmented for {augmented}."
    )


def draws_words(state: State, n: int = COUNTED) -> str:
    """What `draws` shows, in a line."""
    area, energy = (values.mean().item() for values in surviving(state, n))
    left = f"On average {energy:.0%} of the perturbation's norm is left, on {area:.0%} of its pixels."
    return f"{STRIP} of {n} draws of {state.label}. {left}"


def notice(state: State) -> str:
    """What takes long: poisons are crafted once for each attack and seed, a victim is trained once for each of its choices."""
    craft = f"Crafting {state.attack} on {state.data}, seed {state.seed}"
    if state.victim == "none" or state.many:
        return f"{craft} ..."
    return f"{craft}, and training its {state.victim} victim{f' with {state.label}' if state.victim == 'defended' else ''} ..."


def controls() -> list:
    mixed = [f"{name} + laplace" for name in ("mixup", "cutmix", "cutout")]
    return [
        Choice("attack", "Attack", "what poisons the image", tuple(attacks.names())),
        Words("augmentation", "Augmentation", "names joined by +", ("none", *augment.names(), *mixed)),
        Choice("victim", "Victim", "a network trained on the poisoned set, with the augmentation if defended", _trial.VICTIMS),
        Choice("data", "Images", "the data set; one that is not on this machine says where to get it", _trial.DATA),
        Whole("k", "Images mixed", "k of mixup, the image itself included", 1, BATCH),
        Real("alpha", "Alpha", "small: one image dominates a mix; large: all weigh the same", 0.05, 4.0, 0.05),
        Real("probability", "Probability", "that an image is augmented at all", 0.0, 1.0, 0.05),
        Real("share", "Box side", "of cutout, as a share of the image's side", 0.0, 1.0, 0.05),
        Real("noise", "Noise", "scale of the noise, pixels being in 0 to 1", 0.0, 0.5, 0.01),
        Whole("image", "Image", "which of the poisons", 0, 9),
        Whole("draw", "Draw", "another draw of the same augmentation", 0, 20),
        Whole("seed", "Seed", "another pair of classes, other poisons", 0, 20),
        Tick("many", "Many draws", "what is left over many draws, instead of one draw in detail"),
    ]


def explorer(state: State = State()) -> Panel:
    """The panel that goes through all states, beginning with this one."""
    return Panel(
        state,
        controls(),
        render=lambda each: draws(each, LIVE) if each.many else render(each),
        words=lambda each: draws_words(each, LIVE) if each.many else words(each),
        notice=notice,
    )
