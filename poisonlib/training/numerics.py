"""How the arithmetic is done: a choice of the run that moves bits, so it is part of a trial's identity."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class Numerics:
    """``precision`` of convolutions and products, memory layout, whether steps are replayed as a CUDA graph (CUDA only), and
    whether a craft's gradient is compiled: faster from some hundred steps on, after a minute or two of compilation."""

    precision: str = "fp32"
    channels_last: bool = True
    graph: bool = False
    compiled: bool = False

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: choose one of {', '.join(PRECISIONS)}")

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device):
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@contextlib.contextmanager
def settings(numerics: Numerics, threads: int = 1):
    """Within, torch is deterministic, uses this precision and so many CPU threads; all settings are put back afterwards.

    The number of threads moves bits too, so a trial that shall be repeatable always runs with one.
    """
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    fill = torch.utils.deterministic.fill_uninitialized_memory
    tf32 = numerics.precision == "tf32"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it deterministic products raise
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms`, but that imports the compiler for two seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs time, and no step reads what it has not written
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = False, tf32
    try:
        with _repeatable_compiler() if numerics.compiled else contextlib.nullcontext():
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        torch.set_float32_matmul_precision(before[2])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = cudnn
        torch.utils.deterministic.fill_uninitialized_memory = fill


@contextlib.contextmanager
def _repeatable_compiler() -> Iterator[None]:
    """Within, what is compiled is not chosen by timing it, where this torch can promise that."""
    from torch._inductor import config

    with config.patch(deterministic=True) if hasattr(config, "deterministic") else contextlib.nullcontext():
        yield
