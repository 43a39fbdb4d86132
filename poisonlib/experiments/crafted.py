"""The attacker's half of a trial: train surrogates, craft, and keep both for whoever needs them next."""

import functools
import math
from dataclasses import dataclass, replace

import torch

from .. import data, registry, training
from ..attacks import Scene, Surrogate
from ..augment import pipeline
from ..data import Goal, ImageSet, Poison
from ..models import Network
from ..rng import derive
from .models import Cache
from .place import choose
from .spec import Trial

SHARE = 0.5  # of a GPU's memory, for images


@dataclass(frozen=True)
class Crafted:
    """Poison and goal as bytes, and what is known of them: targets that the first surrogate classifies correctly, objective."""

    poison: Poison
    goal: Goal
    known: dict


@functools.lru_cache(maxsize=4)
def images(source, split: str, device: torch.device) -> ImageSet:
    """A split of a data set, read once a process: on the device, or beside it where there is no room for a poisoned copy too."""
    found = data.load(source, split)
    room = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else math.inf
    return found.to(device) if 2 * found.images.nbytes < SHARE * room else found.beside(device)


def craft(trial: Trial, device: str = "auto") -> tuple[Poison, Goal]:
    """The poison and the goal of a trial, crafted now or taken from the cache."""
    with training.settings(trial.numerics):
        crafted = obtain(trial, choose(device), Cache.open())
    return crafted.poison, crafted.goal


def sight(trial: Trial, device: torch.device) -> Scene:
    """What the trial's attacker sees before any of its surrogates is trained."""
    train, test = (images(trial.data, split, device) for split in ("train", "test"))
    ordinary, defence = pipeline(trial.recipe.augment), trial.defence
    return Scene(train, test, (), ordinary, defence.augment, defence.step, trial.numerics)


def scene(trial: Trial, device: torch.device, cache: Cache) -> Scene:
    """What the trial's attacker sees, its surrogates trained or restored."""
    seen = sight(trial, device)
    networks = (surrogate(trial, seen.train, wanted, cache) for wanted in getattr(trial.attack, "surrogates", ()))
    return replace(seen, surrogates=tuple(networks))


def surrogate(trial: Trial, train: ImageSet, wanted: Surrogate, cache: Cache) -> Network:
    """One network of the attacker's: trained on the clean set from a start of its own, or with its public weights.

    What the victim does not train wants no gradient.
    """
    network = _surrogate(trial, train, wanted, cache)
    network.body.requires_grad_(not trial.recipe.frozen)
    return network.eval()


def _surrogate(trial: Trial, train: ImageSet, wanted: Surrogate, cache: Cache) -> Network:
    seed = derive(trial.seed, "surrogate", wanted.number)
    if wanted.pretrained:
        return training.initialise(replace(trial.model, pretrained=True), train, seed)
    network, identity = training.initialise(trial.model, train, seed), trial.surrogate(wanted)
    with cache.alone(identity):
        if not cache.restore(network, identity):
            known = trial.defence if wanted.defended else type(trial.defence)()
            how = dict(augment=known.augment, step=known.step, numerics=trial.numerics)
            training.fit(network, train, trial.recipe, seed=seed, **how)
            cache.keep(network, identity)
    return network.to(memory_format=trial.numerics.layout)  # trained or restored: the same bits in what follows


def obtain(trial: Trial, device: torch.device, cache: Cache) -> Crafted:
    """The trial's poison. One that took surrogates to make is kept; others are as quickly made again."""
    if not getattr(trial.attack, "surrogates", ()):
        return Crafted(*trial.attack.craft(sight(trial, device), trial.seed), {})
    identity = trial.craft()
    with cache.alone(identity):
        if found := cache.read(identity):
            return _unpacked(*found, device)
        crafted = _made(trial, scene(trial, device, cache))
        cache.write(identity, *_packed(crafted))
    return crafted


def _made(trial: Trial, seen: Scene) -> Crafted:
    poison, goal = trial.attack.craft(seen, trial.seed)
    answers = training.logits(seen.surrogates[0], goal.images, trial.numerics).argmax(1)
    right = [int((answers == goal.labels).sum()), len(goal.labels)]
    objective = round(trial.attack.objective(seen, poison, goal, trial.seed), 6)
    if not math.isfinite(objective):
        raise FloatingPointError(
            f"the objective of {registry.label(trial.attack)} is {objective}: a gradient is zero or not finite"
        )
    return Crafted(poison, goal, {"targets right": right, "objective": objective})


def _packed(crafted: Crafted) -> tuple[dict, dict]:
    poison, goal = crafted.poison, crafted.goal
    tensors = {"poison rows": poison.rows, "poison images": poison.images}
    tensors |= {"goal images": goal.images, "goal labels": goal.labels, "goal rows": goal.rows}
    return {name: tensor.cpu() for name, tensor in tensors.items()}, crafted.known | {"wanted": goal.wanted}


def _unpacked(tensors: dict, note: dict, device: torch.device) -> Crafted:
    at = {name: tensor.to(device) for name, tensor in tensors.items()}
    goal = Goal(at["goal images"], at["goal labels"], at["goal rows"], note.pop("wanted"))
    return Crafted(Poison(at["poison rows"], at["poison images"]), goal, note)
