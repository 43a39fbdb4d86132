"""Parts of a trial that do not go together, found before any time is spent on training."""

import contextlib
from collections.abc import Iterable

import torch

from .. import registry, training
from ..augment import Pipeline, first_epoch, pipeline
from ..data import ImageSet
from ..models import Model, Network
from ..rng import seeded, stream
from .crafting import threat_model
from .extractor import Extractor, model_of
from .networks import images
from .spec import Trial, canonical


def validate(trial: Trial) -> None:
    """Raises ValueError where the parts of a trial contradict each other, whatever the data, TypeError where a record cannot hold
    them.
    """
    if Trial.read(trial.describe()) != trial:
        raise TypeError(
            f"{', '.join(map(registry.label, trial.choices))}: one of these is not the same after its description was read again. "
            "Fields must be numbers, texts, True, False, None or tuples of these, and stay as they were given"
        )
    for step in (trial.defence.step, *(wanted.step for wanted in trial.attack.surrogates)):
        trial.recipe.validate(step)
    if trial.numerics.graph and "adam" in (recipe.optimizer for recipe in (trial.recipe, *(e.recipe for e in trial.extractors))):
        raise ValueError("graph=True, optimizer='adam': it counts its steps on the host; choose graph=False")
    if trial.recipe.frozen and not (trial.model.pretrained or trial.extractor):
        raise ValueError(
            f"frozen=True trains the head alone, and the feature extractor of {registry.label(trial.model)} has random weights; "
            "choose the scenario transfer, or a model with pretrained=True"
        )
    _validate_origins(trial)
    public = [wanted for wanted in trial.attack.surrogates if wanted.pretrained]
    if public:
        trial.model.with_pretrained_weights()
    if len(public) > 1:
        raise ValueError(
            f"pretrained=True: {len(public)} surrogates with the same public weights are one network; choose ensemble=1"
        )
    for part in _augmentations(trial).parts:
        if first_epoch(part, trial.recipe.epochs) >= trial.recipe.epochs:
            raise ValueError(
                f"start={part.start}: {registry.label(part)} would never begin, as epochs are counted from 0 and there are "
                f"{trial.recipe.epochs}; choose a start of at most {trial.recipe.epochs - 1}, or more epochs"
            )


def _validate_origins(trial: Trial) -> None:
    """Raises ValueError where extractors and attackers contradict the rest of the trial."""
    own, wanted = trial.extractor, trial.attack.surrogates
    for each in wanted:
        if each.pretraining and not isinstance(trial.surrogate_origin(each), Extractor):
            raise ValueError(
                f"{registry.label(trial.attack)}: its networks start from no extractor that {registry.label(each.pretraining)} "
                "could pretrain; choose the scenario transfer"
            )
        if each.pretraining and not trial.recipe.frozen:
            raise ValueError(
                f"{registry.label(trial.attack)}: after {registry.label(each.pretraining)} its networks would train all layers "
                "without it; choose a recipe with frozen=True, or robust_extractor=False"
            )
    if own and own.model != trial.model:
        raise ValueError(f"the extractor is {own.label}, and the victim is {registry.label(trial.model)}; choose one architecture")
    if own and trial.model.pretrained:
        raise ValueError(f"{registry.label(trial.model)} has public weights, so it needs no extractor; choose pretrained=False")
    for each in trial.extractors:
        if each.recipe.frozen:
            raise ValueError(f"{each.label}: frozen=True would leave its random weights; choose a recipe with frozen=False")
        each.recipe.validate(each.step)
    if trial.recipe.frozen and not all(isinstance(each, Extractor) for each in trial.attacker):
        raise ValueError("frozen=True: an attacker's network without an extractor would be a head on random weights")
    if trial.attacker and not wanted:
        raise ValueError(f"{registry.label(trial.attack)} uses no network, so it does not matter what its attacker has")
    if len(trial.attacker) > len(wanted):
        raise ValueError(
            f"the attacker has {len(trial.attacker)} networks, and {registry.label(trial.attack)} uses {len(wanted)} of them; "
            f"choose ensemble={len(trial.attacker)}, or fewer networks"
        )


def validate_device(trials: Iterable[Trial], device: torch.device) -> None:
    """Raises ValueError where a trial cannot run on a device."""
    if device.type != "cuda" and any(trial.numerics.graph for trial in trials):
        raise ValueError(f"graph=True on device {device}: CUDA graphs need a CUDA device")


def validate_data(trials: Iterable[Trial]) -> None:
    """Raises ValueError where a network, an attack, an augmentation, a filter or a step cannot work on a trial's images."""
    for trial in {canonical(trial.describe() | {"seed": 0}): trial for trial in trials}.values():
        known = threat_model(trial, torch.device("cpu"))
        for part in ("classes", "shape"):
            ours, theirs = getattr(known.train, part), getattr(known.test, part)
            if ours != theirs:
                raise ValueError(f"{registry.label(trial.data)}: {part} {ours} of the training set, {theirs} of the test set")
        if any(wanted.pretrained for wanted in trial.attack.surrogates) and len(known.train.classes) != 1000:
            raise ValueError(f"pretrained=True: the public head has ImageNet's 1000 classes, not these {len(known.train.classes)}")
        _rehearse(trial, len(known.train), known.train.shape)
        network = blank(trial.model, known.train)
        _validate_shapes(trial, known.train)
        trial.attack.validate(known)
        if trial.defence.filter:
            trial.defence.filter.validate(known.train)
        if trial.defence.step:
            trial.defence.step.validate(network.head if trial.recipe.frozen else network)


def _augmentations(trial: Trial) -> Pipeline:
    """All augmentations that the trial's victim trains with."""
    return pipeline(trial.recipe.augment) + trial.defence.augment


def validate_filtered(trial: Trial, train: ImageSet, left: int) -> None:
    """Raises ValueError where the trial's filter has left too few images of a training set for one batch, which wants two for its
    statistics, or for one mix.
    """
    kept = f"{registry.label(trial.defence.filter)} has left {left} of {len(train)} images"
    if left < min(2, len(train)):
        raise ValueError(f"{kept}, and a batch (batch_size={trial.recipe.batch_size}) wants at least 2")
    try:
        _rehearse(trial, left, train.shape)
    except ValueError as error:
        raise ValueError(f"{kept}, too few for {trial.defence.label}: {error}") from None


def _rehearse(trial: Trial, images: int, shape: tuple[int, int, int]) -> None:
    """Raises ValueError where parameters cannot be sampled for an epoch's smallest batch: too few images to mix, other channels."""
    batch_size, epochs = trial.recipe.batch_size, trial.recipe.epochs
    smallest = min(training.batch_sizes(images, batch_size))
    try:
        _augmentations(trial).at(epochs - 1, epochs).sample_params(smallest, shape, stream(trial.seed, "rehearsal"))
    except ValueError as error:
        raise ValueError(f"{error} ({images} images in batches of {batch_size}, the smallest of {smallest})") from None


def _validate_shapes(trial: Trial, train: ImageSet) -> None:
    """Raises ValueError where an attacker's network fails on the images, or an extractor has seen images of another size."""
    for each in trial.attacker:
        blank(model_of(each), train)
    for each in trial.extractors:
        shape = images(each.data, "train", torch.device("cpu")).shape
        if shape != train.shape:
            raise ValueError(f"{each.label}: it saw images {shape}, and the training images are {train.shape}; choose equal ones")


def blank(model: Model, train: ImageSet) -> Network:
    """A network with meaningless weights. Raises ValueError where it does not map the images to one logit a class."""
    model = model.with_pretrained_weights(False) if model.pretrained else model
    arguments = len(train.classes), train.shape, train.mean, train.std
    with torch.no_grad(), contextlib.suppress(Exception):  # what fails without data, as `Tensor.item` does, is tried with data
        return _checked(_built(model, arguments, "meta"), torch.empty(2, *train.shape, device="meta"), arguments[0])
    with torch.no_grad():
        return _checked(_built(model, arguments, "cpu"), torch.zeros(2, *train.shape), arguments[0])


def _built(model, arguments, device: str) -> Network:
    with seeded(0, "rehearsal"), torch.device(device):
        return model.build(*arguments).eval()


def _checked(network: Network, images: torch.Tensor, classes: int) -> Network:
    try:
        logits = network(images)
        network.validate(images)
        network.features(images)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the network fails on images of shape {tuple(images.shape)}: {error}") from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (len(images), classes):
        raise ValueError(f"the network maps {len(images)} images to {shape}; it must give logits of shape {(len(images), classes)}")
    return network
