"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32 x 32 pixels."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional

from .. import check, paths
from . import Data, _where
from ._types import ImageSet

ARCHIVES = {10: ("CIFAR10", "CIFAR-10", "170 MB"), 100: ("CIFAR100", "CIFAR-100", "169 MB")}
POOLS = (1, 2, 4, 8, 16)
# Mean and standard deviation of the training images as in the papers' released code; the means are up to 3e-4 above the exact ones.
MEANS = {10: (0.4914672, 0.4822617, 0.4467701), 100: (0.5071598, 0.4866936, 0.4412019)}
STDS = {10: (0.2470322, 0.2434851, 0.2615879), 100: (0.2673343, 0.2564384, 0.2761505)}


@dataclass(frozen=True)
class Cifar(Data):
    """Colour images (3, 32 / pool, 32 / pool) of 10 classes, or of 100 (the fine labels). An id is a position in the official
    files.

    Raises ValueError for a value out of range.
    """

    classes: int  # 10 or 100
    limit: int | None = None  # the first limit / classes training images of each class; None: all
    test_limit: int | None = None  # the same for the test split
    pool: int = 1  # average pixels over squares of this side

    def __post_init__(self):
        check.one_of("classes", self.classes, ARCHIVES)
        for name, most in (("limit", 50_000), ("test_limit", 10_000)):
            value = getattr(self, name)
            if value is not None and (value % self.classes or not 0 < value <= most):
                some = f"a multiple of {self.classes} from {self.classes} to {most}"
                raise ValueError(f"{name}={value}: choose {some}, or None for all")
        check.one_of("pool", self.pool, POOLS)

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, ordered by id. Raises FileNotFoundError, with what to do, where the files are missing."""
        limit = {"train": self.limit, "test": self.test_limit}[split]
        source = (_source_of_parts if limit else _source)(self.classes, split, download)
        labels = torch.tensor(source.targets)
        ids = first_of_each(labels, self.classes, limit or len(labels))
        images = torch.from_numpy(source.data)[ids].permute(0, 3, 1, 2).contiguous()
        mean, std = MEANS[self.classes], STDS[self.classes]
        return ImageSet(pooled(images, self.pool), labels[ids], ids, tuple(source.classes), mean, std)


def _source_of_parts(classes: int, split: str, download: bool):
    """`_source`, read once for the many parts of a split that a table may ask for, until a file changes."""
    folder = paths.data() / _torchvisions(classes).base_folder
    stamps = [(each.name, each.stat().st_mtime_ns) for each in sorted(folder.iterdir())] if folder.is_dir() else []
    return _read_once(classes, split, download, folder, tuple(stamps))


@functools.lru_cache(maxsize=2)
def _read_once(classes: int, split: str, download: bool, folder: Path, stamps: tuple):
    return _source(classes, split, download)


def _torchvisions(classes: int) -> type:
    from torchvision import datasets

    return getattr(datasets, ARCHIVES[classes][0])


def _source(classes: int, split: str, download: bool):
    """Torchvision's data set, MD5-checked. Raises FileNotFoundError where it is missing or damaged."""
    from torchvision.datasets.utils import check_integrity

    _, title, size = ARCHIVES[classes]
    root, cls = paths.data(), _torchvisions(classes)
    folder = root / cls.base_folder
    # Torchvision unpacks only when it may download; with a good archive in place it does not go to the network.
    packed = not folder.exists() and check_integrity(root / cls.filename, cls.tgz_md5)
    try:
        return cls(root, train=split == "train", download=packed or _where.may_download(download))
    except RuntimeError as error:
        raise _where.missing(title, folder, size, cls.url) from error


def first_of_each(labels: Int64[Tensor, " n"], classes: int, limit: int) -> Int64[Tensor, " m"]:
    """Positions, ascending, of the first ``limit / classes`` images of each class."""
    seen = functional.one_hot(labels, classes).cumsum(0)
    rank = seen.gather(1, labels[:, None])[:, 0]  # 1 for the first image of its class
    return (rank <= limit // classes).nonzero()[:, 0]


def pooled(images: UInt8[Tensor, "n c h w"], pool: int) -> UInt8[Tensor, "n c h2 w2"]:
    """Means over squares of ``pool`` x ``pool`` pixels, rounded to the nearest byte; exact, as ``pool`` is a power of two."""
    return functional.avg_pool2d(images.float(), pool).round().to(torch.uint8) if pool > 1 else images
