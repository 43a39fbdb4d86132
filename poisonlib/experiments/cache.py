"""Trained networks and crafted poisons on disk, under a digest of all that decides them: each is made once, by whoever needs it
first.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .. import files, locks, paths
from .spec import canonical, digest

Content = tuple[dict[str, Tensor], dict]  # tensors by name, and a JSON note


@dataclass(frozen=True)
class Cache:
    """A folder of safetensors files."""

    root: Path

    @classmethod
    def open(cls) -> "Cache":
        """The cache of the output folder."""
        return cls(paths.outputs() / "models")

    def path(self, identity: dict) -> Path:
        """The file for an identity: the description of all that decides the content."""
        return self.root / f"{digest(identity)}.safetensors"

    def kept(self, identity: dict) -> Content | None:
        """The content for an identity; None where it is missing, damaged or another's."""
        return files.read_tensors(self.path(identity), canonical(identity))

    def fetch(self, identity: dict, make: Callable[[], Content], keep: bool = True) -> Content:
        """The content for an identity: read from disk or, if it is missing, damaged or another's, made by ``make()`` and kept.

        A process that needs the same content meanwhile waits for this one. With ``keep=False`` nothing is written or waited for.
        """
        if (content := self.kept(identity)) is not None:
            return content
        with self._locked(identity) if keep else contextlib.nullcontext():
            content = self.kept(identity) if keep else None
            if content is None:
                content = make()
                if keep:
                    files.write_tensors(self.path(identity), *content, canonical(identity))
            return content

    def claimed(self, identity: dict) -> AbstractContextManager[bool]:
        """Claim the making of a content until the block ends; gives whether nobody else has claimed it.

        Claims are for those who do other work rather than wait: `fetch` does not ask for them.
        """
        return locks.tried(self._lock(identity, "claim"))

    def _locked(self, identity: dict) -> AbstractContextManager:
        return locks.held(self._lock(identity, "lock"))

    def _lock(self, identity: dict, kind: str) -> Path:
        return self.root.with_name("locks") / f"{digest(identity)}.{kind}"
