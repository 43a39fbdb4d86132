"""The record of one trial: what was done, what came out, at which cost, where, and with which code and data."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..training import Evaluation
from .environment import Environment
from .spec import Trial, canonical, digest

SCHEMA = 2


@dataclass(frozen=True)
class Poisons:
    """How many training images the attack changed, a digest of the changed images, and the largest change of a pixel (in 1/255)."""

    count: int
    digest: str
    largest_change: int


@dataclass(frozen=True)
class CraftReport:
    """For an attack with surrogates: (correct, all) targets of the first surrogate, and the objective at the stored poisons.

    ``held_out``: the objective on a clean network that the attacker does not have, the victim of the undefended clean control, of
    the poisons and of the same images unpoisoned. It tells whether the poisons transfer; None in records of older versions, for
    attacks that optimise nothing, and where surrogates have public weights.
    """

    targets_correct: tuple[int, int]
    objective: float | None
    held_out: tuple[float, float] | None = None

    @property
    def transfer(self) -> float | None:
        """The objective of the poisons minus that of the unpoisoned images, on the held-out network: below 0 if they transfer."""
        return self.held_out and self.held_out[0] - self.held_out[1]


@dataclass(frozen=True)
class Weights:
    """An extractor that victim or attacker started from: a digest of its weights, and its accuracy on its own test set."""

    extractor: str
    digest: str
    accuracy: float


@dataclass(frozen=True)
class FilterReport:
    """How many images a filter removed, how many of them were poisons, and the ROC curve (fpr, tpr) of its scores with its area.
    ``rounds``: the images that each round of a filter that begins at random would have removed alone; empty for any other.
    """

    removed: int
    poisons_removed: int
    auc: float | None
    roc: tuple[tuple[float, ...], tuple[float, ...]] | None
    rounds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Seconds, in all and by stage, the peak memory in bytes, and the process's processor seconds (None in older records)."""

    seconds: float
    stages: dict[str, float]
    peak_memory: int
    processor_seconds: float | None = None


@dataclass(frozen=True)
class Record:
    """The record of one trial. Everything but ``cost`` and ``environment`` is the same whenever and beside whatever it runs."""

    spec: dict[str, Any]  # `Trial.describe`
    evaluation: Evaluation
    intended_class: int
    source_class: int
    poisons: Poisons
    craft: CraftReport | None
    filter: FilterReport | None
    cost: Cost
    environment: Environment
    code: str | None = None  # digest of the source code that decided the result; None for records of older versions
    data: dict[str, str] | None = None  # fingerprints of the images and labels by split, and of what extractors were pretrained on
    extractors: tuple[Weights, ...] = ()  # the victim's first

    @cached_property
    def key(self) -> str:
        """The record's name: the hash of its trial's description."""
        return digest(self.spec)

    @cached_property
    def trial(self) -> Trial:
        """The trial. Raises LookupError where a class that it names cannot be imported here."""
        return Trial.read(self.spec)

    @property
    def seed(self) -> int:
        return self.spec["seed"]

    @property
    def start(self) -> int:
        return self.spec.get("start", 0)

    @property
    def success(self) -> float:
        """The share of target images that the victim classifies as the intended class."""
        return self.evaluation.success

    @property
    def accuracy(self) -> float:
        """The share of test images that the victim classifies correctly."""
        return self.evaluation.accuracy

    @property
    def confidence(self) -> float | None:
        """The mean probability of the intended class on the target images."""
        return self.evaluation.confidence

    @property
    def seconds(self) -> float:
        return self.cost.seconds

    @property
    def processor_seconds(self) -> float | None:
        return self.cost.processor_seconds

    @property
    def device(self) -> str:
        return self.environment.device

    @cached_property
    def setting(self) -> str:
        """All of the trial but its seed and its start, as text: the trials of one cell have one setting."""
        return setting(self.spec)

    def measured(self) -> str:
        """What must not depend on when, where and beside what the trial ran, as canonical text."""
        content = self.to_json()
        return canonical({name: content[name] for name in ("key", "spec", "result", "data")})

    def to_json(self) -> dict:
        """The content of the record's file."""
        parts = {name: getattr(self, name) for name in ("evaluation", "poisons", "craft", "filter")}
        result = {name: part and dataclasses.asdict(part) for name, part in parts.items()}
        if self.filter and not self.filter.rounds:  # records of other filters, and of networks from scratch, stay as they were
            del result["filter"]["rounds"]
        if self.extractors:
            result["extractors"] = [dataclasses.asdict(each) for each in self.extractors]
        return {
            "schema": SCHEMA,
            "key": self.key,
            "spec": self.spec,
            "result": result | {"intended_class": self.intended_class, "source_class": self.source_class},
            "code": self.code,
            "data": self.data,
            "cost": dataclasses.asdict(self.cost),
            "environment": dataclasses.asdict(self.environment),
        }

    @classmethod
    def from_json(cls, content: dict) -> "Record":
        """The record in a file's content. Raises KeyError, TypeError or ValueError where it is no record."""
        result = content["result"]
        return cls(
            content["spec"],
            Evaluation(**_tuples(result["evaluation"])),
            result["intended_class"],
            result["source_class"],
            Poisons(**result["poisons"]),
            CraftReport(**_tuples(result["craft"])) if result["craft"] else None,
            FilterReport(**_tuples(result["filter"])) if result["filter"] else None,
            Cost(**content["cost"]),
            Environment(**content["environment"]),
            content["code"],
            content["data"],
            tuple(Weights(**each) for each in result.get("extractors", ())),
        )


def _tuples(value):
    """JSON's lists as tuples, all the way down, below the names."""
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def setting(spec: dict[str, Any]) -> str:
    """`Record.setting` of a description."""
    return canonical({name: value for name, value in spec.items() if name != "start"} | {"seed": 0})


class Records(list[Record]):
    """The records of a run, in order; ``failures``: its trials that have no result (`experiments.failures.Failure`)."""

    def __init__(self, records: Iterable[Record] = (), failures: Iterable = ()):
        super().__init__(records)
        self.failures = tuple(failures)
