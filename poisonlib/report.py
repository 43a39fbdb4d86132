"""A static HTML page of every table, figure and verdict in the output folder, with the executed notebooks beside it."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from . import notebooks, papers, paths
from .experiments.environment import commit
from .papers.verdicts import FINDING

VERDICTS = [*FINDING, "not run"]
TONES = {
    "good": ("agrees", "holds", "lowers"),
    "bad": ("differs", "contradicted", "raises"),
    "open": ("open", "undecided", "not tested", "paper too small to tell"),
}


def write() -> Path:
    """Write ``outputs/report/index.html`` (self-contained but for links to the notebooks' pages); returns its path."""
    from jinja2 import Environment, PackageLoader

    folder = paths.outputs() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    claims = scoreboard()
    sections = [found for name in notebooks.names() if (found := section(name, folder))]
    page = Environment(loader=PackageLoader("poisonlib", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters["tone"] = tone
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    html = page.get_template("report.html.j2").render(
        sections=sections, written=written, commit=commit(), todo=missing(sections), claims=claims, verdicts=VERDICTS
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


def tone(word: str) -> str:
    """The style of a verdict: good, bad or open; "" for any other text."""
    bare = word.strip("()").removesuffix(": other setting")
    return next((style for style, words in TONES.items() if bare in words), "")


def section(name: str, folder: Path) -> dict | None:
    """What the page shows of one notebook; None if it has not been run."""
    executed = paths.outputs() / "notebooks" / f"{name}.ipynb"
    if not executed.exists():
        return None
    table = paths.outputs() / "tables" / f"{name}.json"
    figures = sorted((paths.outputs() / "figures").glob(f"{name}*.png"))
    return {
        "name": name,
        "title": notebooks.title(name),
        "table": json.loads(table.read_text(encoding="utf-8")) if table.exists() else None,
        "figures": [{"alt": _alt(path), "data": base64.b64encode(path.read_bytes()).decode()} for path in figures],
        "page": _page(executed, folder),
    }


def missing(sections: list[dict]) -> list[str]:
    """Notebooks that have not been run."""
    return sorted(set(notebooks.names()) - {each["name"] for each in sections})


def _alt(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Description", path.stem)


def _page(executed: Path, folder: Path) -> str:
    """The executed notebook as a page of its own beside the index; returns its relative address."""
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter(template_name="basic", embed_images=True).from_filename(str(executed))
    frame = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{executed.stem}</title><main>{html}</main></html>'
    (folder / f"{executed.stem}.html").write_text(frame, encoding="utf-8")
    return f"{executed.stem}.html"
