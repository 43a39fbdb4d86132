"""MaxUp: of several random augmentations of each image, train on the one with the largest loss (Gong et al., arXiv:2002.09024).

Borgnia et al., "Strong data augmentation", section 4.2, and DP-InstaHide, sections 2.2 and A.2: the worst of four cutouts, from
the sixth epoch on. Section 2 of DP-InstaHide speaks of the *lowest* loss instead, and the public code never takes a maximum.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .. import check
from . import Augment, Params, PerSampleLoss, Pipeline, pipeline


@dataclass(frozen=True)
class MaxUp(Augment):
    """For each image the worst of ``m`` samples of ``inner`` (augmentations joined by +), from epoch ``start`` on (from 0;
    below 1: after that share of the epochs).

    The current network, in eval mode and without gradients, computes the loss of each candidate; only the worst are trained on.
    This costs (m + 3) / 3 plain steps, where a graph through all candidates costs m, and batch statistics are those of the chosen
    images. ``variant="released"`` is the public code: the m samples are applied one upon the other, in place, so that all
    candidates are one image with m cutouts, and its mean loss is trained on; there ``inner`` is ``cutout(variant='released')``
    and ``start`` 6.
    """

    inner: str = "cutout"
    m: int = 4
    start: int | float = 5
    variant: str = "paper"
    adversarial: ClassVar[bool] = True

    def __post_init__(self):
        check.whole("m", self.m, 1)
        check.first_epoch("start", self.start)
        check.variant(self.variant)
        if not self.candidates.parts or any(part.adversarial for part in self.candidates.parts):
            raise ValueError(f"inner={self.inner!r}: choose one or more augmentations other than maxup")

    @property
    def mixes(self) -> bool:
        """Whether the inner augmentations mix images."""
        return any(part.mixes for part in self.candidates.parts)

    @property
    def candidates(self) -> Pipeline:
        """The inner augmentations."""
        return pipeline(self.inner)

    def depends_on(self) -> tuple[type, ...]:
        return type(self), *(cls for part in self.candidates.parts for cls in part.depends_on())

    def sample_params(self, n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Params:
        """The parameters of m samples of the inner augmentations, under ``"candidate/part/name"``."""
        samples = [self.candidates.sample_params(n, shape, generator) for _ in range(self.m)]
        return {
            f"{candidate}/{part}/{name}": tensor
            for candidate, parts in enumerate(samples)
            for part, params in enumerate(parts)
            for name, tensor in params.items()
        }

    def apply(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n k"],
        params: Params,
        generator: torch.Generator | None = None,
        per_sample_loss: PerSampleLoss | None = None,
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Without ``per_sample_loss`` there is no worst candidate: each image then gets its first."""
        if self.variant == "released":
            for candidate in range(self.m):
                x, y = self.candidates.apply(x, y, self._params_of(params, candidate), generator)
            return x, y
        if per_sample_loss is None:
            return self.candidates.apply(x, y, self._params_of(params, 0), generator)
        before = x._version, y._version
        tried = [self.candidates.apply(x, y, self._params_of(params, i), generator) for i in range(self.m)]
        if (x._version, y._version) != before:
            raise ValueError(f"inner={self.inner!r}: an augmentation wrote into the images or labels that it was given")
        losses = [per_sample_loss(new_x.detach(), new_y) for new_x, new_y in tried]  # all at once is slower on a CPU
        worst, image = torch.stack(losses).argmax(0), torch.arange(len(x), device=x.device)
        xs, ys = (torch.stack(values) for values in zip(*tried, strict=True))
        return xs[worst, image], ys[worst, image]

    def _params_of(self, params: Params, candidate: int) -> list[Params]:
        keys = {name: tuple(name.split("/")) for name in params}
        return [
            {key[2]: params[name] for name, key in keys.items() if key[:2] == (str(candidate), str(part))}
            for part in range(len(self.candidates.parts))
        ]
