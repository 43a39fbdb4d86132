"""Training one network from its initial weights: what victims, surrogates and everybody else's networks go through."""

from collections.abc import Callable

from torch import nn

from .. import augment as augmentations
from .. import models, steps
from ..data import ImageSet
from ..models import Network
from ..rng import seeded
from . import recipe as recipes
from .fit import epochs
from .numerics import Numerics, settings


def initialise(model, images: ImageSet, seed: int) -> Network:
    """A fresh network for a set's classes, image shape and, where it starts from them, images; the same for the same seed.

    ``model``: an architecture, its name, or an ``nn.Module`` class that maps images (n, c, h, w) to logits.
    """
    architecture = _architecture(model)
    with seeded(seed, "initial weights", device=images.device):
        network = architecture.build(len(images.classes), images.shape, images.mean, images.std).to(images.device)
        architecture.fit_to(network, images.images)
    return network


def _architecture(model) -> models.Model:
    return models.from_module(model) if isinstance(model, type) and issubclass(model, nn.Module) else models.load(model)


def train(
    model,
    images: ImageSet,
    recipe,
    *,
    seed: int,
    augment="none",
    step=None,
    numerics: Numerics = Numerics(),
    after_epoch: Callable[[Network], None] | None = None,
) -> Network:
    """Train a network and return it, in eval mode and in the memory format of ``numerics``.

    Args:
        model: an architecture or its name, an ``nn.Module`` class, or a network or module to go on training (it is changed in
            place).
        images: the training set; its device is where the training runs.
        recipe: a `Recipe`, or the name of one in ``recipes.toml``.
        seed: of the initial weights, the order, the augmentations, the noise and dropout, each of which has its own stream.
        augment: augmentations that are a defence, after the recipe's own: ``"mixup(k=4)"``.
        step: a gradient computation of `poisonlib.steps`, or its name.
        numerics: precision and memory format.
        after_epoch: called with the network after each epoch.

    Raises LookupError for an unknown name, ValueError where the step cannot train the network, and FloatingPointError where the
    loss is no longer finite.
    """
    step = steps.load(step) if step is not None else None
    with settings(numerics):
        network = _wrapped(model, images) if isinstance(model, nn.Module) else initialise(model, images, seed)
        how = dict(seed=seed, augment=augmentations.pipeline(augment), step=step, numerics=numerics)
        for _ in epochs(network, images, recipes.load(recipe), **how):
            if after_epoch:
                after_epoch(network)
    return network.eval()


def _wrapped(module: nn.Module, images: ImageSet) -> Network:
    network = module if isinstance(module, Network) else models.Wrapped(module, "", images.mean, images.std)
    return network.to(images.device)
