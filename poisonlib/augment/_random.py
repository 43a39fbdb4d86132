"""Random draws that several augmentations share and for which torch has no public call that takes a generator; on the CPU."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

LEAST_ALPHA = 0.01  # below, the gamma draws underflow and the weights are no longer Dirichlet


def dirichlet(n: int, k: int, alpha: float, generator: torch.Generator) -> Float[Tensor, "n k"]:
    """n draws from Dirichlet(alpha, ..., alpha) of order k, drawn in float64, returned in float32; rows sum to 1."""
    return torch._sample_dirichlet(torch.full((n, k), alpha, dtype=torch.float64), generator=generator).float()


def partners(n: int, k: int, generator: torch.Generator) -> Int64[Tensor, "n k"]:
    """For each of n images itself and k - 1 distinct others: positions 0..n-1.

    The images are put in a circle in uniformly random order, and each takes its next k - 1 neighbours. For one image these are a
    uniform ordered sample without replacement, as the order of the rest of the circle is uniform; over the batch, every image is
    used exactly k times. Raises ValueError where k > n.
    """
    if k > n:
        raise ValueError(f"a mix of k={k} distinct images cannot be drawn from a batch of n={n}; choose at most k={n}")
    circle = torch.randperm(n, generator=generator)
    neighbours = (torch.arange(n)[:, None] + torch.arange(k)) % n
    return circle[neighbours[circle.argsort()]]
