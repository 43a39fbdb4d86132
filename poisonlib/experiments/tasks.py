"""What a worker of a cluster does: make a part, or run a trial. It is handed all that it needs, and hands all back."""

import tempfile
from pathlib import Path

import torch

from . import provenance
from .attempt import attempt
from .cache import Content
from .ledger import Ledger
from .parts import Handed, Part
from .spec import Trial
from .trial import failure
from .workers import unpack

_UNPACKED = [""]  # the last luggage


def make(luggage: str, job: dict, *contents: Content | None) -> Content | None:
    """A part of a trial; None where making it fails, which the trials that need it then find out themselves and report.

    ``job``: "spec" and "code" of the trial, "device", the part's "kind" and "number", and the "names" of ``contents``.
    """
    try:
        trial, device = _begin(luggage, job)
        return Part(job["kind"], trial, job["number"]).make(device, _handed(job, contents))
    except Exception:
        return None


def run(luggage: str, job: dict, *contents: Content | None) -> dict:
    """Run a trial in a ledger of its own; returns the reply, with that ledger's "files" by their names.

    ``job``: "spec" and "code" of the trial, "device", "keep" as in `run_trial`, and the "names" of ``contents``.
    """
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        try:
            trial, device = _begin(luggage, job)
            reply = attempt(trial, device, _handed(job, contents), ledger, keep=job["keep"])
            reply.pop("fatal", None)  # a full disk of this machine says nothing of the others
        except Exception:
            reply = {"error": failure(job["spec"])}
        return reply | {"files": {f"{each.parent.name}/{each.name}": each.read_bytes() for each in ledger.root.glob("??/*")}}


def _begin(luggage: str, job: dict) -> tuple[Trial, torch.device]:
    """The trial and the device. Raises RuntimeError where this machine has other code than the one that asks."""
    if luggage != _UNPACKED[0]:
        unpack(luggage)
        _UNPACKED[0] = luggage
    torch.set_num_threads(1)
    trial = Trial.read(job["spec"])
    if provenance.code(trial) != job["code"]:
        raise RuntimeError(
            "this worker has other code than the process that runs the grid: install the same version on every machine, or restart "
            "the process (or kernel) if a source file was changed since it began"
        )
    return trial, torch.device(job["device"])


def _handed(job: dict, contents: tuple[Content | None, ...]) -> Handed:
    return Handed(contents={name: each for name, each in zip(job["names"], contents, strict=True) if each is not None})
