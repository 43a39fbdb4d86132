"""Trials as tasks of a Ray cluster: what trials share is made once, and records come back as they finish.

Each surrogate, craft and shared victim is a task of its own, whose result Ray hands to the tasks that need it. Ray repeats the
tasks of a worker or machine that is lost, and makes anew what was lost with it. All results are written by the process that asks,
so the machines need no common disk: only this package, the same version of it, and the data sets.
"""

import contextlib
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .. import check, files
from . import failures, provenance, tasks
from .cache import Cache, Content
from .ledger import Ledger
from .parts import EXTRACTOR, Part, parts
from .schedule import Job, Schedule
from .spec import Trial
from .trial import failure
from .workers import QUIET, devices, luggage

NICENESS = "RAY_worker_niceness"  # of workers that are started here; by default 15, with which a busy machine starves them
RETRIES = 3  # of a task whose worker is lost
AHEAD = 2  # trials that wait or run, for each that can run: while some wait for one craft, others go on


@dataclass(frozen=True)
class Ray:
    """A cluster. ``address``: of its head, "HOST:PORT"; by default the one that ``RAY_ADDRESS`` names or that runs on
    this machine and, without these, one that is started for the run, of this machine alone. ``per_gpu`` trials share a GPU.
    """

    address: str | None = None
    per_gpu: int = 1

    def __post_init__(self):
        check.whole("per_gpu", self.per_gpu, 1)

    @contextlib.contextmanager
    def connected(self) -> Iterator["Ray"]:
        """Inside the block, this process is connected. A connection that was there before is used, and left as it is.

        Raises ModuleNotFoundError without Ray, ConnectionError where there is no cluster at the address.
        """
        ray = _library()
        if ray.is_initialized():
            yield self
            return
        os.environ.setdefault(NICENESS, "0")
        ray.init(self.address, log_to_driver=False, logging_level=logging.WARNING, runtime_env={"env_vars": QUIET})
        try:
            yield self
        finally:
            ray.shutdown()

    def place(self, device: str = "auto") -> torch.device:
        """Where the cluster's workers run trials. Raises ValueError for a device that it does not have."""
        gpus = _library().cluster_resources().get("GPU", 0)
        if device == "auto":
            return torch.device("cuda" if gpus else "cpu")
        check.one_of("device", device, ["cpu", "cuda"])
        if device == "cuda" and not gpus:
            raise ValueError("device='cuda': the cluster has no GPU; choose auto or cpu")
        return torch.device(device)

    def slots(self, place: torch.device) -> int:
        """How many trials can run at once, now: machines may join and leave."""
        known = _library().cluster_resources()
        return int(known.get("GPU", 0) * self.per_gpu) if place.type == "cuda" else int(known.get("CPU", 0))

    def width(self) -> int:
        """How many trials could run at once, without starting a cluster: where there is no address, of this machine alone."""
        if self.address is None and not os.environ.get("RAY_ADDRESS"):
            return torch.cuda.device_count() * self.per_gpu or len(devices(torch.device("cpu"), None, sys.maxsize))
        with self.connected():
            return self.slots(self.place())

    def replies(self, schedule: Schedule, place: torch.device, ledger: Ledger, workers: int | None) -> Iterator[tuple[Trial, dict]]:
        """Run the jobs of a schedule, at most ``workers`` at once; yields each trial with its reply, once its record is stored.

        With a deadline no trial waits for a worker, since it is not known when it would start.
        """
        if workers is not None:
            check.whole("workers", workers, 1)
        ray, ahead = _library(), AHEAD if schedule.endless else 1
        work = _Work(self, place, luggage(job.trial for job in schedule.left))
        try:
            while True:
                room = ahead * max(1, self.slots(place)) if workers is None else workers
                while len(work.flight) < room and (job := schedule.take()):
                    work.submit(job)
                if not work.flight:
                    return
                done, _ = ray.wait(list(work.flight), timeout=30)  # then look again how many machines there are
                for ref in done:
                    yield work.received(ref, ledger)
                    work.forget(schedule.left)
        finally:
            for ref in work.flight:
                ray.cancel(ref, force=True)


def load(choice: "str | Ray") -> Ray | None:
    """The cluster that ``run(..., engine=choice)`` means; None for the processes of this machine. Raises ValueError otherwise."""
    if isinstance(choice, Ray):
        return choice
    check.one_of("engine", choice, ["processes", "ray"])
    return Ray() if choice == "ray" else None


class _Work:
    """What was handed to the cluster and is still wanted."""

    def __init__(self, cluster: Ray, place: torch.device, carried: str):
        self.ray, self.cache, self.place = _library(), Cache.open(), place
        share = {"num_gpus": 1 / cluster.per_gpu} if place.type == "cuda" else {}
        remote = self.ray.remote(num_cpus=1, max_retries=RETRIES, **share)
        self.make, self.run, self.luggage = remote(tasks.make), remote(tasks.run), self.ray.put(carried)
        self.flight: dict[object, Job] = {}  # by the reference to the reply
        self.made: dict[int | None, dict[str, tuple[Part, object]]] = defaultdict(dict)  # by `_owner` and name

    def submit(self, job: Job) -> None:
        """Hand a trial to the cluster, and what it needs where that is not there yet."""
        wanted = parts(job.trial, job.keep)
        asked = self._job(job.trial, wanted) | {"keep": job.keep}
        self.flight[self.run.remote(self.luggage, asked, *map(self._ref, wanted))] = job

    def _job(self, trial: Trial, wanted: list[Part]) -> dict:
        names = [part.name for part in wanted]
        return {"spec": trial.describe(), "code": provenance.code(trial), "device": self.place.type, "names": names}

    def _ref(self, part: Part):
        """A reference to a part: of earlier runs where it is in the cache, else of the task that makes it."""
        known = self.made[_owner(part)]
        if part.name not in known:
            if content := self.cache.kept(part.identity):
                known[part.name] = part, self.ray.put(content)
            else:
                asked = self._job(part.trial, part.needs) | {"kind": part.kind, "number": part.number}
                known[part.name] = part, self.make.remote(self.luggage, asked, *map(self._ref, part.needs))
        return known[part.name][1]

    def received(self, ref, ledger: Ledger) -> tuple[Trial, dict]:
        """Store what came back of a trial; returns it with the reply."""
        trial = self.flight.pop(ref).trial
        try:
            reply = self.ray.get(ref)
            _write(ledger, trial, reply.pop("files"))
            self._store(None)
            self._store(trial.seed)
        except OSError:
            reply = {"error": failure(trial.describe()), "fatal": True}
        except Exception:  # of Ray: the worker was lost too often
            reply = {"error": failure(trial.describe())}
        return trial, reply

    def forget(self, left: Sequence[Job]) -> None:
        """Let go of what was made for seeds that no job has, of those in flight and those that are left."""
        wanted = {job.trial.seed for job in (*left, *self.flight.values())}
        for seed in self.made.keys() - wanted - {None}:
            del self.made[seed]

    def _store(self, owner: int | None) -> None:
        """Keep in the cache what was made for an owner, so that a run that is stopped goes on from there."""
        for part, ref in self.made[owner].values():
            if not self.cache.path(part.identity).exists() and (content := self._ready(ref)):
                self.cache.fetch(part.identity, lambda content=content: content)

    def _ready(self, ref) -> Content | None:
        return self.ray.get(ref) if self.ray.wait([ref], timeout=0)[0] else None


def _owner(part: Part) -> int | None:
    """The one seed that a part serves; an extractor serves all."""
    return None if part.kind == EXTRACTOR else part.trial.seed


def _write(ledger: Ledger, trial: Trial, found: dict[str, bytes]) -> None:
    """Store the files of a trial, which are a record or a failure."""
    for name, content in found.items():
        files.write_atomically(ledger.root / name, content)
    if ledger.path(trial.key).relative_to(ledger.root).as_posix() in found:
        failures.clear(ledger, trial.key)


def _library():
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("engine 'ray' needs Ray: pip install -r requirements-ray.txt") from error
    return ray
