"""The rehearsal set up and taken down: devices, driver and generators in place of torch's own."""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch.utils import backend_registration

from poisonlib.attacks import gradient_matching, metapoison
from poisonlib.experiments import networks
from poisonlib.training.views import Views

from . import graphs
from .device import NAME, Rehearsal
from .driver import BYTES, Driver, Generator


@contextlib.contextmanager
def rehearsal(free: int = BYTES) -> Iterator[Rehearsal]:
    """Inside the block, two CUDA devices exist, of which none is chosen yet, with so many free bytes; afterwards torch is as it
    was.
    """
    _register()
    driver = Driver(free=free)
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter that moves becomes a tensor of another class
    try:
        with (
            mock.patch.multiple(torch.cuda, **driver.functions(), **graphs.functions(lambda: mode)),
            mock.patch.object(torch.cuda.random, "device_count", torch.cuda.device_count),
            mock.patch.object(torch, "Generator", Generator),
            mock.patch.object(torch, "tensor", _tensor),
            torch.autograd.set_multithreading_enabled(False),  # the mode is that of this thread
            Rehearsal(driver) as mode,
        ):
            yield mode
    finally:
        networks.images.cache_clear()  # which device they are kept on is a matter of this rehearsal
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)


fit = importlib.import_module("poisonlib.training.fit")  # whose name in the package is that of its function
_made = torch.tensor


def _tensor(values, *, device=None, **named):
    """`torch.tensor` makes its tensors on the host and moves them; below Python, where it would ask CUDA's driver for leave."""
    made = _made(values, **named)
    return made if device is None else made.to(device)


@functools.cache
def _register() -> None:
    """Announce the accelerator to torch, once a process. It has no state of its own, and autocast for the types that CUDA's has."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]


@contextlib.contextmanager
def strict_loops(mode: Rehearsal) -> Iterator[list[str]]:
    """Inside the block, the host must not wait for the device in an epoch or in the steps of a craft; yields what was watched."""
    watched = []
    fetched, shown, minimise = fit.fetched, Views.shown, gradient_matching.minimise
    looked, learnt = metapoison.Learner.look, metapoison.Learner.train

    def epoch(batches):
        watched.append("epoch")
        with mode.strict():
            yield from batches

    def features(views, batches):
        active, rows = shown(views, batches)
        return active, epoch(rows)

    def craft(*arguments, function=minimise):
        watched.append("craft")
        with mode.strict():
            return function(*arguments)

    with (
        mock.patch.object(fit, "fetched", lambda *arguments: epoch(fetched(*arguments))),
        mock.patch.object(Views, "shown", features),
        mock.patch.object(gradient_matching, "minimise", craft),
        mock.patch.object(metapoison.Learner, "look", lambda *arguments: craft(*arguments, function=looked)),
        mock.patch.object(metapoison.Learner, "train", lambda *arguments: craft(*arguments, function=learnt)),
    ):
        yield watched
