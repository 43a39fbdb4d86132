"""A data set of one's own, kept in the output folder under a digest of its content."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from .. import files, paths
from . import Data
from ._types import ImageSet

SPLITS, PARTS = ("train", "test"), ("images", "labels", "ids")


@dataclass(frozen=True)
class Stored(Data):
    """Image sets that `poisonlib.data.store` wrote to ``outputs/data/``. Not made by hand: the content decides the digest."""

    title: str  # what tables and figures call it
    content: str = field(metadata={"shown": False})  # digest of all that is stored

    def load(self, split: str, download: bool = False) -> ImageSet:
        """Raises FileNotFoundError where the file is missing or damaged."""
        return _read(self.content, paths.outputs())[SPLITS.index(split)]


def store(train: ImageSet, test: ImageSet, title: str) -> Stored:
    """Write both sets, unless they are there already; returns the data set for trials.

    The test set gets the training set's mean and deviation. Raises ValueError where classes or image shapes differ.
    """
    for part in ("classes", "shape"):
        ours, theirs = getattr(train, part), getattr(test, part)
        if ours != theirs:
            raise ValueError(f"{part}: {ours} of the training set and {theirs} of the test set; both must agree")
    sets = zip(SPLITS, (train, test), strict=True)
    tensors = {f"{split}.{part}": getattr(images, part) for split, images in sets for part in PARTS}
    note = {"classes": list(train.classes), "mean": list(train.mean), "std": list(train.std)}
    return Stored(title, files.keep(paths.outputs() / "data", tensors, note))


@functools.lru_cache(maxsize=2)
def _read(content: str, outputs: Path) -> tuple[ImageSet, ImageSet]:
    tensors, note = files.kept(outputs / "data", content)
    named = tuple(note["classes"]), tuple(note["mean"]), tuple(note["std"])
    return tuple(ImageSet(*(tensors[f"{split}.{part}"] for part in PARTS), *named) for split in SPLITS)
