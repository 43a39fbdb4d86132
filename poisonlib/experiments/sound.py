"""Parts that do not go together, found before an hour of training is spent on them."""

from collections.abc import Iterable

import torch

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
    """Raises ValueError where an attack says that it cannot work on a trial's training set."""
    pairs = {canonical([trial.describe()["attack"], trial.describe()["data"]]): trial for trial in trials}
    for trial in pairs.values():
        train = images(trial.data, "train", torch.device("cpu"))
        if getattr(trial.attack, "pretrained", False) and len(train.classes) != 1000:
            raise ValueError(f"pretrained=True: the public head knows ImageNet's 1000 classes, not these {len(train.classes)}")
        if hasattr(trial.attack, "refuse"):
            trial.attack.refuse(train)
