"""Slow work beside the panel: in a thread, one piece after the other, so that the controls answer in the meantime."""

import asyncio
import concurrent.futures
import os
from collections.abc import Callable

STILL = "POISONLIB_STILL"  # set where a notebook is executed for its outputs: nobody waits, and pictures are kept
_POOL = concurrent.futures.ThreadPoolExecutor(1, "poisonlib-explorer")


def still() -> bool:
    """Whether the notebook is executed without anybody who looks at it."""
    return bool(os.environ.get(STILL))


def loop() -> asyncio.AbstractEventLoop | None:
    """The event loop under which a panel can wait, as in a kernel; None in a script, and where nobody looks."""
    try:
        return None if still() else asyncio.get_running_loop()
    except RuntimeError:
        return None


class Work:
    """At most one piece of work at a time."""

    def __init__(self):
        self.busy = False

    def start(self, work: Callable[[], object], then: Callable[[BaseException | None], None]) -> None:
        """Do the work in the thread, then call ``then``, in this thread, with the error if there was one.

        While some other work is done, nothing is started: what comes after that asks again.
        """
        if self.busy:
            return
        self.busy = True
        running = asyncio.get_running_loop().run_in_executor(_POOL, work)
        running.add_done_callback(lambda done: self._finished(done, then))

    def _finished(self, done: asyncio.Future, then: Callable[[BaseException | None], None]) -> None:
        self.busy = False
        then(None if done.cancelled() else done.exception())
