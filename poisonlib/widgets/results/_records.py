"""The results explorer's reader: by way of the ledger's index, each file is read once, and again only if it has changed."""

import functools
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ... import paths
from ...experiments import Trial, index
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
    found, unreadable, missing = _cells(root, stamp)
    if not all(isinstance(_objection(setting), LookupError) for setting in missing):  # a class can be imported by now
        _cells.cache_clear()
        found, unreadable, _ = _cells(root, stamp)
    return found, unreadable


def _stamp(root: Path) -> Stamp:
    """The ledger's folders. Adding or replacing a record changes the time of its folder."""
    if not root.is_dir():
        return ()
    return tuple(sorted((each.path, each.stat().st_mtime_ns) for each in os.scandir(root) if len(each.name) == 2))


@functools.lru_cache(maxsize=8)
def _cells(root: Path, stamp: Stamp) -> tuple[tuple[Cell, ...], tuple[str, ...], tuple[str, ...]]:
    """(the cells of a ledger as it was at that time, a message for each record that cannot be read, settings without a class)."""
    records, failed = index.summaries(root)
    count = Counter(record.setting for record in records)
    against = {setting: error for setting in count if (error := _objection(setting))}
    messages = [text for setting, error in against.items() for text in [message(error)] * count[setting]]
    missing = tuple(setting for setting, error in against.items() if isinstance(error, LookupError))
    found = cells.cells(record for record in records if record.setting not in against)
    return found, (*messages, *map(message, failed.values())), missing


def _objection(setting: str) -> Exception | None:
    """Why a setting's trials cannot be read: a missing class, or whatever a class's module raises; None where they can."""
    try:
        Trial.read(json.loads(setting))
    except Exception as error:
        return error.with_traceback(None)
    return None
