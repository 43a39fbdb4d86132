"""A static HTML page of every table, figure and verdict in the output folder; beside it the executed notebooks and the records."""

import base64
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from .. import benchmark, notebooks, papers, paths
from ..experiments.environment import commit
from . import downloads, pages, verdicts, wide


def write() -> Path:
    """Write ``outputs/report/index.html``, whole but for links to the pages and the records beside it; returns its path."""
    folder = paths.outputs() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    executed = [name for name in notebooks.names() if (paths.outputs() / "notebooks" / f"{name}.ipynb").exists()]
    for name in executed:
        pages.write(name, executed, folder)
    html = (
        pages.environment()
        .get_template("index.html.j2")
        .render(
            style=pages.style(),
            sections=[section(name) for name in executed],
            todo=[name for name in notebooks.names() if name not in executed],
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            commit=commit(),
            claims=scoreboard(),
            board=verdicts.BOARD,
            files=downloads.write(folder),
            leaderboard=benchmark.leaderboard(),
        )
    )
    (folder / "index.html").write_text(html, encoding="utf-8")
    return folder / "index.html"


def scoreboard() -> list[dict]:
    """For each paper how many of its sentences came to each verdict, going by ``outputs/claims``, and these sentences."""
    found = []
    for name in papers.names():
        paper, folder = papers.load(name), paths.outputs() / "claims" / name
        made = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
        known = {finding.id for finding in paper.findings}
        judged = {each["id"]: each for each in made if each["id"] in known}
        counts = Counter(each["verdict"] for each in judged.values()) | {"not run": len(known) - len(judged)}
        found.append({"title": paper.about["title"], "counts": counts, "sentences": list(judged.values())})
    return found


def section(name: str) -> dict:
    """What the page shows of one notebook that was run."""
    path = paths.outputs() / "tables" / f"{name}.json"
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    figures = sorted((paths.outputs() / "figures").glob(f"{name}*.png"))
    return {
        "name": name,
        "title": notebooks.title(name),
        "table": table,
        "wide": wide.wide(table) if table else None,
        "figures": [{"alt": _alt(path), "data": base64.b64encode(_small(path)).decode()} for path in figures],
        "page": f"{name}.html",
    }


def _alt(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Description", path.stem)


def _small(path: Path) -> bytes:
    """A figure's file in 256 colours, which takes a third of the space, unless that is larger."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").quantize(256).save(file, "png", optimize=True)
    return min(file.getvalue(), path.read_bytes(), key=len)
