"""What this machine has: device, data sets, optional packages, free space."""

import importlib.util
import os
import shutil
from collections.abc import Iterator

from . import data, paths

OPTIONAL = {
    "torchvision": "CIFAR downloads, ImageNet ResNet-18",
    "opacus": "per-example DP-SGD",
    "dp_accounting": "privacy-loss accounting",
}


def lines() -> Iterator[str]:
    """The findings, a line each."""
    import torch

    yield f"torch {torch.__version__}, {_cores()} CPU cores"
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield f"CUDA: {', '.join(cuda)}" if cuda else "CUDA: none; profiles quick and laptop are made for a CPU"
    yield f"data root: {paths.data()} (POISONLIB_DATA)"
    for choice in _sets():
        yield f"    {choice}: {_state(choice)}"
    yield f"outputs: {paths.outputs()} (POISONLIB_OUTPUTS), {_records()} trials recorded, {_free()} GB free"
    for package, use in OPTIONAL.items():
        yield f"{package}: {'here' if importlib.util.find_spec(package) else 'not installed'} ({use})"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sets() -> list[str]:
    """The data sets that need no file of the user's own, each with the arguments that it needs."""
    cifar = [f"cifar(classes={classes})" for classes in (10, 100)]
    return cifar + [name for name in data.names() if name not in ("cifar", "stored")]


def _state(choice: str) -> str:
    """Whether a data set can be read: its own words where it cannot."""
    try:
        return f"{len(data.load(choice, 'test'))} test images"
    except FileNotFoundError as error:
        return str(error).replace("\n", "\n        ")


def _records() -> int:
    return sum(1 for _ in (paths.outputs() / "trials").glob("??/*.json"))


def _free() -> int:
    root = next(p for p in [paths.outputs(), *paths.outputs().parents] if p.exists())
    return shutil.disk_usage(root).free // 10**9
