"""CUDA devices made of CPU memory. Values are real, so what runs on one must give what the CPU gives.

A tensor `There` says that it is on CUDA, so all choices that depend on this, torch's own among them, are those of CUDA; the mode
`Rehearsal` computes on the memory behind it. It raises where two devices meet in an operation, where a random generator belongs to
another device, and where CUDA refuses what a CPU does; in a block `strict` also where the host would wait for the device. What
CUDA's kernels compute, how much memory they take and how long, it cannot say; nor what autocast does: its casts are CUDA's own, so
trials in bf16 are not rehearsed, and neither is what is compiled for a device.
"""

import contextlib
import functools
from collections import Counter

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from . import rules
from .driver import place_of

NAME = "rehearsal"  # of the accelerator that torch takes the devices for
aten = torch.ops.aten
CROSSING = {aten.copy_.default, aten._to_copy.default}
INDEXING = ("index", "index_put_", "_index_put_impl_")
ALLOCATING = ("empty", "empty_strided", "zeros", "ones", "full")


class There(torch.Tensor):
    """A tensor that says that it is on a CUDA device; ``raw`` is the memory that stands for the device's.

    To torch's own code below Python it is on an accelerator that torch has no kernels for, so that none is called unseen.
    """

    @staticmethod
    def __new__(cls, raw: torch.Tensor, device: torch.device):
        form = dict(strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=f"{NAME}:0")
        return torch.Tensor._make_wrapper_subclass(cls, raw.shape, **form)

    def __init__(self, raw: torch.Tensor, device: torch.device):
        self.raw, self.place = raw, device

    @property
    def device(self) -> torch.device:
        return self.place

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_cpu(self) -> bool:
        return False

    def to(self, *arguments, copy=False, **named):
        """The tensor itself where nothing changes, as torch does."""
        place, dtype, _, form = torch._C._nn._parse_to(*arguments, **named)
        same = place is None or (place.type == "cuda" and place.index in (None, self.place.index))
        same = same and dtype in (None, self.dtype) and (form is None or self.is_contiguous(memory_format=form))
        return self if same and not copy else super().to(*arguments, copy=copy, **named)

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self):
        return f"There({self.raw!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        raise RuntimeError(f"{function} is called on CUDA outside of the rehearsal")


class Rehearsal(TorchDispatchMode):
    """Inside the block, the devices ``cuda:0`` and ``cuda:1`` exist. ``driver`` stands for `torch.cuda`."""

    def __init__(self, driver):
        super().__init__()
        self.driver, self.waiting = driver, True
        self.tape, self.registered = None, []  # of the graph that is being captured
        self.pinned: set[int] = set()  # the host's page-locked memory, by address
        self.waits = Counter()
        self.found: list[str] = []  # what CUDA refuses in the backward pass under way

    @contextlib.contextmanager
    def strict(self):
        """Inside the block, the host must not wait for the device."""
        before, self.waiting = self.waiting, False
        try:
            yield
        finally:
            self.waiting = before

    def __exit__(self, kind, *how):
        super().__exit__(kind, *how)
        if kind is None:
            self._raise_what_was_found()

    def _refuse(self, why: str) -> None:
        """Raises RuntimeError, inside a backward pass as soon as it is over: its engine does not survive all exceptions."""
        self.found.append(why)
        if torch._C._current_graph_task_id() == -1:
            self._raise_what_was_found()

    def _raise_what_was_found(self) -> None:
        found, self.found = self.found, []
        if found:
            raise RuntimeError("; ".join(dict.fromkeys(found)))

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        if self.found and torch._C._current_graph_task_id() == -1:
            self._raise_what_was_found()
        named = dict(named or {})
        tensors = [each for each in tree_leaves((arguments, named)) if isinstance(each, torch.Tensor)]
        source = self._source(function, tensors)
        target = self._target(source, named.get("device"))
        if source.type == target.type == "cpu":
            return self._on_host(function, arguments, named)
        self.driver.check(source if source.type == "cuda" else target)
        name = function.overloadpacket.__name__
        self._check(function, name, arguments, named, source, target)
        return self._compute(function, arguments, named, target)

    def _source(self, function, tensors) -> torch.device:
        """The one device that an operation's tensors are on; tensors without dimensions may come from the host."""
        devices = {each.device for each in tensors if isinstance(each, There)}
        alien = [each for each in tensors if not isinstance(each, There) and each.dim()]
        if devices and (len(devices) > 1 or alien) and function not in CROSSING:
            if function.overloadpacket.__name__ not in INDEXING or len(devices) > 1:
                self._refuse(f"{function}: tensors on two devices: {[(str(t.device), tuple(t.shape)) for t in tensors]}")
            self._wait(f"{function} with an index on the host")
        return next(iter(devices), torch.device("cpu"))

    def _target(self, source: torch.device, asked) -> torch.device:
        device = source if asked is None else torch.device(asked)
        if device.type == NAME:  # torch's code below Python asks for the accelerator
            return source if source.type == "cuda" else torch.device("cuda", self.driver.chosen())
        return torch.device("cuda", self.driver.chosen()) if device.type == "cuda" and device.index is None else device

    def _on_host(self, function, arguments, named):
        locked = named.pop("pin_memory", False)
        self._check_generator(function, named.get("generator"), "cpu")
        out = function(*arguments, **named)
        if locked:
            self.pinned.add(out.untyped_storage().data_ptr())
        return out

    def _check(self, function, name, arguments, named, source, target):
        plain = tree_map(_raw, arguments)
        if why := rules.objection(name, plain):
            self._refuse(f"{function} {why}")
        if rules.waits(name, plain):
            self._wait(str(function))
        if function is aten.copy_.default and arguments[0].device != arguments[1].device:
            blocking = not (len(arguments) > 2 and arguments[2]) and not named.get("non_blocking")
            self._crossing(function, arguments[1], blocking)
        if function is aten._to_copy.default and source != target and target.type != "meta":
            self._crossing(function, arguments[0], not named.get("non_blocking"))
        self._check_generator(function, named.get("generator"), target.type)

    def _crossing(self, function, moved, blocking: bool):
        """A copy between devices waits, unless it was told not to and the host's memory is page-locked."""
        pageable = not isinstance(moved, There) and moved.untyped_storage().data_ptr() not in self.pinned
        if blocking or pageable:
            self._wait(f"{function} of {tuple(moved.shape)} from {moved.device}{' (pageable memory)' if pageable else ''}")

    def _check_generator(self, function, generator, wanted: str):
        if generator is not None and (place := place_of(generator).type) != wanted:
            self._refuse(f"{function}: the generator is on {place}, the result on {wanted}")

    def _wait(self, why: str):
        if not self.waiting:
            self._refuse(f"the host waits: {why}")
        self.waits[why] += 1

    def _compute(self, function, arguments, named, target):
        if "device" in named:
            named["device"] = torch.device("cpu")
        named.pop("pin_memory", None)
        plain, plain_named = tree_map(_raw, (arguments, named))
        call, source = rules.STAND_INS.get(function, function), self._source_of_chance(function, named, target)
        if self.tape is not None:
            self.tape.watch((plain, plain_named))
        with source():
            out = call(*plain, **plain_named)
        if torch.Tag.inplace_view in function.tags:  # such as `squeeze_`: the form of the tensor itself changes
            with no_dispatch():
                function(*arguments, **named)
            return arguments[0]
        if self.tape is not None:
            self.tape.add(call, plain, plain_named, out, source)
        return self._wrapped(function, arguments, out, target)

    def _source_of_chance(self, function, named, target):
        """The context in which an operation draws: without a generator of its own, from the device's."""
        generator = named.get("generator")
        if target.type != "cuda" or torch.Tag.nondeterministic_seeded not in function.tags or generator is not None:
            known = generator is None or generator._cdata in {each._cdata for each in self.registered}
            if self.tape is not None and not known:
                self._refuse(f"{function}: its generator was not registered with the graph that is being captured")
            return contextlib.nullcontext
        return functools.partial(self.driver.drawing, target)

    def _wrapped(self, function, arguments, out, target):
        """What the operation returns: the tensors that it wrote into, or new ones on its device."""
        written = [
            each
            for each, form in zip(arguments, function._schema.arguments, strict=False)
            if form.alias_info is not None and form.alias_info.is_write
        ]
        returns = function._schema.returns
        if written and returns and returns[0].alias_info is not None and returns[0].alias_info.is_write:
            return written[0] if len(returns) == 1 else tuple(written)
        if target.type != "cuda" or function is aten._local_scalar_dense.default:
            return out
        return tree_map(lambda each: There(each, target) if isinstance(each, torch.Tensor) else each, out)


def _raw(value):
    return value.raw if isinstance(value, There) else value
