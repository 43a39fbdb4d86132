"""A static HTML page of every table, figure and verdict in the output folder, with the executed notebooks beside it."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from . import notebooks, paths
from .experiments.environment import commit


def write() -> Path:
    """Write ``outputs/report/index.html`` (self-contained but for links to the notebooks' pages); returns its path."""
    from jinja2 import Environment, PackageLoader

    folder = paths.outputs() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    sections = [found for name in notebooks.names() if (found := section(name, folder))]
    page = Environment(loader=PackageLoader("poisonlib", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    html = page.get_template("report.html.j2").render(sections=sections, written=written, commit=commit(), todo=missing(sections))
    (folder / "index.html").write_text(html, encoding="utf-8")
    return folder / "index.html"


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
