"""Measured rates with their intervals, beside what the papers print."""

import math
from collections.abc import Sequence

from ..papers.setting import caption
from .style import canvas, sample, small_print, style

OURS, PAPER, CHANCE = "o", "D", "|"
WIDEST = 8.8  # inches
WORDS = {  # of a records' table, for axes and legends
    "success": "attack success (share)",
    "wanted probability": "probability of the wanted class",
    "clean accuracy": "clean accuracy (share)",
    "attack.adaptive": "attacker trains under the defence",
    "attack.share": "share of the class poisoned",
}
VALUES = {"attack.adaptive": {"none": "no", "surrogate": "yes", "augmented": "yes, and crafts through it"}}
ROC = {
    "a trial, over all thresholds": {"color": "0.4", "lw": 1},
    "what its filter removed": {"color": "0.4", "marker": "o", "ls": "", "mec": "black", "mew": 0.8, "ms": 5.5},
    "scores at random": {"color": "0.6", "lw": 1, "ls": "--"},
}


def forest(comparison):
    """Every measured cell of a table: our mean and 95 % interval, the paper's value, the clean control's rate; a panel a column.

    Success is shown from 0 to 100 %, accuracy from a little below the least value on, which the axis says.
    """
    cells = [cell for cell in comparison.cells if cell.ours]
    columns = list(dict.fromkeys(cell.claim.column for cell in cells))
    rows = list(dict.fromkeys(cell.claim.row for cell in cells))
    size = max(4.6, 2.1 * len(columns) + 1.2), 0.42 * len(rows) + 1.3
    figure, axes = canvas(1, len(columns), figsize=size, sharey=True, squeeze=False)
    for axis, column in zip(axes[0], columns, strict=True):
        mine = [cell for cell in cells if cell.claim.column == column]
        for cell in mine:
            _row(axis, rows.index(cell.claim.row), cell)
        axis.set(title=column.title(), yticks=range(len(rows)), yticklabels=rows)
        _scale(axis, mine[0].claim.measure == "success", cells)
    axes[0][0].set_ylim(len(rows) - 0.5, -0.5)
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False)
    small_print(figure, comparison.caption)
    return figure


def _row(axis, y: int, cell) -> None:
    ours, paper, chance = style().color_palette("colorblind")[:3]
    axis.plot([100 * cell.ours.low, 100 * cell.ours.high], [y, y], color=ours, lw=2)
    axis.plot(100 * cell.ours.value, y, OURS, color=ours, ms=6, label="ours, 95 % interval")
    if cell.claim.value is not None:
        axis.plot(100 * cell.claim.value, y, PAPER, color=paper, ms=5, label="paper")
    if cell.chance:
        axis.plot(100 * cell.chance.value, y, CHANCE, color=chance, ms=13, mew=2, label="clean control")


def _scale(axis, whole: bool, cells: Sequence) -> None:
    """All of 0 to 100 %, or what the accuracies of the table take up of it."""
    if whole:
        axis.set(xlim=(-3, 103), xlabel="%")
        return
    accuracies = [cell for cell in cells if cell.claim.measure != "success"]
    least = min(min(cell.ours.low, cell.ours.value if cell.claim.value is None else cell.claim.value) for cell in accuracies)
    left = max(0, math.floor(100 * least - 3))
    span = 100 - left
    step = 5 if span <= 25 else 10 if span <= 50 else 25
    axis.set(xlim=(left, 100 + 0.03 * span), xlabel=f"%, from {left}")
    axis.set_xticks([left, *(tick for tick in range(0, 101, step) if tick > left + 0.15 * span)])


def rates(frame, x: str = "defence", y: str = "success", hue: str | None = None, records: Sequence[dict] = ()):
    """Every trial as a dot over its cell's mean: what hides behind an average. ``frame`` as `experiments.frame` gives it.

    ``records`` are those of the frame, or more, for the line at the lower edge.
    """
    seaborn = style()
    bars = frame[x].nunique() * (frame[hue].nunique() if hue else 1)
    figure, axis = canvas(figsize=(min(WIDEST, 1.1 + 1.0 * bars), 3.2))
    hues = {"hue": hue, "palette": "colorblind"} if hue else {"color": seaborn.color_palette("colorblind")[0]}
    seaborn.barplot(frame, x=x, y=y, errorbar=None, alpha=0.35, ax=axis, **hues)
    seaborn.stripplot(frame, x=x, y=y, dodge=bool(hue), size=4, jitter=0.12, ax=axis, legend=False, **hues)
    axis.set(ylim=(-0.03, 1.03), xlabel="", ylabel=WORDS.get(y, y))
    if frame[x].nunique() > 4:
        axis.tick_params(axis="x", rotation=25)
        for label in axis.get_xticklabels():
            label.set_ha("right")
    _legend(figure, axis, hue)
    shown = set(frame["key"])
    small_print(figure, caption([record for record in records if record["key"] in shown]))
    return figure


def _legend(figure, axis, hue: str | None) -> None:
    """What the marks are and, in words, what the colours are, above the axes."""
    handles, labels = axis.get_legend_handles_labels()
    if axis.get_legend():
        axis.get_legend().remove()
    words = [VALUES.get(hue, {}).get(label, label) for label in labels] if hue else []
    title = "dot: a trial; bar: mean" + (f"; colour: {WORDS.get(hue, hue)}" if hue else "")
    figure.legend(handles if hue else [], words, title=title, loc="outside upper center", ncols=max(len(words), 1), frameon=False)


def roc_curves(records: Sequence[dict], images: int):
    """How well each filter's scores rank the true poisons first: one line a trial, with a dot at what the filter removed.

    ``images``: how many the training set has, poisons included. Raises ValueError where no filter gave scores, and for too few
    images.
    """
    judged = [record for record in records if record["result"]["filter"] and record["result"]["filter"]["roc"]]
    if not judged:
        raise ValueError(f"none of {len(records)} records has a filter's scores: give those of defences with a filter")
    names = list(dict.fromkeys(record["spec"]["defence"]["filter"]["name"] for record in judged))
    figure, axes = canvas(1, len(names), figsize=(2.9 * len(names), 3.2), sharey=True, squeeze=False)
    for axis, name, colour in zip(axes[0], names, style().color_palette("colorblind"), strict=False):
        mine = [r["result"] for r in judged if r["spec"]["defence"]["filter"]["name"] == name]
        for result in mine:
            axis.plot(*result["filter"]["roc"], color=colour, lw=1, alpha=0.6)
            axis.plot(*_removed(result, images), "o", color=colour, mec="black", mew=0.8, ms=5.5, zorder=3, clip_on=False)
        area = sum(result["filter"]["auc"] for result in mine) / len(mine)
        axis.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--")
        axis.set(title=f"{name}\nmean area {area:.2f}, n = {len(mine)}", xlabel="clean images flagged", xlim=(0, 1), ylim=(0, 1.02))
    axes[0][0].set_ylabel("poisons flagged")
    figure.legend(
        [sample(**look) for look in ROC.values()], ROC, loc="outside upper center", ncols=min(3, len(names)), frameon=False
    )
    small_print(figure, caption(judged))
    return figure


def _removed(result: dict, images: int) -> tuple[float, float]:
    """(share of the clean images, share of the poisons) that a filter removed."""
    poisons, caught, removed = result["poisons"]["count"], result["filter"]["poisons removed"], result["filter"]["removed"]
    if images - poisons < max(1, removed - caught):
        raise ValueError(f"images={images}: {removed} were removed and {poisons} are poisons; give the training set's size")
    return (removed - caught) / (images - poisons), caught / poisons
