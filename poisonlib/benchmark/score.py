"""Scoring a folder of poisons: each setup's are checked, victims are trained on them, and the result is a row of a leaderboard."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import attacks, check, data, experiments, files, models, paths, registry
from ..data import Setup
from ..experiments import Record
from ..experiments.crafting import images
from ..papers.statistics import mean_rate
from . import submission as submissions
from .setups import read_setups
from .submission import Submission

TRIGGER_SIZES = {"tinyimagenet": 8}  # pixels a side that the benchmark allows; elsewhere 5


@dataclass(frozen=True)
class Score:
    """What became of a folder of poisons: a record for each accepted setup and victim, and why others were refused."""

    title: str
    setups: str  # the file's name
    digest: str  # of its setups
    count: int  # how many there are
    scenario: str
    profile: str
    budget: int  # the largest change of a pixel, in steps of 1/255
    records: dict[int, list[Record]]  # by the setup's number, one for each victim
    refused: dict[str, str]  # by the folder's name
    chosen: tuple[Setup, ...]

    def victims(self) -> dict[str, list[Record]]:
        """The records of each victim's architecture, in the order of the setups."""
        every = [record for number in sorted(self.records) for record in self.records[number]]
        labels = dict.fromkeys(registry.label(record.trial.model) for record in every)
        return {label: [each for each in every if registry.label(each.trial.model) == label] for label in labels}

    def to_json(self) -> dict:
        """The score as plain JSON values: the row, each setup and victim, and each refusal."""
        facts = ("title", "setups", "digest", "count", "scenario", "profile", "budget", "refused")
        by_victim = {label: _rate(records) for label, records in self.victims().items()}
        missing = sorted(set(range(self.count)) - set(self.records) - {int(name) for name in self.refused if name.isdecimal()})
        results = [self._result(number, record) for number in sorted(self.records) for record in self.records[number]]
        whole = {name: getattr(self, name) for name in facts} | {"missing": missing, "victims": by_victim, "results": results}
        return whole | {"data": registry.label(next(iter(self.records.values()))[0].trial.data) if self.records else None}

    def _result(self, number: int, record: Record) -> dict:
        setup = self.chosen[number]
        return {
            "setup": number,
            "target class": setup.target_class,
            "target index": setup.target_id,
            "base class": setup.base_class,
            "victim": registry.label(record.trial.model),
            "success": record.success,
            "confidence": record.evaluation.confidence,
            "accuracy": round(record.accuracy, 6),
            "largest change": record.poisons.largest_change,
            "record": record.key,
        }

    @property
    def path(self) -> Path:
        """The file of the score, ``outputs/benchmark/....json``."""
        plain = re.sub(r"[^A-Za-z0-9]+", "_", self.title)
        title = plain if plain == self.title else f"{plain}_{hashlib.sha256(self.title.encode()).hexdigest()[:8]}"
        return paths.outputs() / "benchmark" / f"{title}-{self.scenario}-{self.profile}-{self.digest[:8]}.json"


def _rate(records: Sequence[Record]) -> dict:
    """The mean success over setups with its 95 % interval, and the mean accuracy."""
    found = mean_rate([record.success for record in records])
    rates = {"success": found.value, "low": found.low, "high": found.high, "trials": found.trials}
    return rates | {"accuracy": round(sum(record.accuracy for record in records) / len(records), 6)}


def score(
    folder: str | Path,
    setups: str | Path,
    *,
    title: str | None = None,
    scenario: str = "targeted",
    profile: str = "quick",
    victims: Sequence[str] = (),
    source=None,
    limit: int | None = None,
    budget: int = 8,
    device: str = "auto",
    workers: int | None = None,
) -> Score:
    """Check and score the poisons in a folder, and keep the result as JSON in ``outputs/benchmark``.

    ``folder`` holds a folder for each setup, named by its number, or is itself the folder of one. What is refused does not keep the
    rest from being scored. The victim of setup i is that of the trial with the seed i, so a directory that `export` wrote gets the
    result of the trial that it came from. ``victims``: architectures, by default the profile's; ``source``: the data set, likewise;
    ``limit``: training images of CIFAR-10 that each setup has, as 2,500 in transfer learning (see `on_setups`); ``budget``: the
    largest change of a pixel, in steps of 1/255. Raises ValueError where the setups cannot be read.
    """
    check.whole("budget", budget, 1, 255)
    folder, known = Path(folder), read_setups(setups)
    title = title or folder.resolve().name
    setting = experiments.profile(scenario, profile)
    if limit and source is not None:
        raise ValueError(f"limit={limit} makes a training set of CIFAR-10 for each setup; give no data set with it")
    if limit:
        source = data.source("cifar_setup", setups=data.keep_setups(known), limit=limit)
    source = data.source(source if source is not None else setting.data).resolved()
    accepted, refused = _checked(folder, known, source, budget)
    trials = []
    for number, each in accepted.items():
        attack = attacks.given(each.poison(), each.goal(known[number]), title)
        how = dict(attack=attack, data=source, trials=1, first_seed=number)
        trials += [experiments.grid(scenario, profile, model=models.load(m), **how)[0] for m in victims or [setting.model]]
    done = experiments.run(trials, device=device, workers=workers)
    by_number = {number: [record for record in done if record.seed == number] for number in accepted}
    records = {number: found for number, found in by_number.items() if found}
    refused |= {str(each.seed): f"a victim's training failed: {each.reason}" for each in done.failures}
    facts = (title, Path(setups).name, data.keep_setups(known), len(known), scenario, profile, budget)
    made = Score(*facts, records, refused, known)
    files.write_atomically(made.path, json.dumps(made.to_json(), indent=1).encode())
    return made


def _checked(folder: Path, known: Sequence[Setup], source, budget: int) -> tuple[dict[int, Submission], dict[str, str]]:
    """(accepted poisons by the number of their setup, why others were refused by the name of their folder)."""
    accepted, refused, size = {}, {}, TRIGGER_SIZES.get(registry.name_of(source), 5)
    for path in _folders(folder):
        try:
            found = submissions.read(path)
            number = _number(path, found, known)
            train, test = (images(source.for_seed(number), split, torch.device("cpu")) for split in ("train", "test"))
            found.check(known[number], train, test, budget, size)
            accepted[number] = found
        except ValueError as error:
            refused[path.name] = str(error)
    return accepted, refused


def _folders(folder: Path) -> list[Path]:
    """The setups' folders, by number. Raises FileNotFoundError where there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if any((folder / name).exists() for name in (submissions.POISONS, submissions.BUNDLE)):
        return [folder]
    found = [path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds neither {submissions.POISONS} nor folders that are named by a setup's number, as 0"
        )
    return sorted(found, key=lambda path: (int(path.name), path.name))


def _number(path: Path, found: Submission, known: Sequence[Setup]) -> int:
    """The number of the setup: the folder's name, or else that of the setup with the same base images and target class."""
    if path.name.isdecimal():
        if int(path.name) >= len(known):
            raise ValueError(f"there is no setup {int(path.name)}; there are {len(known)}, from 0")
        return int(path.name)
    given = sorted(found.bases.tolist()), found.target_label
    number = next((n for n, setup in enumerate(known) if (sorted(setup.base_ids), setup.target_class) == given), None)
    if number is None:
        raise ValueError("no setup has these base indices and this target class; name the folder by the setup's number")
    return number


def scores() -> list[Path]:
    """The files of all scored folders in the output folder."""
    return sorted((paths.outputs() / "benchmark").glob("*.json"))


def leaderboard(files: Iterable[Path] | None = None) -> list[dict]:
    """A row for each victim of each scored folder, by default all: those with the same setups, scenario and profile together, best
    first.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (scores() if files is None else files)]
    rows = [_row(each, label, rate) for each in found for label, rate in each["victims"].items()]
    return sorted(rows, key=lambda row: (row["setups"], row["scenario"], row["victim"], -float(row["success, %"])))


def _row(whole: dict, label: str, rate: dict) -> dict:
    return {
        "poisons": whole["title"],
        "setups": f"{whole['setups']} ({whole['data']})",
        "scenario": f"{whole['scenario']}, {whole['profile']}",
        "victim": label,
        "success, %": f"{100 * rate['success']:.1f}",
        "interval": f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f}",
        "n": rate["trials"],
        "accuracy, %": f"{100 * rate['accuracy']:.1f}",
        "refused": len(whole["refused"]),
        "missing": len(whole["missing"]),
    }
