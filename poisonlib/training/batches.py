"""The batches of an epoch, as a step on the device takes them: nothing in it waits for the host."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from ..augment import Params
from ..data import ImageSet


@dataclass(frozen=True)
class Batch:
    """Positions in the training set and the parameters of each augmentation; for images beside the device their pixels, too."""

    at: Int64[Tensor, " n"]
    params: list[Params]
    rows: Int64[Tensor, " n"] | None = None  # the positions on the host, for images that stay there
    pixels: Integer[Tensor, "n c h w"] | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """All of its tensors on the device, in an order that the batches of a training share."""
        pixels = [] if self.pixels is None else [self.pixels]
        return [self.at, *pixels, *(each[name] for each in self.params for name in sorted(each))]

    def clone(self) -> "Batch":
        """The same in memory of its own."""
        params = [{name: tensor.clone() for name, tensor in each.items()} for each in self.params]
        return Batch(self.at.clone(), params, self.rows, None if self.pixels is None else self.pixels.clone())


def fetched(train: ImageSet, batches: Iterable[Batch]) -> Iterable[Batch]:
    """The batches with the pixels of images that are beside the device. The next ones are gathered meanwhile, by another thread."""
    return batches if train.resident else _streamed(train, list(batches))


def _streamed(train: ImageSet, batches: list[Batch]) -> Iterator[Batch]:
    with ThreadPoolExecutor(1) as pool:

        def gather(batch):
            return pool.submit(torch.index_select, train.images, 0, batch.rows, out=train.buffer(len(batch.rows)))

        coming = gather(batches[0])
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            pixels = coming.result()
            coming = None if following is None else gather(following)
            yield replace(batch, pixels=pixels.to(train.device, non_blocking=True))
