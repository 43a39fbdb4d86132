"""The benchmark's setups: its public pickles, and setups of one's own in the same format."""

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from .. import attacks, data, files, registry
from ..attacks import ThreatModel
from ..data import Setup
from ..experiments import Trial
from . import _pickles

KEYS = ("target class", "target index", "base class", "base indices")


def read_setups(path: str | Path) -> tuple[Setup, ...]:
    """The setups in a pickle such as the benchmark's ``cifar10_from_scratch.pickle``: a list of dicts with the keys `KEYS`.

    Raises ValueError that names the file, and the setup, where it is missing, damaged, or holds anything else.
    """
    path = Path(path)
    content = _pickles.read(path)
    if not isinstance(content, list) or not content:
        raise ValueError(f"{path.name} holds no list of setups")
    return tuple(_setup(each, f"{path.name}, setup {number}") for number, each in enumerate(content))


def _setup(entry, where: str) -> Setup:
    if not isinstance(entry, dict) or set(entry) != set(KEYS):
        raise ValueError(f"{where}: a dict with the keys {', '.join(map(repr, KEYS))} is wanted")
    bases = entry["base indices"]
    numbers = [entry[key] for key in KEYS[:3]] + (bases if isinstance(bases, list | tuple) else [None])
    if not bases or any(type(each) is not int or not 0 <= each < 2**63 for each in numbers):
        raise ValueError(f"{where}: classes and indices are whole numbers from 0, base indices a list of them")
    if entry["target class"] == entry["base class"]:
        raise ValueError(f"{where}: the target is of the base class, {entry['base class']}, already")
    return Setup(*numbers[:3], tuple(bases))


def write_setups(path: str | Path, setups: Iterable[Setup]) -> None:
    """Write setups in the benchmark's format, with plain integers and lists, which every version of NumPy can read."""
    rows = [(each.target_class, each.target_id, each.base_class, list(each.base_ids)) for each in setups]
    files.write_atomically(Path(path), pickle.dumps([dict(zip(KEYS, row, strict=True)) for row in rows], protocol=4))


def seeded_setups(attack, source, seeds: Sequence[int]) -> tuple[Setup, ...]:
    """The choices that a targeted attack makes on a data set with these seeds, as setups numbered from 0."""
    attack, source = attacks.load(attack), data.source(source)
    known = ThreatModel(source.load("train"), source.load("test"))
    chosen = [attack.choose(known, seed) for seed in seeds]
    return tuple(Setup(goal.source_class, int(goal.ids[0]), goal.intended_class, tuple(base.ids.tolist())) for base, goal in chosen)


def on_setups(trials: Iterable[Trial], setups: Sequence[Setup], limit: int | None = None) -> list[Trial]:
    """The same trials on setups: the seed of each is the number of its setup.

    ``limit``: images of CIFAR-10 that the training set of each setup has, base images included, as in transfer learning (2,500);
    None: the trials' own data. Raises ValueError for a seed that is no number of a
    setup, and for an attack that draws its own images.
    """
    setups, trials = tuple(setups), list(trials)
    digest = data.keep_setups(setups)
    return [_on_setup(trial, len(setups), digest, limit) for trial in trials]


def _on_setup(trial: Trial, count: int, digest: str, limit: int | None) -> Trial:
    if not 0 <= trial.seed < count:
        raise ValueError(f"seed {trial.seed}: the seed is the number of a setup, from 0 to {count - 1}; choose first_seed=0")
    if not hasattr(trial.attack, "setups"):
        raise ValueError(f"{registry.label(trial.attack)!r} chooses its own images; an attack on a setup derives from Targeted")
    source = data.source("cifar_setup", setups=digest, limit=limit) if limit else trial.data
    return replace(trial, attack=replace(trial.attack, setups=digest), data=source)
