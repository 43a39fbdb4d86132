"""The results explorer's reader: each folder of a ledger is read once, and again only if it has changed."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from ... import paths
from ...experiments import Record
from ...experiments.ledger import read
from ...papers import cells
from ...papers.cells import Cell
from .._panel import message

AUTO, YOURS, FIRST = "auto", "yours", "quick"
Stamp = tuple[tuple[str, int], ...]  # folders and the times at which they last changed, in nanoseconds


@dataclass(frozen=True)
class Source:
    """The cells of one ledger. Records that cannot be read are left out; ``unreadable`` holds an error message for each."""

    name: str
    cells: tuple[Cell, ...]
    unreadable: tuple[str, ...]


def sources() -> dict[str, Path]:
    """Ledgers by name: your own, then the runs that are kept with the code."""
    kept = sorted((paths.root() / "outputs" / "reference").glob("*/trials"))
    return {YOURS: paths.outputs() / "trials"} | {folder.parent.name: folder for folder in kept}


def load(source: str = AUTO) -> Source:
    """The cells of a source. ``"auto"`` is your ledger or, if it has no cells, the kept run `FIRST`.

    Raises LookupError for an unknown source.
    """
    known = sources()
    if source not in (AUTO, *known):
        raise LookupError(f"source={source!r}: choose one of: {', '.join((AUTO, *known))}")
    if source != AUTO:
        return Source(source, *_read(known[source]))
    mine = Source(YOURS, *_read(known[YOURS]))
    return mine if mine.cells or mine.unreadable or FIRST not in known else load(FIRST)


def _read(root: Path) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    stamp = _stamp(root)
    found, failed = _cells(stamp)
    missing = {message(error): path for path, error in failed.items() if isinstance(error, LookupError)}
    if any(isinstance(_attempt(path), Record) for path in missing.values()):  # a class can be imported by now
        _cells.cache_clear()
        _folder.cache_clear()
        found, failed = _cells(stamp)
    return found, tuple(map(message, failed.values()))


def _stamp(root: Path) -> Stamp:
    """The ledger's folders. Adding or replacing a record changes the time of its folder."""
    if not root.is_dir():
        return ()
    return tuple(sorted((each.path, each.stat().st_mtime_ns) for each in os.scandir(root) if len(each.name) == 2))


@functools.lru_cache(maxsize=8)
def _cells(stamp: Stamp) -> tuple[tuple[Cell, ...], dict[Path, Exception]]:
    parts = [_folder(*each) for each in stamp]
    failed = {path: error for _, errors in parts for path, error in errors.items()}
    return cells.cells(record for records, _ in parts for record in records), failed


@functools.lru_cache(maxsize=2048)
def _folder(folder: str, changed: int) -> tuple[list[Record], dict[Path, Exception]]:
    """The records in a folder as it was at that time, and the errors of those that cannot be read."""
    found = {path: _attempt(path) for path in sorted(Path(folder).glob("*.json"))}
    errors = {path: each for path, each in found.items() if not isinstance(each, Record)}
    return [each for each in found.values() if isinstance(each, Record)], errors


def _attempt(path: Path) -> Record | Exception:
    """A record whose trial can be read too, or the error: a damaged file, a missing class, or whatever a class's module raises."""
    try:
        record = read(path)
        record.trial  # noqa: B018 (raises LookupError where a class is missing)
    except Exception as error:
        return error.with_traceback(None)
    return record
