"""Training that can be differentiated: steps of SGD as functions of a network's state, unrolled one after the other."""

import contextlib
import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from ..models import Network
from . import ThreatModel

KEPT = 2  # steps ahead whose graphs are in memory at a time


class State(NamedTuple):
    """What a network is but for its form."""

    weights: dict[str, Tensor]  # the parameters that are trained
    fixed: dict[str, Tensor]  # all others, and the buffers

    @classmethod
    def of(cls, network: Network) -> "State":
        """The state of a network."""
        parameters = {name: each.detach() for name, each in network.named_parameters()}
        weights = {name: parameters[name] for name, each in network.named_parameters() if each.requires_grad}
        return cls(weights, {**parameters, **dict(network.named_buffers())})

    def leaf(self) -> "State":
        """The same without a history; derivatives with respect to its weights can be taken."""
        return State({name: weight.detach().requires_grad_() for name, weight in self.weights.items()}, self.fixed)


class Form:
    """A network's form: how it trains and how it answers, as functions of its state."""

    def __init__(self, network: Network, lr: float, threat_model: ThreatModel):
        self.network, self.training = network.eval(), copy.deepcopy(network)
        trains = any(parameter.requires_grad for parameter in network.below_head())  # else features are frozen, statistics too
        for module in self.training.modules():
            if isinstance(module, _BatchNorm):
                module.train(trains)  # nothing else is in train mode: nothing drops out
        self.lr, self.smoothing, self.numerics = lr, threat_model.label_smoothing, threat_model.numerics

    def step(self, state: State, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], create_graph: bool = True) -> State:
        """A step of SGD, differentiable in weights and images. BatchNorm takes the batch's statistics, and moves new buffers."""
        fixed = {name: tensor.clone() for name, tensor in state.fixed.items()}
        with self._precision(x):
            logits = functional_call(self.training, {**fixed, **state.weights}, (x,))
            loss = F.cross_entropy(logits, y, label_smoothing=self.smoothing)
        gradients = torch.autograd.grad(loss, list(state.weights.values()), create_graph=create_graph, materialize_grads=True)
        moved = (weight - self.lr * each for weight, each in zip(state.weights.values(), gradients, strict=True))
        return State(dict(zip(state.weights, moved, strict=True)), fixed)

    def logits(self, state: State, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits in eval mode."""
        with self._precision(x):
            return functional_call(self.network, {**state.fixed, **state.weights}, (x,)).float()

    def _precision(self, x):
        return self.numerics.autocast(x.device) if self.numerics else contextlib.nullcontext()


def ahead(form: Form, state: State, batches: Sequence[tuple[Tensor, Tensor]]) -> State:
    """The state after a step on each of the batches, differentiable in their images.

    Of all but the last `KEPT` steps only the result is kept, and the rest computed again, so memory does not grow with K.
    """
    for left, (x, y) in zip(reversed(range(len(batches))), batches, strict=True):
        if left < KEPT:
            state = form.step(state, x, y)
        else:
            with set_checkpoint_early_stop(False):  # which an exception in the backward pass would be, and saves nothing here
                state = checkpoint(form.step, state, x, y, use_reentrant=False, preserve_rng_state=False)
    return state
