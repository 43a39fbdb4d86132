"""A tape in place of `torch.cuda.CUDAGraph`: what was captured is computed again, on the same memory, at each replay.

As on CUDA, a capture changes nothing, numbers from the host stay what they were when they were captured, and random numbers go on
where the generators are, which must be registered unless they are the device's own.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import torch
from torch.utils._pytree import tree_leaves


class Tape:
    """The operations of a capture, and what they found in memory that is older than the capture."""

    def __init__(self):
        self.calls, self.before, self.own = [], {}, set()

    def watch(self, values) -> None:
        """Remember the content of memory that an operation is about to use, and may write into."""
        for each in _tensors(values):
            memory = each.untyped_storage()
            if memory.data_ptr() not in self.own and memory.data_ptr() not in self.before:
                self.before[memory.data_ptr()] = memory, memory.clone()

    def add(self, call, arguments, named, out, source) -> None:
        """Record an operation; ``source`` is the context that it draws random numbers in."""
        self.own |= {each.untyped_storage().data_ptr() for each in _tensors(out)} - self.before.keys()
        self.calls.append((call, arguments, named, out, source))

    def undo(self) -> None:
        """Put back what was in memory before the capture."""
        for memory, old in self.before.values():
            memory.copy_(old)

    def play(self) -> None:
        """Compute all of it again; results go where the first ones are."""
        for call, arguments, named, out, source in self.calls:
            with source():
                new = call(*arguments, **named)
            for old, each in zip(_tensors(out), _tensors(new), strict=True):
                if old.untyped_storage().data_ptr() != each.untyped_storage().data_ptr():
                    old.copy_(each.reshape(old.shape))


def _tensors(values) -> list[torch.Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, torch.Tensor)]


class CUDAGraph:
    """What `torch.cuda.CUDAGraph` promises, on a tape."""

    def __init__(self):
        self.tape, self.generators = Tape(), []

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)

    def replay(self) -> None:
        with torch.utils._python_dispatch._disable_current_modes():
            self.tape.play()


def functions(mode: Callable) -> dict:
    """What replaces the functions of `torch.cuda` for graphs and streams, which all need a device that was chosen."""

    def stream(*_) -> SimpleNamespace:
        mode().driver.check()
        return SimpleNamespace(wait_stream=lambda other: None)

    @contextlib.contextmanager
    def graph(captured: CUDAGraph) -> Iterator[None]:
        rehearsal = mode()
        own = [*captured.generators, rehearsal.driver.generators[rehearsal.driver.chosen()]]
        states = [each.get_state() for each in own]
        rehearsal.tape, rehearsal.registered = captured.tape, own
        try:
            with rehearsal.strict():
                yield
        finally:
            rehearsal.tape = None
        captured.tape.undo()
        for each, state in zip(own, states, strict=True):
            each.set_state(state)

    @contextlib.contextmanager
    def on(_) -> Iterator[None]:
        yield

    return {"CUDAGraph": CUDAGraph, "Stream": stream, "current_stream": stream, "graph": graph, "stream": on}
