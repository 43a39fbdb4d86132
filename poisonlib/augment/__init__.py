"""Augmentations, the defences among them: one file each, with a class that derives from `Augment`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .. import registry

Params = dict[str, Tensor]
PerSampleLoss = Callable[
    [Tensor, Tensor], Tensor
]  # images (n c h w), soft labels (n k) -> the loss of each image (n,), no gradient


@runtime_checkable
class Augment(registry.Choice, Protocol):
    """An augmentation: a frozen dataclass with two verbs. Sampling and applying are apart, so that a test can fix the sample.

    One that searches for the worst case sets ``adversarial = True``; its ``apply`` takes a fifth argument, ``per_sample_loss``.
    One that goes by image and epoch sets ``scheduled = True``; its ``sample_params`` takes two more arguments, ``ids`` (n,) of the
    images, or None where they are not known, and ``epoch`` (from 0). One that begins later has a ``start`` above 0. One whose
    results are made of several images of the batch sets ``mixes = True``.
    """

    adversarial: ClassVar[bool] = False
    scheduled: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    start: int | float = 0  # the first epoch (from 0) in which it is active; below 1: the share of the epochs before it

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """Every random choice for ``n`` images (c, h, w), from a CPU generator: CPU tensors whose leading dimension is n.

        Partners are positions 0..n-1 in the same batch. Raises ValueError where so small a batch, or such images, cannot be
        augmented.
        """
        raise NotImplementedError

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Augment images x in [0, 1] with soft labels y, given ``params`` on x's device. Both are left as they are.

        ``generator`` is a stream on x's device for bulk pixel noise; all else is deterministic.
        """
        raise NotImplementedError

    def views(self, shape: tuple[int, int, int]) -> int | None:
        """How many views of an image (c, h, w) there are, where ``params`` choose one of finitely many for each image by itself and
        labels stay; None for any other augmentation.
        """
        return None

    def view(self, params: Params) -> Int64[Tensor, " n"]:
        """Which of the ``views`` each image is shown in, from 0."""
        raise NotImplementedError


def names() -> list[str]:
    """The augmentations of this package."""
    return registry.names(__name__)


def load(choice, **values) -> Augment:
    """An augmentation: ``load("mixup", k=4)``, ``load("mixup(k=4)")``, ``load("my_package.my_module.MyAugment")``."""
    return registry.load(__name__, Augment, choice, **values)


@dataclass(frozen=True)
class Pipeline:
    """Augmentations applied one after the other; the empty pipeline is the identity."""

    parts: tuple[Augment, ...] = ()

    def sample_params(
        self, n: int, shape: tuple[int, int, int], generator: torch.Generator, ids: Tensor | None = None, epoch: int = 0
    ) -> list[Params]:
        """The parameters of each part, sampled in order; see `Augment.sample_params`."""
        return [part.sample_params(n, shape, generator, *(ids, epoch) * part.scheduled) for part in self.parts]

    def apply(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n k"],
        params: Sequence[Params],
        generator: torch.Generator | None = None,
        per_sample_loss: PerSampleLoss | None = None,
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Apply all parts; see `Augment.apply`."""
        for part, own in zip(self.parts, params, strict=True):
            extra = (per_sample_loss,) if part.adversarial else ()
            x, y = part.apply(x, y, own, generator, *extra)
        return x, y

    def views(self, shape: tuple[int, int, int]) -> int | None:
        """The number of views of an image that the parts make together; None where they are not finitely many."""
        counts = [part.views(shape) for part in self.parts]
        return None if None in counts else math.prod(counts)

    def view(self, params: Sequence[Params], shape: tuple[int, int, int]) -> Int64[Tensor, " n"] | int:
        """Which of the ``views`` each image is shown in; 0 for the empty pipeline."""
        number = 0
        for part, own in zip(self.parts, params, strict=True):
            number = number * part.views(shape) + part.view(own)
        return number

    def at(self, epoch: int, epochs: int) -> "Pipeline":
        """The parts that are active in an epoch (from 0) of so many."""
        return Pipeline(tuple(part for part in self.parts if first_epoch(part, epochs) <= epoch))

    def sample_batches(
        self,
        sizes: Sequence[int],
        shape: tuple[int, int, int],
        generator: torch.Generator,
        device,
        ids: Int64[Tensor, " n"] | None = None,
        epoch: int = 0,
    ) -> list[list[Params]]:
        """The parameters of many batches, sampled in order on the CPU and moved to the device with one transfer a tensor.

        ``ids``: those of all the batches' images, one batch after the other, on the CPU.
        """
        own = ids.split(list(sizes)) if ids is not None else [None] * len(sizes)
        batches = [self.sample_params(n, shape, generator, rows, epoch) for n, rows in zip(sizes, own, strict=True)]
        parts = [_joined([batch[i] for batch in batches], sizes, device) for i in range(len(self.parts))]
        return [[{name: pieces[b] for name, pieces in part.items()} for part in parts] for b in range(len(sizes))]

    def __add__(self, other: "Pipeline") -> "Pipeline":
        return Pipeline(self.parts + other.parts)


def first_epoch(part: Augment, epochs: int) -> int:
    """The first epoch (from 0) of so many in which an augmentation is active."""
    return math.floor(part.start * epochs + 1e-9) if 0 < part.start < 1 else int(part.start)  # 0.29 of 100 is 28.999...


def _joined(batches: list[Params], sizes: Sequence[int], device) -> dict[str, tuple[Tensor, ...]]:
    return {name: torch.cat([params[name] for params in batches]).to(device).split(list(sizes)) for name in batches[0]}


def pipeline(choice) -> Pipeline:
    """A pipeline from ``"mixup(k=4) + cutout"``, an augmentation, a list of augmentations or of descriptions, or a pipeline.

    ``"none"`` and ``""`` mean the empty pipeline.
    """
    if isinstance(choice, Pipeline):
        return choice
    if isinstance(choice, str):
        calls = [] if choice in ("none", "") else registry.parse(choice)
        return Pipeline(tuple(load(name, **values) for name, values in calls))
    return Pipeline(tuple(load(part) for part in (choice if isinstance(choice, list | tuple) else [choice])))
