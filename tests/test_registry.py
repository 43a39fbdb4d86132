"""Choices as text: what is parsed, what is refused, and how choices are shown."""

from dataclasses import dataclass, field

import pytest

from poisonlib import attacks, augment, data, filters, models, registry
from poisonlib.calls import listed


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("mixup", [("mixup", {})]),
        ("mixup()", [("mixup", {})]),
        ("mixup(k=4, alpha=None)", [("mixup", {"k": 4, "alpha": None})]),
        ("laplace(scale=16/255, clip=True)", [("laplace", {"scale": 16 / 255, "clip": True})]),
        ("gaussian(scale=-1/2)", [("gaussian", {"scale": -0.5})]),
        ("maxup(inner='cutout + flip')", [("maxup", {"inner": "cutout + flip"})]),
        ("flip + crop(pad=2) + a.b.Mine(x=(1, 2.5))", [("flip", {}), ("crop", {"pad": 2}), ("a.b.Mine", {"x": (1, 2.5)})]),
    ],
)
def test_parsed(text, calls):
    assert registry.parse(text) == calls


def test_a_list_is_joined_by_semicolons():
    assert listed("") == listed(" ; ") == []
    assert listed(" mixup(k=3) ;cutout + a.b.Mine(x=(1, 2)); ") == ["mixup(k=3)", "cutout + a.b.Mine(x=(1, 2))"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mixup(",
        "mixup(4)",
        "mixup(k=4, k=5)",
        "mixup(k=f(1))",
        "mixup(k=1/0)",
        "mixup(**{})",
        "mixup - flip",
        "3",
        "a()()",
        "f(x).y",
    ],
)
def test_other_texts_are_refused_with_a_hint(text):
    with pytest.raises(ValueError, match=r"write a name, or name\(number=value, \.\.\.\), joined by \+"):
        registry.parse(text)


@pytest.mark.parametrize(
    ("choice", "label"),
    [
        (augment.load("mixup"), "mixup"),
        (augment.load("mixup", k=4, alpha=None), "mixup(k=4, alpha=None)"),
        (augment.load("laplace", scale=32 / 255), "laplace(scale=32/255)"),
        (augment.load("laplace", scale=0.1), "laplace(scale=0.1)"),
        (augment.load("gaussian", scale=2.0), "gaussian(scale=2.0)"),
        (augment.load("maxup", inner="cutout + flip"), "maxup(inner='cutout + flip')"),
        (models.load("resnet", depth=34, norm="group"), "resnet(depth=34, norm='group')"),
        (data.source("imagenet", content="0123"), "imagenet"),
        (attacks.load("patch", poison_rate=1), "patch(poison_rate=1.0)"),
    ],
)
def test_labels_show_what_differs_from_the_defaults_as_one_would_write_it(choice, label):
    assert registry.label(choice) == label


@pytest.mark.parametrize(
    ("load", "text", "words"),
    [
        (augment.load, "mixup(k='4')", "k='4': choose a whole number"),
        (augment.load, "mixup(k=True)", "k=True: choose a whole number"),
        (augment.load, "mixup(alpha='1')", "alpha='1': choose a number or None"),
        (augment.load, "laplace(clip=1)", "clip=1: choose True or False"),
        (augment.load, "laplace(variant=1)", "variant=1: choose a text"),
        (filters.load, "spectral_signatures(multiple=None)", "multiple=None: choose a number"),
        (augment.load, "flip + crop", "give one name here, not 2 joined by \\+"),
    ],
)
def test_values_of_another_type_are_refused(load, text, words):
    with pytest.raises(ValueError, match=words):
        load(text)


def test_whole_numbers_are_numbers_and_lists_are_tuples():
    assert augment.load("laplace", scale=1) == augment.load("laplace", scale=1.0)
    assert type(augment.load("laplace", scale=1).scale) is float
    assert augment.load({"name": "cutout", "fill": [0.1, 0.2, 0.3]}).fill == (0.1, 0.2, 0.3)
    assert augment.load("mixup", alpha=2).alpha == 2.0


def test_an_object_is_loaded_as_it_is_or_with_changes():
    mixup = augment.load("mixup", k=4)
    assert augment.load(mixup) is not None and augment.load(mixup) == mixup
    assert augment.load(mixup, alpha=0.5) == augment.load("mixup", k=4, alpha=0.5)


def test_imported_finds_nested_names_and_says_what_is_missing():
    assert registry.imported("poisonlib.augment.mixup.Mixup") is type(augment.load("mixup"))
    assert registry.imported("poisonlib.attacks.Attack.craft") is attacks.Attack.craft
    for path in ("poisonlib.augment.mixup.Lost", "poisonlib.lost.Thing", "lost.Thing", "poisonlib.attacks.Attack.lost"):
        with pytest.raises(LookupError, match=f"{path} cannot be imported; a class must stand at the top level"):
            registry.imported(path)


@dataclass(frozen=True)
class Stepped(augment.Augment):
    """An augmentation whose levels have a default that is made anew for each object."""

    levels: tuple = field(default_factory=lambda: (1, 2))
    k: int = 2


def test_a_default_that_is_made_anew_is_a_default():
    made = augment.load(f"{__name__}.Stepped(k=3)")
    assert made.levels == (1, 2) and registry.label(made) == f"{__name__}.Stepped(k=3)"


def test_one_call_is_wanted_where_there_is_room_for_one():
    with pytest.raises(ValueError, match=r"'mixup \+ cutmix': give one name here, not 2 joined by"):
        registry.one("mixup + cutmix")
    assert registry.one("mixup(k=4)") == ("mixup", {"k": 4})


def test_a_module_that_ends_the_process_when_it_is_imported_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "ascript.py").write_text("import sys\nclass Thing: pass\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError, match=r"ascript\.Thing cannot be imported: SystemExit: 0"):
        registry.imported("ascript.Thing")


def test_a_module_that_lacks_another_one_says_which(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import surely_not_installed\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError, match=r"needs_more\.Thing cannot be imported: No module named 'surely_not_installed'"):
        registry.imported("needs_more.Thing")
