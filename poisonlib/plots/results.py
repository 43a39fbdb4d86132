"""Measured rates with their intervals, beside what the papers print."""

from collections.abc import Sequence

from .style import canvas, style

OURS, PAPER, CHANCE = "o", "D", "|"


def forest(comparison):
    """Every measured cell of a table: our mean and 95 % interval, the paper's value, the clean control's rate; a panel a column."""
    cells = [cell for cell in comparison.cells if cell.ours]
    columns = list(dict.fromkeys(cell.claim.column for cell in cells))
    rows = list(dict.fromkeys(cell.claim.row for cell in cells))
    ours, paper, chance = style().color_palette("colorblind")[:3]
    figure, axes = canvas(1, len(columns), figsize=(2.1 * len(columns) + 1.2, 0.42 * len(rows) + 1.3), sharey=True, squeeze=False)
    for axis, column in zip(axes[0], columns, strict=True):
        for cell in (cell for cell in cells if cell.claim.column == column):
            y, mine = rows.index(cell.claim.row), cell.ours
            axis.plot([100 * mine.low, 100 * mine.high], [y, y], color=ours, lw=2)
            axis.plot(100 * mine.value, y, OURS, color=ours, ms=6, label="ours, 95 % interval")
            if cell.claim.value is not None:
                axis.plot(100 * cell.claim.value, y, PAPER, color=paper, ms=5, label="paper")
            if cell.chance:
                axis.plot(100 * cell.chance.value, y, CHANCE, color=chance, ms=13, mew=2, label="clean control")
        axis.set(title=column.title(), xlim=(-3, 103), xlabel="%", yticks=range(len(rows)), yticklabels=rows)
    axes[0][0].set_ylim(len(rows) - 0.5, -0.5)
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def rates(frame, x: str = "defence", y: str = "success", hue: str | None = None):
    """Every trial as a dot over its cell's mean: what hides behind an average. ``frame`` as `experiments.frame` gives it."""
    seaborn = style()
    figure, axis = canvas(figsize=(1.1 + 1.0 * frame[x].nunique() * (frame[hue].nunique() if hue else 1), 2.8))
    dodge = bool(hue)
    hues = {"hue": hue, "palette": "colorblind"} if hue else {}
    seaborn.barplot(frame, x=x, y=y, errorbar=None, alpha=0.35, ax=axis, **hues)
    seaborn.stripplot(frame, x=x, y=y, dodge=dodge, size=4, jitter=0.12, ax=axis, legend=False, **hues)
    axis.set(ylim=(-0.03, 1.03), xlabel="")
    if frame[x].nunique() > 4:
        axis.tick_params(axis="x", rotation=25)
        for label in axis.get_xticklabels():
            label.set_ha("right")
    if hue:
        seaborn.move_legend(axis, "upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def roc_curves(records: Sequence[dict]):
    """How well each filter's scores rank the true poisons first: one line a trial, dotted at the share it caught."""
    judged = [record for record in records if record["result"]["filter"] and record["result"]["filter"]["roc"]]
    names = list(dict.fromkeys(record["spec"]["defence"]["filter"]["name"] for record in judged))
    figure, axes = canvas(1, len(names), figsize=(2.9 * len(names), 2.9), sharey=True, squeeze=False)
    for axis, name, colour in zip(axes[0], names, style().color_palette("colorblind"), strict=False):
        mine = [r["result"] for r in judged if r["spec"]["defence"]["filter"]["name"] == name]
        for result in mine:
            axis.plot(*result["filter"]["roc"], color=colour, lw=1, alpha=0.7)
            axis.axhline(result["filter"]["poisons removed"] / result["poisons"]["count"], color=colour, lw=0.6, ls=":")
        area = sum(result["filter"]["auc"] for result in mine) / len(mine)
        axis.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--")
        axis.set(title=f"{name}\nmean area {area:.2f}, n = {len(mine)}", xlabel="clean images flagged", xlim=(0, 1), ylim=(0, 1.02))
    axes[0][0].set_ylabel("poisons flagged")
    return figure
