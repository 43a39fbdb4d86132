"""``make readme``: the README's tables, paper beside ours, from the tables under ``outputs/reference``.

First come both papers' Table 1 on all of CIFAR-10, as far as there are records; then each table, with a row for every run.
"""

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
FIRST = {name: TABLES[name] for name in ("dp_instahide_table1", "strong_augmentation_table1")}
RUNS = ("fast", "quick", "laptop")
FULL = "fast"  # the run that is on all of CIFAR-10
REFERENCE = paths.root() / "outputs" / "reference"


def results() -> str:
    """Markdown: Table 1 on all of CIFAR-10, then each table with our mean and its 95 % interval for every reference run."""
    tables = [_table(name, place.paper, place.table) for name, place in TABLES.items()]
    return "\n\n".join([BEGIN, *full(FULL), *tables, END])


def full(run: str) -> list[str]:
    """A heading and, for each paper's Table 1, its cells beside ours with n, verdicts and costs; [] where nothing was run."""
    found = {name: table for name in FIRST if (table := _load(run, name))}
    tables = [_full(name, FIRST[name], table) for name, table in found.items()]
    return [FULL_HEADING.format(run=run), *tables] if tables else []


FULL_HEADING = """**All of CIFAR-10: Table 1 of both papers** (profile `{run}`)

Per cent, means with 95 % intervals. *patched*: the share of the images of one class. *control*: how often a clean network takes
patched images for that class. *core-minutes*: the processor time of a trial. The network and its schedule are not the papers', so a
verdict tells how far this set-up is from the paper's; *underpowered* means that more trials are needed."""


def _full(name: str, place: Place, found: dict) -> str:
    """A row for each share of patched images and each defence of the paper, success and accuracy side by side."""
    claimed = papers.load(place.paper).table(place.table)
    ours = {(cell["row"], cell["column"]): cell for cell in found["cells"]}
    lines = [
        f"*{papers.load(place.paper).about['title']}*, {claimed.place}, n = {claimed.claims[0].trials} (`{name}.ipynb`)",
        "",
        "| patched | defence | n | success: paper | ours | control | verdict | accuracy: paper | ours | verdict | a trial takes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for share in sorted({claim.means["poison_rate"] for claim in claimed.claims}, reverse=True):
        for row in claimed.rows:
            pair = {c.measure: c for c in claimed.claims if c.row == row and c.means["poison_rate"] == share and c.printed}
            if pair:
                lines.append(_line(f"{share:.0%}", row, *(_sides(pair[m], ours) for m in ("success", "clean accuracy"))))
    return "\n".join([*lines, "", f"- {_setting(found['setting'])}"])


def _sides(claim: papers.Claim, ours: dict[tuple[str, str], dict]) -> dict:
    """What one of the paper's cells and ours have to say, as text; ours is empty where it was not run."""
    cell = ours.get((claim.row, claim.column), {})
    measured = f"{cell['ours %']} ({cell['95 % interval']})" if cell else ""
    word = cell.get("verdict", "").strip("()").removesuffix(": other setting")
    chance, n, work = (str(cell.get(key, "")) for key in ("chance %", "n", "time a trial"))
    return {"paper": claim.printed, "ours": measured, "verdict": word, "control": chance, "n": n, "work": work}


def _line(share: str, row: str, success: dict, accuracy: dict) -> str:
    hits = [success[key] for key in ("paper", "ours", "control", "verdict")]
    right = [accuracy[key] for key in ("paper", "ours", "verdict")]
    return "| " + " | ".join([share, f"**{row}**", success["n"], *hits, *right, success["work"]]) + " |"


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
    precision = f", {of['precision']}" * (of["precision"] != "fp32")
    return f"`{of['data']}`, `{of['network']}`, {of['epochs']} epochs{precision}, {of['trials']} trials; {of['device']}"


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


def write() -> None:
    """Make the README's tables anew."""
    path = Path(paths.root() / "README.md")
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
