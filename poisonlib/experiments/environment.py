"""Where a trial runs: device, library versions, commit, and how much memory it takes."""

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass

import torch

from .. import __version__, paths


@dataclass(frozen=True)
class Environment:
    """Device, library versions and commit of a record."""

    device: str
    torch: str
    python: str
    poisonlib: str
    commit: str | None


def current(device: torch.device) -> contextlib.AbstractContextManager:
    """Inside the block, a CUDA device is the process's current one: several of torch's calls take no other, or want one chosen."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring the peak memory of a CUDA device anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of the trial on CUDA, of the process so far on a CPU; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def choose(device: str | torch.device = "auto") -> torch.device:
    """A device by name; ``"auto"`` is CUDA where there is one, else the CPU. Raises ValueError for a device that is not here."""
    device = str(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"device={device!r}: choose auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}: torch {torch.__version__} finds no CUDA device; choose auto or cpu")
    return torch.device(device)


def environment(device: torch.device) -> Environment:
    """The environment that a trial on ``device`` runs in now."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu: {_processor()}{_held_back()}"
    return Environment(name, torch.__version__, platform.python_version(), __version__, commit())


@functools.cache
def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _held_back() -> str:
    """The instruction set to which oneDNN or PyTorch is held by an environment variable; "" where all are used."""
    given = (os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"))
    limits = ", ".join(dict.fromkeys(limit.lower() for limit in given if limit))
    return f" ({limits} at most)" if limits else ""


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that this package lies in, with ``+`` where files differ from it; None for an installed copy."""
    if not (folder := paths.checkout()):
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"], cwd=folder, capture_output=True, text=True
        )
    except OSError:
        return None
    return done.stdout.strip() or None
