"""Trials that cannot work are refused before any training; their nearest neighbours that can work run and are recorded."""

import re
import sys
from dataclasses import dataclass, replace

import pytest
from torch import nn

from poisonlib import data, experiments, models, training
from poisonlib.experiments.validation import blank

DIGITS = data.source("digits", size=8, limit=120)
RECIPE = training.load("quick_targeted", epochs=2, batch_size=50)  # batches of 50, 50 and 20
MODEL = models.load("patch_mlp", side=2, width=8)
CRAFT = "gradient_matching(poison_rate=0.05, eps=0.2, steps=2, restarts=1, eval_samples=1"  # of six poisons
AWARE = CRAFT + ", adaptive='augmented', clean_images=4"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def cell(attack="patch(poison_rate=1.0)", defence="none", **changes):
    """One trial. Changes that are values of the recipe go there."""
    fields = {"recipe", "data", "model", "numerics"} & changes.keys()
    parts = {"data": DIGITS, "model": MODEL, "recipe": RECIPE} | {name: changes.pop(name) for name in fields}
    parts["recipe"] = replace(parts["recipe"], **changes)
    return experiments.grid("targeted", "quick", attack=attack, defence=defence, trials=1, **parts)


def digits(**values):
    return data.source("digits", size=8, **values)


FEWEST, MOST = (int(of(DIGITS.load("train").labels.bincount())) for of in (min, max))

PAIRS = {
    "a mix and the remainder": (
        {"defence": "mixup(k=21)"},
        r"k=21 .*n=20.*120 images in batches of 50",
        {"defence": "mixup(k=20)"},
    ),
    "a mix and a set smaller than a batch": (
        {"defence": "mixup(k=41)", "data": digits(limit=40)},
        r"k=41 .*n=40",
        {"defence": "mixup(k=40)", "data": digits(limit=40)},
    ),
    "a mix and a remainder that is left out": (
        {"defence": "mixup(k=51)", "data": digits(limit=103)},
        r"k=51 .*n=50",
        {"defence": "mixup(k=50)", "data": digits(limit=103)},
    ),
    "a mix inside maxup": (
        {"defence": "maxup(inner='mixup(k=21)', start=1)"},
        r"k=21 .*n=20",
        {"defence": "maxup(inner='mixup(k=20)', start=1)"},
    ),
    "a mix that may meet itself": ({"defence": "mixup(k=51)"}, "k=51", {"defence": "mixup(k=51, variant='released')"}),
    "a mix in the ordinary augmentation": ({"augment": "mixup(k=21)"}, r"k=21 .*n=20", {"augment": "mixup(k=20)"}),
    "a mix in a craft": (
        {"attack": AWARE + ")", "defence": "mixup(k=11)"},
        r"k=11 .*n=10.*6 poisons, batch_size=512, clean_images=4",
        {"attack": AWARE + ")", "defence": "mixup(k=10)"},
    ),
    "a mix in the last part of a craft": (
        {"attack": AWARE + ", batch_size=4)", "defence": "mixup(k=7)"},
        r"k=7 .*n=6.*batch_size=4",
        {"attack": AWARE + ", batch_size=4)", "defence": "mixup(k=6)"},
    ),
    "a mix in a craft, inside maxup that has yet to start": (
        {"attack": AWARE + ")", "defence": "maxup(inner='mixup(k=11)', m=2, start=1)"},
        r"k=11 .*n=10",
        {"attack": AWARE + ")", "defence": "maxup(inner='mixup(k=10)', m=2, start=1)"},
    ),
    "a mix in a craft without clean images": (
        {"attack": CRAFT + ")", "augment": "mixup(k=7)"},
        r"k=7 .*n=6.*6 poisons",
        {"attack": CRAFT + ")", "augment": "mixup(k=6)"},
    ),
    "a mix in a craft of nothing": (
        {"attack": CRAFT + ")", "augment": "mixup(k=7)"},
        r"k=7 .*n=6",
        {"attack": "gradient_matching(poison_rate=0)", "augment": "mixup(k=7)"},
    ),
    "a mix that the attacker does not know of": (
        {"attack": AWARE + ")", "defence": "mixup(k=11)"},
        "k=11",
        {"attack": CRAFT + ")", "defence": "mixup(k=11)"},
    ),
    "cutmix of one poison": (
        {"attack": CRAFT + ", batch_size=5)", "augment": "cutmix"},
        r"k=2 .*n=1.*batch_size=5",
        {"attack": CRAFT + ", batch_size=4)", "augment": "cutmix"},
    ),
    "a colour of other channels, late": (
        {"defence": "maxup(inner='cutout(fill=(0.1, 0.2, 0.3))', start=1)"},
        r"fill=\(0.1, 0.2, 0.3\): choose 1 level, or 1",
        {"defence": "maxup(inner='cutout(fill=(0.1,))', start=1)"},
    ),
    "targets and a class of the test set": (
        {"attack": "noise(poison_rate=0.05, targets=33)"},
        r"targets=33: .*smallest class has 32; choose at most 32",
        {"attack": "noise(poison_rate=0.05, targets=32)"},
    ),
    "targets of a clean control": (
        {"attack": "gradient_matching(poison_rate=0, targets=33)"},
        "targets=33",
        {"attack": "gradient_matching(poison_rate=0, targets=32)"},
    ),
    "targets of a craft": ({"attack": CRAFT + ", targets=33)"}, "targets=33", {"attack": CRAFT + ", targets=32)"}),
    "targets and a class without test images": (
        {"attack": "watermark(poison_rate=0.05)", "data": digits(train=1790, limit=120)},
        "targets=1: .*choose a larger test set",
        {"attack": "watermark(poison_rate=0.05)", "data": digits(train=1680, limit=120)},
    ),
    "a backdoor and a class without test images": (
        {"attack": "patch(poison_rate=0.0)", "data": digits(train=1790, limit=120)},
        "a class has none: choose a larger test set",
        {"attack": "patch(poison_rate=0.0)", "data": digits(train=1680, limit=120)},
    ),
    "a share of a class that is no image": (
        {"attack": f"patch(poison_rate={0.5 / FEWEST})"},
        f"poison_rate=.*smallest class, which has {FEWEST} training images; choose",
        {"attack": f"patch(poison_rate={0.6 / FEWEST})"},
    ),
    "a trigger and the images": ({"attack": "patch(size=9)"}, "size=9: .* 8 x 8", {"attack": "patch(size=8, poison_rate=0.5)"}),
    "neighbours and images": (
        {"defence": "deep_knn(expected=0.5)"},
        "120 neighbours of each of 120 images: choose",
        {"defence": "deep_knn(expected=0.499)"},
    ),
    "votes and classes": (
        {"defence": f"deep_knn(multiple=1.0, expected={(2 * MOST - 1) / 120}, variant='released')"},
        f"half of {2 * MOST - 1} votes, and the largest class has {MOST} images: all would be removed; choose",
        {"defence": f"deep_knn(multiple=1.0, expected={(MOST - 1) / 120}, variant='released')"},
    ),
    "a network and the images": (
        {"model": models.load("htbd_alexnet", width=2), "data": data.source("digits", size=28, limit=120)},
        "at least 29 x 29 pixels, not 28 x 28",
        {"model": models.load("htbd_alexnet", width=2), "data": data.source("digits", size=29, limit=120)},
    ),
}


@dataclass(frozen=True)
class Splits(data.Data):
    """Digits whose test set has other classes, or another size."""

    order: tuple[int, ...] = (1, 3)
    size: int = 8

    def load(self, split, download=False):
        return data.load(
            "digits", split, **{"classes": (0, 2), "size": 8} if split == "train" else {"classes": self.order, "size": self.size}
        )


@pytest.mark.parametrize(("values", "words"), [({}, "classes"), ({"order": (0, 2), "size": 12}, "shape")])
def test_a_test_set_that_is_not_the_training_sets_is_refused_before_any_training(values, words):
    trials = cell(data=Splits(**values), recipe=RECIPE)
    with pytest.raises(ValueError, match=rf"Splits.*: {words} \(.* of the training set, \(.* of the test set"):
        experiments.run(trials, workers=0)


def test_a_captured_step_of_adam_is_refused_with_the_grid():
    adam = {"optimizer": "adam", "lr": 0.001}
    cell(**adam), cell(numerics="fp32(graph=True)")
    with pytest.raises(ValueError, match=r"graph=True, optimizer='adam': .*choose graph=False"):
        cell(numerics="fp32(graph=True)", **adam)


@pytest.mark.parametrize(("refused", "says", "allowed"), PAIRS.values(), ids=PAIRS)
def test_a_trial_that_cannot_work_is_refused_before_any_training_and_its_neighbour_runs(
    refused, says, allowed, outputs, monkeypatch
):
    with monkeypatch.context() as changed:
        changed.setattr(training, "train", None)
        changed.setattr(sys.modules["poisonlib.experiments.attempt"], "run_trial", None)
        with pytest.raises(ValueError, match=says):
            experiments.run([*cell(), *cell(**refused)], workers=0)
    assert [path for path in outputs.rglob("*") if path.is_file()] == []
    (record,) = experiments.run(cell(**allowed), workers=0)
    assert record.evaluation.targets > 0


@pytest.mark.parametrize(("refused", "says", "allowed"), PAIRS.values(), ids=PAIRS)
def test_a_refused_trial_would_have_failed(refused, says, allowed, monkeypatch):
    """Or would be no attack at all: a rate below one image poisons nothing."""
    monkeypatch.setattr(sys.modules["poisonlib.experiments.run"], "validate_data", lambda trials: None)
    (first,) = cell(**refused)
    trials = (replace(first, seed=seed) for seed in range(30))  # the seed chooses the intended and the source class
    with pytest.raises((RuntimeError, AssertionError), match=r"1 of 1 trial failed(.|\n)*(ValueError|IndexError)|poisons|success"):
        all(experiments.check(experiments.run([trial], workers=0), [trial]) for trial in trials)


def test_a_filter_that_leaves_nothing_is_an_error():
    """The class sizes do not tell: an image whose whole class lies around it would stay."""
    with pytest.raises(RuntimeError, match=r"deep_knn\(.*\) has left 0 of 120 images, and a batch .* wants at least 2"):
        experiments.run(cell(defence=f"deep_knn(multiple=1.0, expected={(2 * MOST - 2) / 120}, variant='released')"), workers=0)


def test_a_filter_that_leaves_fewer_images_than_one_mix_takes_is_an_error_that_names_both(monkeypatch):
    """Where the victim would be trained again, on what is left."""
    sizes = DIGITS.load("train").labels.bincount()
    taken, left = next((q, n) for q in range(12) if 16 <= (n := int((sizes - q).clamp(min=1).sum())) < 20)
    judge = f"spectral_signatures(expected={taken / 120}, multiple=1.0)"
    trained, train = [], training.train
    monkeypatch.setattr(
        training, "train", lambda network, images, *rest, **how: trained.append(len(images)) or train(network, images, *rest, **how)
    )
    says = rf"{re.escape(judge)} has left {left} of 120 images, too few for mixup\(k={left + 1}\) .*k={left + 1} distinct"
    with pytest.raises(RuntimeError, match=says):
        experiments.run(cell(defence=f"mixup(k={left + 1}) + {judge}"), workers=0)
    assert trained == [120]
    experiments.run(cell(defence=f"mixup(k={left}) + {judge}"), workers=0)
    assert trained == [120, 120, left]


def test_a_defence_that_would_never_begin_is_refused_where_the_table_is_made():
    with pytest.raises(ValueError, match=r"start=5: maxup would never begin.*at most 4"):
        cell(defence="maxup", epochs=5)
    with pytest.raises(ValueError, match=r"start=2: maxup\(start=2\) would never begin"):
        cell(augment="maxup(start=2)")
    table = [*cell(epochs=5, milestones=()), *cell(defence="maxup(start=4, m=2)", epochs=5, milestones=())]
    plain, defended = experiments.run(table, workers=0)
    assert plain.evaluation.confidence != defended.evaluation.confidence


def test_several_surrogates_with_the_same_public_weights_are_refused():
    there = {"model": models.load("resnet18_imagenet"), "data": digits(limit=120)}
    with pytest.raises(ValueError, match=r"2 surrogates with the same public weights.*ensemble=1"):
        cell(CRAFT + ", pretrained=True, ensemble=2)", **there)
    cell([CRAFT + ", pretrained=True)", CRAFT + ", ensemble=2)"], **there)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"defence": "mixup(k=2.5)"}, r"k=2\.5"),
        ({"defence": "maxup(m=4.0)"}, r"m=4\.0"),
        ({"attack": "noise(targets=1.5)"}, r"targets=1\.5"),
        ({"attack": "gradient_matching(steps=2.5)"}, r"steps=2\.5"),
        ({"attack": "patch(size=4.5)"}, r"size=4\.5"),
    ],
)
def test_counts_are_whole_numbers(part, says):
    with pytest.raises(ValueError, match=f"{says}: choose a whole number"):
        cell(**part)


class OnData(nn.Module):
    """A module that looks at its data, which tensors without data refuse."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.head(x.flatten(1)) * (2 if x.max().item() > 0 else 1)


def test_a_module_that_cannot_run_without_data_is_validated_on_data():
    (trial,) = cell(model=models.from_module(OnData))
    train = data.load(trial.data)
    assert not blank(trial.model, train).head.weight.is_meta
    (plain,) = cell()
    assert blank(plain.model, train).head.weight.is_meta, "other networks take no memory"
    (wrong,) = cell(model=models.from_module(OnData, num_classes=7))
    with pytest.raises(ValueError, match=r"maps 2 images to \(2, 7\)"):
        blank(wrong.model, train)
