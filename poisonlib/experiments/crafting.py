"""The attacker's half of a trial: train surrogates, craft, and keep both for the other trials that need them."""

import math
from dataclasses import asdict, dataclass, replace

import torch

from .. import attacks, registry, training
from ..attacks import Surrogate, ThreatModel
from ..augment import Pipeline, pipeline
from ..data import Goal, ImageSet, Poison
from ..models import Network
from ..rng import derive
from . import provenance
from .cache import Cache, Content
from .environment import choose, current
from .networks import fetch_network, images
from .record import CraftReport
from .spec import Defence, Trial


@dataclass(frozen=True)
class Crafted:
    """Poison and goal as bytes, and what is recorded of their crafting."""

    poison: Poison
    goal: Goal
    report: CraftReport | None = None


def threat_model(trial: Trial, device: torch.device) -> ThreatModel:
    """What the trial's attacker knows before any surrogate is trained."""
    train, test = (images(trial.source, split, device) for split in ("train", "test"))
    ordinary, defence = pipeline(trial.recipe.augment), trial.known_defence
    smoothing = trial.recipe.label_smoothing
    return ThreatModel(train, test, (), ordinary, defence.augment, defence.step, trial.numerics, smoothing)


def with_surrogates(trial: Trial, device: torch.device, cache: Cache) -> ThreatModel:
    """What the trial's attacker knows, with surrogates trained or read from the cache."""
    known = threat_model(trial, device)
    return replace(known, surrogates=tuple(surrogate(trial, known.train, wanted, cache) for wanted in trial.attack.surrogates))


def surrogate(trial: Trial, train: ImageSet, wanted: Surrogate, cache: Cache) -> Network:
    """One of the attacker's networks: trained on the clean training set from its own initial weights or from the layers of one of
    the attacker's extractors, or with public weights.

    Parameters that the victim does not train have ``requires_grad=False``.
    """
    seed = derive(trial.seed, "surrogate", wanted.number)
    if wanted.pretrained:
        network = training.initialise(trial.model.with_pretrained_weights(), train, seed)
    else:
        known, origin = provenance.known(trial, wanted), trial.surrogate_origin(wanted)
        network = fetch_network(trial, train, known, seed, cache, provenance.surrogate(trial, wanted), origin=origin)
    return _ready(network, trial)


def held_out(trial: Trial, train: ImageSet, cache: Cache) -> Network:
    """A clean network that the attacker does not have: the victim of the trial's undefended clean control."""
    network = fetch_network(trial, train, Defence(), trial.seed, cache, provenance.unpoisoned(trial))
    return _ready(network, trial)


def _ready(network: Network, trial: Trial) -> Network:
    """The network for crafting: in eval mode, and where the victim trains the head alone, with a fixed feature extractor."""
    for parameter in network.below_head() if trial.recipe.frozen else ():
        parameter.requires_grad_(False)
    return network.eval()


def fetch_craft(trial: Trial, device: torch.device, cache: Cache) -> Crafted:
    """The trial's poison and goal. A craft that needs surrogates is kept in the cache; others are as quickly repeated."""
    if not trial.attack.surrogates:
        return Crafted(*_crafted(trial, threat_model(trial, device)))

    def make() -> Content:
        return _packed(_made(trial, with_surrogates(trial, device, cache), cache))

    return _unpacked(cache.fetch(provenance.craft(trial), make), device)


def craft(trial: Trial, device: str = "auto") -> tuple[Poison, Goal]:
    """The poison and the goal of a trial, crafted now or read from the cache."""
    place = choose(device)
    with current(place), training.settings(trial.numerics):
        crafted = fetch_craft(trial, place, Cache.open())
    return crafted.poison, crafted.goal


def _crafted(trial: Trial, known: ThreatModel) -> tuple[Poison, Goal]:
    """What the attack makes. Where it fails, nothing is trusted that it may have written into: images are read again."""
    try:
        return attacks.craft(trial.attack, known, seed=trial.seed)
    except Exception:
        images.cache_clear()
        raise


def _made(trial: Trial, known: ThreatModel, cache: Cache) -> Crafted:
    poison, goal = _crafted(trial, known)
    answers = training.logits(known.surrogates[0], goal.images, trial.numerics).argmax(1)
    correct = int((answers == goal.labels).sum()), len(goal.labels)
    objective = trial.attack.objective(known, poison, goal, trial.seed)
    if objective is not None and not math.isfinite(objective):
        raise FloatingPointError(
            f"the objective of {registry.label(trial.attack)} is {objective}: a gradient is zero or not finite"
        )
    if objective is None:
        return Crafted(poison, goal, CraftReport(correct, None))
    return Crafted(poison, goal, CraftReport(correct, round(objective, 6), _transfer(trial, known, poison, goal, cache)))


def _transfer(trial: Trial, known: ThreatModel, poison: Poison, goal: Goal, cache: Cache) -> tuple[float, float] | None:
    """The attack's objective on the held-out network, of the poisons and of the same images unpoisoned."""
    if any(wanted.pretrained for wanted in trial.attack.surrogates):
        return None
    judge = replace(known, surrogates=(held_out(trial, known.train, cache),), defence=Pipeline(), step=None)
    base = Poison(poison.ids, known.train.pixels(known.train.positions(poison.ids)))
    found = [trial.attack.objective(judge, each, goal, trial.seed) for each in (poison, base)]
    if not all(map(math.isfinite, found)):
        raise FloatingPointError(f"the objective of {registry.label(trial.attack)} on the held-out network is not a finite number")
    return tuple(round(each, 6) for each in found)


def _packed(crafted: Crafted) -> Content:
    poison, goal, report = crafted.poison, crafted.goal, crafted.report
    tensors = {"poison.ids": poison.ids, "poison.images": poison.images}
    tensors |= {"goal.images": goal.images, "goal.labels": goal.labels, "goal.ids": goal.ids}
    note = {"intended_class": goal.intended_class, **asdict(report)}
    return {name: tensor.cpu() for name, tensor in tensors.items()}, note


def _unpacked(content: Content, device: torch.device) -> Crafted:
    at, note = {name: tensor.to(device) for name, tensor in content[0].items()}, content[1]
    goal = Goal(at["goal.images"], at["goal.labels"], at["goal.ids"], note["intended_class"])
    report = CraftReport(tuple(note["targets_correct"]), note["objective"], note["held_out"] and tuple(note["held_out"]))
    return Crafted(Poison(at["poison.ids"], at["poison.images"]), goal, report)
