"""``make readme``: the README's table, paper beside ours, from the tables under ``outputs/reference``."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from poisonlib import papers, paths

BEGIN, END = "<!-- results: written by make readme -->", "<!-- end of results -->"


class Place(NamedTuple):
    """A table of a paper, and the scenario whose profiles its notebook runs."""

    paper: str
    table: str
    scenario: str


TABLES = {  # by notebook
    "strong_augmentation_table1": Place("strong_augmentation", "table1", "backdoor"),
    "strong_augmentation_table2": Place("strong_augmentation", "table2", "targeted"),
    "dp_instahide_table1": Place("dp_instahide", "table1", "backdoor"),
    "dp_instahide_table2": Place("dp_instahide", "table2", "targeted"),
    "dp_instahide_table3": Place("dp_instahide", "table3", "targeted_imagenet"),
    "dp_instahide_table5": Place("dp_instahide", "table5", "targeted"),
}
RUNS = ("quick", "laptop")
REFERENCE = paths.root() / "outputs" / "reference"


def results() -> str:
    """Markdown: for each table the cells as printed, and below each our mean with its 95 % interval for every reference run."""
    return "\n\n".join([BEGIN, *(_table(name, place.paper, place.table) for name, place in TABLES.items()), END])


def _table(name: str, paper: str, table: str) -> str:
    claimed = papers.load(paper).table(table)
    runs = {run: found for run in RUNS if (found := _load(run, name))}
    lines = [f"**{papers.load(paper).about['title']}, {claimed.place}** (`{name}.ipynb`)", ""]
    lines += [
        "| | | " + " | ".join(column.name.title() for column in claimed.columns) + " |",
        "|" + "---|" * (len(claimed.columns) + 2),
    ]
    for row in claimed.rows:
        printed = [claimed_cell.printed or "" for claimed_cell in claimed.claims if claimed_cell.row == row]
        lines.append(f"| **{row}** | paper, n = {claimed.claims[0].trials} | " + " | ".join(printed) + " |")
        for run, found in runs.items():
            ours = [_cell(found, row, column.name) for column in claimed.columns]
            if any(ours):
                lines.append(f"| | {run} | " + " | ".join(ours) + " |")
    return "\n".join([*lines, "", *(f"- *{run}*: {_setting(found['setting'])}" for run, found in runs.items())])


def _setting(of: dict) -> str:
    """In one line what the figures of a run must be labelled with."""
    return f"`{of['data']}`, `{of['network']}`, {of['epochs']} epochs, {of['trials']} trials; {of['device']}"


def _load(run: str, name: str) -> dict | None:
    path = REFERENCE / run / "tables" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _cell(found: dict, row: str, column: str) -> str:
    for cell in found["cells"]:
        if (cell["row"], cell["column"]) == (row, column):
            return f"{cell['ours %']} ({cell['95 % interval']}), n = {cell['n']}"
    return ""


def written(readme: str) -> str:
    """The README with the table between its two marks made anew."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: results(), readme, flags=re.DOTALL)


if __name__ == "__main__":
    path = Path(paths.root() / "README.md")
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
