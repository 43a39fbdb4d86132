"""CutMix: the same box of another image replaces a box of each image, and the label is mixed by the pixel shares of both.

Yun et al., "CutMix", arXiv:1905.04899, section 3.1; Borgnia et al., "Strong data augmentation sanitizes poisoning and backdoor
attacks", section 3. Activation with probability 1/2 is that of the CutMix code for CIFAR, as in DP-InstaHide (section
A.2); Borgnia et al. mention none: ``probability=1.0``.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params
from ._box import area, inside, random_boxes
from ._random import LEAST_ALPHA, dirichlet, partners


@dataclass(frozen=True)
class CutMix(Augment):
    """Pastes a box from another image of the batch into each image, independently with ``probability``.

    The box's sides are ``sqrt(1 - lambda)`` of the image's, lambda ~ Beta(alpha, alpha), rounded to pixels; its centre is uniform,
    and it is clipped at the border. ``variant="released"`` is the public code: one box, one lambda, one permutation (in which an
    image may meet itself) and one activation for the whole batch, and sides cut down to an even number.
    """

    alpha: float = 1.0
    probability: float = 0.5
    variant: str = "paper"
    mixes: ClassVar[bool] = True

    def __post_init__(self):
        check.number("alpha", self.alpha, LEAST_ALPHA)
        check.share("probability", self.probability)
        check.variant(self.variant)

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """``box`` (n, 4): top, left, bottom, right, empty where inactive; ``partner`` (n,): the image that the box comes from.

        Raises ValueError for a batch of one, in which "paper" finds no other image.
        """
        _, h, w = shape
        released = self.variant == "released"
        rows = 1 if released else n
        root = dirichlet(rows, 2, self.alpha, generator)[:, 1:].sqrt()
        sides = root * torch.tensor([h, w])
        sides = sides.long() // 2 * 2 if released else sides.round().long()
        active = torch.rand(rows, 1, generator=generator) < self.probability
        box = random_boxes(sides * active, h, w, generator).repeat(n // rows, 1)
        return {"box": box, "partner": torch.randperm(n, generator=generator) if released else partners(n, 2, generator)[:, 1]}

    def apply(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n k"], params: Params, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        h, w = x.shape[2:]
        share = area(params["box"]).to(y.dtype) / (h * w)
        box = inside(params["box"], h, w, x.dtype)
        other_x, other_y = (values.index_select(0, params["partner"]) for values in (x, y))
        # Weights of 0 and 1 choose as `torch.where` does, with the same bits and in less time, here into memory that is at hand.
        return other_x.lerp_(x, 1 - box), (1 - share) * y + share * other_y
