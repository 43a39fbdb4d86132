"""One trial from the inside: how its poisons were crafted, its victims epoch by epoch, their features, the filters' verdicts.

Poisons that do not depend on the defence are crafted once for all defences. Everything slow is made once a session.
"""

import functools
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .. import attacks, filters, registry, training
from ..data import Goal, ImageSet, Poison
from ..experiments import Defence, Trial, crafted
from ..experiments.models import Cache
from ..models import Network
from . import _trial


@dataclass(frozen=True)
class Victim:
    """A trained network in eval mode, and what it took the goal's images for on the way."""

    network: Network
    probabilities: Float[Tensor, "epochs k"]  # of the classes after each epoch, averaged over the goal's images


@dataclass(frozen=True)
class Plane:
    """Two principal components of d features, in float64."""

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "2 d"]
    shares: Float[Tensor, " 2"]  # of the variance, the larger first

    def project(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        return (points.double() - self.mean) @ self.axes.T


@dataclass(frozen=True)
class Verdict:
    """What one filter, told how many poisons there are, would remove."""

    name: str
    removed: int
    poisons: int  # among the removed
    area: float  # under the ROC curve of its scores; 0.5 is chance


def known(trial: Trial) -> Trial:
    """The trial as far as its attacker knows it: below, a ``source``."""
    return trial if getattr(trial.attack, "adaptive", "none") != "none" else replace(trial, defence=Defence())


def poison(source: Trial) -> tuple[Poison, Goal]:
    """Raises ValueError for an attack that poisons nothing."""
    found = _trial.craft(source)
    if not len(found[0]):
        raise ValueError(f"{registry.label(source.attack)} poisons no image: there is nothing to look into")
    return found


def beginning(source: Trial) -> tuple[Poison, Goal] | None:
    """The images that an attack with surrogates will poison, as they are, and its goal, at once: `attacks.noise` shares its choice.

    None for an attack that is as quickly crafted as this, or chooses in a way of its own.
    """
    numbers = {name: getattr(source.attack, name, None) for name in ("eps", "budget", "targets")}
    if not getattr(source.attack, "surrogates", ()) or None in numbers.values():
        return None
    moved, goal = _trial.craft(replace(source, attack=attacks.load("noise", **numbers)))
    train = _trial.images(source, "train")
    return Poison(moved.rows, train.pixels(train.positions(moved.rows))), goal


def poisoned_set(source: Trial) -> ImageSet:
    return _trial.images(source, "train").with_poison(poison(source)[0])


@functools.lru_cache(maxsize=32)
def trace(source: Trial) -> Float[Tensor, " steps"] | None:
    """The misalignment before each step of the crafting; None for attacks that do not optimise."""
    if not hasattr(source.attack, "trace"):
        return None
    with training.settings(source.numerics):
        return source.attack.trace(crafted.scene(source, _trial.CPU, Cache.open()), source.seed)


def victim(trial: Trial, kind: str) -> Victim:
    """``kind``: "clean" is trained on the set without poisons, "undefended" and "defended" on that with them."""
    return _victim(known(trial), trial.defence if kind == "defended" else Defence(), kind != "clean")


@functools.lru_cache(maxsize=32)
def _victim(source: Trial, defence: Defence, poisoned: bool) -> Victim:
    train, goal = poisoned_set(source) if poisoned else _trial.images(source, "train"), poison(source)[1]
    if defence.filter:
        whole = _victim(source, replace(defence, filter=None), poisoned)
        points = training.features(whole.network, train.images, source.numerics)
        train = train.take(defence.filter.judge(points, train.labels).keep)
    network = training.initialise(source.model, train, source.seed)
    how = dict(seed=source.seed, augment=defence.augment, step=defence.step, numerics=source.numerics)
    with training.settings(source.numerics):
        epochs = training.epochs(network, train, source.recipe, **how)
        seen = [training.logits(network, goal.images, source.numerics).softmax(1).mean(0) for _ in epochs]
    return Victim(network.eval(), torch.stack(seen))


@functools.lru_cache(maxsize=32)
def features(source: Trial) -> tuple[Float[Tensor, "n d"], Float[Tensor, "t d"]]:
    """Of the poisoned training set and of the goal's images, in the undefended victim."""
    network = victim(source, "undefended").network
    with training.settings(source.numerics):
        parts = (training.features(network, each.images, source.numerics) for each in (poisoned_set(source), poison(source)[1]))
        return tuple(parts)


def plane(points: Float[Tensor, "n d"]) -> Plane:
    """PCA; each axis points to where its largest part is positive. Raises ValueError where there is no plane to be found."""
    if min(points.shape) < 2 or not (points != points[0]).any():
        raise ValueError(f"{len(points)} images with {points.shape[1]} features: a plane needs two of each, and not all alike")
    mean = points.double().mean(0)
    _, values, axes = torch.linalg.svd(points.double() - mean, full_matrices=False)
    largest = axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True))
    return Plane(mean, axes[:2] * largest.sign(), values[:2].square() / values.square().sum())


@functools.lru_cache(maxsize=32)
def groups(source: Trial) -> tuple[dict[str, Float[Tensor, "m 2"]], Float[Tensor, " 2"]]:
    """Where images lie in the plane of the two classes' training images, by what they are, and the plane's shares of variance."""
    train, (made, goal) = _trial.images(source, "train"), poison(source)
    (points, targets), bad = features(source), torch.isin(train.rows, made.rows)
    base, true = train.labels == goal.wanted, train.labels == goal.labels[0]
    found = plane(points[base | true])
    chosen = {"poisons": points[bad], "base": points[base & ~bad], "true": points[true & ~bad], "target": targets}
    return {name: found.project(each) for name, each in chosen.items()}, found.shares


@functools.lru_cache(maxsize=32)
def verdicts(source: Trial) -> tuple[Verdict, ...]:
    """Every filter's, on the undefended victim's features. Raises ValueError for features that no filter can judge."""
    train, points = _trial.images(source, "train"), features(source)[0]
    bad = torch.isin(train.rows, poison(source)[0].rows)
    return tuple(_verdict(name, points, train.labels, bad) for name in filters.names())


def _verdict(name: str, points: Tensor, labels: Tensor, bad: Tensor) -> Verdict:
    found = told(name, bad.double().mean().item()).judge(points, labels)
    return Verdict(name, int((~found.keep).sum()), int((bad & ~found.keep).sum()), filters.roc(found.scores, bad)[2])


def told(name: str, share: float):
    """A filter that knows what share of the training set is poisoned, if it asks for that."""
    part = filters.load(name)
    return replace(part, expected=share) if "expected" in {field.name for field in fields(part)} else part
