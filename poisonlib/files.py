"""Files that appear whole or not at all, and tensors in them (safetensors: no code is ever unpickled)."""

import contextlib
import hashlib
import io
import json
import os
import time
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


def check_writable(folder: Path, room: int = 2**20) -> None:
    """Raises OSError that names the folder where a file of so many bytes cannot be written."""
    probe = folder / f".part-{uuid.uuid4().hex}"
    try:
        write_atomically(probe, bytes(room))
        probe.unlink()
    except OSError as error:
        raise OSError(f"nothing can be written in {folder}: {error.strerror or error}") from error


def sweep(folder: Path, age: float = 3600.0) -> int:
    """Delete what writes that were killed so many seconds ago, or earlier, left below a folder; returns the number of files."""
    swept = 0
    for part in folder.rglob(".part-*"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > age:
                part.unlink()
                swept += 1
    return swept


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], note: dict | None = None, identity: str = "") -> None:
    """Write named tensors and a JSON note to a safetensors file, atomically; its header holds a digest of both, and whose they
    are.
    """
    from safetensors.torch import save

    header = {"note": json.dumps(note or {}), "digest": content_digest(tensors, note or {}), "identity": identity}
    write_atomically(path, save(_apart(tensors), header))


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, each with memory of its own, as safetensors requires: tied weights share theirs."""
    plain, owners = {}, set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        if (owner := plain[name].untyped_storage().data_ptr()) in owners:
            plain[name] = plain[name].clone()
        owners.add(owner)
    return plain


def read_tensors(path: Path, identity: str | None = None) -> tuple[dict[str, torch.Tensor], dict] | None:
    """(tensors on the CPU, note) of a safetensors file; None if it is missing or damaged.

    Where an identity is given, also None if the file was not written with it, or holds anything else than was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in list(file.keys())}, json.loads(header.get("note", "{}"))
    except (FileNotFoundError, SafetensorError, ValueError, LookupError, RecursionError):
        return None
    written = identity is None or (header.get("identity") == identity and header.get("digest") == content_digest(*found))
    return found if written else None


def read_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """The state dict in a file that ``torch.save`` wrote, on the CPU. The bytes are hashed before they are read, and nothing but
    tensors is unpickled. Raises ValueError where their SHA-256 is another one.
    """
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(f"{path} is refused: its SHA-256 is {found}, not {sha256}; move it away and put the right file there")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def keep(folder: Path, tensors: dict[str, torch.Tensor], note: dict) -> str:
    """Write named tensors and a note under a digest of their content, unless they are there already; returns the digest."""
    digest = content_digest(tensors, note)
    try:
        kept(folder, digest)
    except FileNotFoundError:
        write_tensors(folder / f"{digest}.safetensors", tensors, note)
    return digest


def kept(folder: Path, digest: str) -> tuple[dict[str, torch.Tensor], dict]:
    """What `keep` wrote. Raises FileNotFoundError where the file is missing, damaged, or holds something else."""
    found = read_tensors(folder / f"{digest}.safetensors")
    if found is None or content_digest(*found) != digest:
        raise FileNotFoundError(f"{folder / digest}.safetensors is missing or damaged; store the same content again")
    return found


def content_digest(tensors: dict[str, torch.Tensor], note: dict) -> str:
    whole = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        whole.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()[:32]
