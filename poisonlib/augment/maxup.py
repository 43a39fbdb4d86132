"""MaxUp: of several random augmentations of each image, train on the one with the largest loss (Gong et al., arXiv:2002.09024).

Borgnia et al., "Strong data augmentation", section 4.2, and DP-InstaHide, sections 2.2 and A.2: the worst of four cutouts, from
the sixth epoch on. Its other sentence, section 2, speaks of the *lowest* loss, and the public code never takes a maximum.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from . import Draw, Judge, _check, pipeline


@dataclass(frozen=True)
class Augment:
    """The worst of ``m`` draws of ``inner`` (any augmentations, joined by +) for each image, from epoch ``start`` (counted from 0).

    The candidates are judged by the network as it stands, in eval mode and without gradient, and only the chosen ones are trained
    on. That costs (m + 3) / 3 plain steps, where a graph through all candidates costs m, and batch statistics are those of the
    chosen images. ``variant="released"`` is what the public code does: the draws are applied one upon
    the other, in place, so that all candidates are one image with m cutouts, and its mean loss is trained on. There the inner
    augmentation is ``cutout(variant='released')`` and the start, 6.
    """

    inner: str = "cutout"
    m: int = 4
    start: int = 5
    variant: str = "paper"
    adversarial: ClassVar[bool] = True

    def __post_init__(self):
        _check.number("m", self.m, 1)
        _check.number("start", self.start, 0)
        _check.variant(self.variant)
        if not self.parts.parts or any(getattr(part, "adversarial", False) for part in self.parts.parts):
            raise ValueError(f"inner={self.inner!r}: choose one or more augmentations other than maxup")

    @property
    def parts(self):
        """The inner augmentations."""
        return pipeline(self.inner)

    def draw(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Draw:
        """Everything that m draws of the inner augmentations hold, under ``"trial/part/name"``."""
        draws = [self.parts.draw(n, shape, generator) for _ in range(self.m)]
        return {
            f"{trial}/{part}/{name}": tensor
            for trial, parts in enumerate(draws)
            for part, draw in enumerate(parts)
            for name, tensor in draw.items()
        }

    def apply(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n k"],
        draw: Draw,
        generator: torch.Generator | None = None,
        judge: Judge | None = None,
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Without a ``judge`` nobody can say which is worst: each image then has its first draw."""
        if self.variant == "released":
            for trial in range(self.m):
                x, y = self.parts.apply(x, y, self._of(draw, trial), generator)
            return x, y
        if judge is None:
            return self.parts.apply(x, y, self._of(draw, 0), generator)
        tried = [self.parts.apply(x, y, self._of(draw, trial), generator) for trial in range(self.m)]
        worst = torch.stack([judge(new_x.detach(), new_y) for new_x, new_y in tried]).argmax(0)  # all at once is slower on a CPU
        xs, ys = (torch.stack(values) for values in zip(*tried, strict=True))
        image = torch.arange(len(x), device=x.device)
        return xs[worst, image], ys[worst, image]

    def _of(self, draw: Draw, trial: int) -> list[Draw]:
        keys = {name: tuple(name.split("/")) for name in draw}
        return [
            {key[2]: draw[name] for name, key in keys.items() if key[:2] == (str(trial), str(part))}
            for part in range(len(self.parts.parts))
        ]
