"""Trained networks and crafted poisons on disk, under the hash of all that made them: each is made once, whoever needs it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import paths
from .ledger import write_atomically
from .spec import digest


@dataclass(frozen=True)
class Cache:
    """A folder of safetensors files, named by the digest of what decides their content."""

    root: Path

    @classmethod
    def open(cls) -> "Cache":
        return cls(paths.outputs() / "models")

    def path(self, identity: dict) -> Path:
        return self.root / f"{digest(identity)}.safetensors"

    @contextlib.contextmanager
    def alone(self, identity: dict) -> Iterator[None]:
        """Within, no other process makes the same thing: the second one waits, and then finds it here."""
        from filelock import FileLock

        lock = self.root.with_name("locks") / f"{digest(identity)}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield

    def read(self, identity: dict) -> tuple[dict[str, torch.Tensor], dict] | None:
        """The tensors that this identity stands for and what was noted with them; None if they are not here or damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(identity), "pt") as file:
                note = (file.metadata() or {}).get("note", "{}")
                return {name: file.get_tensor(name) for name in list(file.keys())}, json.loads(note)
        except (FileNotFoundError, SafetensorError):
            return None

    def write(self, identity: dict, tensors: dict[str, torch.Tensor], note: dict | None = None) -> None:
        from safetensors.torch import save

        plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_atomically(self.path(identity), save(plain, {"note": json.dumps(note or {})}))

    def restore(self, network: torch.nn.Module, identity: dict) -> bool:
        """Load the weights that this identity stands for, if they are here; a damaged file counts as not here."""
        if found := self.read(identity):
            network.load_state_dict(found[0])
        return found is not None

    def keep(self, network: torch.nn.Module, identity: dict) -> None:
        self.write(identity, network.state_dict())
