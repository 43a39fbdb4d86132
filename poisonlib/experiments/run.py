"""Running what the ledger lacks: worker processes side by side, records as they finish, nothing lost when killed."""

import queue
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Sequence

import torch
from tqdm import tqdm

from .. import check
from . import provenance
from .cache import Cache
from .environment import choose
from .ledger import Ledger
from .record import Record
from .spec import Trial, digest
from .trial import failure, run_trial
from .validation import validate_data
from .workers import Worker, devices, luggage

Job = tuple[Trial, bool]  # and whether another trial needs the same victim


def run(
    trials: Sequence[Trial], device: str = "auto", workers: int | None = None, ledger: Ledger | None = None, again: bool = False
) -> list[Record]:
    """The records of all trials, in order; trials that the ledger lacks are run first, with a progress bar.

    Args:
        trials: from `grid`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        workers: processes, by default one a GPU on CUDA and one a core on a CPU; 0 runs in this process. Records do not depend on
            it.
        ledger: where records are kept, by default in the output folder.
        again: also repeat trials that were recorded with other code or other data. Without it a warning counts them.

    A trial that fails does not stop the others; RuntimeError at the end says what failed. Ctrl-C or a kill loses only the trials in
    progress: call again to go on. Raises ValueError before any training where parts of a trial cannot work on its images.
    """
    if workers is not None:
        check.whole("workers", workers, 0)
    ledger, place = ledger or Ledger.open(), choose(device)
    stale = {trial.key: how for trial in trials if trial in ledger and (how := provenance.staleness(ledger.get(trial), trial))}
    if stale and not again:
        counts = ", ".join(f"{count} {how}" for how, count in Counter(stale.values()).items())
        warnings.warn(f"of {len(trials)} trials, {counts}; run(..., again=True) repeats them", stacklevel=2)
    jobs = [(trial, keep) for trial, keep in _jobs(trials) if trial not in ledger or (again and trial.key in stale)]
    if jobs:
        validate_data([trial for trial, _ in jobs])
        failures = _in_process(jobs, place, ledger) if workers == 0 else _side_by_side(jobs, place, workers, ledger)
        if failures:
            raise RuntimeError(f"{len(failures)} of {len(jobs)} trials failed; the rest is recorded. The first:\n{failures[0]}")
    return [ledger.get(trial) for trial in trials]


def _jobs(trials: Sequence[Trial]) -> list[Job]:
    """Each distinct trial once; those with filters last, so that they find the victims of the others."""
    wanted = {digest(provenance.victim(t)) for t in trials if t.defence.filter}
    distinct = {trial.key: trial for trial in trials}.values()
    jobs = [(t, not t.defence.filter and bool(wanted) and digest(provenance.victim(t)) in wanted) for t in distinct]
    return sorted(jobs, key=lambda job: bool(job[0].defence.filter))


def _in_process(jobs: Sequence[Job], device: torch.device, ledger: Ledger) -> list[str]:
    cache, failures = Cache.open(), []
    with Bar(len(jobs)) as bar:
        for trial, keep in jobs:
            seconds = 0.0
            try:
                record = run_trial(trial, device, cache, keep)
                ledger.put(record)
                seconds = record.cost.seconds
            except Exception:
                failures.append(failure(trial.describe()))
            bar.advance(seconds)
    return failures


def _side_by_side(jobs: Sequence[Job], device: torch.device, workers: int | None, ledger: Ledger) -> list[str]:
    """Hand the jobs to worker processes through a queue, with a thread for each worker; this thread shows the progress."""
    todo, done, carried = queue.SimpleQueue(), queue.SimpleQueue(), luggage(trial for trial, _ in jobs)
    for job in jobs:
        todo.put(job)
    failures, crew = [], [Worker(name, ledger, carried) for name in devices(device, workers, len(jobs))]
    try:
        with Bar(len(jobs)) as bar:
            for worker in crew:
                threading.Thread(target=worker.serve, args=(todo, done), daemon=True).start()
            for _ in jobs:
                reply = done.get()
                bar.advance(reply.get("seconds", 0.0))
                failures += [reply["error"]] if "error" in reply else []
    finally:
        for worker in crew:
            worker.stop()
    return failures


class Bar(tqdm):
    """A progress bar with the remaining time and the work done so far; plain lines, and few, where there is no terminal."""

    def __init__(self, total: int):
        super().__init__(total=total, unit="trial", mininterval=0.5 if sys.stderr.isatty() else 5, file=sys.stderr, ascii=" #")
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Count a finished trial that took so many seconds."""
        self.seconds += seconds
        self.set_postfix_str(f"{self.seconds:.0f} s of work", refresh=False)
        self.update()
