"""Trials without a result: training diverged, or a number was not finite. They are kept beside the records, as ``KEY.failed``."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import check, files
from .environment import Environment
from .ledger import Ledger
from .record import SCHEMA, setting
from .seal import sealed, unsealed
from .spec import canonical, digest


@dataclass(frozen=True)
class Failure:
    """A trial that was run and has no result. It counts neither as a hit nor as a miss, and is repeated only if asked for."""

    spec: dict[str, Any]  # `Trial.describe`
    reason: str
    environment: Environment
    code: str | None = None  # as in a `Record`

    @cached_property
    def key(self) -> str:
        """The hash of its trial's description."""
        return digest(self.spec)

    @property
    def seed(self) -> int:
        return self.spec["seed"]

    @cached_property
    def setting(self) -> str:
        """All of the trial but its seed and its start, as text, as in a `Record`."""
        return setting(self.spec)

    def to_json(self) -> dict:
        """The content of its file."""
        return {"schema": SCHEMA, "key": self.key, **dataclasses.asdict(self)}


def put(ledger: Ledger, failure: Failure) -> None:
    """Write a failure atomically, in place of one of the same trial."""
    files.write_atomically(_path(ledger, failure.key), (canonical(sealed(failure.to_json())) + "\n").encode())


def get(ledger: Ledger, key: str) -> Failure | None:
    """The failure of a trial by its key; None where there is none, where its file is damaged, and where it has a record since."""
    path = _path(ledger, key)
    return _read(path) if path.exists() and not ledger.path(key).exists() else None


def every(ledger: Ledger) -> Iterator[Failure]:
    """All failures of a ledger whose files can be read."""
    found = (_read(path) for path in sorted(ledger.root.glob("??/*.failed")) if not path.with_suffix(".json").exists())
    return (each for each in found if each)


def _read(path: Path) -> Failure | None:
    try:
        content = unsealed(json.loads(path.read_text(encoding="utf-8")))
        failure = Failure(content["spec"], content["reason"], Environment(**content["environment"]), content["code"])
        check.one_of("key", failure.key, [path.stem])
    except (LookupError, TypeError, ValueError, RecursionError, OSError):
        return None
    return failure


def clear(ledger: Ledger, key: str) -> None:
    """Forget the failure of a trial, which has a record now."""
    _path(ledger, key).unlink(missing_ok=True)


def _path(ledger: Ledger, key: str) -> Path:
    return ledger.path(key).with_suffix(".failed")
