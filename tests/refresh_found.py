"""The first screen of a table's notebook: after what the paper says, what was found and one figure, from ``outputs/reference``.

``python -m tests.refresh_found [NAME ...]`` writes, into the first cell, a line for each run whose records are kept, the largest
scale first, and, as an attachment, the forest plot of the largest that has more than a few trials. The copies of notebooks that
were executed at larger scales (``outputs/reference/*/notebooks``) get the text of today's notebooks; their code and its outputs
stay. `tests.test_reference` checks that the text follows from the records.
"""

import base64
import io
import itertools
import re
import sys
import textwrap
from collections import Counter
from pathlib import Path

import nbformat

from poisonlib import notebooks, papers, plots
from poisonlib.experiments import profile
from poisonlib.papers import Comparison
from poisonlib.papers.verdicts import FINDING
from poisonlib.plots.card import card

from .refresh_notebooks import INJECTED
from .refresh_readme import FEW, REFERENCE, RUNS, SPELT, TABLES
from .refresh_reference import chosen, kept

BEGIN, END = "<!-- found: written by make readme -->", "<!-- end of found -->"
PICTURE = "found.png"
WIDTH = 100  # letters in a line of a notebook
WHOLE = {"break_long_words": False, "break_on_hyphens": False}
COLOURS, ROWS = 24, 2  # of the figure; the fewest rows of the paper for which a run is mentioned


def comparisons(name: str) -> dict[str, Comparison]:
    """What the kept records of each run come to in a notebook's table, the largest scale first; without runs of few rows."""
    place, found = TABLES[name], {}
    for run in RUNS:
        compared = papers.compare(chosen(kept(run), run, place), place.paper, place.table)
        if len({cell.claim.row for cell in compared.cells if cell.ours and cell.claim.printed}) >= ROWS:
            found[run] = compared
    return found


def text(name: str, found: dict[str, Comparison]) -> str:
    """Markdown: a line for each run, and the figure of the one that is `clearest`."""
    lines = [_line(compared, profile(TABLES[name].scenario, run).name) for run, compared in found.items()]
    shown = f"![Our intervals beside the paper's values, profile {clearest(found)}](attachment:{PICTURE})"
    return "\n".join([BEGIN, "**Found**, per cent, the paper's in brackets:", "", *lines, "", shown, END])


def clearest(found: dict[str, Comparison]) -> str:
    """The run to draw: the first of which every cell has more than a few trials; without any, the first."""
    trials = {run: min(cell.ours.trials for cell in each.cells if cell.ours and cell.claim.printed) for run, each in found.items()}
    return next((run for run, n in trials.items() if n >= FEW), next(iter(found)))


def _line(compared: Comparison, run: str) -> str:
    """A point for the run; within it, for each column, "row ours (the paper's); ...", and what became of the sentences."""
    shown: dict[str, list[str]] = {}
    for cell in compared.cells:
        if cell.ours and cell.claim.printed:
            ours = f"{cell.claim.row} **{100 * cell.ours.value:.0f}** ({cell.claim.printed.rstrip('%').split(' ± ')[0]})"
            shown.setdefault(_spelt(cell.claim.column), []).append(ours)
    counts = Counter(said.word for _, said in compared.findings)
    words = ", ".join(f"{word} {counts[word]}" for word in FINDING if counts[word])
    lines = [f"- `{run}` ({compared.caption})", *(f"  - *{column}*: {'; '.join(rows)}" for column, rows in shown.items())]
    lines.append(f"  - The paper's sentences: {words or 'none of them asks this'}")
    return "\n".join(textwrap.fill(each, WIDTH, subsequent_indent=_deeper(each), **WHOLE) for each in lines)


def _spelt(column: str) -> str:
    """A column's name in small letters; abbreviated defences in full."""
    return SPELT.get(column, column.capitalize() if column.isupper() else column)


def _deeper(line: str) -> str:
    """The indent of what belongs to a point of a list."""
    return " " * (line.index("-") + 2)


def picture(compared: Comparison) -> str:
    """The forest plot as base64 of a PNG, in few colours, as notebooks are kept small."""
    drawn = io.BytesIO()
    plots.forest(compared).savefig(drawn, format="png", dpi=90)
    return base64.b64encode(card(drawn.getvalue(), COLOURS)).decode()


def refresh(name: str) -> None:
    """Write what was found into a notebook's first cell."""
    path, found = notebooks.path(name), comparisons(name)
    book = nbformat.read(path, as_version=4)
    cell = book.cells[0]
    cell.source = re.sub(f"\n*{re.escape(BEGIN)}.*{re.escape(END)}", "", cell.source, flags=re.DOTALL).rstrip()
    cell.source += "\n\n" + text(name, found)
    cell.attachments = {PICTURE: {"image/png": picture(found[clearest(found)])}}
    nbformat.write(book, path)


def copies(name: str) -> list[Path]:
    """A notebook as it was executed at larger scales."""
    return sorted(REFERENCE.glob(f"*/notebooks/{name}.ipynb"))


def written(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """A notebook's cells, but for the one with the parameters that a copy was given."""
    return [cell for cell in book.cells if INJECTED not in cell.metadata.get("tags", [])]


def retell(name: str) -> None:
    """Give the copies of a notebook its text. Raises ValueError where its code is another: then a copy is to be executed anew."""
    told = written(nbformat.read(notebooks.path(name), as_version=4))
    for path in copies(name):
        copy = nbformat.read(path, as_version=4)
        for ours, theirs in itertools.zip_longest(told, written(copy)):
            if not (ours and theirs) or ours.cell_type != theirs.cell_type or _code(ours) != _code(theirs):
                raise ValueError(f"{path} is of other code: python -m tests.refresh_notebooks --run {path.parts[-3]} {name}")
            if ours.cell_type == "markdown":
                theirs.source = ours.source
                theirs.pop("attachments", None)
                theirs.update({"attachments": ours.attachments} if "attachments" in ours else {})
        nbformat.write(copy, path)


def _code(cell: nbformat.NotebookNode) -> str:
    return cell.source if cell.cell_type == "code" else ""


if __name__ == "__main__":
    for each in sys.argv[1:] or TABLES:
        refresh(each)
        retell(each)
