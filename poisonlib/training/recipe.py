"""Training recipes as data: ``recipes.toml`` holds the papers' schedules, each with its place in the paper."""

import dataclasses
import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

OPTIMISERS = ("sgd", "adam")


@dataclass(frozen=True)
class Recipe:
    """How a victim is trained. ``drops`` are the epochs (counted from 0) from which the rate is ``factor`` times smaller."""

    epochs: int = 40
    batch: int = 128
    rate: float = 0.1
    drops: tuple[int, ...] = (14, 24, 35)
    factor: float = 0.1
    optimiser: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    augment: str = "none"  # the ordinary augmentation that every victim has, defended or not
    frozen: bool = False  # train the head alone, on features of a body that stays as it is, batch statistics included

    def __post_init__(self):
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser={self.optimiser!r}: choose one of {', '.join(OPTIMISERS)}")
        if self.epochs < 1 or self.batch < 2 or self.rate <= 0:
            raise ValueError(f"epochs={self.epochs}, batch={self.batch}, rate={self.rate}: at least 1, at least 2, above 0")
        if self.optimiser == "sgd" and self.nesterov and not self.momentum > 0:
            raise ValueError(f"momentum={self.momentum}, nesterov=True: above 0, or nesterov=False")
        if not (0 <= self.momentum < 1 and self.weight_decay >= 0):
            raise ValueError(f"momentum={self.momentum}, weight_decay={self.weight_decay}: from 0 and below 1, at least 0")
        if list(self.drops) != sorted(self.drops):
            raise ValueError(f"drops={self.drops}: list the epochs in ascending order")

    def rate_at(self, epoch: int) -> float:
        """The learning rate during an epoch (counted from 0)."""
        return self.rate * self.factor ** sum(epoch >= drop for drop in self.drops)

    def optimise(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        if self.optimiser == "adam":
            return torch.optim.Adam(parameters, lr=self.rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters, lr=self.rate, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )

    def lasting(self, epochs: int) -> "Recipe":
        """The same recipe over another number of epochs, its drops moved in proportion (rounded down, as the papers' code does)."""
        drops = tuple(drop * epochs // self.epochs for drop in self.drops)
        return dataclasses.replace(self, epochs=epochs, drops=drops)


@functools.cache
def _table() -> dict[str, dict]:
    return tomllib.loads((Path(__file__).parent / "recipes.toml").read_text())


def names() -> list[str]:
    return sorted(_table())


def _frozen(values: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def load(choice: "str | dict | Recipe", **changes) -> Recipe:
    """A recipe by name, with numbers changed: ``load("dp_instahide_a2", batch=64)``; ``epochs`` alone moves the drops along."""
    if isinstance(choice, str):
        if choice not in _table():
            raise LookupError(f"no recipe {choice!r}; choose one of: {', '.join(names())}")
        choice = {k: v for k, v in _table()[choice].items() if k != "source"}
    recipe = choice if isinstance(choice, Recipe) else Recipe(**_frozen(choice))
    if "epochs" in changes and "drops" not in changes:
        recipe = recipe.lasting(changes.pop("epochs"))
    return dataclasses.replace(recipe, **changes)
