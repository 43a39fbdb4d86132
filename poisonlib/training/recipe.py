"""Training recipes as data: ``recipes.toml`` holds the papers' schedules, each with its place in the paper."""

import dataclasses
import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .. import check, registry
from ..registry import LATER

OPTIMIZERS = ("sgd", "adam", "muon")
SCHEDULES = ("multistep", "linear")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Names are those of torch's optimizers and schedulers.

    ``schedule="multistep"``: the rates are multiplied by ``gamma`` at each of ``milestones``, epochs counted from 0.
    ``schedule="linear"``: they rise from ``start_factor`` to 1 over the first ``warmup`` of the steps, and fall so that the step
    after the last would have ``end_factor``. Raises ValueError for a value out of range.
    """

    epochs: int = 40
    batch_size: int = 128
    lr: float = 0.1
    milestones: tuple[int, ...] = (14, 24, 35)
    gamma: float = 0.1
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = (
        5e-4  # sgd: each group of parameters decays by lr * weight_decay a step, whatever its own rate; muon: so do all but filters
    )
    augment: str = "none"  # the ordinary augmentation that every victim has, defended or not
    frozen: bool = False  # train the head alone; the feature extractor stays in eval mode, batch statistics included
    schedule: str = field(default="multistep", metadata=LATER)
    warmup: float = field(default=0.0, metadata=LATER)  # share of the steps
    start_factor: float = field(default=1.0, metadata=LATER)
    end_factor: float = field(default=0.0, metadata=LATER)
    lr_bias: float | None = field(default=None, metadata=LATER)  # of biases and normalisation layers; None: lr
    lr_head: float | None = field(default=None, metadata=LATER)  # of the head's weights; None: lr
    filter_momentum: float = field(default=0.6, metadata=LATER)  # muon: of the convolutions' filters, whose rate is lr
    label_smoothing: float = field(default=0.0, metadata=LATER)
    ghost_batch: int = field(default=0, metadata=LATER)  # images that a batch is split into for batch statistics and memory; 0: all
    lookahead: int = field(default=0, metadata=LATER)  # steps between two meetings with the slow weights; 0: there are none
    frozen_statistics: bool = field(default=True, metadata=LATER)  # False: BatchNorm of a frozen extractor uses batch statistics

    def __post_init__(self):
        check.one_of("optimizer", self.optimizer, OPTIMIZERS)
        check.one_of("schedule", self.schedule, SCHEDULES)
        check.whole("epochs", self.epochs, 1)
        check.whole("batch_size", self.batch_size, 2)
        for name in ("lr", "gamma", *(name for name in ("lr_bias", "lr_head") if getattr(self, name) is not None)):
            check.number(name, getattr(self, name), 0, above=True)
        check.number("weight_decay", self.weight_decay, 0)
        for name in ("start_factor", "end_factor", "momentum", "filter_momentum", "label_smoothing", "warmup"):
            check.number(name, getattr(self, name), 0, 1)
        for name in ("ghost_batch", "lookahead"):
            check.whole(name, getattr(self, name), 0)
        for name in ("nesterov", "frozen", "frozen_statistics"):
            check.flag(name, getattr(self, name))
        if not isinstance(self.milestones, tuple):
            raise ValueError(f"milestones={self.milestones!r}: give the epochs as a tuple, such as (14, 24, 35)")
        for milestone in self.milestones:
            check.whole("milestones", milestone, 0)
        self._check_together()

    def _check_together(self) -> None:
        """Raises ValueError for values that contradict each other."""
        if self.momentum == 1 or (self.optimizer != "adam" and self.nesterov and not self.momentum):
            raise ValueError(
                f"momentum={self.momentum}, nesterov={self.nesterov}: choose a momentum below 1, and above 0 with nesterov"
            )
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"milestones={self.milestones}: list the epochs in ascending order")
        for name in ("warmup", "label_smoothing", "filter_momentum"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name}={getattr(self, name)}: choose a number below 1")
        if not (self.frozen or self.frozen_statistics):
            raise ValueError("frozen=False, frozen_statistics=False: an extractor that trains always uses batch statistics")
        if self.ghost_batch and (self.batch_size % self.ghost_batch or self.ghost_batch < 2):
            raise ValueError(f"ghost_batch={self.ghost_batch}: choose a divisor of batch_size={self.batch_size} from 2, or 0")

    def validate(self, step) -> None:
        """Raises ValueError where a step of `poisonlib.steps`, or None, cannot follow the recipe."""
        if step and self.ghost_batch:
            raise ValueError(
                f"ghost_batch={self.ghost_batch}: {registry.label(step)} needs the gradient of a whole batch at once; choose a "
                "recipe with ghost_batch=0"
            )

    def factor(self, step: int, steps: int) -> float:
        """By what the rates are multiplied in a step (from 0) of a training, where an epoch has so many steps."""
        if self.schedule == "multistep":
            return self.gamma ** sum(step // steps >= milestone for milestone in self.milestones)
        whole = steps * self.epochs
        rising = self.warmup * whole
        if step < rising:
            return self.start_factor + (1 - self.start_factor) * step / rising
        return 1 - (1 - self.end_factor) * (step - rising) / (whole - rising)

    def lasting(self, epochs: int) -> "Recipe":
        """The same recipe over another number of epochs, with milestones in proportion (rounded down, as in the papers' code)."""
        milestones = tuple(milestone * epochs // self.epochs for milestone in self.milestones)
        return dataclasses.replace(self, epochs=epochs, milestones=milestones)


@functools.cache
def _table() -> dict[str, dict]:
    return tomllib.loads((Path(__file__).parent / "recipes.toml").read_text())


def names() -> list[str]:
    """The recipes in ``recipes.toml``."""
    return sorted(_table())


def load(choice: "str | dict | Recipe", **changes) -> Recipe:
    """A recipe by name, with values changed: ``load("dp_instahide_a2", batch_size=64)``. ``epochs`` alone also scales the
    milestones.

    Raises LookupError that lists the recipes, TypeError for an unknown value.
    """
    if isinstance(choice, str):
        if choice not in _table():
            raise LookupError(f"no recipe {choice!r}; choose one of: {', '.join(names())}")
        choice = {k: v for k, v in _table()[choice].items() if k != "source"}
    values = {} if isinstance(choice, Recipe) else choice
    if unknown := sorted({*values, *changes} - set(Recipe.__dataclass_fields__)):
        raise TypeError(f"a recipe has no {', '.join(unknown)}; it has: {', '.join(Recipe.__dataclass_fields__)}")
    recipe = choice if isinstance(choice, Recipe) else Recipe(**_tuples(values))
    if "epochs" in changes and "milestones" not in changes:
        recipe = recipe.lasting(changes.pop("epochs"))
    return dataclasses.replace(recipe, **_tuples(changes))


def _tuples(values: dict) -> dict:
    """The values with tuples in place of lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
