"""Random removal: the control beside a filter, which removes as many images as the filter would, but any images.

This is no defence of a paper. A filter that removes a third of the training set removes a third of the poisons, too, if it knows
nothing, and a network that is trained on less has another accuracy. What a filter achieves by its judgement is the difference from
this control.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from .. import check, registry
from ..data import ImageSet
from ..rng import stream
from . import Filter, FilterResult, load


@dataclass(frozen=True)
class RandomRemoval(Filter):
    """Removes from every class as many images as the filter ``inner`` would, drawn uniformly without replacement.

    ``inner``: the filter beside which this is the control, as text: ``"spectral_signatures(expected=0.05)"``. Its decision is made
    from the same features, and nothing of it is used but the number of images that it removes from each class.
    ``draw``: which images are drawn; another whole number draws others. It is not the trial's seed, which filters do not get: in
    all trials with the same labels the same images come first. Attacks choose their poisons at random by the trial's seed, so how
    many of them are removed differs from trial to trial as if the draw did.
    """

    inner: str = "spectral_signatures"
    draw: int = 0

    def __post_init__(self):
        check.whole("draw", self.draw, 0)
        if isinstance(self.counted, RandomRemoval):
            raise ValueError(f"inner={self.inner!r}: choose a filter other than random_removal")

    @property
    def counted(self) -> Filter:
        """The filter whose removals are counted."""
        return load(self.inner)

    def depends_on(self) -> tuple[type, ...]:
        return type(self), *self.counted.depends_on()

    def assuming(self, poison_rate: float) -> "RandomRemoval":
        return replace(self, inner=registry.label(self.counted.assuming(poison_rate)))

    def validate(self, train: ImageSet) -> None:
        """Raises ValueError where the inner filter cannot work on this training set."""
        self.counted.validate(train)

    def score(self, features: Float[Tensor, "n d"], labels: Integer[Tensor, " n"]) -> FilterResult:
        """Scores, float64, uniform in [0, 1): of each class the images with the largest are removed.

        They depend on ``draw`` and n only, so their ROC curve shows what chance does. Raises ValueError where the inner filter
        does, as for features that are NaN or infinite.
        """
        removed = ~self.counted.score(features, labels).keep
        scores = torch.rand(len(labels), generator=stream(self.draw, "random removal"), dtype=torch.float64).to(labels.device)
        keep = torch.ones_like(labels, dtype=torch.bool)
        for label in labels.unique():
            rows = (labels == label).nonzero().squeeze(1)
            largest = scores[rows].argsort(descending=True, stable=True)[: int(removed[rows].sum())]
            keep[rows[largest]] = False
        return FilterResult(keep, scores)
