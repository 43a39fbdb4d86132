"""A data set of one's own: a folder with a folder of images for each class."""

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import check, paths
from . import Data, _decoded, from_folder, store
from ._types import ImageSet
from .stored import Stored


@dataclass(frozen=True)
class Folder(Data):
    """Colour images (3, size, size) from ``path/train/CLASS/`` and ``path/test/CLASS/`` (or ``val/``), decoded as RGB.

    Images that have the size are taken as they are; others are resized (bilinear) to cover the square, and the centre is cut out.
    Mean and deviation are those of the training images. An id is a position in the list of files, ordered by class and then by
    name. Trials know the set by the last part of its path and a digest of its pixels and labels, so that it may be moved; a copy is
    kept in the output folder. All images are held in memory; for sets that are too large for that there is ``imagenet``.
    Raises ValueError for a value out of range.
    """

    path: str  # relative to the data root, or absolute
    size: int | None = None  # pixels a side; None: all images must have one size
    content: str = field(default="", metadata={"shown": False})  # digest of the pixels and labels; see `resolved`

    def __post_init__(self):
        if self.size is not None:
            check.whole("size", self.size, 1)

    def resolved(self) -> "Folder":
        """The same by name and content, which are kept in the output folder.

        Raises FileNotFoundError where there are no images, ValueError where some cannot be read or differ in size, or where test
        images are of a class without training images.
        """
        if self.content:
            return self
        content = _kept(self._root, self.size, self._state(), paths.outputs())
        return replace(self, path=self._root.name, content=content)

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split; once `resolved`, from the copy in the output folder, whatever has become of the folder."""
        return Stored(self.path, self.resolved().content).load(split)

    @property
    def _root(self) -> Path:
        return (paths.data() / Path(self.path).expanduser()).resolve()

    def _state(self) -> tuple[tuple[str, int, int, int], ...]:
        """Name, size and times of each file: where they are as before, the folder is not decoded again."""
        files = [self._root / name for name in (_decoded.listing(self._root) if self._root.is_dir() else [])]
        return tuple((str(file), (stat := file.stat()).st_size, stat.st_mtime_ns, stat.st_ctime_ns) for file in files)


@functools.lru_cache(maxsize=8)
def _kept(root: Path, size: int | None, state: tuple, outputs: Path) -> str:
    """Decode a folder and keep it in the output folder; returns the digest of its content."""
    held_out = root / "val" if (root / "val").is_dir() else root / "test"
    names = _decoded.classes(root / "train", held_out)
    train, test = (from_folder(folder, size, names) for folder in (root / "train", held_out))
    return store(train, test, root.name).content
