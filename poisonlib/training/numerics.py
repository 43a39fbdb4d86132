"""How the arithmetic is done. This changes the last bits of results, so it is part of a trial's identity."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .. import check, registry

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# cuBLAS reads it when the process's first product runs on CUDA; without it products are not repeatable, and raise.
LATE = WORKSPACE not in os.environ and torch.cuda.is_initialized()
os.environ.setdefault(WORKSPACE, ":4096:8")

PRECISIONS = ("fp32", "tf32", "bf16")
BF16_LEVELS = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")  # in the names of instruction sets that have products of bfloat16


@dataclass(frozen=True)
class Numerics:
    """Precision of convolutions and matrix products, memory format, CUDA graphs for training steps (CUDA only), and compilation of
    the crafting gradient, which takes a minute or two and pays from some hundred steps on."""

    precision: str = "fp32"
    channels_last: bool = True
    graph: bool = False
    compiled: bool = False

    def __post_init__(self):
        check.one_of("precision", self.precision, PRECISIONS)
        for name in ("channels_last", "graph", "compiled"):
            check.flag(name, getattr(self, name))

    @classmethod
    def here(cls, precision: str = "fp32", **values) -> "Numerics":
        """Numerics in which the precision ``"auto"`` means the fastest on this machine."""
        return cls(fastest_precision() if precision == "auto" else precision, **values)

    @classmethod
    def load(cls, choice: "Numerics | dict | str") -> "Numerics":
        """Numerics as an object, as a description, or as text: ``"bf16"``, ``"tf32(graph=True, compiled=True)"``, ``"auto"``.

        Raises ValueError, or TypeError for a value that numerics do not have.
        """
        if isinstance(choice, cls):
            return choice
        if isinstance(choice, str):
            calls = registry.parse(choice)
            if len(calls) != 1:
                raise ValueError(f"{choice!r}: give one precision, as in 'bf16(graph=True)'")
            choice = {"precision": calls[0][0], **calls[0][1]}
        if unknown := sorted(choice.keys() - cls.__dataclass_fields__.keys()):
            raise TypeError(f"numerics have no {', '.join(unknown)}; they have: {', '.join(cls.__dataclass_fields__)}")
        return cls.here(**choice)

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device):
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def fastest_precision() -> str:
    """``"bf16"`` where the GPU or, without one, the processor computes products of bfloat16 in hardware, else ``"fp32"``.

    On a processor that has no such instructions bfloat16 is emulated, some ten times slower than float32.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if hardware and any(level in allowed for level in BF16_LEVELS) else "fp32"


@contextlib.contextmanager
def settings(numerics: Numerics, threads: int = 1):
    """Inside the block, torch is deterministic and uses this precision and number of CPU threads; afterwards all is restored.

    The number of threads changes bits, too, so repeatable trials run with one. So does torch's default dtype, here float32.
    """
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision()
    dtype = torch.get_default_dtype()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    fill = torch.utils.deterministic.fill_uninitialized_memory
    tf32 = numerics.precision == "tf32"
    if LATE:
        warnings.warn(
            "this process used CUDA before poisonlib was imported, and results may differ from run to run: import poisonlib first, "
            f"or set {WORKSPACE}=:4096:8 before the process starts",
            stacklevel=3,
        )
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms`, but that imports the compiler for two seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs time, and no step reads what it has not written
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = False, tf32
    try:
        with torch.enable_grad(), _repeatable_compiler() if numerics.compiled else contextlib.nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        torch.set_float32_matmul_precision(before[2])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = cudnn
        torch.utils.deterministic.fill_uninitialized_memory = fill


@contextlib.contextmanager
def _repeatable_compiler() -> Iterator[None]:
    """Inside the block, the compiler does not choose kernels by timing them, if this version of torch can promise that."""
    from torch._inductor import config

    with config.patch(deterministic=True) if hasattr(config, "deterministic") else contextlib.nullcontext():
        yield
