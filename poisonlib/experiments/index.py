"""An index of a ledger: what lists, plans and explorers want of each record, so that they need not open every file.

The files stay the truth. A row counts only while its file has the size, inode and times that it had when it was read; any other
file is read again. An index that is missing, damaged or of another version is made anew, and can be deleted at any time.
"""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from .. import files
from .record import Record
from .snapshot import looked_up
from .spec import Trial

NAME = ".index"  # in the ledger's folder, beside the folders of its records
WORTH = 100  # files that were read anew before the index is written again: fewer are read as quickly

JUDGES = (
    "export",
    "extractor",
    "index",
    "ledger",
    "legacy",
    "record",
    "seal",
    "spec",
)  # modules that decide what a file's record is

Stamp = tuple[int, int, int, int]  # size, inode, and the times of the last change of the content and of the inode, in nanoseconds


@dataclass(frozen=True)
class Summary:
    """Of a record what does not vary in length; the names are those of `Record`."""

    key: str
    setting: str
    seed: int
    start: int
    success: float
    accuracy: float
    confidence: float | None
    seconds: float
    processor_seconds: float | None
    device: str
    code: str | None
    content: str  # `Record.data`, as JSON

    @classmethod
    def of(cls, record: Record) -> "Summary":
        """The summary of a record."""
        return cls(*(getattr(record, field.name) for field in fields(cls) if field.name != "content"), json.dumps(record.data))

    @property
    def data(self) -> dict[str, str] | None:
        """Fingerprints of the images and labels, by split."""
        return json.loads(self.content)

    @cached_property
    def trial(self) -> Trial:
        """The trial. Raises LookupError where a class that it names cannot be imported here."""
        return replace(Trial.read(json.loads(self.setting)), seed=self.seed, start=self.start)


NAMES = [field.name for field in fields(Summary)]
TEXTS = [i for i, name in enumerate(NAMES) if name in ("setting", "device", "code", "content")]  # often the same

_SEEN: dict[Path, dict[str, tuple[Stamp, Summary]]] = {}  # what this process found last, by ledger


def summaries(root: Path) -> tuple[list[Summary], dict[Path, Exception]]:
    """(summaries of the sound records below ``root``, in the order of their files; the errors of the files that are none)."""
    return looked_up(_summaries, root)


def _summaries(root: Path) -> tuple[list[Summary], dict[Path, Exception]]:
    known, found, failed, fresh = _SEEN.get(root) or _load(root / NAME), {}, {}, 0
    for file, stamp in looked_up(_stored, root):
        row = known.get(file)
        if row is None or row[0] != stamp:
            fresh += 1
            try:
                row = stamp, Summary.of(_read(root / file))
            except Exception as error:  # whatever a damaged file leads to
                failed[root / file] = error.with_traceback(None)
                continue
        found[file] = row
    _SEEN[root] = found
    if fresh - len(failed) >= WORTH:
        with contextlib.suppress(OSError):  # a folder that nobody may write to has no index
            files.write_atomically(root / NAME, _packed(found))
    return [summary for _, summary in found.values()], failed


def state(root: Path) -> bytes:
    """A digest of names and stamps of all files of a ledger: another one where a record was added, changed or removed."""
    return hashlib.sha256(repr([_version(), *looked_up(_stored, root)]).encode()).hexdigest().encode()


def _read(path: Path) -> Record:
    from .ledger import read

    return read(path)


def _stored(root: Path) -> list[tuple[str, Stamp]]:
    """Each record's file, relative to the ledger's folder, with its stamp as it is now, before it is read."""
    folders, found = sorted(each.name for each in os.scandir(root) if len(each.name) == 2) if root.is_dir() else (), []
    for folder in folders:
        for entry in sorted(_entries(root / folder), key=lambda entry: entry.name):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                about = entry.stat()
                stamp = about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns
                found.append((f"{folder}/{entry.name}", stamp))
    return found


def _entries(folder: Path) -> list[os.DirEntry]:
    with contextlib.suppress(NotADirectoryError, FileNotFoundError):
        return [entry for entry in os.scandir(folder) if entry.name.endswith(".json") and not entry.name.startswith(".")]
    return []


def _packed(rows: dict[str, tuple[Stamp, Summary]]) -> bytes:
    """A first line with a digest of all that follows: texts, each once, and a row a file in which they are numbers."""
    texts: dict[str | None, int] = {}
    lines = [[file, *stamp, *_numbered(summary, texts)] for file, (stamp, summary) in rows.items()]
    body = json.dumps([_version(), list(texts), lines], separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _numbered(summary: Summary, texts: dict[str | None, int]) -> Iterable:
    for i, value in enumerate(getattr(summary, name) for name in NAMES):
        yield texts.setdefault(value, len(texts)) if i in TEXTS else value


def _load(path: Path) -> dict[str, tuple[Stamp, Summary]]:
    """The rows of an index by file; none where it is missing, damaged or of another version."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        if head.decode() != hashlib.sha256(body).hexdigest():
            return {}
        version, texts, lines = json.loads(body)
        return {line[0]: (tuple(line[1:5]), _summary(line[5:], texts)) for line in lines} if version == _version() else {}
    except (OSError, ValueError, TypeError, LookupError):
        return {}


def _summary(values: list, texts: list) -> Summary:
    for i in TEXTS:
        values[i] = texts[values[i]]
    return Summary(*values)


def _version() -> list:
    """What an index must have been written with: other code may judge a file otherwise, or know it under another name."""
    return [*NAMES, *(_code(name) for name in JUDGES)]


@functools.cache
def _code(name: str) -> str:
    return hashlib.sha256(Path(__file__).with_name(f"{name}.py").read_bytes()).hexdigest()
