"""Answers that are kept while one piece of work is done, during which the disk is taken to stay as it is."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_KEPT: ContextVar[dict[tuple, object]] = ContextVar("kept")  # answers by what was asked; set inside `snapshot` alone


@contextlib.contextmanager
def snapshot() -> Iterator[None]:
    """Inside the block, or a function that this decorates, `looked_up` looks for each thing once."""
    before = _KEPT.set(_KEPT.get({}))
    try:
        yield
    finally:
        _KEPT.reset(before)


def looked_up(find: Callable, *asked):
    """``find(*asked)``; inside `snapshot` the answer that it gave the first time, which nobody may change."""
    kept = _KEPT.get({})
    if (find, *asked) not in kept:
        kept[find, *asked] = find(*asked)
    return kept[find, *asked]
