"""Running what the ledger lacks: worker processes side by side, records as they finish, nothing lost when killed."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence

import torch
from tqdm import tqdm

from .. import paths
from .ledger import Ledger
from .models import Cache
from .place import choose
from .sound import refuse_data
from .spec import Trial, digest
from .trial import failure, run_trial


def run(trials: Sequence[Trial], device: str = "auto", workers: int | None = None, ledger: Ledger | None = None) -> list[dict]:
    """The records of all trials, in order; those that the ledger lacks are run first, with a progress bar.

    ``workers``: processes of one thread each on a CPU (default: one a core), one a GPU on CUDA; 0 runs in this process. The bytes
    of the records do not depend on it. A trial that fails does not stop the others; at the end RuntimeError says what failed.
    Ctrl-C or a kill loses the trials under way, and only them: call again to go on. Where an attack cannot work on a data set, or
    ``workers`` is not a number of processes, ValueError before anything is trained.
    """
    _refuse(workers)
    ledger, place = ledger or Ledger.open(), choose(device)
    jobs = [(trial, keep) for trial, keep in _jobs(trials) if trial not in ledger]
    if jobs:
        refuse_data([trial for trial, _ in jobs])
        failures = _in_process(jobs, place, ledger) if workers == 0 else _side_by_side(jobs, place, workers, ledger)
        if failures:
            raise RuntimeError(f"{len(failures)} of {len(jobs)} trials failed; the rest is recorded. The first:\n{failures[0]}")
    return [ledger.get(trial) for trial in trials]


def _refuse(workers) -> None:
    """Raises ValueError unless ``workers`` counts processes or is None."""
    if workers is not None and (type(workers) is not int or workers < 0):
        raise ValueError(f"workers={workers!r}: give a whole number of processes, 0 for this one alone, or None for the default")


def _jobs(trials: Sequence[Trial]) -> list[tuple[Trial, bool]]:
    """Each distinct trial once, with whether a filter will want its victim; filters last, so that they find it."""
    wanted = {digest(t.victim()) for t in trials if t.defence.filter}
    distinct = {trial.key: trial for trial in trials}.values()
    jobs = [(t, not t.defence.filter and digest(t.victim()) in wanted) for t in distinct]
    return sorted(jobs, key=lambda job: bool(job[0].defence.filter))


def _in_process(jobs, device: torch.device, ledger: Ledger) -> list[str]:
    cache, failures = Cache.open(), []
    with Bar(len(jobs)) as bar:
        for trial, keep in jobs:
            seconds = 0.0
            try:
                record = run_trial(trial, device, cache, keep)
                ledger.put(record)
                seconds = record["cost"]["seconds"]
            except Exception:
                failures.append(failure(trial.describe()))
            bar.advance(seconds)
    return failures


def _side_by_side(jobs, device: torch.device, workers: int | None, ledger: Ledger) -> list[str]:
    """Hand the jobs to worker processes through a queue; a thread for each worker, and this one to show progress."""
    devices = _devices(device, workers, len(jobs))
    todo, done = queue.SimpleQueue(), queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    failures, crew = [], [Worker(name, ledger) for name in devices]
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


def _devices(device: torch.device, workers: int | None, jobs: int) -> list[str]:
    """The device of each worker."""
    if device.type == "cuda":
        places = [str(device)] if device.index is not None else [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        count = len(places) if workers is None else workers
        return [places[i % len(places)] for i in range(min(count, jobs))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * min(cores if workers is None else workers, jobs)


class Worker:
    """A process that runs trials one after the other, and is started again if it dies of one or no longer makes sense."""

    def __init__(self, device: str, ledger: Ledger):
        self.command = [sys.executable, "-m", "poisonlib.experiments.worker", device, str(ledger.root.resolve())]
        self.process, self.stopped = None, False

    def serve(self, todo: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
        """Put one reply for each job that is taken."""
        while not self.stopped:
            try:
                trial, keep = todo.get_nowait()
            except queue.Empty:
                return
            done.put(self.ask({"spec": trial.describe(), "keep": keep}))

    def ask(self, job: dict) -> dict:
        """The reply to a job. Whatever goes wrong is one as well, an ``error``, and then the next job has a new process."""
        try:
            return self._exchange(job)
        except Exception:
            self._end()
            return {"error": failure(job["spec"])}

    def _exchange(self, job: dict) -> dict:
        """Raises RuntimeError if the process dies, OSError if none can be started, ValueError if its reply is cut off."""
        if self.process is None or self.process.poll() is not None:
            self._end()
            self.process = self._start()
        reply = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        if not reply:
            raise RuntimeError(f"the worker process died (exit status {self.process.wait(timeout=60)})")
        return json.loads(reply)

    def _start(self) -> subprocess.Popen:
        quiet = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        path = os.pathsep.join(filter(None, [str(paths.repository()), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **quiet, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends its workers
        )

    def stop(self) -> None:
        self.stopped = True
        self._end()

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):  # it may not have read all that it was sent
                process.stdin.close()
            process.stdout.close()


class Bar(tqdm):
    """A progress bar with the remaining time and the work done so far; plain lines, and few, where there is no terminal."""

    def __init__(self, total: int):
        super().__init__(total=total, unit="trial", mininterval=0.5 if sys.stderr.isatty() else 5, file=sys.stderr, ascii=" #")
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.set_postfix_str(f"{self.seconds:.0f} s of work", refresh=False)
        self.update()
