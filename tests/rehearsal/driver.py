"""A stand-in of `torch.cuda` for the rehearsal. As the driver does, it refuses what comes before a device is chosen.

On a real GPU some calls choose one by themselves. Here none does: a worker that forgets to choose computes on the first GPU.
"""

import contextlib
from dataclasses import dataclass, field
from typing import ClassVar

import torch

DEVICES = 2
BYTES = 16 * 2**30

_Generator = torch.Generator


class Generator(_Generator):
    """A generator that may say that it is on CUDA. Its draws are those of the CPU's for the same seed."""

    elsewhere: ClassVar[dict] = {}  # those on CUDA, by what torch knows of a generator when it hands it on

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        if torch.device(device).type == "cuda":
            cls.elsewhere[made._cdata] = torch.device(device), made  # kept, so that no other gets its address
        return made

    def __init__(self, device="cpu"):
        """As torch's own takes a device."""

    @property
    def device(self) -> torch.device:
        return place_of(self)


def place_of(generator: _Generator) -> torch.device:
    """The device that a generator belongs to."""
    return Generator.elsewhere.get(generator._cdata, (torch.device("cpu"),))[0]


@dataclass
class Driver:
    """The state of the process: the device that was chosen, if one was, and what was asked of each."""

    current: int | None = None
    free: int = BYTES
    calls: list[tuple] = field(default_factory=list)

    def __post_init__(self):
        self.generators = tuple(Generator(f"cuda:{i}") for i in range(DEVICES))

    def check(self, device=None) -> None:
        """Raises RuntimeError before `set_device`, and where ``device`` is not the chosen one."""
        if self.current is None:
            raise RuntimeError("Invalid device argument: did you call init? No CUDA device was chosen (torch.cuda.set_device)")
        device = torch.device("cuda" if device is None else device)
        if device.index is not None and device.index != self.current:
            raise RuntimeError(f"work on {device}, but the device that was chosen is cuda:{self.current}")

    def set_device(self, device) -> None:
        device = device if isinstance(device, int) else torch.device(device).index
        if device is not None and device >= 0:
            self.current = device

    def exchange(self, device: int) -> int:
        before, self.current = self.current, self.current if device < 0 else device
        return -1 if before is None else before

    def restore(self, device: int) -> int:
        before, self.current = self.current, None if device < 0 else device
        return before

    @contextlib.contextmanager
    def drawing(self, device: torch.device):
        """Inside the block, the CPU's default generator goes on where that of the device is."""
        own, outer = self.generators[device.index], torch.default_generator.get_state()
        torch.default_generator.set_state(own.get_state())
        try:
            yield
        finally:
            own.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(outer)

    def asked(self, name: str, answer=None):
        """A function of `torch.cuda` that takes a device."""

        def call(device=None):
            self.check(device)
            self.calls.append((name, device))
            return answer

        return call

    def mem_get_info(self, device=None):
        self.check(device)
        return self.free, BYTES

    def functions(self) -> dict:
        """What replaces the functions of `torch.cuda`."""
        return {
            "_exchange_device": self.exchange,
            "_maybe_exchange_device": self.restore,
            "_lazy_call": lambda call, **_: call(),
            "_lazy_init": lambda: None,
            "current_device": self.chosen,
            "default_generators": self.generators,
            "device_count": lambda: DEVICES,
            "get_device_name": self.asked("get_device_name", "a rehearsal"),
            "is_available": lambda: True,
            "is_bf16_supported": lambda including_emulation=True: True,
            "is_initialized": lambda: self.current is not None,
            "max_memory_allocated": self.asked("max_memory_allocated", 1),
            "mem_get_info": self.mem_get_info,
            "reset_peak_memory_stats": self.asked("reset_peak_memory_stats"),
            "set_device": self.set_device,
        }

    def chosen(self) -> int:
        self.check()
        return self.current
