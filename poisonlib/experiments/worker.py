"""``python -m poisonlib.experiments.worker DEVICE LEDGER``: a trial a line on standard input, a reply a line on standard output.

The process ends as soon as its input does, even in the middle of a trial, so it never outlives the one that started it.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path

import torch

from .ledger import Ledger
from .models import Cache
from .spec import Trial
from .trial import failure, run_trial


def main(device: str, ledger: str) -> None:
    reply, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # whatever a library prints must not look like a reply,
    os.dup2(2, 1)  # not even one in C, and a process that it starts must not keep the pipe open
    jobs = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    while True:
        answer = _answer(json.loads(jobs.get()), torch.device(device), Ledger(Path(ledger)))
        print(json.dumps(answer), file=reply, flush=True)


def _listen(jobs: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _answer(job: dict, device: torch.device, ledger: Ledger) -> dict:
    try:
        record = run_trial(Trial.read(job["spec"]), device, Cache.open(), job["keep"])
        ledger.put(record)
        return {"seconds": record["cost"]["seconds"]}
    except Exception:
        return {"error": failure(job["spec"])}


if __name__ == "__main__":
    main(*sys.argv[1:])
