"""What cannot work is refused before anything is trained, and what lies next to it is not refused, trains and is recorded."""

import sys
from dataclasses import replace

import pytest

from poisonlib import data, experiments, models, training

DIGITS = data.source("digits", size=8, limit=120)
RECIPE = training.load("quick_targeted", epochs=2, batch=50)  # batches of 50, 50 and 20
MODEL = models.load("patches", side=2, width=8)
CRAFT = "gradient_matching(budget=0.05, eps=0.2, steps=2, restarts=1, judgements=1"  # of six poisons
AWARE = CRAFT + ", adaptive='augmented', companions=4"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def cell(attack="patch(share=1.0)", defence="none", **changes):
    """One trial. Of the changes, those of the recipe's numbers go there."""
    fields = {"recipe", "data", "model", "numerics"} & changes.keys()
    parts = {"data": DIGITS, "model": MODEL, "recipe": RECIPE} | {name: changes.pop(name) for name in fields}
    parts["recipe"] = replace(parts["recipe"], **changes)
    return experiments.grid("targeted", "quick", attack=attack, defence=defence, trials=1, **parts)


def digits(**numbers):
    return data.source("digits", size=8, **numbers)


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
        r"k=11 .*n=10.*6 poisons, batch=512, companions=4",
        {"attack": AWARE + ")", "defence": "mixup(k=10)"},
    ),
    "a mix in the last part of a craft": (
        {"attack": AWARE + ", batch=4)", "defence": "mixup(k=7)"},
        r"k=7 .*n=6.*batch=4",
        {"attack": AWARE + ", batch=4)", "defence": "mixup(k=6)"},
    ),
    "a mix in a craft, inside maxup that has yet to start": (
        {"attack": AWARE + ")", "defence": "maxup(inner='mixup(k=11)', m=2, start=1)"},
        r"k=11 .*n=10",
        {"attack": AWARE + ")", "defence": "maxup(inner='mixup(k=10)', m=2, start=1)"},
    ),
    "a mix in a craft without company": (
        {"attack": CRAFT + ")", "augment": "mixup(k=7)"},
        r"k=7 .*n=6.*6 poisons",
        {"attack": CRAFT + ")", "augment": "mixup(k=6)"},
    ),
    "a mix in a craft of nothing": (
        {"attack": CRAFT + ")", "augment": "mixup(k=7)"},
        r"k=7 .*n=6",
        {"attack": "gradient_matching(budget=0)", "augment": "mixup(k=7)"},
    ),
    "a mix that the attacker does not know of": (
        {"attack": AWARE + ")", "defence": "mixup(k=11)"},
        "k=11",
        {"attack": CRAFT + ")", "defence": "mixup(k=11)"},
    ),
    "cutmix of one poison": (
        {"attack": CRAFT + ", batch=5)", "augment": "cutmix"},
        r"k=2 .*n=1.*batch=5",
        {"attack": CRAFT + ", batch=4)", "augment": "cutmix"},
    ),
    "a colour of other channels, late": (
        {"defence": "maxup(inner='cutout(fill=(0.1, 0.2, 0.3))', start=1)"},
        r"fill=\(0.1, 0.2, 0.3\): choose 1 level, or 1",
        {"defence": "maxup(inner='cutout(fill=(0.1,))', start=1)"},
    ),
    "targets and a class of the test set": (
        {"attack": "noise(budget=0.05, targets=33)"},
        r"targets=33: .*smallest class has 32; choose at most 32",
        {"attack": "noise(budget=0.05, targets=32)"},
    ),
    "targets of a clean control": (
        {"attack": "gradient_matching(budget=0, targets=33)"},
        "targets=33",
        {"attack": "gradient_matching(budget=0, targets=32)"},
    ),
    "targets of a craft": ({"attack": CRAFT + ", targets=33)"}, "targets=33", {"attack": CRAFT + ", targets=32)"}),
    "targets and a class without test images": (
        {"attack": "watermark(budget=0.05)", "data": digits(train=1790, limit=120)},
        "targets=1: .*choose a larger test set",
        {"attack": "watermark(budget=0.05)", "data": digits(train=1680, limit=120)},
    ),
    "a backdoor and a class without test images": (
        {"attack": "patch(share=0.0)", "data": digits(train=1790, limit=120)},
        "one class has none: choose a larger test set",
        {"attack": "patch(share=0.0)", "data": digits(train=1680, limit=120)},
    ),
    "a share of a class that is no image": (
        {"attack": f"patch(share={0.5 / FEWEST})"},
        f"share=.*smallest class, which has {FEWEST} training images; choose",
        {"attack": f"patch(share={0.6 / FEWEST})"},
    ),
    "a trigger and the images": ({"attack": "patch(size=9)"}, "size=9: .* 8 x 8", {"attack": "patch(size=8, share=0.5)"}),
    "neighbours and images": (
        {"defence": "deep_knn(expected=0.5)"},
        "120 neighbours of each of 120 images: choose",
        {"defence": "deep_knn(expected=0.499)"},
    ),
    "votes and classes": (
        {"defence": f"deep_knn(multiple=1.0, expected={(2 * MOST - 1) / 120}, variant='released')"},
        f"half of {2 * MOST - 1} votes, and the largest class has {MOST} images: all would go; choose",
        {"defence": f"deep_knn(multiple=1.0, expected={(MOST - 1) / 120}, variant='released')"},
    ),
    "a network and the images": (
        {"model": models.load("htbd_alexnet", width=2), "data": data.source("digits", size=28, limit=120)},
        "at least 29 x 29 pixels, not 28 x 28",
        {"model": models.load("htbd_alexnet", width=2), "data": data.source("digits", size=29, limit=120)},
    ),
}


@pytest.mark.parametrize(("refused", "says", "allowed"), PAIRS.values(), ids=PAIRS)
def test_what_cannot_work_is_refused_before_any_training_and_its_neighbour_runs(refused, says, allowed, outputs, monkeypatch):
    with monkeypatch.context() as changed:
        changed.setattr(training, "fit", None)
        changed.setattr(sys.modules["poisonlib.experiments.run"], "run_trial", None)
        with pytest.raises(ValueError, match=says):
            experiments.run([*cell(), *cell(**refused)], workers=0)
    assert [path for path in outputs.rglob("*") if path.is_file()] == []
    (record,) = experiments.run(cell(**allowed), workers=0)
    assert record["result"]["success"][1] > 0


@pytest.mark.parametrize(("refused", "says", "allowed"), PAIRS.values(), ids=PAIRS)
def test_what_is_refused_would_have_failed(refused, says, allowed, monkeypatch):
    """Or would be no attack at all: a share that is no image poisons nothing."""
    monkeypatch.setattr(sys.modules["poisonlib.experiments.run"], "refuse_data", lambda trials: None)
    (first,) = cell(**refused)
    trials = (replace(first, seed=seed) for seed in range(30))  # which class is poisoned, and which attacked, goes by the seed
    with pytest.raises((RuntimeError, AssertionError), match=r"1 of 1 trials failed(.|\n)*(ValueError|IndexError)|poisons|success"):
        all(experiments.check(experiments.run([trial], workers=0), [trial]) for trial in trials)


def test_a_filter_that_leaves_nothing_is_told_instead_of_training_on_nothing():
    """Which the sizes of classes did not tell: here one image that has its whole class around it would stay."""
    with pytest.raises(RuntimeError, match="all 120 images were removed"):
        experiments.run(cell(defence=f"deep_knn(multiple=1.0, expected={(2 * MOST - 2) / 120}, variant='released')"), workers=0)


def test_a_defence_that_would_never_begin_is_refused_where_the_table_is_made():
    with pytest.raises(ValueError, match=r"start=5: maxup would never begin.*at most 4"):
        cell(defence="maxup", epochs=5)
    with pytest.raises(ValueError, match=r"start=2: maxup\(start=2\) would never begin"):
        cell(augment="maxup(start=2)")
    (late,) = cell(defence="maxup(start=4, m=2)", epochs=5)
    plain, defended = experiments.run([*cell(epochs=5), late], workers=0)
    assert plain["result"]["wanted probability"] != defended["result"]["wanted probability"]


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
