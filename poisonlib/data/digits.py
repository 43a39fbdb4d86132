"""Scikit-learn's bundled digits: 1,797 real handwritten images of 8 x 8 pixels and 16 grey levels; nothing to download."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from .. import check, rng, tensors
from ..registry import LATER
from . import Data
from ._types import ImageSet

COUNT = 1797
FILE = "datasets/data/digits.csv.gz"  # in scikit-learn's folder


@dataclass(frozen=True)
class Digits(Data):
    """Images (channels, size, size) of ten classes. Both splits mix all writers; an id is a position in scikit-learn's array.

    ``skip``, ``limit`` and ``classes`` make disjoint sets of them: one to pretrain on, another to poison. Labels count from the
    first of ``classes``. With 3 channels the images are grey with equal channels, so that a trigger can have colours, as on
    CIFAR-10. Raises ValueError for a value out of range.
    """

    size: int = 16  # pixels a side; bilinear from 8
    channels: int = 1  # 1: grey; 3: the same grey three times
    train: int = 1400  # images of the training split; the rest are the test split
    limit: int | None = None  # use only the first so many training images; None: all
    skip: int = field(default=0, metadata=LATER)  # leave out the first so many training images; ``limit`` counts from there
    classes: tuple[int, int] = field(default=(0, 10), metadata=LATER)  # first digit, and one past the last, of both splits

    def __post_init__(self):
        check.whole("size", self.size, 8)
        check.one_of("channels", self.channels, (1, 3))
        check.whole("train", self.train, 1, COUNT - 1)
        check.whole("skip", self.skip, 0, self.train - 1)
        if self.limit is not None:
            check.whole("limit", self.limit, 1, self.train - self.skip)
        if len(self.classes) != 2 or not 0 <= self.classes[0] < self.classes[1] <= 10:
            raise ValueError(f"classes={self.classes}: choose (first, end) with 0 <= first < end <= 10")

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, in a fixed random order. Mean and deviation are those of the whole training split."""
        levels, labels = _read()
        images, labels = _enlarged(levels.reshape(-1, 8, 8).float(), self.size), labels.long()
        order = torch.randperm(COUNT, generator=rng.stream(0, "digits split"))
        ids = {"train": order[: self.train][self.skip :][: self.limit], "test": order[self.train :]}[split]
        first, end = self.classes
        ids = ids[(labels[ids] >= first) & (labels[ids] < end)]
        pixels = tensors.to_float(images[order[: self.train]])
        return ImageSet(
            images=images[ids].repeat(1, self.channels, 1, 1),
            labels=labels[ids] - first,
            ids=ids,
            classes=tuple(str(name) for name in range(first, end)),
            mean=(pixels.mean().item(),) * self.channels,
            std=(pixels.std(correction=0).item(),) * self.channels,
        )


def _read() -> tuple[Float[Tensor, "n 64"], Shaped[Tensor, " n"]]:
    """(grey levels, labels) as `sklearn.datasets.load_digits` has them, from its file: importing scikit-learn takes a second. Where
    a version has the file elsewhere, scikit-learn reads it.
    """
    file = Path(importlib.util.find_spec("sklearn").origin).parent / FILE
    if not file.is_file():
        from sklearn.datasets import load_digits

        return tuple(map(torch.from_numpy, load_digits(return_X_y=True)))
    table = torch.from_numpy(np.loadtxt(file, delimiter=","))
    return table[:, :-1], table[:, -1]


def _enlarged(levels: Float[Tensor, "n 8 8"], size: int) -> UInt8[Tensor, "n 1 {size} {size}"]:
    """Grey levels 0..16 as bytes, bilinear: 0 -> 0, 16 -> 255.

    Where ``size`` is no power of two, thousands of pixels lie halfway between two bytes, and rounding errors decide. So the sums
    are spelled out: every product is exact, every sum is rounded to float32, in the order of a processor with fused multiply-adds.
    `torch.nn.functional.interpolate` gives the same bytes on such processors only.
    """
    places = (torch.arange(size).double() + 0.5) * torch.tensor(8 / size).double() - 0.5
    places = places.float().clamp(min=0)
    low, share = places.long(), places.frac()
    sides = [((low + 1).clamp(max=7), share), (low, 1 - share)]
    total = torch.zeros(())
    for i, j in ((1, 0), (1, 1), (0, 1), (0, 0)):
        (rows, down), (columns, across) = sides[i], sides[j]
        weight = (down[:, None] * across).double()
        total = (levels[:, rows][:, :, columns].double() / 16 * weight + total).float()
    return tensors.quantise(total[:, None])
