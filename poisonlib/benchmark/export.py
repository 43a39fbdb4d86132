"""Our poisons in the benchmark's public format, which its tester accepts as it is, or as a safetensors bundle."""

import pickle
from collections.abc import Iterable
from pathlib import Path

import torch

from .. import experiments, files
from ..data import Goal, ImageSet, Poison
from ..experiments import Trial
from ..experiments.crafting import images
from .submission import BASES, BUNDLE, POISONS, TARGET, Submission


def export(trials: Iterable[Trial], folder: str | Path, device: str = "auto", bundle: bool = False) -> list[Path]:
    """Craft the poisons of trials, or take them from the cache, and write each to a folder named by its seed; returns these.

    The seed is the number of the setup, where the attack has ``setups``.
    """
    written, place = [], torch.device("cpu")
    for trial in trials:
        poison, goal = experiments.craft(trial, device)
        train, test = (images(trial.source, split, place) for split in ("train", "test"))
        written.append(Path(folder) / str(trial.seed))
        (write_bundle if bundle else write)(packed(poison, goal, train, test), written[-1])
    return written


def packed(poison: Poison, goal: Goal, train: ImageSet, test: ImageSet) -> Submission:
    """Poison and goal of an attack in the form of the benchmark; of several targets the first.

    Raises ValueError where pixels are no bytes, there are no poisons, or what is on the target is no square trigger.
    """
    if not len(poison) or poison.images.dtype != torch.uint8:
        raise ValueError("the benchmark's format holds at least one poison, as bytes")
    ids = poison.ids.cpu()
    labels = train.labels[train.positions(ids)]
    (target,) = test.pixels(test.positions(goal.ids[:1].cpu()))
    trigger, place = _trigger(goal.images[0].cpu(), target)
    return Submission(poison.images.cpu(), labels, ids, target, goal.source_class, trigger, place)


def _trigger(shown: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor | None, tuple[int, int]]:
    """The smallest square that holds all changed pixels, and its column and row."""
    changed = (shown != target).any(0)
    if not changed.any():
        return None, (0, 0)
    rows, columns = (changed.any(side).nonzero()[:, 0] for side in (1, 0))
    size = int(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    row, column = (int(min(at[0], limit - size)) for at, limit in zip((rows, columns), changed.shape, strict=True))
    if row < 0 or column < 0:
        raise ValueError("what is on the target is no square trigger")
    return shown[:, row : row + size, column : column + size], (column, row)


def write(content: Submission, folder: Path) -> None:
    """Write three pickles of plain integers, nested lists and PIL images."""
    pairs = [(_picture(image), label) for image, label in zip(content.images, content.labels.tolist(), strict=True)]
    target = (_picture(content.target), content.target_label)
    if content.trigger is not None:
        # A quarter of a step above the byte, as the tester truncates what it multiplies by 255 in single precision.
        target += (((content.trigger.double() + 0.25) / 255).clamp(max=1).tolist(), list(content.place))
    for name, value in ((POISONS, pairs), (BASES, content.bases.tolist()), (TARGET, target)):
        files.write_atomically(folder / name, pickle.dumps(value, protocol=4))


def write_bundle(content: Submission, folder: Path) -> None:
    """Write ``poisons.safetensors``, from which no code can be unpickled."""
    tensors = {"images": content.images, "labels": content.labels, "bases": content.bases, "target": content.target}
    tensors |= {} if content.trigger is None else {"trigger": content.trigger}
    files.write_tensors(folder / BUNDLE, tensors, {"target_label": content.target_label, "place": list(content.place)})


def _picture(image: torch.Tensor):
    from PIL import Image

    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
