"""Pictures of one trial from the inside. Colours: the attacker's images, the source class of the targets, everything else."""

import textwrap
from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from ...attacks.gradient_matching import GradientMatching
from ...data import Goal, ImageSet, Poison
from ...experiments import Trial
from ...experiments.record import FilterReport
from ...plots.drawing import SIZE, Drawing, tiles
from ...plots.style import CLEAN, GUIDE, INK, POISONED, REST
from ...tensors import to_float
from .. import _trial
from . import inside

PAGE = 8  # poisons in a picture
TOPS = (0.6, 1.8, 3.0)  # upper edges of its rows, in image sides
INCHES = (8.6, 3.2)
GROUPS = {  # of `inside.groups`: name in the legend, marker, colour, size in square points
    "intended": ("rest of the intended class {intended}", "o", REST, 14),
    "source": ("source class {source}", "s", CLEAN, 14),
    "poisons": ("poisons", "^", POISONED, 34),
    "target": ("target", "*", INK, 110),
}


def page_of(images: Poison | ImageSet, page: int) -> range:
    """The poisons on a page. Raises ValueError if there is no such page."""
    last = (len(images) - 1) // PAGE
    if not 0 <= page <= last:
        raise ValueError(f"page={page}: {len(images)} poisons fill the pages 0 to {last}")
    return range(page * PAGE, min((page + 1) * PAGE, len(images)))


def poisons(source: Trial, page: int) -> Drawing:
    """The target and a page of poisons: the clean images, the perturbations, scaled to the whole range of grey, and the poisons."""
    train, (made, goal) = _trial.images(source, "train"), inside.poison(source)
    clean, after = to_float(train.images[train.positions(made.ids)]), to_float(made.images)
    factor = 1 / (after - clean).abs().amax().item()
    change = 0.5 + factor * (after - clean) / 2
    figure, stage = _beside_the_target(train, goal)
    shown = page_of(made, page)
    _row(stage, TOPS[0], "clean", clean, shown, [f"poison {i}" for i in shown])
    _row(stage, TOPS[1], f"change\n× {factor:.1f}\ngrey: none", change, shown)
    _row(stage, TOPS[2], "poisoned", after, shown)
    return figure


def early(source: Trial, page: int) -> Drawing | None:
    """The part of `poisons` that is known before crafting; None for attacks that craft quickly."""
    if not (known := inside.chosen(source)):
        return None
    (base, goal), train = known, _trial.images(source, "train")
    figure, stage = _beside_the_target(train, goal)
    shown = page_of(base, page)
    _row(stage, TOPS[0], "clean", to_float(base.images), shown, [f"poison {i}" for i in shown])
    stage.text(0, TOPS[1] + 0.5, "The poisons are being crafted ...", va="center", fontsize=SIZE)
    return figure


def _beside_the_target(train: ImageSet, goal: Goal) -> tuple[Drawing, Axes]:
    """A figure with the first target image on the left, and axes for rows of poisons on the right."""
    figure = Drawing(INCHES)
    many = f", 1 of {len(goal.images)}" if len(goal.images) > 1 else ""
    source, intended = train.classes[goal.source_class], train.classes[goal.intended_class]
    left = figure.stage(0.01, 0.0, 0.17, 1.0, wide=1.0)
    tiles(left, [to_float(goal.images[0])], [f"target{many}\nsource class {source}\nintended class {intended}"], top=0.75)
    stage = figure.stage(0.2, 0.0, 0.79, 1.0, wide=9.5)
    stage.set_xlim(-0.95, 8.55)
    return figure, stage


def _row(stage: Axes, top: float, name: str, images: Float[Tensor, "m c h w"], shown: range, captions: Sequence[str] = ()) -> None:
    tiles(stage, list(images[shown]), captions or [""] * len(shown), top=top, pitch=1.08)
    stage.text(-0.1, top + 0.5, name, ha="right", va="center", fontsize=SIZE)


def craft(source: Trial) -> Drawing:
    """The attack's objective before each crafting step; for gradient matching, beside that of an unrelated gradient."""
    values, figure = inside.trace(source), Drawing(INCHES)
    if values is None:
        figure.text(
            0.5, 0.5, "This attack optimises nothing, so there are no crafting steps to show.", ha="center", fontsize=SIZE + 1
        )
        return figure
    axis = figure.add_axes((0.08, 0.17, 0.9, 0.78))
    axis.plot(range(1, len(values) + 1), values.numpy(), color=POISONED)
    axis.set(xlim=(1, max(len(values), 2)))
    if isinstance(source.attack, GradientMatching):
        axis.set(ylim=(0, max(1.15, 1.05 * values.max().item())))
        axis.axhline(1, color=GUIDE, linestyle="--")
        axis.text(len(values), 1.02, "chance", color=INK, fontsize=SIZE, ha="right", va="bottom")
    _axis_labels(axis, "crafting step", "misalignment, 1 − cosine" if isinstance(source.attack, GradientMatching) else "objective")
    return figure


def training(trial: Trial, epoch: int) -> Drawing:
    """For each victim, the probabilities of the targets' intended class, source class and largest other class after each epoch.

    The epochs after ``epoch`` are pale.
    """
    kinds, figure = titles(trial), Drawing(INCHES)
    goal = inside.poison(inside.known(trial))[1]
    for place, (kind, title) in enumerate(kinds.items()):
        axis = figure.add_axes((0.07 + place * 0.93 / len(kinds), 0.28, 0.93 / len(kinds) - 0.035, 0.58))
        _epochs(axis, inside.victim(trial, kind).probabilities, goal, epoch)
        axis.tick_params(labelleft=not place)
        axis.set_title(textwrap.fill(title, 34), fontsize=SIZE, y=1.0)  # y saves matplotlib the search for a free place
        _axis_labels(axis, "epoch", "" if place else "target's probability")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=SIZE, frameon=False)
    return figure


def _epochs(axis: Axes, values: Float[Tensor, "epochs k"], goal: Goal, epoch: int) -> None:
    rest = [i for i in range(values.shape[1]) if i not in (goal.intended_class, goal.source_class)]
    curves = {
        "intended class": (values[:, goal.intended_class], POISONED, "-"),
        "source class": (values[:, goal.source_class], CLEAN, "-"),
    }
    if rest:
        curves["largest other class"] = values[:, rest].amax(1), REST, "--"
    last = min(max(epoch, 1), len(values))
    for label, (curve, colour, dash) in curves.items():
        axis.plot(range(1, last + 1), curve[:last].numpy(), dash, color=colour, label=label)
        axis.plot(last, curve[last - 1].item(), "o", color=colour, ms=5)
        axis.plot(range(last, len(values) + 1), curve[last - 1 :].numpy(), dash, color=colour, alpha=0.2)
    axis.set(xlim=(1, max(len(values), 2)), ylim=(-0.02, 1.02), yticks=(0, 0.5, 1))
    axis.set_xticks((1, len(values) // 2, len(values)))


def titles(trial: Trial) -> dict[str, str]:
    """The kinds of victims and their titles; "defended" only if the trial has a defence."""
    names = {"clean": "clean set (control)", "undefended": "poisoned set, undefended"}
    return names | ({"defended": f"poisoned set, {trial.defence.label}"} if trial.defence.parts else {})


def features(source: Trial) -> Drawing:
    """Intended and source class in a plane of the undefended victim's features, with poisons and target marked."""
    (groups, shares), figure = inside.groups(source), Drawing(INCHES)
    goal, classes = inside.poison(source)[1], _trial.images(source, "train").classes
    names = {"intended": classes[goal.intended_class], "source": classes[goal.source_class]}
    axis = figure.add_axes((0.09, 0.17, 0.6, 0.79))
    for group, (name, marker, colour, size) in GROUPS.items():
        x, y = groups[group].unbind(1)
        look = {"marker": marker, "color": colour, "s": size, "edgecolor": "white", "linewidth": 0.5}
        axis.scatter(x.numpy(), y.numpy(), label=f"{name.format(**names)} ({len(x)})", **look)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=SIZE, frameon=False)
    _axis_labels(axis, *(f"component {i}: {share:.0%} of the variance" for i, share in enumerate(shares.tolist(), start=1)))
    return figure


def filters(trial: Trial) -> Drawing:
    """A bar for each filter: the number of images that it would remove, poisons first."""
    found, figure = inside.filtered(trial), Drawing(INCHES)
    count, most = len(inside.poison(inside.known(trial))[0]), max(1, *(each.removed for each in found.values()))
    axis = figure.add_axes((0.2, 0.26, 0.5, 0.7))
    caught = torch.tensor([each.poisons_removed for each in found.values()]).numpy()
    axis.barh(range(len(found)), caught, color=POISONED, height=0.6, label="poisons removed")
    others = [each.removed - each.poisons_removed for each in found.values()]
    axis.barh(range(len(found)), others, left=caught, color=REST, height=0.6, label="clean images removed")
    for i, each in enumerate(found.values()):
        axis.text(1.04 * most, i, ",\n".join(counted(each, count)), fontsize=SIZE, va="center")
    axis.set(xlim=(0, most), ylim=(len(found) - 0.5, -0.5))
    axis.set_yticks(range(len(found)), [textwrap.fill(name.replace("_", " "), 24) for name in found])
    axis.grid(visible=False, axis="y")
    figure.legend(*axis.get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=SIZE, frameon=False)
    _axis_labels(axis, "training images", "")
    return figure


def counted(report: FilterReport, poisons: int) -> list[str]:
    """A filter's counts in words; the area under the ROC curve only if there are poisons and clean images, the range over rounds
    only if the filter has several.
    """
    area = [] if report.auc is None else [f"ROC area {report.auc:.2f}"]
    alone = [f"one round alone {min(report.rounds)} to {max(report.rounds)}"] if len(report.rounds) > 1 else []
    return [f"{report.removed} removed", f"{report.poisons_removed} of {poisons} poisons", *area, *alone]


def _axis_labels(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=SIZE)
    axis.set_ylabel(y, fontsize=SIZE)
    axis.tick_params(labelsize=SIZE)
