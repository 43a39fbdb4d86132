"""Records as the results explorer shows them: files are read once, and trials that differ by their seed alone make one cell."""

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .. import paths, registry
from ..experiments import Trial
from ..experiments.ledger import read
from ..experiments.spec import canonical

AUTO, YOURS, FIRST = "auto", "yours", "quick"
Stamp = tuple[tuple[str, int], ...]  # folders and when they last changed, in nanoseconds


@dataclass(frozen=True)
class Setting:
    """All of a trial but its seed, in a reader's words; ``text`` is the whole of it."""

    text: str  # canonical JSON of the spec with the seed 0
    kind: str  # the attack's name, without its numbers
    attack: str
    defence: str
    data: str
    model: str
    training: str
    control: bool  # whether the attack leaves no trace


@dataclass(frozen=True)
class Cell:
    """The trials of one setting, in the order of their seeds; all rates are shares."""

    setting: Setting
    seeds: tuple[int, ...]
    success: tuple[float, ...]
    accuracy: tuple[float, ...]
    probability: tuple[float, ...]  # of the wanted class, for those records that know it
    seconds: tuple[float, ...]
    devices: tuple[str, ...]
    single: bool  # whether every trial is one hit or miss


def sources() -> dict[str, Path]:
    """Folders of records by name: the user's own, then the runs that are kept with the code."""
    kept = sorted((paths.repository() / "outputs" / "reference").glob("*/trials"))
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
    groups: dict[str, list[tuple[int, dict]]] = {}
    for folder in stamp:
        for text, row in _rows(*folder):
            groups.setdefault(text, []).append(row)
    return tuple(sorted((_cell(setting(text), rows) for text, rows in groups.items()), key=_order))


@functools.lru_cache(maxsize=2048)
def _rows(folder: str, changed: int) -> list[tuple[str, dict]]:
    """Of each record in a folder, as it was at that time: the setting's text and what was measured."""
    return [_row(read(path)) for path in sorted(Path(folder).glob("*.json"))]


def _row(record: dict) -> tuple[str, dict]:
    result, (right, of) = record["result"], (sum(column) for column in zip(*record["result"]["clean"], strict=True))
    return canonical(record["spec"] | {"seed": 0}), {
        "seed": record["spec"]["seed"],
        "success": result["success"],
        "accuracy": right / of,
        "probability": result.get("wanted probability"),
        "seconds": record["cost"]["seconds"],
        "device": record["place"]["device"],
    }


def _cell(setting: Setting, rows: list[dict]) -> Cell:
    rows = sorted(rows, key=lambda row: row["seed"])
    return Cell(
        setting,
        tuple(row["seed"] for row in rows),
        tuple(row["success"][0] / row["success"][1] for row in rows),
        tuple(row["accuracy"] for row in rows),
        tuple(row["probability"] for row in rows if row["probability"] is not None),
        tuple(row["seconds"] for row in rows),
        tuple(row["device"] for row in rows),
        all(row["success"][1] == 1 for row in rows),
    )


@functools.lru_cache(maxsize=4096)
def setting(text: str) -> Setting:
    """A spec's canonical text in words. Raises LookupError where it names what the package no longer has."""
    trial = Trial.read(json.loads(text))
    return Setting(
        text,
        registry.name_of(trial.attack),
        registry.label(trial.attack),
        trial.defence.label,
        registry.label(trial.data),
        registry.label(trial.model),
        f"{trial.recipe.epochs} epochs, {trial.numerics.precision}",
        getattr(trial.attack, "clean", False),
    )


def _order(cell: Cell) -> tuple:
    """By attack, data, network and the attack's numbers; undefended victims first."""
    it, numbers = cell.setting, canonical(json.loads(cell.setting.text)["attack"])
    return it.kind, it.data, it.model, it.training, numbers, it.defence != "none", it.defence, it.text
