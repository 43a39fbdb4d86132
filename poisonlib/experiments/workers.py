"""Worker processes: each runs one trial after the other and answers with its cost or with what went wrong."""

import base64
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable

import torch

from .. import registry, source
from . import provenance
from .ledger import Ledger
from .schedule import Schedule
from .spec import Trial
from .trial import failure

QUIET = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
# glibc keeps blocks of up to 256 MiB for the next batch instead of giving them back to the system, which would fill them with zeros
# again: 4 % (bf16) and 14 % (fp32) more images a second, and the same bytes. What the user has set wins.
KEPT = str(256 * 2**20)
MALLOC = {"MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": KEPT} if sys.platform == "linux" else {}
SAFE = {"PYTHONSAFEPATH": "1"}  # the working folder is not on the path unless it is on this process's


def devices(device: torch.device, workers: int | None, jobs: int) -> list[str]:
    """The device of each worker: one worker a GPU or CPU core by default, and never more workers than jobs."""
    if device.type == "cuda":
        places = [str(device)] if device.index is not None else [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        count = len(places) if workers is None else workers
        return [places[i % len(places)] for i in range(min(count, jobs))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * min(cores if workers is None else workers, jobs)


def luggage(trials: Iterable[Trial]) -> str:
    """The classes that workers cannot import, since a notebook or script defines them, as text for `unpack`.

    Raises TypeError that says how to go on for a class that cannot be sent to another process.
    """
    classes = {cls for trial in trials for choice in trial.choices for cls in choice.depends_on() if cls.__module__ == "__main__"}
    if not classes:
        return ""
    import cloudpickle

    packed = {}
    for cls in classes:
        try:
            packed[f"{cls.__module__}.{cls.__qualname__}"] = cls, source.of_notebook(cls)
            cloudpickle.dumps(cls)
        except Exception as error:
            raise TypeError(
                f"{cls.__qualname__} cannot be sent to worker processes ({error}); move it to a module that can be imported, "
                "or run with workers=0"
            ) from error
    return base64.b64encode(cloudpickle.dumps(packed)).decode()


def unpack(text: str) -> None:
    """Make the classes of a `luggage` known in this process. The text comes from the parent process, never from a file."""
    import cloudpickle

    for name, (cls, digest) in cloudpickle.loads(base64.b64decode(text)).items():
        registry.carry({name: cls})
        source.carry(name, digest)


class Worker:
    """A process that runs trials, and is started again if it dies or no longer answers sensibly."""

    def __init__(self, device: str, ledger: Ledger, luggage: str = "", again: bool = False):
        self.command = [sys.executable, "-m", f"{__package__}.worker", device, str(ledger.root.resolve())]
        self.luggage, self.again, self.process, self.stopped = luggage, again, None, False
        self.beginning = threading.Lock()  # so that no process begins after `stop`

    def serve(self, schedule: Schedule, replies: queue.SimpleQueue) -> None:
        """Take jobs until there are none, and put (trial, reply) for each; at the end put None."""
        try:
            while not self.stopped and (job := schedule.take()):
                reply = self.ask(job.trial, keep=job.keep, again=self.again, wait=job.trial in schedule.insisted)
                if "busy" in reply:
                    schedule.postpone(job)
                else:
                    schedule.resume()
                    replies.put((job.trial, reply))
        finally:
            replies.put(None)

    def ask(self, trial: Trial, **how: bool) -> dict:
        """The reply to a trial, to be run as `attempt` says. Any failure is a reply with an ``error``, and the next trial then gets
        a new process.
        """
        try:
            return self._exchange({"spec": trial.describe(), "code": provenance.code(trial), **how})
        except Exception:
            self._end()
            return {"error": failure(trial.describe())}

    def _exchange(self, job: dict) -> dict:
        """Raises RuntimeError if the process dies or may not begin, OSError if none can be started, ValueError if its reply is cut
        off.
        """
        with self.beginning:
            if self.stopped:
                raise RuntimeError("the run is being stopped")
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
        path = os.pathsep.join(map(os.path.abspath, sys.path))  # what this process can import, the worker can
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**MALLOC, **os.environ, **QUIET, **SAFE, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends its workers
        )
        process.stdin.write(json.dumps(self.luggage) + "\n")
        process.stdin.flush()
        return process

    def stop(self) -> None:
        """End the process, and take no further job."""
        with self.beginning:
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
