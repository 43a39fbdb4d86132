"""Alternating flip: every image is mirrored in every other epoch (Jordan, "94 % on CIFAR-10 in 3.29 seconds", arXiv:2404.00498,
section 3.6).

A random flip shows an image in the same direction twice in a row half of the time; here two epochs in a row always show both.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor

from . import Augment, Params
from .flip import Flip


@dataclass(frozen=True)
class AlternatingFlip(Augment):
    """Mirrors a random half of the images left to right in the first epoch and, from then on, those that the epoch before did not;
    labels stay. Where epochs are not known, as in crafting, it is the random flip.
    """

    scheduled: ClassVar[bool] = True

    def sample_params(
        self,
        n: int,
        shape: tuple[int, int, int],
        generator: torch.Generator,
        ids: Int64[Tensor, " n"] | None = None,
        epoch: int = 0,
    ) -> Params:
        """``flip`` (n,): which images are mirrored. The coin of an image depends on its id and on the stream, not on its place in
        the stream.
        """
        if ids is None:
            return {"flip": torch.rand(n, generator=generator) < 0.5}
        own = torch.Generator().manual_seed(generator.initial_seed())
        coins = torch.randint(2, (int(ids.max()) + 1,), generator=own)
        return {"flip": (coins[ids] + epoch) % 2 == 1}

    apply, views, view = Flip.apply, Flip.views, Flip.view
