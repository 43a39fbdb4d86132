"""The files of the notebooks: where they lie, and what stands in their cells."""

import json
from pathlib import Path

from .. import paths
from ._parameter import Parameter, parsed


def folder() -> Path:
    """The folder that holds the notebooks."""
    return paths.notebooks()


def names() -> list[str]:
    """Every notebook by name, in reading order: the numbered ones, the tables and figures of each paper, the explorers."""
    found = [path.stem for path in folder().glob("*.ipynb")]
    return sorted(found, key=lambda name: (not name[0].isdigit(), name.startswith("explore_"), name))


def path(name: str) -> Path:
    """The notebook's file, by name or path. Raises LookupError that lists the names, or for the path of another file."""
    stem = Path(name).stem
    if stem not in names():
        raise LookupError(f"no notebook {name!r}; choose one of: {', '.join(names())}")
    found = folder() / f"{stem}.ipynb"
    if Path(name).name != name and Path(name).resolve() != found.resolve():
        raise LookupError(f"{name} is not in {folder()}; papermill runs it: papermill {name} out.ipynb")
    return found


def cells(name: str) -> list[dict]:
    """The notebook's cells, as nbformat reads them."""
    import nbformat

    return nbformat.read(path(name), as_version=4).cells


def tagged(name: str, tag: str) -> list[str]:
    """The sources of the cells that bear a tag."""
    return [source for source, tags in _sources(name) if tag in tags]


def title(name: str) -> str:
    """The notebook's first line; its name where there is none."""
    lines = [line for source, _ in _sources(name) for line in source.splitlines()]
    return lines[0].lstrip("# ") if lines else name


def _sources(name: str) -> list[tuple[str, list[str]]]:
    """(source, tags) of each cell, from the file's JSON: importing nbformat takes longer than all that is done here.

    Raises ValueError that names a file which is no notebook.
    """
    file = path(name)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return [("".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in found]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is no notebook ({error}); mend it or move it away") from None


def parameters(name: str) -> dict[str, Parameter]:
    """The notebook's parameters, by name."""
    return {each.name: each for source in tagged(name, "parameters") for each in parsed(source)}


def read_parameters(name: str, given: dict[str, str]) -> dict:
    """Values for the parameters that were given as text. Raises LookupError for an unknown name, ValueError for a bad value."""
    known = parameters(name)
    if unknown := sorted(set(given) - set(known)):
        raise LookupError(f"{name} has no parameter {', '.join(unknown)}; it has: {', '.join(known)}")
    try:
        return {key: known[key].read(text) for key, text in given.items()}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
