"""Poisons for one setup as anyone may have crafted them: read from the public three pickles or from our bundle, and checked."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from .. import files
from ..data import Goal, ImageSet, Poison, Setup
from . import _pickles

POISONS, BASES, TARGET, BUNDLE = "poisons.pickle", "base_indices.pickle", "target.pickle", "poisons.safetensors"
PARTS = ("images", "labels", "bases", "target")


@dataclass(frozen=True)
class Submission:
    """Poisons and the base image of each, the target, and the trigger, if any, that is put on the target."""

    images: UInt8[Tensor, "m c h w"]
    labels: Int64[Tensor, " labels"]
    bases: Int64[Tensor, " bases"]  # ids of the base images, in the order of the poisons
    target: UInt8[Tensor, "channels height width"]  # without the trigger
    target_label: int
    trigger: UInt8[Tensor, "d s t"] | None = None
    place: tuple[int, int] = (0, 0)  # column and row of the trigger's top left pixel, as in the public format

    def __post_init__(self):
        wanted = {"images": (torch.uint8, 4), "labels": (torch.int64, 1), "bases": (torch.int64, 1), "target": (torch.uint8, 3)}
        wanted |= {"trigger": (torch.uint8, 3)} if self.trigger is not None else {}
        for name, kind in wanted.items():
            tensor = getattr(self, name)
            if (tensor.dtype, tensor.ndim) != kind:
                raise ValueError(f"{name}: {tensor.dtype} with {tensor.ndim} dimensions; {kind[0]} with {kind[1]} is wanted")
        if not len(self.images) == len(self.labels) == len(self.bases):
            raise ValueError(
                f"{len(self.images)} poisons, {len(self.labels)} labels, {len(self.bases)} base indices; give one an image"
            )

    def check(self, setup: Setup, train: ImageSet, test: ImageSet, budget: int, trigger_size: int) -> None:
        """Raises ValueError that says what is wrong: bases, labels, the budget in steps of 1/255, the target, or the trigger."""
        setup.check(train, test)
        self._check_bases(setup)
        if len(wrong := (self.labels != setup.base_class).nonzero()):
            at = int(wrong[0])
            raise ValueError(f"poison {at} has the label {int(self.labels[at])}; all have the base class, {setup.base_class}")
        if tuple(self.images.shape[1:]) != train.shape:
            raise ValueError(f"the poisons have the shape {tuple(self.images.shape[1:])}; the training images have {train.shape}")
        base = train.pixels(train.positions(self.bases))
        changes = (self.images.int() - base.int()).abs().flatten(1).amax(1)
        if int(changes.max()) > budget:
            at = int(changes.argmax())
            raise ValueError(
                f"poison {at} changes base image {int(self.bases[at])} by {int(changes[at])}/255; {budget}/255 is allowed"
            )
        self._check_target(setup, test, trigger_size)

    def _check_bases(self, setup: Setup) -> None:
        wanted, given = Counter(setup.base_ids), Counter(self.bases.tolist())
        if missing := sorted(wanted.keys() - given.keys()):  # an image that a setup names twice may be poisoned once
            raise ValueError(f"base index {missing[0]} of the setup is missing, {len(missing)} of {len(wanted)} in all")
        if foreign := sorted((given - wanted).elements()):
            said = f"base index {foreign[0]} is not in the setup, or more often than there"
            raise ValueError(f"{said}, {len(foreign)} of {len(self.bases)} in all")

    def _check_target(self, setup: Setup, test: ImageSet, trigger_size: int) -> None:
        if self.target_label != setup.target_class:
            raise ValueError(f"the target has the label {self.target_label}; the setup's is of class {setup.target_class}")
        (wanted,) = test.pixels(test.positions(torch.tensor([setup.target_id])))
        if self.target.shape != wanted.shape or not torch.equal(self.target, wanted):
            raise ValueError(f"the target is not the test image {setup.target_id} of the setup")
        if self.trigger is not None:
            size = (len(wanted), trigger_size, trigger_size)
            (column, row), (_, height, width) = self.place, wanted.shape
            if tuple(self.trigger.shape) != size:
                raise ValueError(f"the trigger has the shape {tuple(self.trigger.shape)}; {size} is allowed")
            if not (0 <= column <= width - trigger_size and 0 <= row <= height - trigger_size):
                raise ValueError(f"the trigger at column {column}, row {row} leaves the image of {width} x {height} pixels")

    def poison(self) -> Poison:
        """The poisons by ascending id; of two for one base image the last."""
        last = {base: at for at, base in enumerate(self.bases.tolist())}
        ids = sorted(last)
        return Poison(torch.tensor(ids), self.images[[last[each] for each in ids]])

    def goal(self, setup: Setup) -> Goal:
        """The target, with the trigger on it."""
        image = self.target.clone()
        if self.trigger is not None:
            (column, row), size = self.place, self.trigger.shape[-1]
            image[:, row : row + size, column : column + size] = self.trigger
        ids = (torch.tensor([setup.target_class]), torch.tensor([setup.target_id]))
        return Goal(image[None], *ids, setup.base_class)


def read(folder: Path) -> Submission:
    """The poisons in a folder: ``poisons.safetensors``, or the public format's three pickles.

    Raises ValueError that says which file is missing, damaged, or holds something else.
    """
    if (folder / BUNDLE).exists() and (folder / POISONS).exists():
        raise ValueError(f"both {BUNDLE} and {POISONS} are here; leave the one that is meant")
    return _bundle(folder / BUNDLE) if (folder / BUNDLE).exists() else _public(folder)


def _bundle(path: Path) -> Submission:
    found = files.read_tensors(path)
    if found is None:
        raise ValueError(f"{path.name} is damaged")
    tensors, note = found
    if missing := [name for name in PARTS if name not in tensors]:
        raise ValueError(f"{path.name} has no {missing[0]}; it has {', '.join(sorted(tensors)) or 'nothing'}")
    try:
        place = tuple(map(int, note.get("place", (0, 0))))
        return Submission(*(tensors[name] for name in PARTS), int(note["target_label"]), tensors.get("trigger"), place)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: its note holds no target_label, or no place of a trigger ({error})") from None


def _public(folder: Path) -> Submission:
    pairs, bases, target = (_pickles.read(folder / name) for name in (POISONS, BASES, TARGET))
    images, labels = _pairs(pairs)
    if not isinstance(bases, list | tuple) or any(type(each) is not int or not 0 <= each < 2**63 for each in bases):
        raise ValueError(f"{BASES} holds no list of whole numbers from 0")
    if not (isinstance(target, list | tuple) and len(target) in (2, 4) and _is_pair(target[:2])):
        raise ValueError(f"{TARGET} holds neither (image, label) nor (image, label, trigger, place)")
    trigger, place = _trigger(*target[2:]) if len(target) == 4 else (None, (0, 0))
    image = _image(target[0], TARGET)
    return Submission(images, torch.tensor(labels), torch.tensor(bases, dtype=torch.int64), image, target[1], trigger, place)


def _is_pair(entry) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[0], _pickles.Picture) and type(entry[1]) is int


def _pairs(entries) -> tuple[Tensor, list[int]]:
    if not isinstance(entries, list | tuple) or not entries or not all(map(_is_pair, entries)):
        raise ValueError(f"{POISONS} holds no list of (image, label)")
    images = [_image(picture, f"{POISONS}, poison {at}") for at, (picture, _) in enumerate(entries)]
    if len(shapes := sorted({tuple(image.shape) for image in images})) > 1:
        raise ValueError(f"{POISONS} holds images of shapes {shapes[0]} and {shapes[1]}")
    if any(not -(2**63) <= label < 2**63 for _, label in entries):
        raise ValueError(f"{POISONS} holds a label that is no class")
    return torch.stack(images), [label for _, label in entries]


def _image(picture: _pickles.Picture, where: str) -> UInt8[Tensor, "c h w"]:
    try:
        return torch.from_numpy(picture.pixels().copy())
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None


def _trigger(values, place) -> tuple[UInt8[Tensor, "c s s"], tuple[int, int]]:
    """As bytes; the public tester truncates them, and so does this."""
    try:
        found = np.asarray(values, dtype=np.float64)
        column, row = map(int, place)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{TARGET}: the trigger is no array of numbers, or its place no pair of them") from None
    if found.ndim != 3 or not (found.min() >= 0 and found.max() <= 1):
        raise ValueError(f"{TARGET}: a trigger has the shape (channels, size, size) and values from 0 to 1")
    return torch.from_numpy(np.floor(found * 255 + 1e-4).astype(np.uint8)), (column, row)
