"""ImageNet, Imagenette, or any tree of class folders with images in them."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import paths
from . import _decoded
from ._types import ImageSet

MEAN = (0.485, 0.456, 0.406)  # the usual numbers for ImageNet
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Data:
    """Colour images (3, size, size); classes are the folders of ``train/``, in sorted order.

    Rows are positions in the list of files, ordered by class and then by name. Raises ValueError for a number out of range.
    """

    folder: str = "imagenet"  # below the data root, or an absolute path; holds train/ and val/ (or test/)
    size: int = 224  # pixels a side: the shorter side is made size * 256 / 224 pixels long, then the centre is cut out

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size={self.size}: choose 1 or more")

    def load(self, split: str, download: bool = False) -> ImageSet:
        """One split, decoded on first use. Nothing is downloaded; raises FileNotFoundError that says which tree is wanted."""
        root = paths.data() / Path(self.folder).expanduser()
        folder = {"train": root / "train", "test": root / "val" if (root / "val").is_dir() else root / "test"}[split]
        names = _subfolders(root / "train")
        if unknown := sorted(set(_subfolders(folder)) - set(names)):
            raise ValueError(f"{folder} has classes that {root / 'train'} lacks: {', '.join(unknown[:5])}")
        files = [(f"{name}/{file}", label) for label, name in enumerate(names) for file in _decoded.listing(folder / name)]
        if not files:
            raise _missing(root, folder)
        pixels = _decoded.decode(f"{root.name}-{split}", folder, [file for file, _ in files], self.size, self._read)
        return ImageSet(
            images=_decoded.mapped(pixels),
            labels=torch.tensor([label for _, label in files]),
            rows=torch.arange(len(files)),
            classes=tuple(names),
            mean=MEAN,
            std=STD,
            again=functools.partial(_decoded.mapped, pixels),
        )

    def _read(self, path):
        """The image at ``path`` with its shorter side resized (bilinear, antialiased), its centre cut out: as torchvision does."""
        from PIL import Image

        with Image.open(path) as file:
            image = file.convert("RGB")
        short = round(self.size * 256 / 224)
        width, height = (short * side // min(image.size) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return image.crop((left, top, left + self.size, top + self.size))


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _missing(root, folder):
    return FileNotFoundError(
        f"there are no images in {folder}. Wanted are {root}/train/CLASS/*.JPEG and {root}/val/CLASS/*.JPEG (or test/), one folder "
        f"a class. ImageNet (ILSVRC2012, 155 GB) is to be had from https://image-net.org/download.php after registration, "
        f"Imagenette (imagenette2.tgz, 1.6 GB; folder='imagenette2') from https://github.com/fastai/imagenette; neither is "
        f"downloaded from here, whatever download=True or POISONLIB_DOWNLOAD=1 say. POISONLIB_DATA names another data root."
    )
