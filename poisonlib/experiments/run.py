"""Running what the ledger lacks: worker processes side by side, records as they finish, nothing lost when killed."""

import contextlib
import queue
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from tqdm import tqdm

from .. import check
from .cache import Cache
from .environment import choose
from .ledger import Ledger
from .record import Record
from .schedule import Costs, Schedule, outstanding
from .spec import Trial
from .trial import failure, run_trial
from .validation import validate_data
from .workers import Worker, devices, luggage

Reply = tuple[Trial, dict]  # with its ``seconds``, or with an ``error``


def run(
    trials: Sequence[Trial],
    device: str = "auto",
    workers: int | None = None,
    ledger: Ledger | None = None,
    again: bool = False,
    hours: float | None = None,
) -> list[Record]:
    """The records of all trials, in order; trials that the ledger lacks are run first, with a progress bar.

    They are run breadth-first: all trials of the lowest seed, then those of the next, so that every cell of a table has as many
    trials as the others wherever a run stops. Records do not depend on the order.

    Args:
        trials: from `grid`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        workers: processes, by default one a GPU on CUDA and one a core on a CPU; 0 runs in this process. Records do not depend on
            it.
        ledger: where records are kept, by default in the output folder.
        again: also repeat trials that were recorded with other code or other data. Without it a warning counts them.
        hours: a deadline. No trial is started that is expected to end later, going by trials of its kind on this device in the
            ledger and in this run; those that are running are let finish. The result then holds only the records that exist.

    A trial that fails does not stop the others; RuntimeError at the end says what failed. Ctrl-C or a kill loses only the trials in
    progress: call again to go on. Raises ValueError before any training where parts of a trial cannot work on its images.
    """
    if workers is not None:
        check.whole("workers", workers, 0)
    if hours is not None:
        check.number("hours", hours, 0, above=True)
    ledger, place = ledger or Ledger.open(), choose(device)
    jobs, stale = outstanding(trials, ledger, again)
    if stale and not again:
        counts = ", ".join(f"{count} {how}" for how, count in Counter(stale.values()).items())
        warnings.warn(f"of {len(trials)} trials, {counts}; run(..., again=True) repeats them", stacklevel=2)
    if jobs:
        costs = Costs(() if hours is None else ledger.summaries(), place)
        schedule = Schedule(jobs, costs.least, hours)
        validate_data([trial for trial, _ in jobs])
        replies = _in_process(schedule, place, ledger) if workers == 0 else _side_by_side(schedule, place, workers, ledger)
        failures = _followed(replies, len(jobs), costs)
        if failures:
            tried = len(jobs) - len(schedule.left)
            raise RuntimeError(f"{len(failures)} of {tried} trials failed; the rest is recorded. The first:\n{failures[0]}")
    return [ledger.get(trial) for trial in trials if hours is None or trial in ledger]


def _followed(replies: Iterator[Reply], total: int, costs: Costs) -> list[str]:
    """Show the progress and count the costs of trials as they finish; returns what went wrong."""
    failures = []
    with contextlib.closing(replies), Bar(total) as bar:
        for trial, reply in replies:
            if "error" in reply:
                failures.append(reply["error"])
            else:
                costs.add(trial, reply["seconds"])
            bar.advance(reply.get("seconds", 0.0))
    return failures


def _in_process(schedule: Schedule, device: torch.device, ledger: Ledger) -> Iterator[Reply]:
    cache = Cache.open()
    while job := schedule.take():
        trial, keep = job
        try:
            record = run_trial(trial, device, cache, keep)
            ledger.put(record)
            reply = {"seconds": record.cost.seconds}
        except Exception:
            reply = {"error": failure(trial.describe())}
        yield trial, reply


def _side_by_side(schedule: Schedule, device: torch.device, workers: int | None, ledger: Ledger) -> Iterator[Reply]:
    """Worker processes take the jobs, with a thread for each of them that waits for its replies."""
    jobs, replies = list(schedule.left), queue.SimpleQueue()
    carried = luggage(trial for trial, _ in jobs)
    crew = [Worker(name, ledger, carried) for name in devices(device, workers, len(jobs))]
    try:
        for worker in crew:
            threading.Thread(target=worker.serve, args=(schedule, replies), daemon=True).start()
        for _ in crew:
            yield from iter(replies.get, None)  # each of them puts None when it ends
    finally:
        for worker in crew:
            worker.stop()


class Bar(tqdm):
    """A progress bar with the remaining time and the work done so far; in a file, a line every half minute at most."""

    def __init__(self, total: int):
        often = 0.5 if sys.stderr.isatty() else 30 if _to_file() else 5
        super().__init__(total=total, unit="trial", mininterval=often, miniters=1, file=sys.stderr, ascii=" #")
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Count a finished trial that took so many seconds."""
        self.seconds += seconds
        self.set_postfix_str(f"{self.seconds:.0f} s of work", refresh=False)
        self.update()

    @staticmethod
    def status_printer(file):
        """How tqdm shows a state of the bar: over the last one or, in a file, below it."""
        return (lambda text: print(text, file=file, flush=True)) if _to_file() else tqdm.status_printer(file)


def _to_file() -> bool:
    """Whether standard error is neither a terminal nor a notebook's cell, both of which can overwrite a line."""
    return sys.stderr is sys.__stderr__ and not sys.stderr.isatty()
