"""A digest of what files hold. It is remembered for as long as none of them is written, moved or replaced, so each is read once."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import files as storage
from . import _where

SETTLED = 2.0  # seconds: a file that was written later may be written again within one tick of the file system's clock


def digest(files: Sequence[tuple[Path, str]]) -> str:
    """SHA-256, as 32 hexadecimal digits, of the bytes of files and of the names given beside their paths, in any order."""
    files = sorted(files, key=lambda file: file[1])
    state, settled = _state(files)
    kept = _where.cache() / "contents" / state
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{32}", found := kept.read_text(encoding="ascii")):
            return found
    found = _read(files)
    if settled and _state(files)[0] == state:
        with contextlib.suppress(OSError):  # where nothing can be written, it is read again the next time
            storage.write_atomically(kept, found.encode())
    return found


def _state(files: Sequence[tuple[Path, str]]) -> tuple[str, bool]:
    """(a digest of names, sizes, times and places on disk, whether the last change was long enough ago to be told from a next)."""
    whole, newest = hashlib.sha256(), 0
    for path, name in files:
        at = os.stat(path)
        newest = max(newest, at.st_ctime_ns, at.st_mtime_ns)
        whole.update(f"{path}\t{name}\t{at.st_size}\t{at.st_mtime_ns}\t{at.st_ctime_ns}\t{at.st_ino}\t{at.st_dev}\n".encode())
    return whole.hexdigest()[:32], newest < (time.time() - SETTLED) * 1e9


def _read(files: Sequence[tuple[Path, str]]) -> str:
    from tqdm import tqdm

    whole = hashlib.sha256()
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), delay=5, desc="content of files", unit="file") as bar:
        for (_, name), found in zip(files, pool.map(_one, (path for path, _ in files)), strict=True):
            whole.update(f"{name}\t{found}\n".encode())
            bar.update()
    return whole.hexdigest()[:32]


def _one(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
