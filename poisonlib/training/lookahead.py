"""Lookahead: slow weights that follow the trained ones, which meet them every few steps (Zhang et al., arXiv:1907.08610).

In the form of the public code for fast CIFAR-10 training (airbench94): the slow weights keep more and more of themselves,
``0.95 ** 5 * (step / steps) ** 3`` at each meeting, and take in batch statistics as well; after the last step they are the result.
"""

import torch
from torch import nn

MOST = 0.95**5  # what the slow weights keep of themselves at the last meeting


class Lookahead:
    """The slow weights of a network. With ``every=0`` there are none."""

    def __init__(self, network: nn.Module, every: int, steps: int):
        self.every, self.steps = every, steps
        self.fast = [t for t in network.state_dict().values() if t.is_floating_point()] if every else []
        self.slow = [tensor.clone() for tensor in self.fast]

    @torch.no_grad()
    def after(self, step: int) -> None:
        """To be called after each step (from 0)."""
        if self.every and (step + 1) % self.every == 0:
            self._meet(MOST * ((step + 1) / self.steps) ** 3)
        if self.every and step + 1 == self.steps:
            self._meet(1.0)

    def _meet(self, kept: float) -> None:
        for fast, slow in zip(self.fast, self.slow, strict=True):
            slow.lerp_(fast, 1 - kept)
            fast.copy_(slow)
