"""The loop around every attack on pixels: Adam on the sign of a gradient, and a projection after each step."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..tensors import project

DROPS = (2.667, 1.6, 1.142)  # the rate falls by ten at these fractions of the steps, rounded down: 93, 156 and 218 of 250

Pull = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def minimise(
    pull: Pull, base: Float[Tensor, "m c h w"], start: Float[Tensor, "m c h w"], eps: float, steps: int, rate: float
) -> tuple[Float[Tensor, "m c h w"], Float[Tensor, " steps"]]:
    """(perturbation, objective before each step): ``pull(base + delta, i)`` gives the objective of step i and its gradient.

    ``start`` and the result lie within ``eps`` of zero and keep ``base + delta`` in [0, 1]; ``rate`` is the first step's length.
    """
    delta = project(start, base, eps)
    adam, values = torch.optim.Adam([delta], lr=rate), []
    drops = [max(1, int(steps / fraction)) for fraction in DROPS]  # the first step is a whole one, however few there are
    for i in range(steps):
        adam.param_groups[0]["lr"] = rate * 0.1 ** sum(i >= drop for drop in drops)
        value, gradient = pull(base + delta, i)
        delta.grad = gradient.sign()
        adam.step()
        delta.copy_(project(delta, base, eps))
        values.append(value)
    return delta, torch.stack(values)
