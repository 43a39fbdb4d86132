"""Muon: the momentum of each filter bank, as a matrix with a row a filter, is replaced by the nearest orthogonal matrix.

Jordan et al., "Muon: an optimizer for hidden layers" (kellerjordan.github.io/posts/muon), in the form of the public code for fast
CIFAR-10 training (airbench94_muon): the filters of a layer are scaled to a root mean square norm of one before each step. The
nearest orthogonal matrix U V' of U S V' comes from a few steps of a Newton-Schulz iteration, which brings singular values above
some 0.035 of the matrix's norm to about 0.7 to 1.2, and smaller ones up to 41-fold. ``torch.optim.Muon`` takes matrices only, and
scales neither filters nor steps like this.
"""

import torch
from jaxtyping import Float
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of X, (XX')X and (XX')^2 X: the largest slope at zero
STEPS = 3


class Muon(torch.optim.SGD):
    """SGD whose groups with ``filter_momentum`` hold filters (out, in, h, w): these descend on their orthogonalised momentum.

    That momentum is Nesterov's, whatever the other groups have.
    """

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            if "filter_momentum" in group:
                for filters in group["params"]:
                    if filters.grad is not None:
                        filters.mul_(len(filters) ** 0.5 / filters.norm())
                        direction = orthogonal(self._momentum(filters, group["filter_momentum"]).flatten(1))
                        filters.grad.copy_(direction.view_as(filters))  # into its layout: CUDA's fused step takes no other
        return super().step()

    def _momentum(self, filters: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum of the filters' gradients."""
        state = self.state[filters]
        if "filter_buffer" not in state:
            state["filter_buffer"] = torch.zeros_like(filters)
        state["filter_buffer"].mul_(momentum).add_(filters.grad)
        return filters.grad.add(state["filter_buffer"], alpha=momentum)


def orthogonal(matrix: Float[Tensor, "m n"], steps: int = STEPS) -> Float[Tensor, "m n"]:
    """A matrix near the orthogonal one that is nearest to ``matrix``, outside autocast; on CUDA in TF32 where that is allowed."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T, steps).T
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)  # no singular value is above one
    with torch.autocast(x.device.type, enabled=False):
        for _ in range(steps):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
    return x
