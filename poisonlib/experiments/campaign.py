"""A table that is worked on over several sittings: how far it is, and what the next hours are expected to add."""

import heapq
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from .. import check
from ..words import plural
from . import cluster, failures
from .environment import choose
from .ledger import Ledger
from .run import run
from .schedule import FAILED, Costs, Job, Schedule, outstanding
from .spec import Trial
from .workers import devices


@dataclass(frozen=True)
class Standing:
    """How many trials are recorded, and how many are wanted, of each cell."""

    cells: tuple[tuple[int, int], ...]
    failed: int = 0  # of the recorded ones

    @classmethod
    def of(cls, trials: Collection[Trial], missing: Collection[Trial], failed: int = 0) -> "Standing":
        """The standing of distinct trials, some of which are not recorded."""
        wanted, lacking = (Counter(replace(trial, seed=0, start=0) for trial in each) for each in (trials, missing))
        return cls(tuple((count - lacking[cell], count) for cell, count in wanted.items()), failed)

    @property
    def complete(self) -> bool:
        """Whether every trial is recorded."""
        return all(recorded == wanted for recorded, wanted in self.cells)

    @property
    def balanced(self) -> int:
        """The number of trials that every cell has; cells that have all that they want are left out, unless all have."""
        behind = [recorded for recorded, wanted in self.cells if recorded < wanted]
        return min(behind) if behind else max((wanted for _, wanted in self.cells), default=0)

    @property
    def ahead(self) -> int:
        """The number of cells that have more."""
        return sum(recorded > self.balanced for recorded, _ in self.cells)

    def __str__(self):
        recorded, wanted = sum(had for had, _ in self.cells), sum(want for _, want in self.cells)
        lost = f" ({self.failed} failed)" if self.failed else ""
        if self.complete:
            return f"all of {plural(wanted, 'trial')}{lost}"
        text = f"{recorded} of {plural(wanted, 'trial')}{lost}, "
        text += f"every cell has {self.balanced} of {max(want for _, want in self.cells)}"
        text += " or all that it wants" if min(want for _, want in self.cells) < self.balanced else ""
        more = f"{self.ahead} cells have more" if self.ahead > 1 else "1 cell has more"
        return f"{text}, {more}" if self.ahead else text


def forecast(jobs: Sequence[Job], costs: Costs, hours: float, workers: int) -> list[Trial] | None:
    """The trials that so many workers are expected to finish within the hours, in their order; None if no cost is known.

    A trial of unknown cost is taken to last as long as the others do on average.
    """
    seconds = {job.trial: costs.expected(job.trial) for job in jobs}
    known = [each for each in seconds.values() if each is not None]
    if not known:
        return None
    guess, free, done = statistics.fmean(known), [0.0] * workers, []  # free: when each worker has finished, a heap
    seconds = {trial: guess if each is None else each for trial, each in seconds.items()}
    schedule = Schedule(jobs, seconds.get, hours, clock=lambda: free[0])
    while free:
        if job := schedule.take():
            done.append(job.trial)
            heapq.heapreplace(free, free[0] + seconds[job.trial])
        else:
            heapq.heappop(free)
    return done


@dataclass(frozen=True)
class Campaign:
    """Some hours of work on a table. Another campaign with the same trials goes on where this one ends."""

    trials: Sequence[Trial]
    hours: float | None  # None: until all is done
    device: str = "auto"
    workers: int | None = None  # as in `run`
    again: bool = False
    engine: str | cluster.Ray = "processes"

    def __post_init__(self):
        if self.hours is not None:
            check.number("hours", self.hours, 0, above=True)
        if self.workers is not None:
            check.whole("workers", self.workers, 0)

    def standing(self, trials: Sequence[Trial] | None = None) -> Standing:
        """How far the table is, or a part of it."""
        trials = self.trials if trials is None else trials
        jobs, wrong = outstanding(trials, Ledger.open(), self.again)
        missing = {job.trial.key: job.trial for job in jobs}
        failed = sum(how == FAILED for key, how in wrong.items() if key not in missing)
        return Standing.of({trial.key: trial for trial in trials}.values(), missing.values(), failed)

    def outlook(self) -> str:
        """What the hours are expected to add to the table as it is now, as text."""
        ledger, ray = Ledger.open(), cluster.load(self.engine)
        place = ray.place(self.device) if ray else choose(self.device)
        jobs, _ = outstanding(self.trials, ledger, self.again)
        if not jobs:
            return "nothing is left to run"
        slots = ray.slots(place) if ray else len(devices(place, self.workers, len(jobs)))
        workers = max(1, slots if self.workers is None else min(slots, self.workers))  # none: this process
        if self.hours is None:
            return f"{plural(len(jobs), 'trial')} to run with {plural(workers, 'worker')}"
        how = f"seed {jobs[0].trial.seed} is next; {self.hours:g} h with {plural(workers, 'worker')}"
        return f"{how}: {self._expected(jobs, Costs(ledger.summaries(), place), workers)}"

    def _expected(self, jobs: Sequence[Job], costs: Costs, workers: int) -> str:
        done, first = forecast(jobs, costs, self.hours, workers), costs.expected(jobs[0].trial)
        if done is None or not (done or first):
            return "nothing is known yet of the costs on this device"
        if not done:
            return f"no trial is expected to finish; the next takes about {first / 3600:.2g} h"
        left = {job.trial for job in jobs} - set(done)
        text = f"expected to finish {len(done)} more: {Standing.of({t.key: t for t in self.trials}.values(), left)}"
        guessed = sum(costs.expected(job.trial) is None for job in jobs)
        return f"{text} ({guessed} of unknown cost are counted as the mean of the others)" if guessed else text

    def work(self) -> tuple[str, str]:
        """Run trials until the hours are over; returns (what was finished, what failed), as text.

        Raises ValueError as `run` does, before any training.
        """
        ledger, failed = Ledger.open(), ""
        todo = [job.trial for job in outstanding(self.trials, ledger, self.again)[0]]
        try:
            run(self.trials, self.device, self.workers, ledger, self.again, self.hours, self.engine)
        except RuntimeError as error:
            failed = str(error)
        left = {job.trial for job in outstanding(self.trials, ledger, self.again)[0]}
        lost = [found for trial in todo if (found := failures.get(ledger, trial.key))]
        if lost and not failed:
            failed = f"{len(lost)} of {plural(len(todo), 'trial')} failed; the first, seed {lost[0].seed}: {lost[0].reason}"
        seconds = [ledger.get(trial).cost.seconds for trial in todo if trial not in left and trial in ledger]
        ray = cluster.load(self.engine)
        what = "GPU-hours" if (ray.place(self.device) if ray else choose(self.device)).type == "cuda" else "core-hours"
        return f"finished {plural(len(seconds), 'trial')} in {sum(seconds) / 3600:.2g} {what}: {self.standing()}", failed
