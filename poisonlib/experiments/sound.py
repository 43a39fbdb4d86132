"""Parts that do not go together, found before an hour of training is spent on them."""

import dataclasses
from collections.abc import Iterable

import torch

from ..data import ImageSet
from .crafted import images
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
    if getattr(trial.attack, "pretrained", False) and not hasattr(trial.model, "pretrained"):
        raise ValueError(f"pretrained=True: there are no public weights for {trial.model}; choose resnet18_imagenet")
    for part in trial.defence.augment.parts:
        if (k := getattr(part, "k", 0)) > trial.recipe.batch:
            raise ValueError(f"k={k}: a mix of {k} different images cannot come from a batch of {trial.recipe.batch}")


def refuse_data(trials: Iterable[Trial]) -> None:
    """Raises ValueError where an attack or a step says that it cannot work on a trial's training set or network."""
    for trial in {canonical(trial.describe() | {"seed": 0}): trial for trial in trials}.values():
        train = images(trial.data, "train", torch.device("cpu"))
        if getattr(trial.attack, "pretrained", False) and len(train.classes) != 1000:
            raise ValueError(f"pretrained=True: the public head knows ImageNet's 1000 classes, not these {len(train.classes)}")
        if hasattr(trial.attack, "refuse"):
            trial.attack.refuse(train)
        if hasattr(trial.defence.step, "refuse"):
            trial.defence.step.refuse(_shape_of_what_trains(trial, train))


def _shape_of_what_trains(trial: Trial, train: ImageSet) -> torch.nn.Module:
    """The part of the victim that is trained, without weights."""
    public = {"pretrained": False} if hasattr(trial.model, "pretrained") else {}
    with torch.device("meta"):
        network = dataclasses.replace(trial.model, **public).build(len(train.classes), train.shape, train.mean, train.std)
    return network.head if trial.recipe.frozen else network
