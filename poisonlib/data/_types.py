"""What the stages hand to each other: image sets, poisons and goals. All are frozen, and nothing is ever written into them."""

import hashlib
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int64, Integer
from torch import Tensor

CHUNK = 2**28  # bytes that are hashed at a time


@dataclass(frozen=True)
class Poison:
    """Training images as the attacker changed them. Their labels are those of the training set and stay as they are."""

    ids: Int64[Tensor, " m"]  # which training images, ascending
    images: Integer[Tensor, "m c h w"]  # uint8; int16 only for a released variant that leaves the pixel range

    def __post_init__(self):
        _check_images(self.images, self.ids, "ids")
        if bool((self.ids[1:] <= self.ids[:-1]).any()):
            raise ValueError("ids: they must ascend, and each stand once")

    def __len__(self):
        return len(self.ids)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids and pixels: equal for two poisons exactly if they change a training set alike."""
        return hashlib.sha256(_bytes(self.ids) + _bytes(self.images)).hexdigest()


@dataclass(frozen=True)
class Goal:
    """The attacker's goal: the victim is to classify these test images, trigger included, as ``intended_class``."""

    images: Integer[Tensor, "t c h w"]
    labels: Int64[Tensor, " t"]  # true classes
    ids: Int64[Tensor, " t"]  # which test images
    intended_class: int

    def __post_init__(self):
        _check_images(self.images, self.labels, "labels")
        _check_images(self.images, self.ids, "ids")
        try:
            object.__setattr__(self, "intended_class", operator.index(self.intended_class))  # of a tensor of one number, too
        except TypeError:
            raise TypeError(f"intended_class={self.intended_class!r}: give the number of a class") from None

    @property
    def source_class(self) -> int:
        """The true class of the (first) target image."""
        return int(self.labels[0])


@dataclass(frozen=True)
class ImageSet:
    """A labelled set of images. An id is an image's position in its source and identifies it for good.

    All tensors are on one device, except for images that do not fit there: these stay in host memory or in a mapped file.
    """

    images: Integer[Tensor, "n c h w"]  # uint8
    labels: Int64[Tensor, " n"]  # 0 to len(classes) - 1
    ids: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # of each channel, in [0, 1]; networks normalise with it
    std: tuple[float, ...]
    reopen: Callable[[], Tensor] | None = field(default=None, compare=False, repr=False)  # maps the same images anew, writable

    def __post_init__(self):
        _check_images(self.images, self.labels, "labels")
        if len(self.ids) != len(self.labels):
            raise ValueError(f"{len(self.ids)} ids for {len(self.labels)} images; give one an image")
        if not len(self.mean) == len(self.std) == self.images.shape[1]:
            raise ValueError(f"mean={self.mean}, std={self.std}: give one number for each of {self.images.shape[1]} channels")

    def checked(self) -> "ImageSet":
        """The set itself. Raises ValueError where a label has no class or an id stands twice."""
        if len(self) and not (int(self.labels.min()) >= 0 and int(self.labels.max()) < len(self.classes)):
            found = f"{int(self.labels.min())} to {int(self.labels.max())}"
            raise ValueError(
                f"labels run from {found}; with {len(self.classes)} classes they must lie in 0 to {len(self.classes) - 1}"
            )
        if len(self.ids.unique()) < len(self):
            raise ValueError("ids: some stand twice; each must identify one image")
        return self

    def __len__(self):
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        """The device that computations on this set use."""
        return self.labels.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image."""
        return tuple(self.images.shape[1:])

    @property
    def smallest_class(self) -> int:
        """The number of images of the class that has the fewest."""
        return int(self.labels.bincount(minlength=len(self.classes)).min())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of images and labels, as 32 hexadecimal digits. Takes about a second for a gigabyte of images."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), str(self.images.dtype), len(self.classes))).encode())
        digest.update(_bytes(self.labels))
        step = max(1, CHUNK // max(1, self.images[:1].nbytes))
        for part in self.images.split(step):
            digest.update(_bytes(part))
        return digest.hexdigest()[:32]

    @property
    def resident(self) -> bool:
        """Whether the images are on the device, too."""
        return self.images.device == self.device

    def pixels(self, index: Int64[Tensor, " m"] | Bool[Tensor, " n"]) -> Integer[Tensor, "m c h w"]:
        """The stored images at these positions (or where the mask is true), on the set's device.

        Where images are beside a CUDA device, positions on the host spare waiting for the device: see `buffer`.
        """
        if self.resident:
            return self.images[index]
        rows = index.to(self.images.device)
        rows = rows.nonzero().squeeze(1) if rows.dtype == torch.bool else rows
        return torch.index_select(self.images, 0, rows, out=self.buffer(len(rows))).to(self.device, non_blocking=True)

    def buffer(self, n: int) -> Integer[Tensor, "n c h w"]:
        """Memory for n images on their way to a CUDA device, page-locked, so that the copy does not wait for the device."""
        locked = self.device.type == "cuda"
        return torch.empty((n, *self.shape), dtype=self.images.dtype, device=self.images.device, pin_memory=locked)

    def take(self, index: Int64[Tensor, " m"] | Bool[Tensor, " n"]) -> "ImageSet":
        """The subset at these positions (or where the mask is true), in that order."""
        return replace(self, images=self.pixels(index), labels=self.labels[index], ids=self.ids[index], reopen=None)

    def kept(self, mask: Bool[Tensor, " n"]) -> "ImageSet":
        """The subset where the mask is true. Images that are beside the device stay there, unlike those of `take`."""
        rows = mask.nonzero().squeeze(1)
        images = self.images[rows.to(self.images.device)]
        return replace(self, images=images, labels=self.labels[rows], ids=self.ids[rows], reopen=None)

    def of_class(self, label: int) -> "ImageSet":
        """The subset of one class."""
        return self.take(self.labels == label)

    def positions(self, ids: Int64[Tensor, " m"]) -> Int64[Tensor, " m"]:
        """The positions of these ids. Raises KeyError if one is not in the set."""
        if not len(self) and len(ids):
            raise KeyError(f"ids not in the set, which is empty: {ids[:5].tolist()}")
        order = self.ids.argsort()
        at = torch.searchsorted(self.ids[order], ids).clamp(max=max(len(self) - 1, 0))
        found = order[at]
        if not torch.equal(self.ids[found], ids):
            missing = ids[self.ids[found] != ids]
            raise KeyError(f"ids not in the set: {missing[:5].tolist()}")
        return found

    def with_poison(self, poison: Poison) -> "ImageSet":
        """A new set in which the poison's images replace those with the same ids.

        Raises KeyError for an id that is not in the set, ValueError for images of another shape.
        """
        if not len(poison):
            return self
        if poison.images.shape[1:] != self.images.shape[1:]:
            raise ValueError(f"poisons of shape {tuple(poison.images.shape[1:])}; the set's images are {self.shape}")
        dtype = torch.promote_types(self.images.dtype, poison.images.dtype)
        images = self.reopen() if self.reopen and dtype == self.images.dtype else self.images.to(dtype, copy=True)
        images[self.positions(poison.ids.to(self.device)).to(images.device)] = poison.images.to(images.device, dtype)
        return replace(self, images=images, reopen=None)

    def to(self, device) -> "ImageSet":
        """The set with all of its tensors on a device."""
        images = self.images.to(device)
        return replace(self.beside(device), images=images, reopen=self.reopen if images is self.images else None)

    def beside(self, device) -> "ImageSet":
        """The set for computations on a device that has no room for the images, which stay where they are."""
        return replace(self, labels=self.labels.to(device), ids=self.ids.to(device))


def _check_images(images, labels, name: str) -> None:
    """Raises TypeError for images that are not stored integers, ValueError where the lengths differ."""
    if not (isinstance(images, Tensor) and images.ndim == 4):
        raise TypeError(f"images must be a tensor (n, c, h, w), not {getattr(images, 'shape', type(images).__name__)}")
    if images.dtype not in (torch.uint8, torch.int16):
        raise TypeError(f"images are {images.dtype}; image sets hold uint8. data.from_arrays converts floats in [0, 1]")
    if labels.dtype != torch.int64 or labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(
            f"{name}: {labels.dtype} of shape {tuple(labels.shape)} for {len(images)} images; give int64, one an image"
        )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().contiguous().numpy().tobytes()
