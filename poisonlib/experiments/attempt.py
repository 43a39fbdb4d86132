"""One trial of a run: run here unless another process has recorded it meanwhile, or is at it or at what it needs."""

import contextlib
import errno
import math

import torch

from .. import locks
from . import failures, provenance
from .cache import Cache
from .environment import environment
from .failures import Failure
from .ledger import Ledger
from .parts import UNPOISONED, parts
from .record import Record
from .spec import Trial
from .trial import failure, run_trial

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # of a disk on which networks and crafts cannot be kept


def attempt(
    trial: Trial, device: torch.device, cache: Cache, ledger: Ledger, *, keep: bool = False, again: bool = False, wait: bool = True
) -> dict:
    """Run a trial and record what comes out. Returns one of

    ``{"seconds": s}``: it is recorded, by this process or meanwhile by another; ``{"failed": why}``: it is recorded as failed;
    ``{"busy": True}``: another process is at it, or at a network or craft that it needs, and ``wait`` is false;
    ``{"error": text}``: something else went wrong, with ``"fatal": True`` where results cannot be written. ``again`` repeats
    what is out of date or failed.
    """
    lock = ledger.root / "locks" / f"{trial.key}.lock"
    with contextlib.ExitStack() as stack:
        if wait:
            stack.enter_context(locks.held(lock))
        elif not stack.enter_context(locks.tried(lock)):
            return {"busy": True}
        try:
            reply = _known(trial, ledger, again)
            if not (reply or wait or all(stack.enter_context(cache.claimed(each)) for each in _lacking(trial, keep, cache))):
                return {"busy": True}
            reply = reply or _run(trial, device, cache, ledger, keep)
        except Exception as error:
            reply = {"error": failure(trial.describe())} | ({"fatal": True} if getattr(error, "errno", None) in FULL else {})
        if "error" not in reply:  # who comes later finds the record, under whichever lock
            with contextlib.suppress(OSError):
                lock.unlink()
        return reply


def _known(trial: Trial, ledger: Ledger, again: bool) -> dict | None:
    """The reply where the trial is recorded already; None where it is to be run. A damaged record is put out of the way."""
    with contextlib.suppress(KeyError):
        try:
            record = ledger.get(trial)
        except ValueError:
            ledger.path(trial.key).replace(ledger.path(trial.key).with_suffix(".damaged"))
        else:
            return None if again and provenance.staleness(record, trial) else {"seconds": record.cost.seconds}
    known = None if again else failures.get(ledger, trial.key)
    return known and {"failed": known.reason}


def _lacking(trial: Trial, keep: bool, cache: Cache) -> list[dict]:
    """The identities of what is to be made for the trial and kept for others, but for the network that a craft is judged on: it is
    needed last.
    """
    found, todo = {}, parts(trial, keep)
    while todo:
        part = todo.pop()
        if part.kind != UNPOISONED and part.name not in found and not cache.path(part.identity).exists():
            found[part.name] = part.identity
            todo.extend(part.needs)
    return list(found.values())


def _run(trial: Trial, device: torch.device, cache: Cache, ledger: Ledger, keep: bool) -> dict:
    outcome = _outcome(trial, device, cache, keep)
    try:
        if isinstance(outcome, Failure):
            with contextlib.suppress(FileNotFoundError):  # of other code or data: no result of today's
                ledger.path(trial.key).replace(ledger.path(trial.key).with_suffix(".superseded"))
            failures.put(ledger, outcome)
            return {"failed": outcome.reason}
        ledger.put(outcome)
        failures.clear(ledger, trial.key)
        return {"seconds": outcome.cost.seconds}
    except OSError:
        return {"error": failure(trial.describe()), "fatal": True}


def _outcome(trial: Trial, device: torch.device, cache: Cache, keep: bool) -> Record | Failure:
    try:
        record = run_trial(trial, device, cache, keep)
        confidence = record.evaluation.confidence
        if confidence is not None and not math.isfinite(confidence):
            raise FloatingPointError("the trained network's answers are not finite numbers")
    except FloatingPointError as error:
        return Failure(trial.describe(), str(error), environment(device), provenance.code(trial))
    return record
