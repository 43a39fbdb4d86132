"""The executed notebooks as pages in the report's style, each with the way back to the index and to its neighbours."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from .. import files, notebooks
from . import mathematics, verdicts
from .clean import clean

LIVE = ("application/vnd.jupyter.widget-view+json", "application/javascript")  # outputs that are dead without a kernel


@functools.cache
def environment():
    """The templates of this folder."""
    from jinja2 import Environment, PackageLoader

    made = Environment(loader=PackageLoader(__name__, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {each.__name__: each for each in (verdicts.tone, verdicts.bare, verdicts.tally, verdicts.counted)}
    return made


@functools.cache
def style() -> str:
    """The style sheet of every page, for light and dark; highlighted code has pygments' colours for each."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("xcode", "github-dark"))
    own = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return f"{own}\n{_bare(light)}\n@media (prefers-color-scheme: dark) {{\n{_bare(dark)}\n}}\n"


def _bare(rules: str) -> str:
    """Pygments' rules for its tokens alone: without those for line numbers and the background, which are the page's."""
    return "\n".join(line for line in rules.splitlines() if re.match(r"\.highlight \.\w", line))


def write(name: str, bodies: Mapping[str, str], folder: Path) -> Path:
    """Write the page of an executed notebook; ``bodies`` holds those that have one, in order, as `rendered`. Returns its path."""
    every = list(bodies)
    at = every.index(name)
    neighbours = {"before": every[at - 1] if at else None, "after": every[at + 1] if at + 1 < len(every) else None}
    titles = {key: (each, notebooks.title(each)) for key, each in neighbours.items() if each}
    html = (
        environment()
        .get_template("notebook.html.j2")
        .render(style=style(), name=name, title=notebooks.title(name), body=bodies[name], **titles)
    )
    path = folder / f"{name}.html"
    files.write_atomically(path, html.encode())
    return path


def rendered(executed: Path) -> str:
    """An executed notebook as HTML, with its mathematics typeset, without warnings, scripts and what a kernel must feed."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _alive(output))]
    notebook.metadata.pop("widgets", None)
    options = {"exclude_input_prompt": True, "exclude_output_prompt": True, "exclude_anchor_links": True, "embed_images": True}
    html, _ = HTMLExporter(template_name="basic", **options).from_notebook_node(notebook)
    return _scrollable(clean(mathematics.typeset(html)))


def _alive(output):
    """An output without what is dead on a page; None where nothing is left."""
    if output.get("name") == "stderr":
        return None
    if "data" not in output:
        return output
    left = {kind: value for kind, value in output.data.items() if kind not in LIVE}
    output.data = left if len(left) > 1 or "text/plain" not in left or len(left) == len(output.data) else {}
    return output if output.data else None


def _scrollable(html: str) -> str:
    """The page with its tables and pictures in boxes that scroll sideways, by the keyboard too, instead of the page."""
    html = re.sub(r"(<img [^>]*>)", r'<span class="wide" tabindex="0" role="group" aria-label="figure">\1</span>', html)
    opened = re.sub(r"(<table[ >])", r'<div class="wide" tabindex="0" role="group" aria-label="table">\1', html)
    return opened.replace("</table>", "</table></div>")
