"""Features of a frozen extractor: computed once for each view of each image that training shows, not once an epoch.

Without augmentation there is one view of an image, with flips there are two, with crops by up to 4 pixels 81: what is saved is the
number of epochs divided by the number of views that an image is ever shown in.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..augment import Params, Pipeline
from ..data import ImageSet
from ..models import Network, Wrapped
from ..tensors import to_float
from .batches import Batch
from .evaluate import BATCH
from .numerics import Numerics
from .recipe import Recipe

MOST = 2**32  # bytes of features; where they would take more, they are computed anew in each epoch


class Views:
    """A table of features, filled with the views of an epoch before the epoch begins. Its rows are what the head is trained on."""

    def __init__(self, network: Network, train: ImageSet, pipeline: Pipeline, numerics: Numerics, rows: int):
        self.network, self.train, self.pipeline, self.numerics = network, train, pipeline, numerics
        self.head, self.classes, self.count = network.head, len(train.classes), pipeline.views(train.shape)
        self.row_of = torch.full((len(train) * self.count,), -1, device=train.device)  # by image and view; -1: not computed yet
        self.labels = torch.zeros(rows, dtype=torch.int64, device=train.device)
        self.features, self.filled = torch.empty(0), 0

    def at(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (n, d) and labels (n,)."""
        return self.features[batch.at], self.labels[batch.at]

    def shown(self, batches: Iterable[Batch]) -> tuple[Pipeline, list[Batch]]:
        """The batches of an epoch, in which each image stands once, as rows of the table: with nothing left to augment."""
        found = []
        batches = [(b.at, b.params, b.at * self.count + self.pipeline.view(b.params, self.train.shape)) for b in batches]
        for at, params, code in batches:
            new = (self.row_of[code] < 0).nonzero()[:, 0]
            found.append((at[new], [{name: values[new] for name, values in own.items()} for own in params], code[new]))
        at, code = (torch.cat([each[i] for each in found]) for i in (0, 2))
        params = [{name: torch.cat([each[1][i][name] for each in found]) for name in own} for i, own in enumerate(found[0][1])]
        self._add(at, params, code)
        return Pipeline(), [Batch(self.row_of[code], []) for _, _, code in batches]

    @torch.no_grad()
    def _add(self, at: Tensor, params: list[Params], code: Tensor) -> None:
        """Compute the features of images in views that the table lacks."""
        for start in range(0, len(at), BATCH):
            part = slice(start, start + BATCH)
            own = [{name: values[part] for name, values in each.items()} for each in params]
            x = to_float(self.train.pixels(at[part]))
            x, _ = self.pipeline.apply(x, torch.zeros(len(x), self.classes, device=x.device), own)
            with self.numerics.autocast(x.device):
                features = self.network.features(x.contiguous(memory_format=self.numerics.layout))
            if not self.filled:
                self.features = features.new_empty(len(self.labels), features.shape[1])
            rows = torch.arange(self.filled, self.filled + len(x), device=x.device)
            self.features[rows], self.labels[rows], self.row_of[code[part]] = features, self.train.labels[at[part]], rows
            self.filled += len(x)


def kept_features(network: Network, train: ImageSet, recipe: Recipe, pipeline: Pipeline, step, numerics: Numerics) -> Views | None:
    """A table of features for this training; None where they change or differ from epoch to epoch, or take too much memory.

    They are fixed where training `leaves_features` and all that is done to an image is to choose one of finitely many views: a step
    such as adversarial training does more.
    """
    count = pipeline.views(train.shape)
    if not leaves_features(network, recipe) or count is None or (step and step.on_images):
        return None
    rows = len(train) * min(count, recipe.epochs)
    too_much = rows * network.head.in_features * torch.float32.itemsize > MOST
    return None if too_much else Views(network, train, pipeline, numerics, rows)


def leaves_features(network: Network, recipe: Recipe) -> bool:
    """Whether training changes nothing but a linear head: the extractor is frozen, batch statistics included.

    A module of the user's own need not be a head on features, so it is asked for its logits each time.
    """
    linear = isinstance(network.head, nn.Linear) and not isinstance(network, Wrapped)
    return recipe.frozen and recipe.frozen_statistics and linear
