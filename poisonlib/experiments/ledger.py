"""Records on disk: one JSON file a trial, named by the hash of its description, written completely or not at all."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import files, paths
from . import legacy
from .record import SCHEMA, Record
from .spec import Trial, canonical, digest


@dataclass(frozen=True)
class Ledger:
    """A folder of records. Several processes, or machines with a shared disk, may write to it at the same time."""

    root: Path

    @classmethod
    def open(cls, root: "str | Path | None" = None) -> "Ledger":
        """The ledger at ``root``, by default that of the output folder."""
        return cls(Path(root) if root else paths.outputs() / "trials")

    def path(self, key: str) -> Path:
        """The file of a record."""
        return self.root / key[:2] / f"{key}.json"

    def __contains__(self, trial: Trial) -> bool:
        return self.path(trial.key).exists()

    def get(self, trial: Trial) -> Record:
        """The record of a trial. Raises KeyError where there is none, ValueError where the file is damaged."""
        path = self.path(trial.key)
        if not path.exists():
            raise KeyError(f"no record of trial {trial.key} (seed {trial.seed}) in {self.root}")
        return read(path)

    def put(self, record: Record) -> None:
        """Write a record atomically, in place of one with the same key."""
        files.write_atomically(self.path(record.key), (canonical(record.to_json()) + "\n").encode())

    def __iter__(self) -> Iterator[Record]:
        return (read(path) for path in sorted(self.root.glob("??/*.json")))

    def upgrade(self) -> int:
        """Rewrite the records of older versions under today's names; returns their number.

        A trial that was run anew since keeps its new record. Raises ValueError that names a file which is no record.
        """
        records = {path: read(path) for path in sorted(self.root.glob("??/*.json"))}
        old = {path: record for path, record in records.items() if path != self.path(record.key)}
        for path, record in old.items():
            if not self.path(record.key).exists():
                self.put(record)
            path.unlink()
        return len(old)


def read(path: Path) -> Record:
    """A record from a file, checked: its schema is known and its name is the hash of its description.

    Raises ValueError that names the file where it is no record.
    """
    try:
        content = _content(path)
        if content["key"] != path.stem:
            raise ValueError(f"the file is named {path.stem}, its record {content['key']}")
        if content["schema"] == 1:
            content = legacy.upgrade(content)
        if content["schema"] != SCHEMA or content["key"] != digest(content["spec"]):
            raise ValueError("its schema is unknown, or its name is not the hash of its description")
        return Record.from_json(content)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a sound record ({error}); move it away and run again to repeat the trial") from error


def _content(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def frame(records: Iterable[Record]):
    """The records as a pandas table, a row a trial: what varies between cells, counts, rates, cost and environment."""
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])


def _defence(record: Record) -> str:
    """The defence's label or, where a class cannot be imported here, the names of its parts."""
    try:
        return record.trial.defence.label
    except LookupError:
        parts = record.spec["defence"]
        return " + ".join(part["name"] for part in (*parts["augment"], parts["step"], parts["filter"]) if part) or "none"


def _row(record: Record) -> dict:
    craft, removed = record.craft, record.filter
    return {
        "data": record.spec["data"]["name"],
        "model": record.spec["model"]["name"],
        "attack": record.spec["attack"]["name"],
        **{f"attack.{name}": value for name, value in record.spec["attack"].items() if name != "name"},
        "defence": _defence(record),
        "seed": record.seed,
        "success": record.success,
        "confidence": record.evaluation.confidence,
        "targets": record.evaluation.targets,
        "accuracy": record.accuracy,
        "intended class": record.intended_class,
        "source class": record.source_class,
        "poisons": record.poisons.count,
        "targets correct": craft and craft.targets_correct[0] / craft.targets_correct[1],
        "objective": craft and craft.objective,
        "removed": removed and removed.removed,
        "poisons removed": removed and removed.poisons_removed,
        "auc": removed and removed.auc,
        "seconds": record.cost.seconds,
        "device": record.environment.device,
        "key": record.key,
    }
