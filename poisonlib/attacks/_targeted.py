"""What the targeted, clean-label attacks share: random targets of one class, random training images of another to hide them in."""

import math
from dataclasses import dataclass

import torch

from ..data import Goal, ImageSet
from ..rng import stream
from ..tensors import levels
from . import Scene


def check(eps: float, budget: float, targets: int) -> None:
    """Raises ValueError unless a perturbation is allowed, the budget is a share and there is a target."""
    if not (0 < eps <= 1 and levels(eps)):
        raise ValueError(f"eps={eps!r}: a change of pixels from 1/255, as images are bytes, to 1 (16/255 in the papers)")
    if not 0 <= budget <= 1:
        raise ValueError(f"budget={budget!r}: a share of the training set, from 0 (clean control) to 1")
    if targets < 1:
        raise ValueError(f"targets={targets!r}: at least 1 test image")


def count(train: ImageSet, budget: float) -> int:
    """Poisons that a budget allows, rounded up as in the public code."""
    return math.ceil(budget * len(train) - 1e-9)


def refuse(train: ImageSet, test: ImageSet, budget: float, targets: int) -> None:
    """Raises ValueError where a class is too small to hold the poisons, or the targets: which class it is, goes by the seed."""
    smallest, fewest = train.smallest_class, test.smallest_class
    if count(train, budget) > smallest:
        raise ValueError(
            f"budget={budget!r}: {count(train, budget)} poisons of one class, but the smallest class has {smallest} images; "
            f"choose at most {smallest * 10_000 // len(train) / 10_000}"
        )
    if targets > fewest:
        raise ValueError(
            f"targets={targets}: all are test images of one class, but the smallest class has {fewest}; "
            f"choose {f'at most {fewest}' if fewest else 'a larger test set'}"
        )


def choose(train: ImageSet, test: ImageSet, seed: int, budget: float, targets: int) -> tuple[ImageSet, Goal]:
    """(the clean images that become poisons, the goal): two classes, target images and rows, each from a CPU stream of its own.

    Poisons lie in the class that the targets shall be taken for. A smaller budget is part of a larger one, fewer targets of more.
    """
    wanted, victim = torch.randperm(len(train.classes), generator=stream(seed, "classes"))[:2].tolist()
    aim = test.of_class(victim)
    if targets > len(aim):
        raise ValueError(f"targets={targets}: the class {test.classes[victim]!r} has {len(aim)} test images")
    aim = aim.take(torch.randperm(len(aim), generator=stream(seed, "targets"))[:targets].to(aim.rows.device))
    pool = train.of_class(wanted)
    order = torch.randperm(len(pool), generator=stream(seed, "poison rows"))[: count(train, budget)]
    base = pool.take(order.to(pool.rows.device))
    return base.take(base.rows.argsort()), Goal(aim.images, aim.labels, aim.rows, wanted)


@dataclass(frozen=True)
class Control:
    """The numbers of an attack that moves the same images just as far as gradient matching, and optimises nothing."""

    eps: float = 16 / 255
    budget: float = 0.01  # share of the whole training set; 0 is the clean control
    targets: int = 1

    def __post_init__(self):
        check(self.eps, self.budget, self.targets)

    @property
    def clean(self) -> bool:
        """Whether the training set stays as it is."""
        return self.budget == 0

    def refuse(self, scene: Scene) -> None:
        """Raises ValueError where a class is too small for the budget or the targets."""
        refuse(scene.train, scene.test, self.budget, self.targets)
