"""The training loop. The data set is one tensor on the device, and nothing in a step waits for the host."""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ..augment import Pipeline
from ..augment import pipeline as read_pipeline
from ..data import ImageSet
from ..models import Network
from ..rng import seeded, stream
from ..tensors import to_float
from .batches import Batch, fetched
from .graph import Replay
from .lookahead import Lookahead
from .numerics import Numerics
from .optimizer import make_optimizer, set_rates
from .recipe import Recipe
from .views import Views, kept_features

SMALLEST_BATCH = 16  # a smaller last batch of an epoch is dropped: batch statistics and k-way mixes need several images

Update = Callable[[Pipeline, Batch], Tensor]


def fit(network: Network, train: ImageSet, recipe: Recipe, **choices) -> Tensor:
    """Train ``network`` in place; returns the mean loss of each epoch (epochs,), on the CPU. ``choices``: see `epochs`."""
    return torch.stack(list(epochs(network, train, recipe, **choices))).cpu()


def epochs(
    network: Network,
    train: ImageSet,
    recipe: Recipe,
    *,
    seed: int,
    augment: Pipeline = Pipeline(),
    step=None,
    numerics: Numerics = Numerics(),
) -> Iterator[Tensor]:
    """Train ``network`` in place and yield the mean loss after each epoch (a scalar on the device).

    ``augment`` and ``step`` are the defence; the recipe's own augmentation comes first. Order, augmentation, noise and dropout have
    their own streams under ``seed``. Where the extractor is frozen and each image is shown in finitely many views, the features of
    a view are computed once and the head is trained on them. Raises ValueError where the step cannot train the network, and
    FloatingPointError after an epoch whose loss is not finite.
    """
    trained = network.head if recipe.frozen else network
    recipe.validate(step)
    if step:
        step.validate(trained)
    network.to(memory_format=numerics.layout)
    pipeline = read_pipeline(recipe.augment) + augment
    optimizer = make_optimizer(recipe, trained.parameters(), network.head.parameters())
    order, sampling = stream(seed, "order"), stream(seed, "augmentation")
    noise = stream(seed, "noise", device=train.device)
    views = kept_features(network, train, recipe, pipeline, step, numerics)
    update = _update(views.head if views else network, views or Pixels(train), recipe, optimizer, step, numerics, noise)
    update = Replay(update, network, optimizer, noise) if numerics.graph else update
    sizes, ids = batch_sizes(len(train), recipe.batch_size), train.ids.cpu()
    lookahead = Lookahead(network, recipe.lookahead, recipe.epochs * len(sizes))
    with _frozen(network.below_head()) if recipe.frozen else contextlib.nullcontext():
        for epoch in range(recipe.epochs):
            _set_modes(network, recipe)
            active, losses = pipeline.at(epoch, recipe.epochs), []
            batches = _batches(train, ids, sizes, active, epoch, order, sampling)
            active, batches = views.shown(batches) if views else (active, fetched(train, batches))
            with seeded(seed, "dropout", epoch, device=train.device):
                for batch in batches:
                    number = epoch * len(sizes) + len(losses)
                    set_rates(optimizer, recipe.factor(number, len(sizes)))
                    losses.append(update(active, batch))
                    lookahead.after(number)
            yield _finite(torch.stack(losses).mean(), epoch, recipe)


def _finite(loss: Tensor, epoch: int, recipe: Recipe) -> Tensor:
    if not loss.isfinite():
        raise FloatingPointError(f"training diverged: the mean loss of epoch {epoch} (from 0) is {loss:g} at lr={recipe.lr}")
    return loss


@contextlib.contextmanager
def _frozen(parameters: list[torch.nn.Parameter]) -> Iterator[None]:
    """Inside the block, these parameters have ``requires_grad=False``."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _set_modes(network: Network, recipe: Recipe) -> None:
    """Train mode; of a frozen extractor only for the head and, if the recipe says so, for batch statistics."""
    network.train(not recipe.frozen)
    network.head.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not recipe.frozen_statistics:
            module.train()


class Pixels:
    """What a network is shown at each position: the training images."""

    def __init__(self, train: ImageSet):
        self.train, self.classes = train, len(train.classes)

    def at(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images (n, c, h, w) in [0, 1] and labels (n,)."""
        pixels = self.train.images[batch.at] if batch.pixels is None else batch.pixels
        return to_float(pixels), self.train.labels[batch.at]


def _update(network: nn.Module, inputs: "Pixels | Views", recipe, optimizer, step, numerics, noise) -> Update:
    """A function (augmentations, batch) -> loss that makes one optimizer step."""
    one_hot, smoothing = torch.eye(inputs.classes, device=noise.device), recipe.label_smoothing

    def loss_of(x, y, reduction="mean"):
        with numerics.autocast(x.device):
            logits = network(x.contiguous(memory_format=numerics.layout) if x.ndim == 4 else x)
            return F.cross_entropy(logits, y, reduction=reduction, label_smoothing=smoothing)

    def backward(x, y):
        """The mean loss of a batch, whose gradients add up ghost batch by ghost batch."""
        ghosts, losses = math.ceil(len(x) / (recipe.ghost_batch or len(x))), []
        for part, labels in zip(x.tensor_split(ghosts), y.tensor_split(ghosts), strict=True):
            losses.append(loss_of(part, labels) * (len(part) / len(x)))
            losses[-1].backward()
        return torch.stack([loss.detach() for loss in losses]).sum()

    @torch.no_grad()
    def per_sample_loss(x, y):
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        values = loss_of(x, y, "none")
        for module, mode in modes:
            module.training = mode
        return values

    def update(active: Pipeline, batch: Batch) -> Tensor:
        x, labels = inputs.at(batch)
        y = one_hot[labels]
        if active.parts:
            x, y = active.apply(x, y, batch.params, noise, per_sample_loss)
        optimizer.zero_grad()
        loss = step.backward(network, loss_of, x, y, noise) if step else backward(x, y)
        optimizer.step()
        return loss.detach()

    return update


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """The sizes of the batches of an epoch. A last batch below 16 images is dropped, unless it is the only one."""
    whole, remainder = divmod(images, batch_size)
    return [batch_size] * whole + [remainder] * (remainder >= SMALLEST_BATCH or not whole)


def _batches(train: ImageSet, ids: Tensor, sizes: list[int], pipeline: Pipeline, epoch: int, order, sampling) -> list[Batch]:
    """Every batch of an epoch, sampled on the CPU and moved to the device at once."""
    positions = torch.randperm(len(train), generator=order)[: sum(sizes)]
    params = pipeline.sample_batches(sizes, train.shape, sampling, train.device, ids[positions], epoch)
    return list(map(Batch, positions.to(train.device).split(sizes), params, positions.split(sizes)))
