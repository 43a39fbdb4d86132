"""What the stages hand to each other: image sets, poisons and goals. All frozen; nothing is ever written into."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int64, Integer
from torch import Tensor


@dataclass(frozen=True)
class Poison:
    """Training images as the attacker leaves them, as stored integers; labels are the victim's own and stay as they are."""

    rows: Int64[Tensor, " m"]  # source rows in the training set, ascending
    images: Integer[Tensor, "m c h w"]  # bytes; int16 only where a released quirk leaves the pixel range

    def __len__(self):
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of rows and pixels: two poisons are the same attack on the data exactly if this is equal."""
        rows, images = self.rows.cpu(), self.images.cpu().contiguous()
        return hashlib.sha256(rows.numpy().tobytes() + images.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Goal:
    """What the attacker wants: that these test images (trigger included) are taken for class ``wanted``."""

    images: Integer[Tensor, "t c h w"]
    labels: Int64[Tensor, " t"]  # true classes
    rows: Int64[Tensor, " t"]  # source rows in the test set
    wanted: int


@dataclass(frozen=True)
class ImageSet:
    """A labelled set of images. A row is the image's position in its source, and its identity for good.

    Everything is on one device, but for images that do not fit there: they stay in the host's memory or in a mapped file.
    """

    images: Integer[Tensor, "n c h w"]  # uint8
    labels: Int64[Tensor, " n"]
    rows: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, in [0, 1]; the model normalises with it
    std: tuple[float, ...]
    again: Callable[[], Tensor] | None = field(default=None, compare=False, repr=False)  # the same images, to be written into

    def __len__(self):
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the set is worked on."""
        return self.labels.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image."""
        return tuple(self.images.shape[1:])

    @property
    def smallest_class(self) -> int:
        """How many images the class has that has the fewest; 0 where a class has none."""
        return int(self.labels.bincount(minlength=len(self.classes)).min())

    def pixels(self, index: Int64[Tensor, " m"] | Bool[Tensor, " n"]) -> Integer[Tensor, "m c h w"]:
        """The stored images at these positions (or where the mask holds), on the set's device."""
        return self.images[index.to(self.images.device)].to(self.device)

    def take(self, index: Int64[Tensor, " m"] | Bool[Tensor, " n"]) -> "ImageSet":
        """The images at these positions (or where the mask holds), in that order."""
        return replace(self, images=self.pixels(index), labels=self.labels[index], rows=self.rows[index], again=None)

    def of_class(self, label: int) -> "ImageSet":
        return self.take(self.labels == label)

    def positions(self, rows: Int64[Tensor, " m"]) -> Int64[Tensor, " m"]:
        """Where these source rows stand. Raises KeyError if one is not in the set."""
        if not len(self) and len(rows):
            raise KeyError(f"rows not in the set, which is empty: {rows[:5].tolist()}")
        order = self.rows.argsort()
        at = torch.searchsorted(self.rows[order], rows).clamp(max=max(len(self) - 1, 0))
        found = order[at]
        if not torch.equal(self.rows[found], rows):
            missing = rows[self.rows[found] != rows]
            raise KeyError(f"rows not in the set: {missing[:5].tolist()}")
        return found

    def with_poison(self, poison: Poison) -> "ImageSet":
        """A new set in which the poison's rows show the poison's images. Raises KeyError for a row that is not in the set."""
        if not len(poison):
            return self
        dtype = torch.promote_types(self.images.dtype, poison.images.dtype)
        images = self.again() if self.again and dtype == self.images.dtype else self.images.to(dtype, copy=True)
        images[self.positions(poison.rows.to(self.device)).to(images.device)] = poison.images.to(images.device, dtype)
        return replace(self, images=images, again=None)

    def to(self, device) -> "ImageSet":
        images = self.images.to(device)
        return replace(self.beside(device), images=images, again=self.again if images is self.images else None)

    def beside(self, device) -> "ImageSet":
        """The set worked on by a device that has no room for the images, which stay where they are."""
        return replace(self, labels=self.labels.to(device), rows=self.rows.to(device))
