"""A static HTML page of every table, figure and verdict in the output folder; beside it the executed notebooks and the records."""

import base64
import io
import json
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .. import benchmark, files, notebooks, papers, paths, registry
from ..experiments import Ledger, Trial, failures
from ..experiments.environment import commit
from ..words import plural
from . import downloads, pages, verdicts, wide


def write() -> Path:
    """Write ``outputs/report/index.html``, whole but for links to the pages and the records beside it; returns its path.

    Files that cannot be read are left out and listed on the page; a warning counts them.
    """
    folder, damaged = paths.outputs() / "report", []
    scored = [path for path in benchmark.scores() if _tried(damaged, path, benchmark.leaderboard, [path])]
    executed = [name for name in notebooks.names() if _executed(name).exists()]
    bodies = {name: body for name in executed if (body := _tried(damaged, _executed(name), pages.rendered, _executed(name)))}
    for name in bodies:
        pages.write(name, bodies, folder)
    html = (
        pages.environment()
        .get_template("index.html.j2")
        .render(
            style=pages.style(),
            sections=[section(name, damaged) | {"page": f"{name}.html" if name in bodies else None} for name in executed],
            todo=[name for name in notebooks.names() if name not in executed],
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            commit=commit(),
            claims=scoreboard(damaged),
            board=verdicts.BOARD,
            files=downloads.write(folder),
            leaderboard=benchmark.leaderboard(scored),
            failed=[failed(each) for each in failures.every(Ledger.open())],
            damaged=damaged,
        )
    )
    files.write_atomically(folder / "index.html", html.encode())
    if damaged:
        warnings.warn(
            f"left out of the report, as they cannot be read: {plural(len(damaged), 'file')}, the first: {damaged[0]}", stacklevel=2
        )
    return folder / "index.html"


def _executed(name: str) -> Path:
    return paths.outputs() / "notebooks" / f"{name}.ipynb"


def _tried(damaged: list[str], path: Path, read: Callable, *given):
    """What a reader makes of a file; None where it cannot be read, which is noted."""
    try:
        return read(*given)
    except Exception as error:  # whatever a damaged or a foreign file makes its reader raise
        damaged.append(f"{path.relative_to(paths.outputs())}: {type(error).__name__}: {str(error)[:200]}")
        return None


def failed(failure: failures.Failure) -> str:
    """A failed trial, by its parts or, where a class cannot be imported here, by its attack's name, and why it failed."""
    try:
        trial = Trial.read(failure.spec)
        parts = f"{registry.label(trial.attack)} on {registry.label(trial.model)}, defence {trial.defence.label}"
    except (LookupError, TypeError, ValueError):
        parts = str(failure.spec["attack"]["name"])
    return f"{parts}, seed {failure.seed}: {failure.reason}"


def scoreboard(damaged: list[str] | None = None) -> list[dict]:
    """For each paper how many of its sentences came to each verdict, going by ``outputs/claims``, and these sentences.

    ``damaged`` takes the files that cannot be read.
    """
    found, damaged = [], [] if damaged is None else damaged
    for name in papers.names():
        paper, folder = papers.load(name), paths.outputs() / "claims" / name
        made = [each for path in sorted(folder.glob("*.json")) if (each := _tried(damaged, path, _claim, path))]
        known = {finding.id for finding in paper.findings}
        judged = {each["id"]: each for each in made if each["id"] in known}
        counts = Counter(each["verdict"] for each in judged.values()) | {"not run": len(known) - len(judged)}
        found.append({"title": paper.about["title"], "counts": counts, "sentences": list(judged.values())})
    return found


def _claim(path: Path) -> dict[str, str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: str(content[name]) for name in ("id", "verdict", "sentence", "place", "checked", "because")}


def section(name: str, damaged: list[str]) -> dict:
    """What the page shows of one notebook that was run."""
    path = paths.outputs() / "tables" / f"{name}.json"
    table = _tried(damaged, path, _table, path) if path.exists() else None
    figures = sorted((paths.outputs() / "figures").glob(f"{name}[._]*png"))  # not those of table25 for table2
    return {
        "name": name,
        "title": notebooks.title(name),
        "table": table and table[0],
        "wide": table and table[1],
        "figures": [shown for path in figures if (shown := _tried(damaged, path, _figure, path))],
    }


def _table(path: Path) -> tuple[dict, wide.Wide]:
    """A stored table, and the same as the paper prints it. Raises LookupError, TypeError or ValueError where it is none."""
    table = json.loads(path.read_text(encoding="utf-8"))
    for part, verdict in (("cells", "verdict"), ("findings", "ours"), ("effects", "success")):
        for row in table[part]:
            verdicts.tone(row[verdict])
    dict(table["setting"].items())
    return table, wide.wide(table)


def _figure(path: Path) -> dict[str, str]:
    return {"alt": _alt(path), "data": base64.b64encode(_small(path)).decode()}


def _alt(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Description", path.stem)


def _small(path: Path) -> bytes:
    """A figure's file in 256 colours, which takes a third of the space, unless that is larger."""
    from PIL import Image

    from ..plots.card import few

    file = io.BytesIO()
    with Image.open(path) as image:
        few(image.convert("RGB")).save(file, "png", optimize=True)
    return min(file.getvalue(), path.read_bytes(), key=len)
