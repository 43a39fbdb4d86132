"""Training recipes as data: ``recipes.toml`` holds the papers' schedules, each with its place in the paper."""

import dataclasses
import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import check

OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The learning rate is multiplied by ``gamma`` at each of ``milestones``, epochs counted from 0.

    Names are those of torch's optimizers and of ``MultiStepLR``. Raises ValueError for a value out of range.
    """

    epochs: int = 40
    batch_size: int = 128
    lr: float = 0.1
    milestones: tuple[int, ...] = (14, 24, 35)
    gamma: float = 0.1
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    augment: str = "none"  # the ordinary augmentation that every victim has, defended or not
    frozen: bool = False  # train the head alone; the feature extractor stays in eval mode, batch statistics included

    def __post_init__(self):
        check.one_of("optimizer", self.optimizer, OPTIMIZERS)
        check.whole("epochs", self.epochs, 1)
        check.whole("batch_size", self.batch_size, 2)
        check.number("lr", self.lr, 0, above=True)
        check.number("gamma", self.gamma, 0, above=True)
        check.number("weight_decay", self.weight_decay, 0)
        check.number("momentum", self.momentum, 0, 1)
        if self.momentum == 1 or (self.optimizer == "sgd" and self.nesterov and not self.momentum):
            raise ValueError(
                f"momentum={self.momentum}, nesterov={self.nesterov}: choose a momentum below 1, and above 0 with nesterov"
            )
        if list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"milestones={self.milestones}: list the epochs in ascending order")

    def lr_at(self, epoch: int) -> float:
        """The learning rate in an epoch (from 0)."""
        return self.lr * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer for the parameters that are trained."""
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )

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
    recipe = (
        choice if isinstance(choice, Recipe) else Recipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    )
    if "epochs" in changes and "milestones" not in changes:
        recipe = recipe.lasting(changes.pop("epochs"))
    return dataclasses.replace(recipe, **changes)
