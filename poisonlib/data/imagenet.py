"""ImageNet, Imagenette, or another tree of class folders that is treated alike and too large for memory."""

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from .. import check, paths
from . import Data, _content, _decoded
from ._types import ImageSet

MEAN = (0.485, 0.456, 0.406)  # the usual values for ImageNet, whatever the folder holds; `folder` has the images' own
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageNet(Data):
    """Colour images (3, size, size); the classes are the folders in ``train/``, sorted.

    An id is a position in the list of files, ordered by class and then by name. Hidden folders are left out. Raises ValueError for
    a value out of range.
    """

    folder: str = "imagenet"  # relative to the data root, or absolute; holds train/ and val/ (or test/)
    size: int = (
        224  # pixels a side: images of another size are resized, the shorter side to size * 256 / 224, and the centre cut out
    )
    content: str = field(default="", metadata={"shown": False})  # digest of the files' names and contents; see `resolved`

    def __post_init__(self):
        check.whole("size", self.size, 1)

    def resolved(self) -> "ImageNet":
        """The same with the digest of the files that are there now; unchanged where there are none.

        The first call reads every file; later ones only look whether one was written, moved or replaced.
        """
        found = {split: _decoded.listing(self._folder(split)) for split in ("train", "test")}
        digests = [_content.digest([(self._folder(split) / file, file) for file in files]) for split, files in found.items()]
        return replace(self, content="".join(each[:16] for each in digests)) if any(found.values()) else self

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, decoded on first use. Nothing is downloaded.

        Raises FileNotFoundError that says which folders are expected, or that the files are not those of ``content``.
        """
        if self.content and self.content != self.resolved().content:
            raise FileNotFoundError(
                f"{self._root} holds other files than {self}; make the grid anew for the files that are there now"
            )
        folder = self._folder(split)
        names = _decoded.classes(self._root / "train", folder)
        files = [(f"{name}/{file}", label) for label, name in enumerate(names) for file in _decoded.listing(folder / name)]
        if not files:
            raise _missing(self._root, folder)
        pixels = _decoded.decode(f"{self._root.name}-{split}", folder, [file for file, _ in files], self.size, self._read)
        return ImageSet(
            images=_decoded.mapped(pixels),
            labels=torch.tensor([label for _, label in files]),
            ids=torch.arange(len(files)),
            classes=tuple(names),
            mean=MEAN,
            std=STD,
            reopen=functools.partial(_decoded.mapped, pixels),
        )

    @property
    def _root(self) -> Path:
        return paths.data() / Path(self.folder).expanduser()

    def _folder(self, split: str) -> Path:
        held_out = self._root / "val" if (self._root / "val").is_dir() else self._root / "test"
        return {"train": self._root / "train", "test": held_out}[split]

    def _read(self, path):
        return _decoded.covering(path, self.size, round(self.size * 256 / 224))


def _missing(root, folder):
    return FileNotFoundError(
        f"there are no images in {folder}. Put images into {root}/train/CLASS/ and {root}/val/CLASS/ (or test/), one folder a "
        f"class. ImageNet (ILSVRC2012, 155 GB) is available from https://image-net.org/download.php after registration, Imagenette "
        f"(imagenette2.tgz, 1.6 GB; folder='imagenette2') from https://github.com/fastai/imagenette; this package downloads "
        f"neither, whatever download=True or POISONLIB_DOWNLOAD=1 say. POISONLIB_DATA names another data root."
    )
