"""The augmentation explorer: one poisoned image, the images it is mixed with, the result, and what is left of the perturbation."""

from ... import augment
from ...plots.survival import BATCH
from .. import _trial
from .._controls import Choice, Control, Real, Tick, Whole, Words
from .._panel import Panel
from ._pictures import render as render
from ._pictures import samples as samples
from ._state import VICTIMS, batch
from ._state import State as State
from ._state import prepare as prepare
from ._state import surviving as surviving
from ._state import useful as useful
from ._words import notice
from ._words import samples_words as samples_words
from ._words import words as words

DATA = ("digits", "cifar(classes=10, limit=2000)", "cifar(classes=100, limit=2000)", "tinyimagenet(classes=(0, 10))")
LIVE, LEAST = 100, 20  # samples in the panel's histograms, which are drawn while somebody waits: on digits, and on large images
VALUES = 120_000  # numbers in so many samples, beyond which there are fewer
PRESETS = {
    "CutMix cuts the trigger": State(augmentation="cutmix", sample=1),
    "4-way mixup drowns it": State(augmentation="mixup", k=4),
    "A poison that only an optimiser finds": State(attack="gradient_matching", augmentation="none"),
}


def controls() -> list[Control]:
    """One control for each field of `State`."""
    mixed = [f"{name} + laplace" for name in ("mixup", "cutmix", "cutout")]
    return [
        Choice("attack", "Attack", "the attack that made the poison", _trial.attack_names()),
        Words(
            "augmentation",
            "Augmentation",
            "names joined by +; for a class of your own, its import path",
            ("none", *augment.names(), *mixed),
        ),
        Choice("victim", "Victim", "a network trained on the poisoned set, with the augmentation if it is defended", VICTIMS),
        Choice("data", "Data set", "if it is not on this machine, the line below says where to get it", DATA),
        Whole("k", "Images in a mix", "mixup's k, which counts the image itself", 1, BATCH),
        Real("alpha", "Alpha", "of mixup and CutMix; small: one image dominates, large: all have the same weight", 0.05, 4.0, 0.05),
        Real("probability", "Probability", "of CutMix and flip: that an image is augmented", 0.0, 1.0, 0.05),
        Real("share", "Cutout's side", "as a share of the image's side", 0.0, 1.0, 0.05),
        Real("noise", "Noise", "scale of the Laplacian or Gaussian noise; pixels lie in 0 to 1", 0.0, 0.5, 0.01),
        Whole("image", "Image", "which of the poisons, from 0", 0, 9),
        Whole("sample", "Sample", "another random sample of the same augmentation", 0, 20),
        Whole("seed", "Seed", "another seed chooses other classes and other poisons", 0, 20),
        Tick("many", "Many samples", "what is left over many samples, instead of one sample in detail"),
    ]


def live(state: State) -> int:
    """How many samples the panel's histograms show."""
    (images, _, _) = batch(state.trial, state.image)
    return max(LEAST, min(LIVE, VALUES // images.clean[0].numel()))


def explorer(state: State | None = None) -> Panel:
    """A panel with a control for each choice. ``state``: what it shows first, by default ``State()``."""
    return Panel(
        state or State(),
        controls(),
        render=lambda each: samples(each, live(each)) if each.many else render(each),
        words=lambda each: samples_words(each, live(each)) if each.many else words(each),
        notice=notice,
        useful=useful,
        presets=PRESETS,
    )
