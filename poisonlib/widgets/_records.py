"""The results explorer's reader: a folder of records is read once, and again when it has changed."""

import functools
import os
from pathlib import Path

from .. import paths
from ..experiments import Record
from ..experiments.ledger import read
from ..papers import cells
from ..papers.cells import Cell

AUTO, YOURS, FIRST = "auto", "yours", "quick"
Stamp = tuple[tuple[str, int], ...]  # folders and when they last changed, in nanoseconds


def sources() -> dict[str, Path]:
    """Folders of records by name: the user's own, then the runs that are kept with the code."""
    kept = sorted((paths.root() / "outputs" / "reference").glob("*/trials"))
    return {YOURS: paths.outputs() / "trials"} | {folder.parent.name: folder for folder in kept}


def load(source: str = AUTO) -> tuple[str, tuple[Cell, ...]]:
    """A source's name and its cells, by name. ``auto``: yours, or where you have none those of `FIRST`, a kept run.

    Raises LookupError for an unknown source, ValueError for a file that is no sound record.
    """
    known = sources()
    if source not in (AUTO, *known):
        raise LookupError(f"source={source!r}: choose one of: {', '.join((AUTO, *known))}")
    if source == AUTO:
        source = YOURS if _cells(_stamp(known[YOURS])) or FIRST not in known else FIRST
    return source, _cells(_stamp(known[source]))


def _stamp(root: Path) -> Stamp:
    """The ledger's folders; a record that is added or replaced changes the time of its folder."""
    if not root.is_dir():
        return ()
    return tuple(sorted((each.path, each.stat().st_mtime_ns) for each in os.scandir(root) if len(each.name) == 2))


@functools.lru_cache(maxsize=8)
def _cells(stamp: Stamp) -> tuple[Cell, ...]:
    return cells.cells(record for folder in stamp for record in _records(*folder))


@functools.lru_cache(maxsize=2048)
def _records(folder: str, changed: int) -> list[Record]:
    """The records in a folder as it was at that time."""
    return [read(path) for path in sorted(Path(folder).glob("*.json"))]
