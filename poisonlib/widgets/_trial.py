"""What the explorers look at: a trial of the smallest profile, its poisons and its victims; each is made once a session."""

import functools

import torch

from .. import attacks, data, experiments, registry, training
from ..augment import Pipeline
from ..data import Goal, ImageSet, Poison
from ..experiments import Trial, crafted
from ..models import Network

BACKDOOR, TARGETED = ("backdoor", "quick"), ("targeted", "quick")
DATA = ("digits", "cifar10(limit=2000)", "cifar100(limit=2000)", "tinyimagenet(limit=2000)")
VICTIMS = ("none", "undefended", "defended")
CPU = torch.device("cpu")


def trial_of(dataset: str, attack: str, seed: int, defence: str = "none") -> Trial:
    """A trial of the profile that has numbers for the attack; ``"digits"`` are its own. Raises for unknown names and numbers."""
    changes = {} if dataset == "digits" else {"data": data.source(dataset)}
    known = registry.name_of(attacks.load(attack)) in experiments.profile(*TARGETED).attacks
    where = TARGETED if known else BACKDOOR
    return experiments.grid(*where, attack=attack, defence=defence, trials=1, first_seed=seed, **changes)[0]


def images(trial: Trial, split: str) -> ImageSet:
    """Raises FileNotFoundError, with what to do, where the data set is not on this machine."""
    return crafted.images(trial.data, split, CPU)


@functools.lru_cache(maxsize=64)
def craft(trial: Trial) -> tuple[Poison, Goal]:
    return experiments.craft(trial, "cpu")


@functools.lru_cache(maxsize=32)
def victim(trial: Trial, augment: Pipeline) -> Network:
    """A network trained under an augmentation on the trial's poisoned set, in eval mode."""
    train = images(trial, "train")
    network = training.initialise(trial.model, train, trial.seed)
    how = {"seed": trial.seed, "augment": augment, "numerics": trial.numerics}
    with training.settings(trial.numerics):
        training.fit(network, train.with_poison(craft(trial)[0]), trial.recipe, **how)
    return network.eval()
