"""Records on disk: one JSON file a trial, named by the hash of its description, written completely or not at all."""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import files, paths
from ..words import plural
from . import index, legacy, provenance
from .record import SCHEMA, Record
from .seal import check_values, sealed, unsealed
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
        files.write_atomically(self.path(record.key), (canonical(sealed(record.to_json())) + "\n").encode())

    @property
    def stored(self) -> list[Path]:
        """The files of all records, sound or not."""
        return sorted(path for path in self.root.glob("??/*.json") if not path.name.startswith("."))

    def __iter__(self) -> Iterator[Record]:
        """The records whose files can be read; a warning counts the others and names the first."""
        damaged = []
        for found in self._each():
            if isinstance(found, Record):
                yield found
            else:
                damaged.append(str(found))
        if damaged:
            warnings.warn(
                f"left out, as they hold no record: {plural(len(damaged), 'file')}, the first: {damaged[0]}", stacklevel=2
            )

    def sound(self) -> Iterator[Record]:
        """The records whose files can be read, without a warning of others."""
        return (found for found in self._each() if isinstance(found, Record))

    def _each(self) -> Iterator[Record | ValueError | OSError]:
        for path in self.stored:
            try:
                yield read(path)
            except (ValueError, OSError) as error:
                yield error

    def summaries(self) -> list[index.Summary]:
        """Of each sound record what lists and plans want of it, by way of the folder's index: few files are opened."""
        return index.summaries(self.root)[0]

    def upgrade(self) -> int:
        """Rewrite the records of older versions under today's names; returns their number.

        A trial that was run anew since keeps its new record. Raises ValueError that names a file which is no record.
        """
        records = {path: read(path) for path in self.stored}
        old = {path: record for path, record in records.items() if path != self.path(record.key)}
        for path, record in old.items():
            if not self.path(record.key).exists():
                self.put(record)
            path.unlink()
        return len(old)

    def merge(self, other: "Ledger", other_code: bool = False) -> "Merge":
        """Take over the records of another ledger, such as one that was copied from another machine; that one stays as it is.

        A record that is here already is kept. One that this checkout would not make, since its code or its data have another
        digest, is refused unless ``other_code`` is true; so is one whose trial cannot be read here. Where the data set is not on
        this machine, the data are not checked. Records of older versions get today's names.

        Raises FileNotFoundError where the other ledger has no records.
        """
        if not other.stored:
            raise FileNotFoundError(f"there are no records in {other.root}; give the folder that holds them, such as trials/")
        found, outcomes = {}, {}
        for path in other.stored:
            try:
                found[path] = read(path)
            except (ValueError, OSError) as error:
                outcomes[path] = DAMAGED, str(error)
        for path, record in sorted(found.items(), key=lambda item: item[0].stem != item[1].key):  # those of older versions last
            outcomes[path] = self._take(record, other_code)
        return Merge(outcomes)

    def _take(self, record: Record, other_code: bool) -> tuple[str, str]:
        """Store another ledger's record, unless something is against it; returns what became of it, as in `Merge`."""
        if self.path(record.key).exists():
            try:
                mine = read(self.path(record.key))
            except ValueError as error:
                return DAMAGED, str(error)
            return (DIFFERS, mine.environment.device) if _contradict(mine, record) else (KEPT, "")
        objection, checked = _examined(record)
        if objection and not (other_code and objection in (provenance.OTHER_CODE, provenance.OTHER_DATA)):
            return REFUSED, objection
        self.put(record)
        return MERGED if checked else UNCHECKED, objection


MERGED, UNCHECKED, KEPT, DIFFERS, REFUSED, DAMAGED = "merged", "unchecked", "kept", "differs", "refused", "damaged"


@dataclass(frozen=True)
class Merge:
    """What became of each file of a ledger that was merged, and why.

    ``"merged"``; ``"unchecked"``: merged, but the data set is not on this machine; ``"kept"``: there is a record of the trial here;
    ``"differs"``: likewise, with other results, although code, data and device are the same; ``"refused"``; ``"damaged"``.
    """

    outcomes: dict[Path, tuple[str, str]]

    def of(self, kind: str) -> dict[Path, str]:
        """The files of which this became, each with the reason."""
        return {path: why for path, (what, why) in self.outcomes.items() if what == kind}

    def __str__(self):
        count = Counter(what for what, _ in self.outcomes.values())
        text = f"{plural(count[MERGED] + count[UNCHECKED], 'record')} merged, {count[KEPT] + count[DIFFERS]} here already"
        text += f", {count[REFUSED]} refused, {count[DAMAGED]} damaged"
        if count[UNCHECKED]:
            text += f"; data not checked: {count[UNCHECKED]}, as the data set is not on this machine"
        lines = [f"refused: {path}: {why}" for path, why in self.of(REFUSED).items()]
        lines += [f"damaged: {why}" for why in self.of(DAMAGED).values()]
        same = "other results than the record that is here, with the same code, data and device"
        lines += [f"warning: {path}: {same} ({device})" for path, device in self.of(DIFFERS).items()]
        return "\n".join([text, *lines])


def _contradict(one: Record, other: Record) -> bool:
    """Whether two records of a trial have different results, although made with the same code and data on the same device."""
    alike = [(each.code, each.data, each.environment.device) for each in (one, other)]
    return alike[0] == alike[1] and one.code is not None and one.measured() != other.measured()


def _examined(record: Record) -> tuple[str, bool]:
    """(why this checkout would not make such a record, or "", whether its data could be checked)."""
    try:
        trial = record.trial
        if trial.key != record.key:
            return "its description means another trial here", False
        return provenance.staleness(record, trial), provenance.content(trial) is not None
    except (LookupError, TypeError, ValueError) as error:
        return f"its trial cannot be read here: {error.args[0] if error.args else error}", False


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
        content = unsealed(content)
        if content["schema"] != SCHEMA or content["key"] != digest(content["spec"]):
            raise ValueError("its schema is unknown, or its name is not the hash of its description")
        check_values(content)
        return Record.from_json(content)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
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
    except (LookupError, TypeError, ValueError):
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
        "transfer": craft and craft.transfer,
        "removed": removed and removed.removed,
        "poisons removed": removed and removed.poisons_removed,
        "least removed": min(removed.rounds) if removed and removed.rounds else None,
        "most removed": max(removed.rounds) if removed and removed.rounds else None,
        "auc": removed and removed.auc,
        "seconds": record.cost.seconds,
        "processor seconds": record.cost.processor_seconds,
        "device": record.environment.device,
        "key": record.key,
    }
