"""The optimisation loop of attacks on pixels: Adam on the sign of the gradient, and a projection after each step."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..tensors import project

MILESTONES = (2.667, 1.6, 1.142)  # steps / milestone, rounded down, divides the step size by ten: 93, 156 and 218 of 250

ValueAndGrad = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def minimise(
    value_and_grad: ValueAndGrad,
    base: Float[Tensor, "m c h w"],
    start: Float[Tensor, "m c h w"],
    eps: float,
    steps: int,
    step_size: float,
) -> tuple[Float[Tensor, "m c h w"], Float[Tensor, " steps"]]:
    """(perturbation, objective before each step), where ``value_and_grad(base + delta, i)`` returns the objective of step i and its
    gradient.

    The result lies within ``eps`` of zero and keeps ``base + delta`` in [0, 1]; ``start``, the first delta, is taken as it is.
    ``step_size`` is the length of the first step.
    """
    delta = start.clone()
    adam, values = torch.optim.Adam([delta], lr=step_size), []
    milestones = [max(1, int(steps / fraction)) for fraction in MILESTONES]  # the first step is never shortened
    for i in range(steps):
        adam.param_groups[0]["lr"] = step_size * 0.1 ** sum(i >= milestone for milestone in milestones)
        value, gradient = value_and_grad(base + delta, i)
        delta.grad = gradient.sign()
        adam.step()
        delta.copy_(project(delta, base, eps))
        values.append(value)
    return delta, torch.stack(values)
