"""Pictures of the augmentation explorer."""

from dataclasses import replace
from textwrap import fill

from matplotlib.axes import Axes

from ... import registry
from ...augment import Augment
from ...augment.mixup import Mixup
from ...plots.drawing import SIZE, Drawing, tiles
from ...plots.style import CLEAN, POISONED
from ._state import COUNTED, Example, State, outcomes, prepare, surviving

LINE, LINES = 36, 3  # of a caption: characters in a line, lines
STRIP = 8  # samples that are shown as images


def render(state: State) -> Drawing:
    """One sample: the clean image, the poison, the perturbation, the images it is mixed with, the result, its label, and the
    victim's predictions.
    """
    example, figure = prepare(state), Drawing()
    images, weights, partners = example.batch, example.outcome.weights, example.partners
    stage = figure.stage(0.01, 0.0, 0.74, 1.0, wide=4.5)
    factor = magnified(images.perturbation.abs().max().item())
    change = 0.5 + factor * images.perturbation / 2
    augmented = fill(f"augmented: {_applied(state)}", LINE, max_lines=LINES, break_on_hyphens=False)
    titles = [f"clean: {example.own_class}", f"poisoned: {example.own_class}", f"change × {factor:g}", augmented]
    predicted = [f"\npredicted: {each}" if each else "" for each in example.predictions]
    heads = [title + line for title, line in zip(titles, [*predicted[:2], "\ngrey: none", predicted[2]], strict=True)]
    tiles(stage, [images.clean[0], images.poisoned[0], change, example.outcome.image], heads, top=0.5)
    stage.text(0, 1.64, "mixed with" if partners else "not mixed in this sample", fontsize=SIZE, va="center")
    shares = [f"{example.classes[images.labels[i]]}\n{weights[i]:.0%}" for i in partners]
    tiles(stage, [images.poisoned[i] for i in partners], shares, top=2.06, side=0.55, pitch=0.64)
    _label_bars(figure.add_axes((0.84, 0.12, 0.145, 0.72)), example)
    return figure


def magnified(largest: float) -> float:
    """By how much a change of at most ``largest`` (pixels in [0, 1]) is multiplied to be seen: 1, 2, 5, 10, ..., never beyond 1."""
    steps = [mantissa * 10.0**power for power in range(3) for mantissa in (1, 2, 5)]
    return max((step for step in steps if step * largest <= 1), default=1.0)


def _applied(state: State) -> str:
    return " + ".join(map(_applied_part, state.pipeline.parts)) or "no augmentation"


def _applied_part(part: Augment) -> str:
    """An augmentation as its label, but mixup always with its number of images: ``"4-way mixup"``."""
    if not isinstance(part, Mixup):
        return registry.label(part)
    return f"{part.k}-way {registry.label(replace(part, k=Mixup.k))}"


def _label_bars(axis: Axes, example: Example) -> None:
    """The share of each class in the augmented label; the poison's own class has another colour."""
    names, shares = list(example.label), list(example.label.values())
    axis.barh(range(len(names)), shares, color=[POISONED if name == example.own_class else CLEAN for name in names], height=0.7)
    axis.set(xlim=(0, 1), ylim=(max(len(names), 4) - 0.4, -0.6), xticks=(0, 0.5, 1))
    axis.set_yticks(range(len(names)), names)
    axis.set_title("augmented label", fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
    axis.grid(visible=False, axis="y")


def samples(state: State, n: int = COUNTED) -> Drawing:
    """Eight samples as images, and histograms over ``n`` samples: what share of the perturbation's pixels and norm is left."""
    figure, left = Drawing(), surviving(state, n)
    shown = [each.image for each in outcomes(state, n)[:STRIP]]
    stage = figure.stage(0.01, 0.6, 0.98, 0.4, wide=STRIP * 1.1)
    tiles(stage, shown, [f"sample {i}" for i in range(STRIP)], top=0.3, pitch=1.1)
    for start, values, name in ((0.07, left.area, "perturbed pixels"), (0.57, left.energy, "perturbation's norm")):
        axis = figure.add_axes((start, 0.15, 0.4, 0.4))
        axis.hist(values.numpy(), bins=21, range=(0, max(1.05, values.max().item())), histtype="stepfilled", color=POISONED)
        axis.set_xlabel(f"share of the {name} that is left; mean {values.mean():.2f}", fontsize=SIZE)
        axis.set_ylabel(f"of {n} samples", fontsize=SIZE)
        axis.locator_params(nbins=3)
        axis.tick_params(labelsize=SIZE)
    return figure
