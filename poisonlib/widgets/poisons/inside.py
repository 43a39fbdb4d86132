"""One trial from the inside: how its poisons were crafted, its victims epoch by epoch, their features, and what filters remove.

Poisons that do not depend on the defence are crafted once for all defences. The results of slow work are kept for the session.
"""

import functools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ... import filters, registry, training
from ...attacks.gradient_matching import GradientMatching
from ...data import Goal, ImageSet, Poison
from ...experiments import Defence, Trial, crafting
from ...experiments.cache import Cache
from ...experiments.record import FilterReport
from ...experiments.trial import judged
from ...models import Network
from .. import _trial


@dataclass(frozen=True)
class Victim:
    """A trained network in eval mode, and its predictions for the target images during training."""

    network: Network
    probabilities: Float[Tensor, "epochs k"]  # of the classes after each epoch, averaged over the target images


@dataclass(frozen=True)
class Plane:
    """The first two principal components of d features, in float64."""

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "2 d"]
    shares: Float[Tensor, " 2"]  # of the variance, the larger first

    def project(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        """Coordinates in the plane."""
        return (points.double() - self.mean) @ self.axes.T


def known(trial: Trial) -> Trial:
    """The trial as its attacker knows it: without the defence, unless the attack is adaptive. Called ``source`` below."""
    return trial if trial.attack.adaptive != "none" else replace(trial, defence=Defence())


def poison(source: Trial) -> tuple[Poison, Goal]:
    """The poison and the goal. Raises ValueError if the attack poisons nothing."""
    found = _trial.craft(source)
    if not len(found[0]):
        raise ValueError(f"{registry.label(source.attack)} poisons no image: there is nothing to show")
    return found


def chosen(source: Trial) -> tuple[ImageSet, Goal] | None:
    """The clean images that gradient matching will poison, and its goal, both of which are known before crafting.

    None for every other attack, and for the clean control.
    """
    if not (isinstance(source.attack, GradientMatching) and source.attack.surrogates):
        return None
    return source.attack.choose(crafting.threat_model(source, _trial.CPU), source.seed)


def poisoned_set(source: Trial) -> ImageSet:
    """The training set with the poisons in it."""
    return _trial.images(source, "train").with_poison(poison(source)[0])


@functools.lru_cache(maxsize=32)
def trace(source: Trial) -> Float[Tensor, " steps"] | None:
    """The attack's objective before each crafting step; None if the attack optimises nothing."""
    with training.settings(source.numerics):
        return source.attack.trace(crafting.with_surrogates(source, _trial.CPU, Cache.open()), source.seed)


@functools.lru_cache(maxsize=32)
def held_out(source: Trial) -> tuple[float, float] | None:
    """The attack's objective on a clean network that the attacker does not have, of the poisons and of the same images unpoisoned.

    None if the attack optimises nothing, or its surrogates have public weights.
    """
    if not source.attack.surrogates:
        return None
    with training.settings(source.numerics):
        return crafting.fetch_craft(source, _trial.CPU, Cache.open()).report.held_out


def victim(trial: Trial, kind: str) -> Victim:
    """A victim of the trial. "clean" is trained without the poisons, "undefended" and "defended" with them."""
    return _victim(known(trial), trial.defence if kind == "defended" else Defence(), kind != "clean")


@functools.lru_cache(maxsize=32)
def _victim(source: Trial, defence: Defence, poisoned: bool) -> Victim:
    train, goal = poisoned_set(source) if poisoned else _trial.images(source, "train"), poison(source)[1]
    if defence.filter:
        whole = _victim(source, replace(defence, filter=None), poisoned)
        keep = defence.filter.score(_features(source, whole, train), train.labels).keep
        if not keep.any():
            raise ValueError(
                f"{registry.label(defence.filter)} removes all {len(train)} training images: there is nothing to train on"
            )
        train = train.take(keep)
    seen = []

    def after_epoch(network: Network) -> None:
        seen.append(training.logits(network, goal.images, source.numerics).softmax(1).mean(0))

    how = dict(augment=defence.augment, step=defence.step, numerics=source.numerics, after_epoch=after_epoch)
    return Victim(training.train(source.model, train, source.recipe, seed=source.seed, **how), torch.stack(seen))


def _features(source: Trial, victim: Victim, images: ImageSet | Goal) -> Float[Tensor, "n d"]:
    with training.settings(source.numerics):
        return training.features(victim.network, images.images, source.numerics)


@functools.lru_cache(maxsize=32)
def features(source: Trial) -> tuple[Float[Tensor, "n d"], Float[Tensor, "t d"]]:
    """The undefended victim's features of the poisoned training set and of the target images."""
    undefended = victim(source, "undefended")
    return _features(source, undefended, poisoned_set(source)), _features(source, undefended, poison(source)[1])


def plane(points: Float[Tensor, "n d"]) -> Plane:
    """PCA; the largest component of each axis is positive. Raises ValueError for fewer than two points or features, or if all
    points are equal.
    """
    if min(points.shape) < 2 or not (points != points[0]).any():
        raise ValueError(f"{len(points)} images with {points.shape[1]} features: two of each are needed, and not all images alike")
    mean = points.double().mean(0)
    _, values, axes = torch.linalg.svd(points.double() - mean, full_matrices=False)
    largest = axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True))
    return Plane(mean, axes[:2] * largest.sign(), values[:2].square() / values.square().sum())


@functools.lru_cache(maxsize=32)
def groups(source: Trial) -> tuple[dict[str, Float[Tensor, "m 2"]], Float[Tensor, " 2"]]:
    """(coordinates by group, shares of the variance) in the plane of the training images of the intended and the source class.

    The groups are "poisons", "intended" and "source", the rest of the two classes, and "target".
    """
    train, (made, goal) = _trial.images(source, "train"), poison(source)
    (points, targets), poisoned = features(source), torch.isin(train.ids, made.ids)
    intended, true = train.labels == goal.intended_class, train.labels == goal.source_class
    found = plane(points[intended | true])
    parts = {"poisons": poisoned, "intended": intended & ~poisoned, "source": true & ~poisoned}
    return {name: found.project(points[mask]) for name, mask in parts.items()} | {"target": found.project(targets)}, found.shares


@functools.lru_cache(maxsize=32)
def filtered(trial: Trial) -> dict[str, FilterReport]:
    """What each filter of this package, and the filter of the trial's defence, would remove, by the filter's name.

    Filters see the undefended victim's features; those that need the poison rate get the true one. Raises ValueError for features
    that a filter cannot score.
    """
    source = known(trial)
    train, points = _trial.images(source, "train"), features(source)[0]
    poisoned = torch.isin(train.ids, poison(source)[0].ids)
    judges = {name: filters.load(name) for name in filters.names()}
    if trial.defence.filter:
        judges[registry.label(trial.defence.filter)] = trial.defence.filter
    rate = poisoned.double().mean().item()
    return {name: judged(judge.assuming(rate).score(points, train.labels), poisoned) for name, judge in judges.items()}
