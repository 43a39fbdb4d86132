"""Whole trials, each small, of everything that a trial can be made of: what a second device must be able to run.

Attacks, augmentations, filters, steps and networks are found by their files, so a new one is among these trials at once.
"""

import importlib.util
from dataclasses import fields, replace

from torch import nn

from poisonlib import attacks, augment, experiments, filters, models, registry, steps, training
from poisonlib.experiments import Trial

DIGITS, LARGE = "digits(size=12, channels=3, limit=160)", "digits(size=32, channels=3, train=1700, limit=64)"
FEW = "digits(size=32, channels=3, train=1700, limit=32)"
MATCHING = "gradient_matching(eps=48/255, poison_rate=0.04, steps=3, restarts=1, eval_samples=2, clean_images=16)"
SMALL = {"steps": 3, "restarts": 1, "eval_samples": 2, "clean_images": 16, "poison_rate": 0.04}
FEWER = {"metapoison": {"steps": 2, "ensemble": 1, "epochs": 1, "unrolled": 3, "dose": 0.1, "batch_size": 80}}
NARROW = {"width": 4, "depth": 18}
GROUP = models.load("resnet(depth=18, width=4, norm='group')")  # without BatchNorm, for DP-SGD
MODELS = {
    "airbench": "airbench(width=8)",
    "cifar_resnet": "cifar_resnet(depth=8, width=4, shortcut='projection')",
    "htbd_alexnet": "htbd_alexnet(width=2)",
    "mobilenet_v2": "mobilenet_v2(width=0.1)",
    "vgg": "vgg(depth=11, width=4)",
}
SLOW = ("mobilenet_v2", "resnet18_imagenet")  # networks that are trained only: others stand for them in crafting
OUTSIDE = ("external", "stored", "module")  # made from what somebody hands over: with `poisonlib.attacks.given` and the like
BATCH = 32


class Plain(nn.Module):
    """A module that knows nothing of poisonlib, with BatchNorm and dropout."""

    def __init__(self, num_classes: int):
        super().__init__()
        first = nn.Conv2d(3, 4, 3, 2)
        self.layers = nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(100, num_classes))

    def forward(self, x):
        return self.layers(x)


def recipe(name: str = "quick", **changes) -> training.Recipe:
    """A recipe over two short epochs."""
    return training.load(name, **{"epochs": 2, "batch_size": BATCH, "augment": "flip + crop(pad=2)"} | changes)


def small(name: str) -> attacks.Attack:
    """An attack by name, with small values for what costs time."""
    own = {field.name for field in fields(registry.find(attacks.__name__, attacks.Attack, name))}
    return attacks.load(name, **{key: value for key, value in SMALL.items() if key in own} | FEWER.get(name, {}))


def network(name: str):
    """An architecture by name, as narrow as it can be."""
    own = {field.name for field in fields(registry.find(models.__name__, models.Model, name))}
    return models.load(MODELS.get(name) or name, **({} if name in MODELS else {k: v for k, v in NARROW.items() if k in own}))


def cell(attack="patch(poison_rate=0.5)", defence="none", **changes) -> Trial:
    """The trial of a seed."""
    scenario = "backdoor" if "patch" in str(attack) else "targeted"
    values = {"data": DIGITS, "model": "convnet_gap(width=4)", "recipe": recipe()} | changes
    (trial,) = experiments.grid(scenario, "quick", attack=attack, defence=defence, trials=1, first_seed=7, **values)
    return trial


def trials() -> dict[str, Trial]:
    """The trials by a short name. Those with per-example DP-SGD are among them where Opacus is installed."""
    found = {}
    for name in attacks.names():
        if name not in (*OUTSIDE, "patch"):
            found[f"attack {name}"] = cell(small(name))
    for name in augment.names():
        found[f"augment {name}"] = cell(defence=_early(name))
    for name in filters.names():
        found[f"filter {name}"] = cell(defence=name)
    for name in models.names():
        if name not in OUTSIDE:
            ours = dict(model=network(name), data=LARGE, recipe=recipe(epochs=1))
            found[f"model {name}"] = (
                cell("patch(poison_rate=1.0)", **ours | {"data": FEW}) if name in SLOW else cell(MATCHING, **ours)
            )
    for name in steps.names():
        if name != "dp_sgd":
            found[f"step {name}"] = cell(defence=name)
        elif importlib.util.find_spec("opacus"):
            found[f"step {name}"] = cell(defence=name, model=GROUP)
    return found | {"attack patch": cell()} | _adaptive() | _recipes() | _origins()


def _early(name: str) -> augment.Augment:
    """An augmentation that is active in the second of two epochs, if it begins late."""
    choice = augment.load(name)
    return replace(choice, start=1) if choice.start else choice


def _adaptive() -> dict[str, Trial]:
    resnet = network("cifar_resnet")
    kinds = {
        "surrogate, cutmix": ("surrogate", "cutmix", {}),
        "augmented, mixup and noise": ("augmented", "mixup(k=4) + laplace", {"model": resnet}),
        "augmented, cutmix": ("augmented", "cutmix", {"model": resnet}),
        "augmented, maxup": ("augmented", "maxup(m=2, start=0)", {}),
        "augmented, noisy_sgd": ("augmented", "noisy_sgd", {"model": resnet}),
    }
    if importlib.util.find_spec("opacus"):
        kinds["augmented, dp_sgd"] = ("augmented", "dp_sgd(noise=0.1)", {"model": GROUP})
    one = recipe(epochs=1)
    return {
        f"adaptive {name}": cell(MATCHING[:-1] + f", adaptive='{adaptive}')", defence, **{"recipe": one} | more)
        for name, (adaptive, defence, more) in kinds.items()
    }


def _recipes() -> dict[str, Trial]:
    bilinear = recipe(augment="flip + bilinear_crop(pad=2)")
    return {
        "recipe adam": cell(recipe=recipe(optimizer="adam", lr=0.001)),
        "recipe muon": cell(
            model=network("airbench"), data="digits(size=16, channels=3, limit=96)", recipe=recipe("airbench_muon", ghost_batch=16)
        ),
        "recipe airbench_sgd": cell(
            model=network("airbench"), data="digits(size=16, channels=3, limit=96)", recipe=recipe("airbench_sgd", ghost_batch=0)
        ),
        "several targets and surrogates": cell(MATCHING[:-1] + ", ensemble=2, targets=2, batch_size=9)", recipe=bilinear),
        "patch released": cell("patch(poison_rate=0.5, variant='released')", "cutout(variant='released')"),
        "dropout": cell(model=models.from_module(Plain)),
        "a clean control": cell("gradient_matching(poison_rate=0)", "deep_knn"),
    }


def _origins() -> dict[str, Trial]:
    """Victims that start from an extractor."""
    how = dict(attack=small("bullseye_polytope"), trials=1, first_seed=7, data=DIGITS, model="convnet_gap(width=4)")
    (trial,) = experiments.grid("transfer", "quick", recipe=recipe(frozen=True), **how)
    extractor = replace(trial.extractor, data=trial.data, recipe=recipe(epochs=1))
    frozen = replace(trial, extractor=extractor)
    return {
        "transfer": frozen,
        "transfer, gradient matching": replace(frozen, attack=attacks.load(MATCHING)),
        "fine-tuning": replace(frozen, recipe=recipe(epochs=1)),
    }
