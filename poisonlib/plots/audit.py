"""The audit of the printed numbers: every cell at a glance, and the standard errors beside their rule."""

from collections.abc import Sequence

import numpy as np

from ..papers import load
from ..papers.audit import FLAGS, Audit, ErrorCheck
from ..papers.audit.errors import BOTH, FEW, FEWER, INCLUSIVE, NETWORKS, NONE, TRIALS
from ..papers.audit.summary import key
from ..papers.audit.words import SHORT
from .drawing import Drawing
from .style import EXACT, GUIDE, INK, NOTE, POISONED, VIOLATED, Look, colours, sample, small_print

SIDE = 0.18  # inches: a cell
LABEL = 5.5  # cells: the room for a table's name
SOUND, SILENT = "nothing found", "no check applies"
FILLS = dict(zip(FLAGS, (VIOLATED, POISONED, colours(5)[4]), strict=True)) | {SOUND: "#c6dcec", SILENT: "white"}
LOOKS = {
    NETWORKS: Look("o", "#7fb3d5", 4.5),
    TRIALS: Look("s", POISONED, 5),
    FEWER: Look("D", VIOLATED, 5),
    INCLUSIVE: Look("^", EXACT, 6),
    BOTH: Look("v", EXACT, 6),
    NONE: Look("X", INK, 6.5),
}


def _drawing(width: float, height: float):
    """A figure of that size, in inches, with one pair of axes."""
    figure = Drawing((width, height))
    figure.set_layout_engine("constrained")
    return figure, figure.subplots()


def audit_cells(audit: Audit):
    """Every printed result as a square, a line for each table, row by row, coloured by what the audit found and marked with it.

    Tables without a cell that any check concerns are left out; the line at the lower edge says how many cells they have.
    """
    flags, lines, left = audit.flags(), [], 0
    for paper, title in SHORT.items():
        tables = [_cells(table, audit, flags) for table in load(paper).tables.values()]
        kept = [(name, marks) for name, marks in tables if any(mark is not None for mark in marks)]
        left += sum(len(marks) for name, marks in tables if (name, marks) not in kept)
        lines += [(title, None), *kept]
    wide = max(len(marks) for _, marks in lines if marks)
    figure, axis = _drawing((wide + LABEL) * SIDE, len(lines) * SIDE + 0.55)
    for y, (name, marks) in enumerate(lines):
        bold = {"fontweight": "bold", "x": -LABEL, "ha": "left"} if marks is None else {"x": -0.6, "ha": "right"}
        axis.text(y=y + 0.55, s=name, va="center", fontsize=8, color=INK, **bold)
        for x, mark in enumerate(marks or ()):
            _square(axis, x, y, mark)
    axis.set(xlim=(-LABEL, wide), ylim=(len(lines), 0), aspect="equal")
    axis.set_axis_off()
    _cells_legend(figure, audit, flags)
    small_print(figure, f"not shown: {left} accuracies in tables to which no check applies")
    return figure


def _cells(table, audit: Audit, flags: dict) -> tuple[str, list[str | None]]:
    """A table's place and the flags of its results; None for a result that no check concerns."""
    here = [claim for claim in audit.results if (claim.paper, claim.table) == (table.paper, table.name)]
    return table.place.split(",")[0], [flags.get(key(claim)) for claim in here]


def _square(axis, x: int, y: int, mark: str | None) -> None:
    from matplotlib.patches import Rectangle

    kind = SILENT if mark is None else mark[0] if mark else SOUND
    edge = GUIDE if mark is None else "white"
    axis.add_patch(Rectangle((x + 0.06, y + 0.06), 0.88, 0.88, facecolor=FILLS[kind], edgecolor=edge, lw=0.5))
    if mark:
        axis.text(x + 0.5, y + 0.54, mark, ha="center", va="center", fontsize=8 if len(mark) == 1 else 6.3, color=INK)


def _cells_legend(figure, audit: Audit, flags: dict) -> None:
    counts = {flag: sum(flag in mark for mark in flags.values()) for flag in FLAGS}
    words = {flag: f"{flag}  {text} ({counts[flag]})" for flag, text in FLAGS.items()}
    words |= {SOUND: f"{SOUND} ({sum(not mark for mark in flags.values())})"}
    words |= {SILENT: f"{SILENT} ({len(audit.results) - len(flags)})"}
    boxes = [sample(marker="s", ls="", mfc=FILLS[kind], mec=GUIDE, mew=0.5, ms=7) for kind in words]
    figure.legend(boxes, words.values(), loc="outside upper left", ncols=2, frameon=False, fontsize=8)


def audit_errors(checks: Sequence[ErrorCheck], sizes: Sequence[int] = (25, 50, 100, 200, 300)):
    """Every printed standard error over its success rate, marked by what it follows from; lines are the rule at these N.

    Raises ValueError without any.
    """
    if not checks:
        raise ValueError("there are no standard errors; give those of an audit")
    figure, axis = _drawing(6.8, 3.6)
    for n in sizes:
        _rule(axis, n)
    for reading, look in LOOKS.items():
        mine = [each for each in checks if each.reading == reading]
        axis.plot(
            [100 * each.claim.value for each in mine],
            [each.error for each in mine],
            look.mark,
            ls="",
            ms=look.size,
            mfc=look.colour,
            mec="white",
            mew=0.5,
            zorder=3,
            clip_on=False,
            label=f"{reading} ({len(mine)})",
        )
    axis.set(xlabel="printed success rate, %", ylabel="printed standard error, points", xlim=(-1, 101), ylim=(0, 10.6))
    axis.set_xticks(range(0, 101, 20))
    figure.legend(title="the printed error follows from", loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


def _rule(axis, n: int) -> None:
    """A.1's rule at N = n: an arc between its two level ends, where fewer than `FEW` hits or misses count as one half."""
    few = FEW / n
    p = np.linspace(few, 1 - few, 201)
    level = 50 / np.sqrt(n)
    axis.plot(100 * p, 100 * np.sqrt(p * (1 - p) / n), color=GUIDE, lw=0.8)
    for ends in ((0, 100 * few), (100 * (1 - few), 100)):
        axis.plot(ends, (level, level), color=GUIDE, lw=0.8)
    axis.text(102, level, f"N = {n}", va="center", fontsize=7.5, color=NOTE)
