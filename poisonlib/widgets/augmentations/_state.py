"""What the augmentation explorer shows: the state, and everything that is computed from it."""

import functools
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from ... import augment, registry, training
from ...augment import Augment, Pipeline
from ...experiments import Trial
from ...models import Network
from ...plots.survival import Batch, Outcome, Survival, batch_of, outcome, survival
from .. import _trial

SLIDERS = {
    "k": "k",
    "alpha": "alpha",
    "probability": "probability",
    "share": "share",
    "scale": "noise",
}  # argument: field of `State`
VICTIMS = ("none", "undefended", "defended")
COUNTED = 200  # samples in the histograms


@dataclass(frozen=True)
class State:
    """The choices of the explorer.

    ``k`` to ``noise`` are the arguments of this package's augmentations, unless the text gives its own, as ``"mixup(k=4)"`` does.
    An augmentation from elsewhere takes its arguments from the text alone.
    """

    data: str = "digits"
    attack: str = "patch"
    image: int = 0  # which of the poisons, from 0
    augmentation: str = "mixup + laplace"
    k: int = 4  # images in a mix
    alpha: float = 1.0  # of the Dirichlet or beta distribution of the weights
    probability: float = 1.0  # with which an image is augmented
    share: float = 0.5  # side of cutout's square as a share of the image's side
    noise: float = 0.06  # scale of the noise, in units of [0, 1]
    sample: int = 0  # which random sample of the augmentation
    seed: int = 0  # of the classes, the poisons and the victim
    victim: str = "none"  # whose predictions are shown
    many: bool = False  # many samples instead of one

    def __post_init__(self):
        if self.victim not in VICTIMS:
            raise ValueError(f"victim={self.victim!r}: choose one of {', '.join(VICTIMS)}")

    @property
    def trial(self) -> Trial:
        """The trial without a defence whose poisons are shown."""
        return _trial.trial_of(self.data, self.attack, self.seed)

    @property
    def pipeline(self) -> Pipeline:
        """The augmentation. Raises LookupError, TypeError or ValueError if the text is not one."""
        calls = [] if self.augmentation in ("none", "") else registry.parse(self.augmentation)
        return Pipeline(tuple(augment.load(name, **(self._sliders(name) | given)) for name, given in calls))

    def _sliders(self, name: str) -> dict:
        """The values of the sliders that are arguments of one of this package's augmentations."""
        return {theirs: getattr(self, ours) for theirs, ours in SLIDERS.items() if theirs in _arguments(name)}

    @property
    def label(self) -> str:
        """The augmentation with all values that differ from their defaults."""
        return " + ".join(registry.label(part) for part in self.pipeline.parts) or "no augmentation"


def _arguments(name: str) -> set[str]:
    """The arguments of one of this package's augmentations; of none for an augmentation from elsewhere."""
    return {field.name for field in fields(registry.find(augment.__name__, Augment, name))} if name in augment.names() else set()


def useful(state: State) -> set[str]:
    """The fields that have an effect in a state: sliders by the augmentation's arguments, unless the text gives these."""
    calls = [] if state.augmentation in ("none", "") else registry.parse(state.augmentation)
    taken = {theirs for name, given in calls for theirs in _arguments(name) - set(given)}
    sliders = {ours for theirs, ours in SLIDERS.items() if theirs in taken}
    return {"data", "attack", "augmentation", "image", "seed", "many"} | sliders | (set() if state.many else {"sample", "victim"})


@dataclass(frozen=True)
class Example:
    """One poison and its augmentation."""

    batch: Batch
    classes: tuple[str, ...]
    count: int  # poisons that the attack made
    outcome: Outcome
    predictions: tuple[str, ...]  # for the clean, the poisoned and the augmented image: class and probability; "" without a victim

    @property
    def own_class(self) -> str:
        """The label of the poison."""
        return self.classes[self.batch.labels[0]]

    @property
    def partners(self) -> list[int]:
        """Positions in the batch of the other images that have a share of the label, the largest share first."""
        order = self.outcome.weights.argsort(descending=True, stable=True).tolist()
        return [i for i in order if i and self.outcome.weights[i] > 0]

    @property
    def label(self) -> dict[str, float]:
        """The augmented label: the share of each class, the largest first; classes without a share are left out."""
        shares = torch.zeros(len(self.classes)).index_add(0, self.batch.labels, self.outcome.weights)
        return {self.classes[i]: shares[i].item() for i in shares.argsort(descending=True, stable=True).tolist() if shares[i] > 0}


@functools.lru_cache(maxsize=32)
def batch(trial: Trial, image: int) -> tuple[Batch, tuple[str, ...], int]:
    """(a poison among other training images, the classes, the number of poisons)."""
    train, (poison, _) = _trial.images(trial, "train"), _trial.craft(trial)
    return batch_of(train, poison, image, trial.seed), train.classes, len(poison)


def prepare(state: State) -> Example:
    """The poison and its augmentation. Raises LookupError, TypeError, ValueError or FileNotFoundError, each with a message."""
    return _prepare(state, state.trial, state.pipeline)


# The cache's keys hold objects beside the text: a class of the user's own may have been changed since.
@functools.lru_cache(maxsize=32)
def _prepare(state: State, trial: Trial, augmentation: Pipeline) -> Example:
    images, classes, count = batch(trial, state.image)
    augmented = outcome(images, augmentation, state.seed, "draw", state.sample)
    shown = torch.stack([images.clean[0], images.poisoned[0], augmented.image])
    return Example(images, classes, count, augmented, _predictions(state, shown, classes))


def _predictions(state: State, x: Float[Tensor, "3 c h w"], classes: tuple[str, ...]) -> tuple[str, ...]:
    if state.victim == "none":
        return ("", "", "")
    network = victim(state.trial, state.pipeline if state.victim == "defended" else Pipeline())
    with torch.no_grad():
        top = network(x).softmax(1).max(1)
    return tuple(f"{classes[i]} ({p:.0%})" for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True))


@functools.lru_cache(maxsize=32)
def victim(trial: Trial, defence: Pipeline) -> Network:
    """A network trained on the trial's poisoned set with these augmentations, in eval mode."""
    train = _trial.images(trial, "train").with_poison(_trial.craft(trial)[0])
    return training.train(trial.model, train, trial.recipe, seed=trial.seed, augment=defence, numerics=trial.numerics)


def surviving(state: State, n: int = COUNTED) -> Survival:
    """What is left of the perturbation in each of n samples of the augmentation, as `poisonlib.plots.survival` measures it."""
    return _surviving(state.trial, state.image, state.pipeline, n)


@functools.lru_cache(maxsize=32)
def _surviving(trial: Trial, image: int, augmentation: Pipeline, n: int) -> Survival:
    images = batch(trial, image)[0]
    return survival(images, _outcomes(trial, image, augmentation, n))


def outcomes(state: State, n: int) -> list[Outcome]:
    """The first n samples of the augmentation."""
    return _outcomes(state.trial, state.image, state.pipeline, n)


@functools.lru_cache(maxsize=2)
def _outcomes(trial: Trial, image: int, augmentation: Pipeline, n: int) -> list[Outcome]:
    images = batch(trial, image)[0]
    return [outcome(images, augmentation, trial.seed, "draw", i) for i in range(n)]
