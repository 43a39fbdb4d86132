"""Pictures of one trial from the inside. Orange is the attacker's, blue the target's true class, grey the rest."""

import textwrap
from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from seaborn import color_palette
from torch import Tensor

from ..data import Goal, ImageSet, Poison
from ..experiments import Trial
from ..plots.drawing import SIZE, Drawing, tiles
from ..tensors import to_float
from . import _trial, inside

BLUE, ORANGE = color_palette("colorblind")[:2]
GREY, BLACK = "0.55", "0.1"
PAGE = 8  # poisons in a picture
TOPS = (0.6, 1.8, 3.0)  # of its rows
INCHES = (8.6, 3.2)
MARKS = {  # group: what it is called, marker, colour, size in square points
    "base": ("rest of the wanted class {wanted}", "o", GREY, 14),
    "true": ("target's class {true}", "s", BLUE, 14),
    "poisons": ("poisons, of class {wanted}", "^", ORANGE, 34),
    "target": ("target", "*", BLACK, 110),
}


def page_of(made: Poison, page: int) -> range:
    """The poisons on a page. Raises ValueError for a page that there is not."""
    last = (len(made) - 1) // PAGE
    if not 0 <= page <= last:
        raise ValueError(f"page={page}: {len(made)} poisons end on page {last}, counted from 0")
    return range(page * PAGE, min((page + 1) * PAGE, len(made)))


def poisons(source: Trial, page: int) -> Drawing:
    """The target, and a page of poisons: the clean images, the changes, enlarged to fill the range of grey, and the results."""
    train, (made, goal) = _trial.images(source, "train"), inside.poison(source)
    clean, after = to_float(train.images[train.positions(made.rows)]), to_float(made.images)
    factor = 1 / (after - clean).abs().amax().item()
    change = 0.5 + factor * (after - clean) / 2
    figure, stage = _beside_the_target(train, goal)
    shown = page_of(made, page)
    _row(stage, TOPS[0], "clean", clean, shown, [f"poison {i}" for i in shown])
    _row(stage, TOPS[1], f"change\n× {factor:.1f}\ngrey: none", change, shown)
    _row(stage, TOPS[2], "poisoned", after, shown)
    return figure


def beginning(source: Trial, page: int) -> Drawing | None:
    """What `poisons` will show and is known before the poisons are crafted; None where they are crafted as quickly."""
    if not (known := inside.beginning(source)):
        return None
    (clean, goal), train = known, _trial.images(source, "train")
    figure, stage = _beside_the_target(train, goal)
    shown = page_of(clean, page)
    _row(stage, TOPS[0], "clean", to_float(clean.images), shown, [f"poison {i}" for i in shown])
    stage.text(0, TOPS[1] + 0.5, "The poisons are being crafted ...", va="center", fontsize=SIZE)
    return figure


def _beside_the_target(train: ImageSet, goal: Goal) -> tuple[Drawing, Axes]:
    """A figure with the target at its left, and a stage for rows of poisons beside it."""
    figure = Drawing(INCHES)
    many = f", 1 of {len(goal.images)}" if len(goal.images) > 1 else ""
    true, wanted = train.classes[goal.labels[0]], train.classes[goal.wanted]
    left = figure.stage(0.01, 0.0, 0.17, 1.0, wide=1.0)
    tiles(left, [to_float(goal.images[0])], [f"target{many}\nclass {true}, wanted {wanted}"], top=0.65)
    stage = figure.stage(0.2, 0.0, 0.79, 1.0, wide=9.5)
    stage.set_xlim(-0.95, 8.55)
    return figure, stage


def _row(stage: Axes, top: float, name: str, images: Float[Tensor, "m c h w"], shown: range, captions: Sequence[str] = ()) -> None:
    tiles(stage, list(images[shown]), captions or [""] * len(shown), top=top, pitch=1.08)
    stage.text(-0.1, top + 0.5, name, ha="right", va="center", fontsize=SIZE)


def craft(source: Trial) -> Drawing:
    """The misalignment before each step, below what a gradient in any direction has."""
    values, figure = inside.trace(source), Drawing(INCHES)
    if values is None:
        figure.text(0.5, 0.5, "This attack does not optimise: there are no steps to show.", ha="center", fontsize=SIZE + 1)
        return figure
    axis = figure.add_axes((0.08, 0.17, 0.9, 0.78))
    axis.axhline(1, color=GREY, linestyle="--")
    axis.text(len(values), 1.02, "chance", color=BLACK, fontsize=SIZE, ha="right", va="bottom")
    axis.plot(range(1, len(values) + 1), values.numpy(), color=ORANGE)
    axis.set(xlim=(1, max(len(values), 2)), ylim=(0, max(1.15, 1.05 * values.max().item())))
    _label(axis, "crafting step", "misalignment, 1 − cosine")
    return figure


def training(trial: Trial) -> Drawing:
    """For each victim the probabilities of the goal's images over the epochs: wanted class, true class, largest other one."""
    kinds, figure = titles(trial), Drawing(INCHES)
    goal = inside.poison(inside.known(trial))[1]
    for place, (kind, title) in enumerate(kinds.items()):
        axis = figure.add_axes((0.07 + place * 0.93 / len(kinds), 0.28, 0.93 / len(kinds) - 0.035, 0.58))
        values = inside.victim(trial, kind).probabilities
        others = values[:, [i for i in range(values.shape[1]) if i not in (goal.wanted, goal.labels[0])]].amax(1)
        epochs = range(1, len(values) + 1)
        axis.plot(epochs, values[:, goal.wanted].numpy(), color=ORANGE, label="wanted class")
        axis.plot(epochs, values[:, goal.labels[0]].numpy(), color=BLUE, label="true class")
        axis.plot(epochs, others.numpy(), color=GREY, linestyle="--", label="largest other class")
        axis.set(xlim=(1, max(len(values), 2)), ylim=(-0.02, 1.02), yticks=(0, 0.5, 1))
        axis.set_xticks((1, len(values) // 2, len(values)))
        axis.tick_params(labelleft=not place)
        axis.set_title(textwrap.fill(title, 34), fontsize=SIZE, y=1.0)  # a given place need not be found
        _label(axis, "epoch", "" if place else "target's probability")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=SIZE, frameon=False)
    return figure


def titles(trial: Trial) -> dict[str, str]:
    """The trial's victims and what they are called; one is defended where there is a defence."""
    names = {"clean": "clean set (control)", "undefended": "poisoned set, undefended"}
    return names | ({"defended": f"poisoned set, {trial.defence.label}"} if trial.defence.label != "none" else {})


def features(source: Trial) -> Drawing:
    """The two classes in a plane of the undefended victim's features, poisons and target marked."""
    (groups, shares), figure = inside.groups(source), Drawing(INCHES)
    goal, classes = inside.poison(source)[1], _trial.images(source, "train").classes
    names = {"wanted": classes[goal.wanted], "true": classes[goal.labels[0]]}
    axis = figure.add_axes((0.09, 0.17, 0.6, 0.79))
    for group, (name, marker, colour, size) in MARKS.items():
        x, y = groups[group].unbind(1)
        look = {"marker": marker, "color": colour, "s": size, "edgecolor": "white", "linewidth": 0.5}
        axis.scatter(x.numpy(), y.numpy(), label=f"{name.format(**names)} ({len(x)})", **look)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=SIZE, frameon=False)
    _label(axis, *(f"component {i}: {share:.0%} of the variance" for i, share in enumerate(shares.tolist(), start=1)))
    return figure


def filters(source: Trial) -> Drawing:
    """A bar a filter: the images that it would remove, poisons first, with the numbers beside it."""
    found, figure = inside.verdicts(source), Drawing(INCHES)
    count, most = len(inside.poison(source)[0]), max(1, *(each.removed for each in found))
    axis = figure.add_axes((0.2, 0.26, 0.5, 0.7))
    right = torch.tensor([each.poisons for each in found]).numpy()
    axis.barh(range(len(found)), right, color=ORANGE, height=0.6, label="poisons removed")
    others = [each.removed - each.poisons for each in found]
    axis.barh(range(len(found)), others, left=right, color=GREY, height=0.6, label="others removed")
    for i, each in enumerate(found):
        words = f"{each.removed} removed,\n{each.poisons} of {count} poisons,\nROC area {each.area:.2f}"
        axis.text(1.04 * most, i, words, fontsize=SIZE, va="center")
    axis.set(xlim=(0, most), ylim=(len(found) - 0.5, -0.5))
    axis.set_yticks(range(len(found)), [each.name.replace("_", " ") for each in found])
    axis.grid(visible=False, axis="y")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=SIZE, frameon=False)
    _label(axis, "training images", "")
    return figure


def _label(axis: Axes, below: str, beside: str) -> None:
    axis.set_xlabel(below, fontsize=SIZE)
    axis.set_ylabel(beside, fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
