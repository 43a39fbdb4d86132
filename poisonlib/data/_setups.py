"""Setups: who is to be poisoned with what, chosen beforehand, so that attacks are compared on the same targets and base images."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import files, paths
from ._types import ImageSet


@dataclass(frozen=True)
class Setup:
    """A target, and the training images that the attacker may change. Ids are positions in the data set's files.

    A test image of ``target_class`` is to be classified as ``base_class``, the class of all base images ("Just How Toxic", section
    5).
    """

    target_class: int
    target_id: int
    base_class: int
    base_ids: tuple[int, ...]  # in the order of the setup; one of the public setups names an image twice

    def check(self, train: ImageSet, test: ImageSet) -> None:
        """Raises ValueError where the target or a base image is not in the sets, or of another class."""
        for name, of, ids, label in (
            ("base", train, self.base_ids, self.base_class),
            ("target", test, (self.target_id,), self.target_class),
        ):
            ids = torch.tensor(ids, device=of.device)
            if len(missing := ids[~torch.isin(ids, of.ids)]):
                raise ValueError(f"the setup's {name} image {int(missing[0])} is not in the data set, which has {len(of)} images")
            labels = of.labels[of.positions(ids)]
            if len(wrong := (labels != label).nonzero()):
                at = int(wrong[0])
                raise ValueError(
                    f"the setup's {name} image {int(ids[at])} is of class {int(labels[at])}, not {label}: another data set?"
                )


def keep_setups(setups: Sequence[Setup]) -> str:
    """Keep setups in the output folder for trials to use; returns the digest that an attack's ``setups`` takes."""
    columns = {"target_class": [], "target_id": [], "base_class": [], "bases": []}
    for setup in setups:
        for name, value in zip(columns, (setup.target_class, setup.target_id, setup.base_class, len(setup.base_ids)), strict=True):
            columns[name].append(value)
    tensors = {name: torch.tensor(values) for name, values in columns.items()}
    tensors["base_ids"] = torch.tensor([each for setup in setups for each in setup.base_ids])
    return files.keep(paths.outputs() / "data", tensors, {"kind": "setups"})


def kept_setup(digest: str, number: int) -> Setup:
    """A setup that `keep_setups` kept. Raises FileNotFoundError where they are not here, ValueError for a number beyond them."""
    setups = _read(digest, paths.outputs())
    if not 0 <= number < len(setups):
        raise ValueError(f"there is no setup {number}; the seed of a trial is the number of its setup, from 0 to {len(setups) - 1}")
    return setups[number]


def check_setups(digest: str, train: ImageSet, test: ImageSet) -> None:
    """Raises ValueError, of the first of the kept setups, unless at least one of them fits these sets: where each setup has a
    training set of its own, only its own does.
    """
    problems = []
    for setup in _read(digest, paths.outputs()):
        try:
            return setup.check(train, test)
        except ValueError as error:
            problems.append(error)
    raise problems[0]


@functools.lru_cache(maxsize=8)
def _read(digest: str, outputs: Path) -> tuple[Setup, ...]:
    tensors, _ = files.kept(outputs / "data", digest)
    parts = tensors["base_ids"].split(tensors["bases"].tolist())
    columns = [tensors[name].tolist() for name in ("target_class", "target_id", "base_class")]
    return tuple(Setup(*row, tuple(part.tolist())) for *row, part in zip(*columns, parts, strict=True))
