"""Locks between processes. The system takes them from a process that dies, so nobody waits for the dead."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 5.0  # seconds for which a process waits before it says for whom


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock at ``path``. Who has to wait says on standard error for which file and which process."""
    from filelock import Timeout

    lock = _lock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        if sys.stderr:
            print(f"poisonlib: waiting for {path}, held by {holder(path)}", file=sys.stderr, flush=True)
        lock.acquire()
    with _signed(path, lock):
        yield


@contextlib.contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Hold the lock at ``path`` if nobody else does; gives whether it is held."""
    from filelock import Timeout

    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    with _signed(path, lock):
        yield True


def holder(path: Path) -> str:
    """Which process holds the lock at ``path``, in words."""
    try:
        return path.with_suffix(".holder").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "another process"


def _lock(path: Path):
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


@contextlib.contextmanager
def _signed(path: Path, lock) -> Iterator[None]:
    name = path.with_suffix(".holder")
    try:
        with contextlib.suppress(OSError):
            name.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            name.unlink()
        lock.release()
