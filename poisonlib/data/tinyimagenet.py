"""TinyImageNet-200 (Stanford CS231n): 200 classes of 64 x 64 pixels, 500 training and 50 validation images each."""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from .. import locks, paths
from . import Data, _content, _decoded, _unpack, _where
from ._types import ImageSet

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
NEEDED = ("wnids.txt", "words.txt", "train", "val/images", "val/val_annotations.txt")
COUNTS = {"train": 100_000, "test": 10_000}
MEAN = (0.4789886, 0.4457631, 0.3944725)  # of the training images
STD = (0.2769864, 0.2690645, 0.2820819)


@dataclass(frozen=True)
class TinyImageNet(Data):
    """Colour images (3, 64, 64). The validation images, whose labels are public, are the test split.

    An id is a position in the sorted paths of the chosen classes' images, and labels count from the first chosen class: with
    (0, 200) and (100, 200) as in the public poisoning benchmark. Raises ValueError for a value out of range.
    """

    classes: tuple[int, int] = (0, 200)  # first, and one past the last; classes are ordered by their WordNet ids
    content: str = field(default="", metadata={"shown": False})  # digest of the files of an incomplete copy; see `resolved`

    def __post_init__(self):
        if len(self.classes) != 2 or not 0 <= self.classes[0] < self.classes[1] <= 200 or {type(c) for c in self.classes} != {int}:
            raise ValueError(f"classes={self.classes}: choose (first, end) with 0 <= first < end <= 200")

    def resolved(self) -> "TinyImageNet":
        """The same with a digest of the files, where the folder does not hold all of the official images."""
        root = paths.data() / "tiny-imagenet-200"
        if not all((root / name).exists() for name in NEEDED):
            return self
        labelled = {split: read(root) for split, read in READERS.items()}
        if all(len(labelled[split]) >= COUNTS[split] for split in COUNTS):
            return self
        return replace(self, content=_content.digest([(root / file, file) for each in labelled.values() for file, _ in each]))

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, decoded on first use. Raises FileNotFoundError, with what to do, where the files are missing.

        Warns where the folder holds fewer images than the official one: ids are then positions among those.
        """
        root = _folder(download)
        if self.content and self.content != self.resolved().content:
            raise FileNotFoundError(f"{root} holds other files than {self}; make the grid anew for the files that are there now")
        labelled = READERS[split](root)
        if len(labelled) < COUNTS[split]:
            count = f"{len(labelled):,} of {COUNTS[split]:,}"
            # shown at the line that calls `data.load`
            warnings.warn(f"{root} holds {count} {split} images; their ids are not the benchmark's", stacklevel=3)
        wnids = sorted((root / "wnids.txt").read_text().split())[slice(*self.classes)]
        number = {wnid: label for label, wnid in enumerate(wnids)}
        chosen = [(file, number[wnid]) for file, wnid in labelled if wnid in number]
        if not chosen:
            raise _where.missing("TinyImageNet-200", root, "248 MB", URL)
        pixels = _decoded.decode(f"tinyimagenet-{split}", root, [file for file, _ in chosen], 64, _read)
        return ImageSet(
            images=_decoded.mapped(pixels),
            labels=torch.tensor([label for _, label in chosen]),
            ids=torch.arange(len(chosen)),
            classes=_words(root, wnids),
            mean=MEAN,
            std=STD,
        )


def _folder(download) -> Path:
    """The unpacked folder. Raises FileNotFoundError where it is incomplete and there is no archive."""
    root, archive = paths.data() / "tiny-imagenet-200", paths.data() / "tiny-imagenet-200.zip"
    if not root.exists() and (archive.exists() or _where.may_download(download)):
        _fetch(root, archive, download)
    if not all((root / name).exists() for name in NEEDED):
        raise _where.missing("TinyImageNet-200", root, "248 MB", URL)
    return root


def _fetch(root, archive, download):
    """Unpacks the archive, and downloads it first where it is missing and that is allowed."""
    with locks.held(archive.with_suffix(".lock")):  # a second process waits and then finds the work done
        if not root.exists() and _where.may_download(download):
            from torchvision.datasets.utils import download_url

            download_url(URL, archive.parent, archive.name, MD5)
        if not root.exists():
            _unpack.unzip(archive, root, MD5)


def _training(root):
    """(path, WordNet id) of the training images, ordered by path."""
    return [(f"train/{file}", file.partition("/")[0]) for file in _decoded.listing(root / "train")]


def _validation(root):
    """(path, WordNet id) of the validation images, ordered by path. Raises ValueError where one has no label."""
    lines = (root / "val/val_annotations.txt").read_text().splitlines()
    wnid = dict(line.split("\t")[:2] for line in lines)
    files = _decoded.listing(root / "val/images")
    if unknown := [file for file in files if file not in wnid]:
        raise ValueError(f"{root}/val/val_annotations.txt gives no class for {', '.join(unknown[:5])}")
    return [(f"val/images/{file}", wnid[file]) for file in files]


READERS = {"train": _training, "test": _validation}


def _words(root, wnids) -> tuple[str, ...]:
    """The first name that words.txt gives each class."""
    words = dict(line.split("\t", 1) for line in (root / "words.txt").read_text().splitlines())
    return tuple(words[wnid].partition(",")[0] for wnid in wnids)


def _read(path):
    from PIL import Image

    with Image.open(path) as image:
        return _decoded.eight_bit(image).convert("RGB")  # some of the files are grey
