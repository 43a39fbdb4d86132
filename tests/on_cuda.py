"""The rehearsal's trials on a real GPU, each beside the CPU's: ``python -m tests.on_cuda [part of a name ...]``.

A GPU's kernels round otherwise, so optimised poisons and networks may differ in their last bits, and by these a prediction. What is
*chosen* must be the same: classes, the number of poisons, the poisons of attacks that optimise nothing. Exits with the number of
trials that fail there or choose otherwise, and with 0 where there is no CUDA device, which it says.
"""

import sys
import tempfile
from pathlib import Path

import torch

from poisonlib.experiments import Record, Trial
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.trial import run_trial

from .rehearsal.trials import trials


def run(trial: Trial, device: str) -> Record | str:
    """The record of a trial with nothing in the cache, or what it fails with, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return run_trial(trial, torch.device(device), Cache(Path(folder) / "models"))
        except Exception as error:
            return f"{type(error).__name__}: {error}".splitlines()[0]


def chosen(record: Record) -> tuple:
    """What must not depend on the device."""
    fixed = record.craft is None and record.poisons.digest
    return record.key, record.intended_class, record.source_class, record.poisons.count, fixed


def verdict(here: Record | str, there: Record | str) -> str:
    if isinstance(here, str) or isinstance(there, str):
        return "same error" if here == there else "FAILED"
    if there.measured() == here.measured():
        return "same record"
    return "same choices" if chosen(there) == chosen(here) else "OTHER CHOICES"


def line(name: str, here: Record | str, there: Record | str) -> str:
    """One row: what came of it, test accuracy on both, seconds on both; or the errors."""
    words = f"{name:40} {verdict(here, there):14}"
    if isinstance(here, str) or isinstance(there, str):
        return f"{words} {there if isinstance(there, str) else f'on the CPU: {here}'}"
    pairs = (f"{getattr(here, what):.3f} / {getattr(there, what):.3f}" for what in ("accuracy", "seconds"))
    return f"{words} {'   '.join(pairs)}"


def main(parts: list[str]) -> int:
    if not torch.cuda.is_available():
        print("There is no CUDA device here, so nothing was run. tests/test_rehearsal.py rehearses these trials without one.")
        return 0
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}",
        f"{'trial':40} {'verdict':14} accuracy, seconds: CPU / CUDA",
        sep="\n",
    )
    bad = 0
    for name, trial in trials().items():
        if all(part in name for part in parts):
            here, there = run(trial, "cpu"), run(trial, "cuda:0")
            bad += verdict(here, there).isupper()
            print(line(name, here, there), flush=True)
    print(f"{bad} failed or chose otherwise")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
