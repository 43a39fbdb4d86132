"""Running what the ledger lacks: worker processes side by side, records as they finish, nothing lost when killed."""

import contextlib
import io
import queue
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from tqdm import tqdm

from .. import check, files, paths
from ..words import plural
from . import cluster, failures
from .attempt import attempt
from .cache import Cache
from .environment import choose
from .ledger import Ledger, read
from .record import Records
from .schedule import DAMAGED, FAILED, Costs, Schedule, outstanding
from .spec import Trial
from .validation import validate_data, validate_device
from .workers import Worker, devices, luggage

Reply = tuple[Trial, dict]  # see `attempt`


def run(
    trials: Sequence[Trial],
    device: str = "auto",
    workers: int | None = None,
    ledger: Ledger | None = None,
    again: bool = False,
    hours: float | None = None,
    engine: str | cluster.Ray = "processes",
) -> Records:
    """The records of all trials, in order; trials that the ledger lacks are run first, with a progress bar.

    They are run breadth-first: those with the lowest seed of their cell, then those with the next, so that all cells of a table
    have equally many trials wherever a run stops. Records do not depend on the order.

    Args:
        trials: from `grid`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        workers: processes, by default one a GPU on CUDA and one a core on a CPU; 0 runs in this process. Records do not depend on
            it.
        ledger: where records are kept, by default in the output folder.
        again: also repeat trials that failed, or were recorded with other code or other data. Without it a warning counts them.
        hours: a deadline. No trial is started that is expected to end later, going by trials of its kind on this device in the
            ledger and in this run; those that are running are let finish. The result then holds only the records that exist.
        engine: "processes" of this machine, or "ray", a cluster (`poisonlib.experiments.cluster.Ray`), where ``workers`` is the
            most trials at once, and "cuda:N" is not a choice.

    Several runs of one grid, also on several machines with a shared disk, share the work, and begin no trial that would have to
    wait for another's craft, surrogate or extractor while there are others. A trial whose training diverges, or whose numbers are
    not finite, has no record; the failure is recorded instead, is not run again, and stands in the result's ``failures``: a warning
    counts them. One that is stopped by anything else does not stop the others; RuntimeError at the end says what it was. Ctrl-C or
    a kill loses only the trials in progress: call again to go on.

    Raises ValueError before any training where parts of a trial cannot work on its images, OSError where results cannot be written.
    """
    if workers is not None:
        check.whole("workers", workers, 0)
    if hours is not None:
        check.number("hours", hours, 0, above=True)
    ray = cluster.load(engine)
    ledger, place = ledger or Ledger.open(), None if ray else choose(device)
    jobs, wrong = outstanding(trials, ledger, again)
    _warn_of(wrong, len(trials), again)
    if jobs:
        validate_data([job.trial for job in jobs])
        _prepare(ledger)
        with ray.connected() if ray else contextlib.nullcontext():
            place = place or ray.place(device)
            validate_device([job.trial for job in jobs], place)
            costs = Costs(() if hours is None else ledger.summaries(), place)
            schedule = Schedule(jobs, costs.least, hours)
            how = (schedule, place, ledger)
            replies = ray.replies(*how, workers) if ray else _locally(*how, again, workers)
            errors, tried = _followed(replies, len(jobs), schedule, costs)
        if errors:
            raise RuntimeError(f"{len(errors)} of {plural(tried, 'trial')} failed; the rest is recorded. The first:\n{errors[0]}")
    return _result(trials, ledger, partly=hours is not None)


def _warn_of(wrong: dict[str, str], total: int, again: bool) -> None:
    """Warn of records that are out of date, unless they are repeated, and of damaged ones, which are."""
    old = Counter(how for how in wrong.values() if how not in (FAILED, DAMAGED))
    if old and not again:
        counts = ", ".join(f"{count} {how}" for how, count in old.items())
        warnings.warn(f"of {plural(total, 'trial')}, {counts}; run(..., again=True) repeats them", stacklevel=3)
    if damaged := [key for key, how in wrong.items() if how == DAMAGED]:
        kept = "run again; what was there is kept as KEY.damaged"
        warnings.warn(f"{plural(len(damaged), 'record')} damaged, to be {kept}: {damaged[0]}, ...", stacklevel=3)


def _prepare(ledger: Ledger) -> None:
    """Raises OSError where results could not be written; and sweeps what killed processes left."""
    there = [folder for folder in (ledger.root / "locks", Cache.open().root) if folder.exists()]
    for folder in (ledger.root, paths.outputs(), *there):
        files.check_writable(folder)
    for folder in (ledger.root, paths.outputs()):
        files.sweep(folder)


def _result(trials: Sequence[Trial], ledger: Ledger, partly: bool) -> Records:
    """The records of trials and their failures; ``partly``: of those that have either."""
    keys = [trial.key for trial in trials]
    lost = {key: found for key in keys if (found := failures.get(ledger, key))}
    if first := next(iter(lost.values()), None):
        said = f"{len(lost)} of {plural(len(trials), 'trial')} failed without a result; run(..., again=True) repeats them"
        warnings.warn(f"{said}. The first, seed {first.seed}: {first.reason}", stacklevel=3)
    found = [ledger.path(key) for key in keys if key not in lost]
    return Records((read(path) for path in found if not partly or path.exists()), lost.values())


def _followed(replies: Iterator[Reply], total: int, schedule: Schedule, costs: Costs) -> tuple[list[str], int]:
    """Show the progress and learn the costs of trials as they finish. Returns (what went wrong, the number of trials).

    The first failure is shown when it happens; one that leaves nothing to write results to is the last.
    """
    errors, shown = [], False
    with contextlib.closing(replies), Bar(total) as bar:
        for trial, reply in replies:
            if "seconds" in reply:
                costs.add(trial, reply["seconds"])
            elif not shown:
                shown = bar.say(
                    f"failed: seed {trial.seed}, {trial.defence.label}: {reply.get('failed') or _cause(reply['error'])}"
                )
            if "error" in reply:
                errors.append(reply["error"])
            if reply.get("fatal"):
                schedule.stop()
            bar.advance(reply.get("seconds", 0.0))
        return errors, bar.n


def _cause(error: str) -> str:
    """The line of a `trial.failure` that names the exception."""
    return error.strip().splitlines()[-2:][0]


def _locally(schedule: Schedule, device: torch.device, ledger: Ledger, again: bool, workers: int | None) -> Iterator[Reply]:
    how = schedule, device, ledger, again
    return _in_process(*how) if workers == 0 else _side_by_side(*how, workers)


def _in_process(schedule: Schedule, device: torch.device, ledger: Ledger, again: bool) -> Iterator[Reply]:
    cache = Cache.open()
    while job := schedule.take():
        reply = attempt(job.trial, device, cache, ledger, keep=job.keep, again=again, wait=job.trial in schedule.insisted)
        if "busy" in reply:
            schedule.postpone(job)
        else:
            schedule.resume()
            yield job.trial, reply


def _side_by_side(schedule: Schedule, device: torch.device, ledger: Ledger, again: bool, workers: int | None) -> Iterator[Reply]:
    """Worker processes take the jobs, with a thread for each of them that waits for its replies."""
    jobs, replies = list(schedule.left), queue.SimpleQueue()
    carried = luggage(job.trial for job in jobs)
    crew = [Worker(name, ledger, carried, again) for name in devices(device, workers, len(jobs))]
    try:
        for worker in crew:
            threading.Thread(target=worker.serve, args=(schedule, replies), daemon=True).start()
        for _ in crew:
            yield from iter(replies.get, None)  # each of them puts None when it ends
    finally:
        schedule.stop()
        for worker in crew:
            worker.stopped = True
        for worker in crew:
            worker.stop()


class Bar(tqdm):
    """A progress bar with the remaining time and the work done so far; in a file, a line every half minute at most."""

    def __init__(self, total: int):
        often = 0.5 if sys.stderr and sys.stderr.isatty() else 30 if _to_file() else 5
        to = sys.stderr or io.StringIO()  # a program without a terminal may have none
        super().__init__(total=total, unit="trial", mininterval=often, miniters=1, file=to, ascii=" #")
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Count a finished trial that took so many seconds."""
        self.seconds += seconds
        self.set_postfix_str(f"{self.seconds:.0f} s of work", refresh=False)
        self.update()

    def say(self, text: str) -> bool:
        """Print a text above the bar; True."""
        self.write(text, file=self.fp)
        return True

    @staticmethod
    def status_printer(file):
        """How tqdm shows a state of the bar: over the last one or, in a file, below it."""
        return (lambda text: print(text, file=file, flush=True)) if _to_file() else tqdm.status_printer(file)


def _to_file() -> bool:
    """Whether standard error is neither a terminal nor a notebook's cell, both of which can overwrite a line."""
    return sys.stderr is not None and sys.stderr is sys.__stderr__ and not sys.stderr.isatty()
