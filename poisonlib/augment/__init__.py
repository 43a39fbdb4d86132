"""Augmentations: one file each, with a class ``Augment`` of two verbs.

``draw(n, shape, generator)`` makes every random choice for ``n`` images of ``shape`` (c, h, w) from a CPU generator and returns a
dict of CPU tensors whose leading dimension is n (partners are positions 0..n-1 within the same batch). ``apply(x, y, draw,
generator)`` is then deterministic: x floats (n c h w) in [0, 1], y soft labels (n classes), ``draw`` on x's device; ``generator``
is a stream on x's device for bulk pixel noise, which most ignore. A test can thus fix the draw.

An augmentation that looks for the worst case has ``adversarial = True`` and its ``apply`` takes a fifth argument, ``judge(x, y)``,
which gives the loss of each image. One with a ``start`` stays away from the epochs before that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .. import registry

Draw = dict[str, Tensor]
Judge = Callable[[Tensor, Tensor], Tensor]  # images (n c h w), soft labels (n k) -> the loss of each (n,), without gradient


def names() -> list[str]:
    return registry.names(__name__)


def load(choice, **numbers):
    """One augmentation: ``load("mixup", k=4)``, ``load("mixup(k=4)")``."""
    return registry.load(__name__, "Augment", choice, **numbers)


@dataclass(frozen=True)
class Pipeline:
    """Augmentations applied one after the other; the empty pipeline changes nothing."""

    parts: tuple = ()

    def draw(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> list[Draw]:
        return [part.draw(n, shape, generator) for part in self.parts]

    def apply(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n k"],
        draws: Sequence[Draw],
        generator: torch.Generator | None = None,
        judge: Judge | None = None,
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        for part, draw in zip(self.parts, draws, strict=True):
            extra = (judge,) if getattr(part, "adversarial", False) else ()
            x, y = part.apply(x, y, draw, generator, *extra)
        return x, y

    def at(self, epoch: int) -> "Pipeline":
        """What of it is active during an epoch (counted from 0)."""
        return Pipeline(tuple(part for part in self.parts if getattr(part, "start", 0) <= epoch))

    def drawn(self, sizes: Sequence[int], shape: tuple[int, int, int], generator: torch.Generator, device) -> list[list[Draw]]:
        """The draws of many batches, made in that order on the CPU and moved to the device in one transfer a tensor."""
        draws = [self.draw(n, shape, generator) for n in sizes]
        parts = [_joined([draw[i] for draw in draws], sizes, device) for i in range(len(self.parts))]
        return [[{name: pieces[b] for name, pieces in part.items()} for part in parts] for b in range(len(sizes))]

    def __add__(self, other: "Pipeline") -> "Pipeline":
        return Pipeline(self.parts + other.parts)


def _joined(draws: list[Draw], sizes: Sequence[int], device) -> dict[str, tuple[Tensor, ...]]:
    return {name: torch.cat([draw[name] for draw in draws]).to(device).split(list(sizes)) for name in draws[0]}


def pipeline(choice) -> Pipeline:
    """``"mixup(k=4) + cutout"``, a list of descriptions, or a pipeline -> a pipeline; ``"none"`` and ``""`` are the empty one."""
    if isinstance(choice, Pipeline):
        return choice
    if isinstance(choice, str):
        calls = [] if choice in ("none", "") else registry.parse(choice)
        return Pipeline(tuple(load(name, **numbers) for name, numbers in calls))
    return Pipeline(tuple(load(part) for part in choice))
