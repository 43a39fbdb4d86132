"""A data set of one's own, kept in the output folder under a digest of its content."""

import functools
from dataclasses import dataclass, field

from .. import files, paths
from . import Data
from ._types import ImageSet

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Stored(Data):
    """Image sets that `poisonlib.data.store` wrote to ``outputs/data/``. Not made by hand: the content decides the digest."""

    title: str  # what tables and figures call it
    content: str = field(metadata={"shown": False})  # fingerprints of the training and the test set

    def load(self, split: str, download: bool = False) -> ImageSet:
        """Raises FileNotFoundError where the file is missing or damaged."""
        return _read(self.content, paths.outputs())[SPLITS.index(split)]


def store(train: ImageSet, test: ImageSet, title: str) -> Stored:
    """Write both sets, unless they are there already; returns the data set for trials."""
    if train.classes != test.classes or train.shape != test.shape:
        raise ValueError(
            f"train has {len(train.classes)} classes of images {train.shape}, test {len(test.classes)} of {test.shape}; "
            "both must agree"
        )
    content = f"{train.fingerprint[:16]}{test.fingerprint[:16]}"
    if not _path(content, paths.outputs()).exists():
        tensors = {
            f"{split}.{part}": getattr(images, part)
            for split, images in zip(SPLITS, (train, test), strict=True)
            for part in ("images", "labels", "ids")
        }
        files.write_tensors(
            _path(content, paths.outputs()), tensors, {"classes": train.classes, "mean": train.mean, "std": train.std}
        )
    return Stored(title, content)


def _path(content: str, outputs):
    return outputs / "data" / f"{content}.safetensors"


@functools.lru_cache(maxsize=2)
def _read(content: str, outputs) -> tuple[ImageSet, ImageSet]:
    found = files.read_tensors(_path(content, outputs))
    if not found:
        raise FileNotFoundError(f"{_path(content, outputs)} is missing or damaged; call data.store again on the same image sets")
    tensors, note = found
    named = tuple(note["classes"]), tuple(note["mean"]), tuple(note["std"])
    sets = tuple(ImageSet(*(tensors[f"{split}.{part}"] for part in ("images", "labels", "ids")), *named) for split in SPLITS)
    if content != f"{sets[0].fingerprint[:16]}{sets[1].fingerprint[:16]}":
        raise FileNotFoundError(f"{_path(content, outputs)} holds other images than its name says; call data.store again")
    return sets
