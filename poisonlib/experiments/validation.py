"""Parts of a trial that do not go together, found before any time is spent on training."""

import contextlib
from collections.abc import Iterable

import torch

from .. import registry, training
from ..augment import Pipeline, first_epoch, pipeline
from ..data import ImageSet
from ..models import Network
from ..rng import seeded, stream
from .crafting import threat_model
from .spec import Trial, canonical


def validate(trial: Trial) -> None:
    """Raises ValueError where the parts of a trial contradict each other, whatever the data, TypeError where a record cannot hold
    them.
    """
    if Trial.read(trial.describe()) != trial:
        raise TypeError(
            f"{', '.join(map(registry.label, trial.choices))}: one of these is not the same after its description was read again. "
            "Fields must be numbers, texts, True, False, None or tuples of these, and stay as they were given"
        )
    for step in (trial.defence.step, *(wanted.step for wanted in trial.attack.surrogates)):
        trial.recipe.validate(step)
    if trial.defence.filter and trial.recipe.frozen:
        raise ValueError(
            f"{trial.defence.label}: a filter scores features that a victim learnt from the poisons, and a frozen feature "
            "extractor learns nothing; choose a recipe with frozen=False, or no filter"
        )
    if trial.recipe.frozen and not trial.model.pretrained:
        raise ValueError(
            f"frozen=True trains the head alone, and the feature extractor of {registry.label(trial.model)} has random weights; "
            "choose a model with pretrained=True"
        )
    public = [wanted for wanted in trial.attack.surrogates if wanted.pretrained]
    if public:
        trial.model.with_pretrained_weights()
    if len(public) > 1:
        raise ValueError(
            f"pretrained=True: {len(public)} surrogates with the same public weights are one network; choose ensemble=1"
        )
    for part in _augmentations(trial).parts:
        if first_epoch(part, trial.recipe.epochs) >= trial.recipe.epochs:
            raise ValueError(
                f"start={part.start}: {registry.label(part)} would never begin, as epochs are counted from 0 and there are "
                f"{trial.recipe.epochs}; choose a start of at most {trial.recipe.epochs - 1}, or more epochs"
            )


def validate_data(trials: Iterable[Trial]) -> None:
    """Raises ValueError where a network, an attack, an augmentation, a filter or a step cannot work on a trial's images."""
    for trial in {canonical(trial.describe() | {"seed": 0}): trial for trial in trials}.values():
        known = threat_model(trial, torch.device("cpu"))
        if any(wanted.pretrained for wanted in trial.attack.surrogates) and len(known.train.classes) != 1000:
            raise ValueError(f"pretrained=True: the public head has ImageNet's 1000 classes, not these {len(known.train.classes)}")
        _rehearse(trial, known.train)
        network = blank(trial, known.train)
        trial.attack.validate(known)
        if trial.defence.filter:
            trial.defence.filter.validate(known.train)
        if trial.defence.step:
            trial.defence.step.validate(network.head if trial.recipe.frozen else network)


def _augmentations(trial: Trial) -> Pipeline:
    """All augmentations that the trial's victim trains with."""
    return pipeline(trial.recipe.augment) + trial.defence.augment


def _rehearse(trial: Trial, train: ImageSet) -> None:
    """Raises ValueError where parameters cannot be sampled for an epoch's smallest batch: too few images to mix, other channels."""
    batch_size, epochs = trial.recipe.batch_size, trial.recipe.epochs
    smallest = min(training.batch_sizes(len(train), batch_size))
    try:
        _augmentations(trial).at(epochs - 1, epochs).sample_params(smallest, train.shape, stream(trial.seed, "rehearsal"))
    except ValueError as error:
        raise ValueError(f"{error} ({len(train)} images in batches of {batch_size}, the smallest of {smallest})") from None


def blank(trial: Trial, train: ImageSet) -> Network:
    """The trial's network with meaningless weights. Raises ValueError where it does not map the images to one logit a class."""
    model = trial.model.with_pretrained_weights(False) if trial.model.pretrained else trial.model
    arguments = len(train.classes), train.shape, train.mean, train.std
    with torch.no_grad(), contextlib.suppress(Exception):  # what fails without data, as `Tensor.item` does, is tried with data
        return _checked(_built(model, arguments, "meta"), torch.empty(2, *train.shape, device="meta"), arguments[0])
    with torch.no_grad():
        return _checked(_built(model, arguments, "cpu"), torch.zeros(2, *train.shape), arguments[0])


def _built(model, arguments, device: str) -> Network:
    with seeded(0, "rehearsal"), torch.device(device):
        return model.build(*arguments).eval()


def _checked(network: Network, images: torch.Tensor, classes: int) -> Network:
    try:
        logits = network(images)
        network.features(images)
        network.validate(images)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the network fails on images of shape {tuple(images.shape)}: {error}") from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (len(images), classes):
        raise ValueError(f"the network maps {len(images)} images to {shape}; it must give logits of shape {(len(images), classes)}")
    return network
