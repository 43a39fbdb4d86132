"""Named random streams: every draw comes from ``(seed, purpose)``, never from a global generator.

Choices (rows, classes, targets, triggers, crops, partners) come from CPU streams, so every device runs the same trial. Bulk pixel
noise may come from a stream of the device.
"""

import contextlib
import hashlib
import random

import torch


def derive(seed: int, *purpose) -> int:
    """A 63-bit seed for one purpose of one trial, from SHA-256 of the words.

    Of two purposes the seeds are equal by chance with probability 2^-63; torch's generator on the CPU reads 32 bits of them, so its
    streams with 2^-32.
    """
    words = "/".join(str(w) for w in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *purpose, device="cpu") -> torch.Generator:
    """A fresh generator for ``(seed, purpose)``: ``stream(7, "poison rows")``."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextlib.contextmanager
def seeded(seed: int, *purpose, device="cpu"):
    """Seed the global generators with the stream ``(seed, purpose)`` inside the block, and restore them afterwards.

    For initialisers and dropout, which take no generator. Covers torch's on the CPU and on ``device``, NumPy's and Python's; those
    of other CUDA devices are seeded, too, but not restored.
    """
    import numpy as np

    place, own = torch.device(device), derive(seed, *purpose)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([place] if place.type == "cuda" else [], device_type="cuda"):
            torch.manual_seed(own)
            random.seed(own)
            np.random.seed(own % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
