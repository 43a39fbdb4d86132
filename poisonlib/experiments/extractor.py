"""Feature extractors: networks pretrained on other data, from which victims and attackers of transfer learning start."""

import dataclasses
from dataclasses import dataclass

from .. import augment, check, data, models, registry, steps, training
from ..data import Data
from ..models import Model
from ..registry import Choice
from ..steps import Step


@dataclass(frozen=True)
class Extractor:
    """A network trained on clean data of its own, whose layers below the head others start from. It is pretrained once and kept.

    Another ``seed`` is another start of the same network. A ``step`` such as adversarial training makes its features robust.
    Numerics are those of the trial that uses it.
    """

    data: Data
    model: Model
    recipe: training.Recipe
    seed: int = 0
    step: Step | None = None

    def __post_init__(self):
        check.whole("seed", self.seed, 0)

    def describe(self) -> dict:
        """The extractor as plain JSON values; `Extractor.read` takes it back."""
        parts = {"data": registry.describe(self.data), "model": registry.describe(self.model)}
        parts |= {"recipe": registry.plain(self.recipe), "seed": self.seed}
        return parts | ({"step": registry.describe(self.step)} if self.step else {})

    @classmethod
    def read(cls, description: dict) -> "Extractor":
        """The extractor that a description means."""
        kinds = {"data": data.source, "model": models.load, "recipe": training.load, "seed": int}
        kinds |= {"step": steps.load} if "step" in description else {}
        return cls(**{name: kind(description[name]) for name, kind in kinds.items()})

    def resolved(self) -> "Extractor":
        """The same with a digest of the data's content, where the other values do not determine it."""
        return dataclasses.replace(self, data=self.data.resolved())

    @property
    def label(self) -> str:
        """``"resnet(depth=18) pretrained on cifar(classes=100)"``."""
        how = f" by {registry.label(self.step)}" if self.step else ""
        again = f", start {self.seed}" if self.seed else ""
        return f"{registry.label(self.model)} pretrained on {registry.label(self.data)}{how}{again}"

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Its parts that have code of their own."""
        step = (self.step,) if self.step else ()
        return self.data, self.model, *augment.pipeline(self.recipe.augment).parts, *step


Origin = Extractor | Model  # what a network starts from: pretrained layers and a fresh head, or nothing but its initial weights


def describe(origin: Origin) -> dict:
    """An origin as plain JSON values."""
    return origin.describe() if isinstance(origin, Extractor) else registry.describe(origin)


def read(description: dict) -> Origin:
    """The origin that a description means."""
    return models.load(description) if "name" in description else Extractor.read(description)


def model_of(origin: Origin) -> Model:
    """The architecture of a network that starts there."""
    return origin.model if isinstance(origin, Extractor) else origin
