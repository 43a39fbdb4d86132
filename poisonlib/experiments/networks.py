"""The networks of a trial, trained or read from the cache: extractors, victims, surrogates."""

import functools
import math
from dataclasses import replace

import torch
from torch import Tensor

from .. import data, files, training
from ..data import ImageSet
from ..models import Network
from ..rng import derive
from ..training import Numerics
from . import provenance
from .cache import Cache, Content
from .environment import choose, current
from .extractor import Extractor, Origin
from .record import Weights
from .spec import Defence, Trial

IMAGE_SHARE = 0.5  # for images, of the memory of a GPU that is free: other processes may use it, too
MOST_FEATURES = 4  # extractors and test sets whose features a process keeps; features take less memory than their images

_FEATURES: dict[tuple, Tensor] = {}


@functools.lru_cache(maxsize=8)
def images(source: data.Data, split: str, device: torch.device) -> ImageSet:
    """A split of a data set, read once a process: on the device, or beside it where a poisoned copy would not fit, too."""
    found = data.load(source, split)
    room = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
    return found.to(device) if 2 * found.images.nbytes < IMAGE_SHARE * room else found.beside(device)


def fetch_extractor(extractor: Extractor, numerics: Numerics, device: torch.device, cache: Cache) -> Content:
    """The weights of an extractor, pretrained now or read from the cache, and a note about them.

    The note has a ``digest`` of the weights, the ``accuracy`` on the test set of its own data, and the ``mean`` and ``std`` with
    which it normalises: they belong to the features as much as the weights.
    """

    def make() -> Content:
        train, test = (images(extractor.data, split, device) for split in ("train", "test"))
        seed = derive(extractor.seed, "extractor")
        network = training.train(extractor.model, train, extractor.recipe, seed=seed, step=extractor.step, numerics=numerics)
        correct, total = training.count_correct(network, test, numerics).sum(0).tolist()
        weights = network.state_dict()
        note = {"accuracy": correct / total, "mean": train.mean, "std": train.std}
        return weights, {"digest": files.content_digest(weights, {})} | note

    return cache.fetch(provenance.extractor(extractor, numerics), make)


def weights_of(trial: Trial, device: torch.device, cache: Cache) -> tuple[Weights, ...]:
    """What a record says of the trial's extractors."""
    notes = [(each, fetch_extractor(each, trial.numerics, device, cache)[1]) for each in trial.extractors]
    return tuple(Weights(each.label, note["digest"], round(note["accuracy"], 6)) for each, note in notes)


def pretrain(extractor: Extractor, numerics: Numerics, device: str = "auto") -> Weights:
    """Pretrain an extractor ahead of the trials that need it, unless it is in the cache of the output folder already."""
    place = choose(device)
    with current(place), training.settings(numerics):
        note = fetch_extractor(extractor.resolved(), numerics, place, Cache.open())[1]
    return Weights(extractor.label, note["digest"], note["accuracy"])


def initial(origin: Origin, train: ImageSet, numerics: Numerics, seed: int, cache: Cache) -> Network:
    """A network for a training set before its training: with fresh weights or, below a fresh head, with those of an extractor."""
    if not isinstance(origin, Extractor):
        return training.initialise(origin, train, seed)
    weights, note = fetch_extractor(origin, numerics, train.device, cache)
    like = replace(train, mean=tuple(note["mean"]), std=tuple(note["std"]))
    network = training.initialise(origin.model, like, seed)
    network.load_state_dict(network.state_dict() | {name: weights[name] for name in _below_head(network)})
    return network


def _below_head(network: Network) -> dict[str, Tensor]:
    """Parameters and statistics of all layers but the head, by their names."""
    head = {id(tensor) for tensor in network.head.state_dict(keep_vars=True).values()}
    return {name: tensor for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) not in head}


def test_features(trial: Trial, victim: Network, test: ImageSet) -> Tensor | None:
    """The test images' features (n, d), on which victims with the same frozen extractor agree: computed once a process. None where
    the victim has features of its own.
    """
    if not training.leaves_features(victim, trial.recipe):
        return None
    weights = files.content_digest(_below_head(victim) | {"mean": victim.mean, "std": victim.std}, {})
    key = trial.model, weights, provenance.fingerprint(trial.source, "test"), trial.numerics, test.device
    if key not in _FEATURES:
        while len(_FEATURES) >= MOST_FEATURES:
            del _FEATURES[next(iter(_FEATURES))]
        _FEATURES[key] = training.features(victim, test.images, trial.numerics)
    return _FEATURES[key]


def trained(trial: Trial, train: ImageSet, defence: Defence, seed: int, cache: Cache, origin: Origin | None = None) -> Network:
    """A network trained now on ``train`` under a defence as the trial's victim is, from an origin, by default the victim's."""
    start = initial(origin or trial.origin, train, trial.numerics, seed, cache)
    how = dict(augment=defence.augment, step=defence.step, numerics=trial.numerics)
    return training.train(start, train, trial.recipe, seed=seed, **how)


def fetch_network(
    trial: Trial,
    train: ImageSet,
    defence: Defence,
    seed: int,
    cache: Cache,
    identity: dict,
    keep: bool = True,
    origin: Origin | None = None,
) -> Network:
    """The network that `trained` returns, or the same one from the cache, bit for bit."""
    origin = origin or trial.origin

    def make() -> Content:
        return trained(trial, train, defence, seed, cache, origin).state_dict(), {}

    weights, _ = cache.fetch(identity, make, keep)
    network = initial(origin, train, trial.numerics, seed, cache)
    network.load_state_dict(weights)
    return network.to(memory_format=trial.numerics.layout)
