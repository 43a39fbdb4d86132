"""Image sets from one's own data: arrays, torchvision-style data sets, folders of images."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from .. import check
from ..tensors import quantise
from . import _decoded
from ._types import Goal, ImageSet, Poison

PART = 1000  # images whose levels are counted at a time


def from_arrays(images, labels, classes: Sequence[str] | None = None, mean=None, std=None) -> ImageSet:
    """An image set from arrays or tensors.

    ``images``: (n, h, w), (n, c, h, w) or (n, h, w, c) with 1 or 3 channels, as uint8 or as floats in [0, 1]. ``labels``: (n,)
    integers from 0. ``classes``: the classes' names, by default "0", "1", ... ``mean`` and ``std``: one number a channel, by
    default those of these images. An image's id is its position. Raises TypeError or ValueError for anything else, such as
    normalised images: networks normalise by themselves.
    """
    images, labels = _channels_first(_stored(_as_tensor("images", images))), _as_tensor("labels", labels)
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels are {labels.dtype}; give whole numbers from 0")
    labels = labels.long()
    names = tuple(map(str, classes if classes is not None else range(int(labels.max()) + 1 if len(labels) else 0)))
    own = [_moments(images[:, channel]) for channel in range(images.shape[1])]
    mean = tuple(each for each, _ in own) if mean is None else tuple(map(float, mean))
    std = tuple(each for _, each in own) if std is None else tuple(map(float, std))
    for level, deviation in zip(mean, std, strict=False):
        check.number("mean", level, 0, 1)
        check.number("std", deviation, 0, 1, above=True)
    return ImageSet(images, labels, torch.arange(len(images)), names, mean, std).checked()


def _as_tensor(name: str, values) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: give an array or a tensor of numbers ({error})") from None


def _moments(levels: Tensor) -> tuple[float, float]:
    """Mean and deviation of one channel, in units of [0, 1]; the deviation is at least one level. They are those of the counts of
    each level, so exact, and the same on every machine; NaN without images.
    """
    counts = sum(part.flatten().bincount(minlength=256) for part in levels.split(PART)).tolist() if len(levels) else []
    n, total, squares = (sum(count * level**power for level, count in enumerate(counts)) for power in range(3))
    if not n:
        return math.nan, math.nan
    return total / (255 * n), max(1.0, math.sqrt(Fraction(n * squares - total * total, n * n))) / 255


def _stored(images: Tensor) -> Tensor:
    """As uint8. Raises ValueError for floats outside [0, 1], TypeError for other types."""
    if images.is_floating_point():
        low, high = (images.min().item(), images.max().item()) if images.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):  # False for NaN, too
            raise ValueError(f"float images range from {low:.4g} to {high:.4g}; give them in [0, 1], without normalisation")
        return quantise(images)
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; give uint8, or floats in [0, 1]")
    return images


def _channels_first(images: Tensor) -> Tensor:
    """(n, c, h, w) from the three layouts of `from_arrays`."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.permute(0, 3, 1, 2).contiguous()
    raise ValueError(f"images of shape {tuple(images.shape)}: give (n, h, w), (n, c, h, w) or (n, h, w, c) with 1 or 3 channels")


def from_dataset(dataset, classes: Sequence[str] | None = None, mean=None, std=None) -> ImageSet:
    """An image set from a torchvision-style data set, whose items are ``(image, label)``.

    An image is a PIL image, an array (h, w, c) or (h, w), or a tensor (c, h, w); uint8 or floats in [0, 1]. All have one size.
    ``classes`` defaults to the data set's own ``classes``. An image's id is its index in the data set. Raises TypeError or
    ValueError that names the first item which does not fit.
    """
    images, labels = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise TypeError(f"item {index} is a {type(item).__name__}; give pairs of an image and its label")
        image, label = item
        try:
            images.append(_channels_first(_stored(_tensor(image)[None]))[0])
        except (TypeError, ValueError) as error:
            raise type(error)(f"item {index}: {error}") from None
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"item {index} has shape {tuple(images[-1].shape)}, item 0 {tuple(images[0].shape)}; resize the images"
            )
        if not _whole(label):
            raise TypeError(f"item {index}: its label is {label!r}; give whole numbers from 0")
        labels.append(int(label))
    if not images:
        raise ValueError("the data set is empty")
    names = classes if classes is not None else getattr(dataset, "classes", None)
    return from_arrays(torch.stack(images), torch.tensor(labels), names, mean, std)


def _whole(label) -> bool:
    try:
        return float(label) == int(label)
    except (OverflowError, TypeError, ValueError):
        return False


def _tensor(image) -> Tensor:
    if isinstance(image, Tensor):
        return image
    import numpy as np
    from PIL import Image

    return torch.from_numpy(np.array(_decoded.eight_bit(image) if isinstance(image, Image.Image) else image))


def from_folder(folder: str | Path, size: int | None = None, classes: Sequence[str] | None = None) -> ImageSet:
    """An image set from a tree of class folders, ``folder/CLASS/*.png``, decoded as RGB.

    ``classes`` are the folders to read, by default all, sorted; give the training set's to read the test set. Images of another
    size than ``size`` x ``size`` are resized (bilinear) to cover that square, and the centre is cut out; without ``size`` all must
    have one size. An image's id is its position in the list of files, ordered by class and then by name. Raises FileNotFoundError
    where there are no images, ValueError for a file that cannot be read.
    """
    root = Path(folder).expanduser()
    names = _decoded.subfolders(root) if classes is None else list(classes)
    files = [(root / name / file, label) for label, name in enumerate(names) for file in _decoded.listing(root / name)]
    if not files:
        raise FileNotFoundError(f"there are no images in {root}/CLASS/; put one folder of images a class there")
    images = [_decoded.image(path, size) for path, _ in files]
    if len(shapes := {tuple(image.shape) for image in images}) > 1:
        raise ValueError(f"{root} holds images of {len(shapes)} sizes; give size=..., and they are resized")
    return from_arrays(torch.stack(images), torch.tensor([label for _, label in files]), names)


def poison_from_folder(folder: str | Path, train: ImageSet) -> Poison:
    """Poisons that were crafted elsewhere: images named by the id of the training image that each replaces, such as ``17.png``.

    Use PNG: JPEG changes pixels beyond any small eps. Raises ValueError for another name or shape, KeyError for an id that is not
    in the training set, FileNotFoundError where there are no images.
    """
    root = Path(folder).expanduser()
    files = _decoded.listing(root) if root.is_dir() else []
    if not files:
        raise FileNotFoundError(f"there are no images in {root}")
    by_id: dict[int, str] = {}
    for file in files:
        if not re.fullmatch("[0-9]{1,18}", Path(file).stem):
            raise ValueError(f"{root / file}: name each image by the id of the training image that it replaces, such as 17.png")
        if (other := by_id.setdefault(int(Path(file).stem), file)) != file:
            raise ValueError(f"{root / file}: {other} has the same id; give one image an id")
    images = [_decoded.image(root / file, None, train.shape[0] == 1) for _, file in sorted(by_id.items())]
    for (_, file), image in zip(sorted(by_id.items()), images, strict=True):
        if tuple(image.shape) != train.shape:
            raise ValueError(f"{root / file} has the shape {tuple(image.shape)}; the training images have {train.shape}")
    poison = Poison(torch.tensor(sorted(by_id)), torch.stack(images))
    train.with_poison(poison)
    return poison


def goal(test: ImageSet, ids: Sequence[int], intended_class: int) -> Goal:
    """The goal that test images with these ids be classified as ``intended_class``.

    Raises KeyError for an id that is not in the test set, ValueError for a class that there is not.
    """
    check.whole("intended_class", intended_class, 0, len(test.classes) - 1)
    aim = test.take(test.positions(torch.as_tensor(ids).long().to(test.device)))
    if intended_class in aim.labels or not len(aim):
        raise ValueError(f"intended_class={intended_class}: give at least one id, of images of other classes")
    return Goal(aim.images, aim.labels, aim.ids, intended_class)
