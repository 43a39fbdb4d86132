"""Files that appear whole or not at all, and tensors in them (safetensors: no code is ever unpickled)."""

import json
import os
import uuid
from pathlib import Path

import torch


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` completely or not at all, even if the process dies meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{uuid.uuid4().hex}")  # no reader looks for such a name, so a killed process leaves no harm
    try:
        with part.open("xb") as file:  # with the permissions of any other new file, as several accounts may share the folder
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], note: dict | None = None) -> None:
    """Write named tensors and a JSON note to a safetensors file, atomically."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, {"note": json.dumps(note or {})}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict] | None:
    """(tensors on the CPU, note) of a safetensors file; None if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            note = (file.metadata() or {}).get("note", "{}")
            return {name: file.get_tensor(name) for name in list(file.keys())}, json.loads(note)
    except (FileNotFoundError, SafetensorError):
        return None
