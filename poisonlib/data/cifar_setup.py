"""CIFAR-10 as the transfer half of "Just How Toxic" (arXiv:2006.12557, section 5) uses it: a small training set for each setup."""

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .. import check, paths
from ..registry import LATER
from . import Data
from ._setups import kept_setup
from ._types import ImageSet
from .cifar import Cifar


@dataclass(frozen=True)
class CifarSetup(Data):
    """As many training images of each class: the base images of a setup, then the first others of the official files.

    Each trial has the set of the setup that its seed numbers (`for_seed`). The test images are all of CIFAR-10's. Raises ValueError
    for a value out of range.
    """

    setups: str = field(metadata={"shown": False})  # what `data.keep_setups` returned
    limit: int = 2500  # training images
    number: int = field(default=0, metadata=LATER | {"shown": False})  # of the setup

    def __post_init__(self):
        check.whole("number", self.number, 0)
        Cifar(10, limit=self.limit)

    def for_seed(self, seed: int) -> "CifarSetup":
        return dataclasses.replace(self, number=seed)

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, ordered by id. Raises FileNotFoundError where the images or the setups are missing, ValueError where the setup
        is one of another data set, or names more images of its class than there are to be.
        """
        whole = _whole(split, paths.data(), download)
        return whole if split == "test" else _around(whole, kept_setup(self.setups, self.number).base_ids, self.limit // 10)


@functools.lru_cache(maxsize=2)
def _whole(split: str, root: Path, download: bool) -> ImageSet:
    """All of CIFAR-10's images, read once: the sets of a hundred setups are cut from them."""
    return Cifar(10).load(split, download)


def _around(whole: ImageSet, base_ids: tuple[int, ...], each: int) -> ImageSet:
    """The subset with ``each`` images of every class in which all base images are."""
    base = torch.isin(whole.ids, torch.tensor(base_ids))
    if int(base.sum()) < len(set(base_ids)):
        raise ValueError(f"the setup's base images go up to {max(base_ids)}, and CIFAR-10 has {len(whole)}: another data set?")
    keep = base.clone()
    for label in range(len(whole.classes)):
        own = whole.labels == label
        wanted = each - int((own & base).sum())
        if wanted < 0:
            raise ValueError(f"the setup has {each - wanted} base images of one class, of which there are to be {each}")
        keep[(own & ~base).nonzero()[:wanted, 0]] = True
    return whole.take(keep.nonzero()[:, 0])
