"""The training loop, from top to bottom. The data set is one tensor on the device; nothing in a step waits for the host."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ..augment import Draw, Pipeline
from ..augment import pipeline as read_pipeline
from ..data import ImageSet
from ..models import Network
from ..rng import seeded, stream
from ..tensors import to_float
from .graph import Replay
from .numerics import Numerics
from .recipe import Recipe

SMALLEST_BATCH = 16  # an epoch's remainder below this is left out: batch statistics and k-way mixes need company

Step = Callable[[Pipeline, Tensor, list[Draw]], Tensor]


def initialise(model, train: ImageSet, seed: int) -> Network:
    """A fresh network of an architecture for a set's classes and image shape, on the set's device, the same for the same seed."""
    with seeded(seed, "initial weights", device=train.device):
        network = model.build(len(train.classes), train.shape, train.mean, train.std)
    return network.to(train.device)


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
    """Train ``network`` in place and yield the mean loss after each epoch (a scalar on the device), so that a caller may look on.

    ``augment`` and ``step`` (of ``poisonlib.steps``) are the defence; the recipe's own augmentation comes before it. Order,
    augmentation, noise and dropout have streams of their own under ``seed``. Raises ValueError where the step cannot work on the
    network, and FloatingPointError after an epoch whose loss is not finite.
    """
    trained = network.head if recipe.frozen else network
    if hasattr(step, "refuse"):
        step.refuse(trained)
    network.to(memory_format=numerics.layout)
    pipeline = read_pipeline(recipe.augment) + augment
    optimiser = recipe.optimise(trained.parameters())
    order, choice = stream(seed, "order"), stream(seed, "augmentation")
    noise = stream(seed, "noise", device=train.device)
    if numerics.graph and train.images.device != train.device:
        raise ValueError(f"graph=True, but the images are too many for {train.device} and stay on {train.images.device}")
    descend = _descent(network, train, optimiser, step, numerics, noise)
    descend = Replay(descend, network, optimiser, noise) if numerics.graph else descend
    with _still(network.body) if recipe.frozen else contextlib.nullcontext():
        for epoch in range(recipe.epochs):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate_at(epoch)
            network.train()
            network.body.train(not recipe.frozen)
            active = pipeline.at(epoch)
            with seeded(seed, "dropout", epoch, device=train.device):
                losses = [descend(active, at, draws) for at, draws in _batches(train, recipe.batch, active, order, choice)]
            yield _finite(torch.stack(losses).mean(), epoch, recipe)


def _finite(loss: Tensor, epoch: int, recipe: Recipe) -> Tensor:
    if not loss.isfinite():
        raise FloatingPointError(f"training diverged: the mean loss of epoch {epoch} (from 0) is {loss:g} at rate={recipe.rate}")
    return loss


@contextlib.contextmanager
def _still(body: torch.nn.Module) -> Iterator[None]:
    """Within, no gradient is made for these parameters."""
    moving = [parameter for parameter in body.parameters() if parameter.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)


def _descent(network, train, optimiser, step, numerics, noise) -> Step:
    """A closure: what is active, positions of a batch, its draws -> the loss, after one step of the optimiser."""
    one_hot = torch.eye(len(train.classes), device=train.device)

    def losses(x, y, reduction="mean"):
        with numerics.autocast(x.device):
            return F.cross_entropy(network(x.contiguous(memory_format=numerics.layout)), y, reduction=reduction)

    @torch.no_grad()
    def judge(x, y):
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        values = losses(x, y, "none")
        for module, mode in modes:
            module.training = mode
        return values

    def descend(active: Pipeline, at: Tensor, draws: list[Draw]) -> Tensor:
        x, y = active.apply(to_float(train.pixels(at)), one_hot[train.labels[at]], draws, noise, judge)
        optimiser.zero_grad()
        if step:
            loss = step.backward(network, losses, x, y, noise)
        else:
            loss = losses(x, y)
            loss.backward()
        optimiser.step()
        return loss.detach()

    return descend


def batch_sizes(images: int, batch: int) -> list[int]:
    """How many images each batch of an epoch has; the remainder is the last, or left out where it is small and not alone."""
    whole, remainder = divmod(images, batch)
    return [batch] * whole + [remainder] * (remainder >= SMALLEST_BATCH or not whole)


def _batches(train: ImageSet, size: int, pipeline: Pipeline, order, choice) -> Iterator[tuple[Tensor, list[Draw]]]:
    """One epoch: positions and draws of every batch, drawn on the CPU and moved to the device at once."""
    sizes, device = batch_sizes(len(train), size), train.device
    positions = torch.randperm(len(train), generator=order)[: sum(sizes)]
    draws = pipeline.drawn(sizes, train.shape, choice, device)
    return zip(positions.to(device).split(sizes), draws, strict=True)
