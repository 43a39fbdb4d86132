"""What is run next, and what fits before a deadline: in rounds of a seed a cell, so a table is balanced wherever a run stops."""

import contextlib
import math
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from . import failures, provenance
from .environment import environment
from .index import Summary
from .ledger import Ledger
from .record import Record
from .snapshot import snapshot
from .spec import Trial, digest

MANY = 500  # records that are sooner looked up in the ledger's index than read
FAILED, DAMAGED = "failed", "damaged"  # beside `provenance.OTHER_CODE` and `provenance.OTHER_DATA`


class Job(NamedTuple):
    """A trial to be run."""

    trial: Trial
    keep: bool  # whether another trial needs the same victim
    round: int  # 0 with the lowest seed of its cell, 1 with the next


def breadth_first(trials: Sequence[Trial]) -> list[Job]:
    """Each distinct trial once, by round; in a round those with filters last, so that they find the victims of the others.

    The first round has the lowest seed of every cell, whichever it is, so tables with other seeds keep pace.
    """
    wanted = {digest(provenance.victim(t)) for t in trials if t.defence.filter}
    distinct = list({trial.key: trial for trial in trials}.values())
    kept = (not t.defence.filter and bool(wanted) and digest(provenance.victim(t)) in wanted for t in distinct)
    jobs = map(Job, distinct, kept, _rounds(distinct))
    return sorted(jobs, key=lambda job: (job.round, bool(job.trial.defence.filter)))


def _rounds(trials: Sequence[Trial]) -> list[int]:
    """For each trial how many lower seeds its cell has."""
    cells, seeds = [_cell(trial) for trial in trials], defaultdict(set)
    for cell, trial in zip(cells, trials, strict=True):
        seeds[cell].add(trial.seed)
    places = {cell: {seed: place for place, seed in enumerate(sorted(each))} for cell, each in seeds.items()}
    return [places[cell][trial.seed] for cell, trial in zip(cells, trials, strict=True)]


def _cell(trial: Trial) -> Trial:
    """What the trials of a cell have in common."""
    return replace(trial, seed=0, start=0)


@snapshot()
def outstanding(trials: Sequence[Trial], ledger: Ledger, again: bool = False) -> tuple[list[Job], dict[str, str]]:
    """(the jobs that the ledger lacks, in their order; by key, what is wrong with trials that it has).

    Trials whose record is damaged are jobs. ``again``: so are those that were recorded with other code or data, or failed.
    """
    distinct = {trial.key: trial for trial in trials}
    known = {key: trial for key, trial in distinct.items() if ledger.path(key).exists()}
    failed = {key: FAILED for key in distinct if key not in known and failures.get(ledger, key)}
    wrong = _stale(known, ledger) | failed
    sound = (known.keys() | failed.keys()) - {key for key, how in wrong.items() if again or how == DAMAGED}
    missing = distinct.keys() - sound
    return [job for job in breadth_first(trials) if job.trial.key in missing] if missing else [], wrong


def _stale(known: Mapping[str, Trial], ledger: Ledger) -> dict[str, str]:
    """How recorded trials are out of date or damaged, by key; those of a cell have the same code, and the same data unless each
    seed has its own.
    """
    about = {each.key: each for each in ledger.summaries()} if len(known) >= MANY else {}
    made, stale = {}, {}
    for key, trial in known.items():
        cell = replace(trial, data=trial.source, seed=0)
        if cell not in made:
            made[cell] = provenance.code(trial), provenance.content(trial)
        try:
            how = provenance.differs(about.get(key) or ledger.get(trial), *made[cell])
        except ValueError:
            how = DAMAGED
        if how:
            stale[key] = how
    return stale


class Costs:
    """Mean seconds of trials on one device, from records and from what is added while trials finish."""

    def __init__(self, records: Iterable[Record | Summary], device: torch.device):
        there = device.type == "cuda" and not torch.cuda.is_available()  # only the cluster has such GPUs: nothing is known of them
        here, cells = None if there else environment(device).device, defaultdict(list)
        self.seconds: dict[Hashable, list[float]] = defaultdict(list)
        for record in records:
            if record.device == here:
                cells[record.setting].append(record)
        for alike in cells.values():
            with contextlib.suppress(LookupError, TypeError, ValueError):  # a class that cannot be read here tells nothing
                self.add(alike[0].trial, *(float(record.seconds) for record in alike))

    def add(self, trial: Trial, *seconds: float) -> None:
        """Count trials of one cell that took so many seconds."""
        for group in (*_groups(trial), _setup(trial)):
            self.seconds[group].extend(seconds)

    def expected(self, trial: Trial) -> float | None:
        """Seconds that a trial is expected to take; None where nothing like it was run.

        The mean of the trials of its cell or, without any, of those with its data, network, recipe and numerics that have
        surrogates, or not, and a filter, or not, as it has.
        """
        known = next((self.seconds[group] for group in _groups(trial) if group in self.seconds), None)
        return statistics.fmean(known) if known else None

    def least(self, trial: Trial) -> float | None:
        """What is expected or, where that is not known, the mean of all trials with its data, network, recipe and numerics: a first
        filter or surrogate takes a further training.
        """
        known = self.seconds.get(_setup(trial))
        return self.expected(trial) or (statistics.fmean(known) if known else None)


def _groups(trial: Trial) -> tuple[Hashable, Hashable]:
    """The trials that cost as much as this one: first those of its cell, then those of its kind."""
    return _cell(trial), (*_setup(trial), bool(trial.attack.surrogates), bool(trial.defence.filter))


def _setup(trial: Trial) -> tuple[Hashable, ...]:
    return trial.data, trial.model, trial.recipe, trial.numerics


class Schedule:
    """Jobs handed out in their order, to one worker or to several at once, as long as they are expected to end in time."""

    def __init__(
        self,
        jobs: Sequence[Job],
        expected: Callable[[Trial], float | None],
        hours: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """``expected`` gives the seconds of a trial, ``clock`` those since some moment; without ``hours`` there is no deadline."""
        self.left, self.expected, self.clock = list(jobs), expected, clock
        self.deadline = math.inf if hours is None else clock() + 3600 * hours
        self.lock = threading.Lock()
        self.places = {job.trial: place for place, job in enumerate(jobs)}
        self.late, self.insisted = [], set()  # jobs that have to wait for others; trials that were handed out although they have to
        self.stopped = False

    def postpone(self, job: Job) -> None:
        """Take back a job that has to wait for what another process is making. It is handed out again once another has finished."""
        with self.lock:
            self.late.append(job)

    def resume(self) -> None:
        """Give the jobs that were taken back their old places: one has finished, so what they wait for may be there."""
        with self.lock:
            if self.late:
                self.left, self.late = sorted(self.left + self.late, key=lambda job: self.places[job.trial]), []

    def stop(self) -> None:
        """Hand out no further job."""
        with self.lock:
            self.stopped = True

    @property
    def endless(self) -> bool:
        """Whether there is no deadline."""
        return math.isinf(self.deadline)

    def take(self) -> Job | None:
        """The next job; None where none is left that is expected to end before the deadline. One of unknown cost is tried.

        A job that takes too long holds back those of later rounds, but not shorter ones of its own. Where only jobs are left
        that have to wait, the first of them is handed out, and its trial is among the ``insisted``.
        """
        with self.lock:
            if self.stopped:
                return None
            now = self.clock()
            for place, job in enumerate(self.left):
                if job.round != self.left[0].round:
                    break
                if self._fits(job.trial, now):
                    return self.left.pop(place)
            for place, job in enumerate(self.late):
                if self._fits(job.trial, now):
                    self.insisted.add(job.trial)
                    return self.late.pop(place)
            return None

    def _fits(self, trial: Trial, now: float) -> bool:
        return now < self.deadline and now + (self.expected(trial) or 0) <= self.deadline
