"""Measured rates trial by trial, and how well filters rank."""

from collections.abc import Sequence

from ..experiments import Record
from ..papers.setting import caption
from .style import CLEAN, GUIDE, INK, MARK, OURS, POISONED, REST, canvas, colours, sample, small_print, style

WIDEST = 8.8  # inches
WORDS = {  # of a records' table, for axes and legends
    "success": "attack success (share)",
    "confidence": "probability of the intended class",
    "accuracy": "clean accuracy (share)",
    "attack.adaptive": "attacker trains under the defence",
    "attack.poison_rate": "poison rate",
    "transfer": "misalignment on a held-out clean network:\npoisons minus the same images unpoisoned",
}
VALUES = {"attack.adaptive": {"none": "no", "surrogate": "yes", "augmented": "yes, and crafts through it"}}
ROC = {
    "a trial, over all thresholds": {"color": REST, "lw": 1},
    "what its filter removed": {"color": REST, "marker": "o", "ls": "", "mec": INK, "mew": 0.8, "ms": 5.5},
    "scores at random": {"color": GUIDE, "lw": 1, "ls": "--"},
}


def rates(frame, x: str = "defence", y: str = "success", hue: str | None = None, records: Sequence[Record] = ()):
    """Every trial as a dot over the bar of its cell's mean. ``frame`` as `experiments.frame` gives it.

    ``records`` are those of the frame, or more, for the line at the lower edge.
    """
    seaborn = style()
    bars = frame[x].nunique() * (frame[hue].nunique() if hue else 1)
    figure, axis = canvas(figsize=(min(WIDEST, 1.1 + 1.0 * bars), 3.2))
    hues = {"hue": hue, "palette": colours(frame[hue].nunique())} if hue else {"color": OURS}
    seaborn.barplot(frame, x=x, y=y, errorbar=None, alpha=0.35, ax=axis, **hues)
    seaborn.stripplot(frame, x=x, y=y, dodge=bool(hue), size=4, jitter=0.12, ax=axis, legend=False, **hues)
    axis.set(ylim=(-0.03, 1.03), xlabel="", ylabel=WORDS.get(y, y))
    if frame[x].nunique() > 4:
        axis.tick_params(axis="x", rotation=25)
        for label in axis.get_xticklabels():
            label.set_ha("right")
    _legend(figure, axis, hue)
    shown = set(frame["key"])
    small_print(figure, caption([record for record in records if record.key in shown]))
    return figure


def _legend(figure, axis, hue: str | None) -> None:
    """A legend above the axes: what the marks are, and what the colours are."""
    handles, labels = axis.get_legend_handles_labels()
    if axis.get_legend():
        axis.get_legend().remove()
    words = [VALUES.get(hue, {}).get(label, label) for label in labels] if hue else []
    title = "dot: a trial; bar: mean" + (f"; colour: {WORDS.get(hue, hue)}" if hue else "")
    figure.legend(handles if hue else [], words, title=title, loc="outside upper center", ncols=max(len(words), 1), frameon=False)


def transfer(frame, records: Sequence[Record] = ()):
    """A mark for each trial: the probability of the intended class over the transfer of its poisons, hits filled, misses hollow.

    ``frame`` as `experiments.frame` gives it. Trials without a transfer, as of older versions, are left out; the figure says so.
    """
    figure, axis = canvas(figsize=(4.6, 3.2))
    known = frame[frame["transfer"].notna()]
    for hit, name in ((True, "hit"), (False, "miss")):
        mine = known[(known["success"] > 0.5) == hit]
        look = {"mfc": POISONED if hit else "none", "mec": POISONED if hit else CLEAN, "mew": 1.4, "ms": MARK + 1}
        axis.plot(
            list(mine["transfer"]), list(mine["confidence"]), "^" if hit else "o", ls="", label=f"{name} ({len(mine)})", **look
        )
    axis.axvline(0, color=GUIDE, ls="--", lw=1)
    axis.set(ylim=(-0.03, 1.03), xlabel=WORDS["transfer"], ylabel=WORDS["confidence"])
    if len(known) < len(frame):
        axis.set_title(f"{len(frame) - len(known)} of {len(frame)} trials have no transfer on record", fontsize=9)
    figure.legend(title="a mark: a trial; dashed: no transfer", loc="outside upper center", ncols=2, frameon=False)
    shown = set(known["key"])
    small_print(figure, caption([record for record in records if record.key in shown]))
    return figure


def roc_curves(records: Sequence[Record], images: int):
    """ROC curves of each filter's scores against the true poisons: a line for each trial, with a dot at what the filter removed.

    ``images`` is the size of the training set, poisons included. Raises ValueError where no filter gave scores, and for too few
    images.
    """
    judged = [record for record in records if record.filter and record.filter.roc]
    if not judged:
        raise ValueError(f"none of {len(records)} records has a filter's scores: give those of defences with a filter")
    names = list(dict.fromkeys(record.spec["defence"]["filter"]["name"] for record in judged))
    figure, axes = canvas(1, len(names), figsize=(2.9 * len(names), 3.2), sharey=True, squeeze=False)
    for axis, name, colour in zip(axes[0], names, colours(len(names)), strict=True):
        mine = [record for record in judged if record.spec["defence"]["filter"]["name"] == name]
        for record in mine:
            axis.plot(*record.filter.roc, color=colour, lw=1, alpha=0.6)
            axis.plot(*_removed(record, images), "o", color=colour, mec=INK, mew=0.8, ms=5.5, zorder=3, clip_on=False)
        area = sum(record.filter.auc for record in mine) / len(mine)
        axis.plot([0, 1], [0, 1], color=GUIDE, lw=1, ls="--")
        axis.set(title=f"{name}\nmean area {area:.2f}, n = {len(mine)}", xlabel="clean images flagged", xlim=(0, 1), ylim=(0, 1.02))
    axes[0][0].set_ylabel("poisons flagged")
    figure.legend(
        [sample(**look) for look in ROC.values()], ROC, loc="outside upper center", ncols=min(3, len(names)), frameon=False
    )
    small_print(figure, caption(judged))
    return figure


def _removed(record: Record, images: int) -> tuple[float, float]:
    """(share of the clean images, share of the poisons) that a filter removed."""
    poisons, caught, removed = record.poisons.count, record.filter.poisons_removed, record.filter.removed
    if images - poisons < max(1, removed - caught):
        raise ValueError(f"images={images}: {removed} were removed and {poisons} are poisons; give the training set's size")
    return (removed - caught) / (images - poisons), caught / poisons
