"""``python -m poisonlib.experiments.worker DEVICE LEDGER``: a trial a line on standard input, a reply a line on standard output.

The first line holds the classes that this process cannot import. The process ends as soon as its input does, even in the middle
of a trial, so it never outlives the process that started it.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path

import torch

from . import provenance
from .attempt import attempt
from .cache import Cache
from .environment import commit
from .ledger import Ledger
from .spec import Trial
from .trial import failure
from .workers import unpack


def main(device: str, ledger: str) -> None:
    """Answer jobs until the input ends."""
    reply, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # what a library prints must not look like a reply,
    os.dup2(2, 1)  # not even from C, and a process that it starts must not keep the pipe open
    jobs = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    luggage = json.loads(jobs.get())
    commit()  # of the code that this process imported, whatever is checked out later
    while True:
        answer = _answer(json.loads(jobs.get()), torch.device(device), Ledger(Path(ledger)), luggage)
        print(json.dumps(answer), file=reply, flush=True)
        luggage = ""


def _listen(jobs: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _answer(job: dict, device: torch.device, ledger: Ledger, luggage: str) -> dict:
    try:
        if luggage:
            unpack(luggage)
        trial = Trial.read(job["spec"])
        if provenance.code(trial) != job["code"]:
            raise RuntimeError("a source file was changed after the main process imported it; restart that process (or kernel)")
        return attempt(trial, device, Cache.open(), ledger, **{name: job[name] for name in ("keep", "again", "wait")})
    except Exception:
        return {"error": failure(job["spec"])}


if __name__ == "__main__":
    main(*sys.argv[1:])
