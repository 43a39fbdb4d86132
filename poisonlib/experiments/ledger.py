"""Records on disk: one JSON file a trial, under the hash of its spec and seed, written whole or not at all."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import paths
from .spec import Trial, canonical, digest

SCHEMA = 1


@dataclass(frozen=True)
class Ledger:
    """A folder of records. Several processes, or machines on a shared disk, may write into it at the same time."""

    root: Path

    @classmethod
    def open(cls, root: "str | Path | None" = None) -> "Ledger":
        """The ledger at ``root``, by default that of the output folder."""
        return cls(Path(root) if root else paths.outputs() / "trials")

    def path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.json"

    def __contains__(self, trial: Trial) -> bool:
        return self.path(trial.key).exists()

    def get(self, trial: Trial) -> dict:
        """The record of a trial. Raises KeyError where there is none, ValueError where the file is not that trial's record."""
        path = self.path(trial.key)
        if not path.exists():
            raise KeyError(f"no record of trial {trial.key} (seed {trial.seed}) in {self.root}")
        return read(path)

    def put(self, record: dict) -> None:
        """Write a record atomically; an equal one that is there already is replaced."""
        write_atomically(self.path(record["key"]), (canonical(record) + "\n").encode())

    def __iter__(self) -> Iterator[dict]:
        return (read(path) for path in sorted(self.root.glob("??/*.json")))


def read(path: Path) -> dict:
    """A record from a file, checked: it parses, it has our schema, and its spec hashes to its name."""
    try:
        record = json.loads(path.read_text())
        sound = record["schema"] == SCHEMA and record["key"] == path.stem == digest(record["spec"])
    except (json.JSONDecodeError, KeyError, TypeError):
        sound = False
    if not sound:
        raise ValueError(f"{path} is not a sound record; move it away and run again, and the trial is repeated")
    return record


def write_atomically(path: Path, content: bytes) -> None:
    """All of ``content`` at ``path`` or nothing, even if the machine dies meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{uuid.uuid4().hex}")  # no reader looks for such a name, so one that a kill leaves does no harm
    try:
        with part.open("xb") as file:  # with the rights of any other file: several accounts may share the folder
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def measured(record: dict) -> str:
    """The part of a record that must not depend on when, where and beside what it ran, as canonical text."""
    return canonical({name: record[name] for name in ("key", "spec", "result")})


def frame(records: Iterable[dict]):
    """The records as a pandas table, a row a trial: what varies between cells, counts, rates, cost and place."""
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])


def _row(record: dict) -> dict:
    trial, result = Trial.read(record["spec"]), record["result"]
    clean = [sum(column) for column in zip(*result["clean"], strict=True)]
    return {
        "data": record["spec"]["data"]["name"],
        "model": record["spec"]["model"]["name"],
        "attack": record["spec"]["attack"]["name"],
        **{f"attack.{name}": value for name, value in record["spec"]["attack"].items() if name != "name"},
        "defence": trial.defence.label,
        "seed": trial.seed,
        "success": result["success"][0] / result["success"][1],
        "wanted probability": result.get("wanted probability"),
        "goal images": result["success"][1],
        "clean accuracy": clean[0] / clean[1],
        "wanted": result["wanted"],
        "victim class": result["victim class"],
        "poisons": result["poisons"]["count"],
        "target right": _share(result.get("craft", {}).get("targets right")),
        "objective": result.get("craft", {}).get("objective"),
        "removed": (result["filter"] or {}).get("removed"),
        "poisons removed": (result["filter"] or {}).get("poisons removed"),
        "auc": (result["filter"] or {}).get("auc"),
        "seconds": record["cost"]["seconds"],
        "device": record["place"]["device"],
        "key": record["key"],
    }


def _share(counts: list[int] | None) -> float | None:
    return counts[0] / counts[1] if counts else None
