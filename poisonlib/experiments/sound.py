"""Parts that do not go together, found before an hour of training is spent on them."""

import dataclasses
from collections.abc import Iterable

import torch

from .. import registry, training
from ..augment import Pipeline, pipeline
from ..data import ImageSet
from ..rng import stream
from .crafted import sight
from .spec import Trial, canonical


def refuse(trial: Trial) -> None:
    """Raises ValueError where the parts of a trial contradict each other, whatever the data."""
    if trial.defence.filter and trial.recipe.frozen:
        raise ValueError(
            f"{trial.defence.label}: a filter judges the features that a victim learnt from the poisons, and a frozen body learns "
            "nothing; choose a recipe with frozen=False, or no filter"
        )
    if trial.recipe.frozen and not getattr(trial.model, "pretrained", False):
        raise ValueError(
            f"frozen=True trains the head alone, and the body of {trial.model} is random; choose one with pretrained=True"
        )
    _refuse_public_weights(trial)
    for part in _augmentations(trial).parts:
        if (start := getattr(part, "start", 0)) >= trial.recipe.epochs:
            raise ValueError(
                f"start={start}: {registry.label(part)} would never begin, as the epochs are counted from 0 and there are "
                f"{trial.recipe.epochs}; choose a start of at most {trial.recipe.epochs - 1}, or more epochs"
            )


def refuse_data(trials: Iterable[Trial]) -> None:
    """Raises ValueError where an attack, an augmentation, a filter or a step cannot work on a trial's images or network."""
    for trial in {canonical(trial.describe() | {"seed": 0}): trial for trial in trials}.values():
        seen = sight(trial, torch.device("cpu"))
        if getattr(trial.attack, "pretrained", False) and len(seen.train.classes) != 1000:
            raise ValueError(f"pretrained=True: the public head knows ImageNet's 1000 classes, not these {len(seen.train.classes)}")
        _rehearse(trial, seen.train)
        network = _shape_of_what_trains(trial, seen.train)
        for part, met in ((trial.attack, seen), (trial.defence.filter, seen.train), (trial.defence.step, network)):
            if hasattr(part, "refuse"):
                part.refuse(met)


def _refuse_public_weights(trial: Trial) -> None:
    """Raises ValueError where the attacker wants public weights that are not there, or several times the same ones."""
    if getattr(trial.attack, "pretrained", False) and not hasattr(trial.model, "pretrained"):
        raise ValueError(f"pretrained=True: there are no public weights for {trial.model}; choose resnet18_imagenet")
    if (count := sum(wanted.pretrained for wanted in getattr(trial.attack, "surrogates", ()))) > 1:
        raise ValueError(f"pretrained=True: {count} surrogates with the same public weights are one network; choose ensemble=1")


def _augmentations(trial: Trial) -> Pipeline:
    """All that the trial's victim trains through."""
    return pipeline(trial.recipe.augment) + trial.defence.augment


def _rehearse(trial: Trial, train: ImageSet) -> None:
    """Raises ValueError where the augmentations cannot be drawn for an epoch's smallest batch: too few to mix, other channels."""
    batch = trial.recipe.batch
    smallest = min(training.batch_sizes(len(train), batch))
    try:
        _augmentations(trial).at(trial.recipe.epochs - 1).draw(smallest, train.shape, stream(trial.seed, "rehearsal"))
    except ValueError as error:
        raise ValueError(f"{error} ({len(train)} images in batches of {batch}, the smallest of {smallest})") from None


def _shape_of_what_trains(trial: Trial, train: ImageSet) -> torch.nn.Module:
    """The part of the victim that is trained, without weights."""
    public = {"pretrained": False} if hasattr(trial.model, "pretrained") else {}
    with torch.device("meta"):
        network = dataclasses.replace(trial.model, **public).build(len(train.classes), train.shape, train.mean, train.std)
    return network.head if trial.recipe.frozen else network
