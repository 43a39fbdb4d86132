"""Gradients of functions of a network's gradient by nested derivatives, the form that ``torch.compile`` takes."""

import copy
import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value
from torch.nn import functional as F

from ..models import Network


def nested(objective: Callable, skeleton: Network, smoothing: float = 0.0) -> Callable:
    """``(seen, labels, params, fixed, target) -> (derivative with respect to seen, objective of the gradient and the target)``.

    ``params`` are the parameters that the victim trains, ``fixed`` the others and the buffers, both by name. The skeleton gives the
    network's form only, so one compiled function serves all networks of that form.
    """

    def value(seen, labels, params, fixed, target):
        def loss(params):
            return F.cross_entropy(functional_call(skeleton, {**fixed, **params}, (seen,)), labels, label_smoothing=smoothing)

        return objective(list(grad(loss)(params).values()), target)

    return grad_and_value(value)


_COMPILED: dict[tuple, Callable] = {}  # compiling takes a minute or two, and a process runs many trials


def compiled(objective: Callable, network: Network, smoothing: float = 0.0) -> Callable:
    """`nested` for the network's form, compiled once a process."""
    form = objective, _form(network), smoothing
    if form not in _COMPILED:
        _COMPILED[form] = torch.compile(nested(objective, copy.deepcopy(network), smoothing))
    return _COMPILED[form]


def _form(network: Network) -> str:
    """What tells the networks of one form from others: their layers and the plain values that these hold, such as a scale."""
    held = [{name: value for name, value in vars(layer).items() if isinstance(value, PLAIN)} for layer in network.modules()]
    return repr((network, [type(layer) for layer in network.modules()], held))


PLAIN = int | float | complex | str | tuple | None


def compiled_value_and_grad(
    objective: Callable, network: Network, seen: Tensor, labels: Tensor, target: list[Tensor], smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """(the objective of the network's gradient on what it sees and the target, its derivative with respect to what it sees)."""
    params = {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}
    every = itertools.chain(network.named_parameters(), network.named_buffers())
    fixed = {name: tensor.detach() for name, tensor in every if name not in params}
    return compiled(objective, network, smoothing)(seen, labels, params, fixed, target)[::-1]
