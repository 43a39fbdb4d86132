"""Whether poisons that transfer also succeed, recipe by recipe."""

from collections.abc import Mapping, Sequence

from ..experiments import Record
from ..papers.setting import caption
from ..papers.statistics import Estimate, mean_rate, paired_difference
from .style import GUIDE, MARKS, REST, Look, canvas, looks, sample, small_print

XLABEL = "misalignment on a held-out clean network:\npoisons minus the same images unpoisoned"
CONTROL = {"mfc": "white", "ms": 4.5, "ls": "", "clip_on": False}  # a clean control: hollow and small


def recipes(attacked: Mapping[str, Sequence[Record]], controls: Mapping[str, Sequence[Record]] | None = None):
    """Poison success over the transfer of the poisons: a mark for each recipe, by its label, with 95 % intervals both ways.

    The transfer is `CraftReport.transfer`; its interval is Student's, that of success Clopper and Pearson's. A
    small hollow mark of the same shape and colour is the recipe's clean control. It has no poisons, so it stands below its
    recipe's. Raises ValueError without any recipe, for a record that holds no transfer, and for a control of no recipe.
    """
    controls = controls or {}
    _check(attacked, controls)
    figure, axis = canvas(figsize=(6.6, 3.4))
    handles = {}
    for (label, records), look in zip(attacked.items(), looks(len(attacked)), strict=True):
        x, low, high = _transfer(records)
        handles[label] = _mark(axis, (x, low, high), _success(records), look)
        if label in controls:
            axis.plot(x, 100 * _success(controls[label]).value, look.mark, mec=look.colour, zorder=4, **CONTROL)
    handles["no transfer"] = axis.axvline(0, color=GUIDE, ls="--", lw=1)
    if controls:
        handles["hollow: clean control"] = sample(marker=MARKS[0], mec=REST, **CONTROL)
    axis.set(xlabel=XLABEL, ylabel="poison success, %", ylim=(-4, 104))
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    small_print(figure, caption([record for records in attacked.values() for record in records]))
    return figure


def _check(attacked: Mapping[str, Sequence[Record]], controls: Mapping[str, Sequence[Record]]) -> None:
    if not attacked or not all(attacked.values()):
        counts = {label: len(records) for label, records in attacked.items()}
        raise ValueError(f"records by recipe: {counts}; give at least one recipe, and records of each")
    for label, records in attacked.items():
        if lacking := [record.seed for record in records if not (record.craft and record.craft.held_out)]:
            raise ValueError(f"{label}: the records of seeds {lacking} hold no transfer; run these trials again")
    if unknown := [label for label in controls if label not in attacked]:
        raise ValueError(f"controls: no recipe is {', '.join(map(repr, unknown))}; choose from: {', '.join(attacked)}")


def _transfer(records: Sequence[Record]) -> tuple[float, float, float]:
    """The mean transfer and the ends of its 95 % interval."""
    poisons, unpoisoned = ([record.craft.held_out[i] / 2 for record in records] for i in (0, 1))  # 0 to 2, halved to shares
    gap = paired_difference(poisons, unpoisoned, method="t")
    return 2 * gap.value, 2 * gap.low, 2 * gap.high


def _success(records: Sequence[Record]) -> Estimate:
    return mean_rate([record.success for record in records])


def _mark(axis, transfer: tuple[float, float, float], success: Estimate, look: Look):
    """A recipe's mark, which is returned, with its two intervals."""
    x, low, high = transfer
    axis.vlines(x, 100 * success.low, 100 * success.high, color=look.colour, lw=1, alpha=0.7)
    axis.hlines(100 * success.value, low, high, color=look.colour, lw=1, alpha=0.7)
    (mark,) = axis.plot(x, 100 * success.value, look.mark, color=look.colour, ms=look.size, zorder=3, clip_on=False, ls="")
    return mark
