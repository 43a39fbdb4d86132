"""What this machine has: device, data sets, optional packages, free space."""

import importlib.util
import os
import shutil
from collections.abc import Iterator

from . import data, paths
from .words import plural

OPTIONAL = {
    "torchvision": "CIFAR downloads, ImageNet ResNet-18",
    "opacus": "per-example DP-SGD",
    "dp_accounting": "privacy-loss accounting",
}


def facts() -> dict:
    """The findings, as JSON values: of each data set its number of test images, or what is missing."""
    import torch

    return {
        "torch": torch.__version__,
        "cores": _cores(),
        "CUDA": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "data root": str(paths.data()),
        "data sets": {choice: _state(choice) for choice in _sets()},
        "outputs": str(paths.outputs()),
        "trials recorded": _records(),
        "GB free": _free(),
        "packages": {package: importlib.util.find_spec(package) is not None for package in OPTIONAL},
    }


def lines(found: dict) -> Iterator[str]:
    """What `facts` found, a line each."""
    yield f"torch {found['torch']}, {found['cores']} CPU cores"
    cuda = ", ".join(found["CUDA"])
    yield f"CUDA: {cuda}" if cuda else "CUDA: none; profiles quick and laptop are made for a CPU"
    yield f"data root: {found['data root']} (POISONLIB_DATA)"
    for choice, state in found["data sets"].items():
        yield f"    {choice}: {state if isinstance(state, str) else f'{state} test images'}"
    recorded = f"{plural(found['trials recorded'], 'trial')} recorded, {found['GB free']} GB free"
    yield f"outputs: {found['outputs']} (POISONLIB_OUTPUTS), {recorded}"
    for package, here in found["packages"].items():
        yield f"{package}: {'here' if here else 'not installed'} ({OPTIONAL[package]})"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sets() -> list[str]:
    """The data sets that need no file of the user's own, each with the arguments that it needs."""
    cifar = [f"cifar(classes={classes})" for classes in (10, 100)]
    return cifar + [name for name in data.names() if name not in ("cifar", "cifar_setup", "folder", "stored")]


def _state(choice: str) -> int | str:
    """The number of a data set's test images, or its own words where it cannot be read."""
    try:
        return len(data.load(choice, "test"))
    except FileNotFoundError as error:
        return str(error).replace("\n", "\n        ")
    except (OSError, ValueError) as error:
        return f"damaged: {error}"


def _records() -> int:
    return sum(1 for _ in (paths.outputs() / "trials").glob("??/*.json"))


def _free() -> int:
    root = next(p for p in [paths.outputs(), *paths.outputs().parents] if p.exists())
    return shutil.disk_usage(root).free // 10**9
