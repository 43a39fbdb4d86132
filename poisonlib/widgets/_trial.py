"""The trials that the explorers show, with their images and poisons. Each is made once a session."""

import functools
from dataclasses import MISSING, fields

import torch

from .. import attacks, data, experiments, registry
from ..attacks import Attack
from ..data import Goal, ImageSet, Poison
from ..experiments import Trial, crafting

DIGITS = "digits"
PHOTOGRAPHS = "laptop"  # the profile of all other data: the papers' eps, which would hardly change a network on digits
SCENARIOS = "targeted", "transfer", "backdoor"
CPU = torch.device("cpu")


def trial_of(images: str, attack: str, seed: int, defence: str = "none") -> Trial:
    """A trial of the profile that suits the data set: ``quick`` for digits, `PHOTOGRAPHS` for all others.

    It is one of the scenario that has values for the attack, by default of backdoors. ``"digits"`` alone means the profile's own
    data set. Raises LookupError for an unknown name, TypeError for an unknown argument, and ValueError for a value out of range or
    parts that do not go together.
    """
    return _trial_of(images, attack, seed, defence, (data.source(images), attacks.load(attack), experiments.defence(defence)))


# The cache's key holds what the texts mean, too: a class of the user's own may have been changed since.
@functools.lru_cache(maxsize=64)
def _trial_of(images: str, attack: str, seed: int, defence: str, meant: tuple) -> Trial:
    """The trial, made once: data sets of many files are looked through for it."""
    profile = "quick" if registry.name_of(data.source(images)) == DIGITS else PHOTOGRAPHS
    name = registry.name_of(attacks.load(attack))
    having = [each for each in SCENARIOS if profile in experiments.profiles(each)]
    scenario = next((each for each in having if name in experiments.profile(each, profile).attacks), "backdoor")
    changes = {} if images == DIGITS else {"data": images}
    table = experiments.grid(scenario, profile, attack=attack, defence=defence, trials=1, first_seed=seed, **changes)
    return table[0]


def images(trial: Trial, split: str) -> ImageSet:
    """A split of the trial's data set. Raises FileNotFoundError, with what to do, where the data set is not on this machine."""
    return crafting.images(trial.data, split, CPU)


@functools.lru_cache(maxsize=64)
def craft(trial: Trial) -> tuple[Poison, Goal]:
    """The trial's poison and goal."""
    return experiments.craft(trial, "cpu")


def attack_names() -> tuple[str, ...]:
    """The attacks of this package that a menu can offer: those of which every field has a default."""
    return tuple(name for name in attacks.names() if _has_defaults(registry.find(attacks.__name__, Attack, name)))


def _has_defaults(cls: type) -> bool:
    return all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(cls))
