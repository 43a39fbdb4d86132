"""How well a pretrained extractor withstands perturbations: what makes a surrogate of the clean-label backdoor worth its name."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from .. import check, rng, training
from ..data import ImageSet
from ..models import Network
from ..steps.adversarial_training import pgd
from ..tensors import to_float
from ..training import Numerics
from .cache import Cache
from .environment import choose, current
from .extractor import Extractor
from .networks import fetch_extractor, images

BATCH = 250


def robust_accuracy(
    extractor: Extractor,
    numerics: Numerics,
    *,
    eps: float = 8 / 255,
    steps: int = 20,
    step_size: float = 0.25,
    limit: int = 1000,
    device: str = "auto",
) -> tuple[float, int]:
    """(share that is right, number) of an extractor's own test images under projected gradient ascent (Madry et al.,
    arXiv:1706.06083, 2.1), answered with the head that it was pretrained with.

    ``limit`` images are taken at equal distances over the test set. Each moves by up to ``eps`` a pixel, in units of [0, 1], in
    ``steps`` steps of ``step_size`` eps from a random point, up its own cross-entropy. The extractor is pretrained now, unless it
    is in the cache of the output folder. Raises ValueError for a limit below 1.
    """
    check.whole("limit", limit, 1)
    place, extractor = choose(device), extractor.resolved()
    with current(place), training.settings(numerics):
        test = images(extractor.data, "test", place)
        network = _pretrained(extractor, test, numerics)
        chosen = torch.arange(min(limit, len(test))) * len(test) // min(limit, len(test))
        generator, right = rng.stream(extractor.seed, "robustness", device=place), 0
        for batch in chosen.split(BATCH):
            x = to_float(test.images[batch.to(test.images.device)].to(place)).contiguous(memory_format=numerics.layout)
            y = test.labels[batch.to(place)]

            def loss(x, y=y):
                with numerics.autocast(place):
                    return F.cross_entropy(network(x), y, reduction="sum")

            worst, _ = pgd(loss, x, eps, steps, step_size * eps, generator)
            with torch.no_grad(), numerics.autocast(place):
                right += int((network(worst).argmax(1) == y).sum())
    return right / len(chosen), len(chosen)


def _pretrained(extractor: Extractor, like: ImageSet, numerics: Numerics) -> Network:
    """The whole network, head included, in eval mode; it normalises as it did when it was pretrained."""
    weights, note = fetch_extractor(extractor, numerics, like.device, Cache.open())
    like = replace(like, mean=tuple(note["mean"]), std=tuple(note["std"]))
    network = training.initialise(extractor.model, like, extractor.seed)
    network.load_state_dict(weights)
    return network.to(memory_format=numerics.layout).eval()
