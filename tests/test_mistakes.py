"""Mistakes in classes from outside the package: each is named before it costs anything, and no other trial notices."""

import numpy as np
import pytest
import torch

from poisonlib import check, data, experiments, paths, training
from poisonlib.filters import FilterResult

from .test_outside import printed, script

CLASSES = """
    import json
    from dataclasses import dataclass
    from typing import Literal

    import numpy as np
    import torch
    from torch import nn
    from poisonlib import data, experiments, models, training
    from poisonlib.attacks import Attack
    from poisonlib.augment import Augment
    from poisonlib.data import Goal, Poison
    from poisonlib.experiments import Ledger, grid

    @dataclass(frozen=True)
    class Marks(Attack):
        count: int = 5
        at: Literal["corner", "middle"] = "corner"
        strength: float = 1.0
        how: str = "well"  # well, in place, no poison, tensor

        @property
        def clean(self):
            return self.how == "clean"

        def craft(self, threat_model, seed):
            rows = (threat_model.train.labels == 0).nonzero()[: 0 if self.how in ("no poison", "clean") else self.count, 0]
            rows = rows[threat_model.train.ids[rows].argsort()]
            images = threat_model.train.images if self.how == "in place" else threat_model.train.images.clone()
            images[rows, :, :3, :3] = round(255 * self.strength)
            aim = threat_model.test.of_class(1)
            intended = torch.tensor(0) if self.how == "tensor" else 0
            return Poison(threat_model.train.ids[rows], images[rows]), Goal(aim.images, aim.labels, aim.ids, intended)

    @dataclass(frozen=True)
    class Shift(Augment):
        in_place: bool = False

        def sample_params(self, n, shape, generator):
            return {"by": torch.rand(n, 1, 1, 1, generator=generator) / 4}

        def apply(self, x, y, params, generator=None):
            return (x.add_(params["by"]).clamp_(0, 1) if self.in_place else (x + params["by"]).clamp(0, 1)), y

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.aside = nn.Linear(3, 3)
            self.body, self.fc = nn.Linear(64, 16), nn.Linear(16, 10)

        def forward(self, x):
            return self.fc(self.body(x.flatten(1)).relu())

    class Aside(Unused):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(16, 10)  # registered last, and not used

    PARTS = dict(
        data=data.source("digits", size=8, limit=100),
        model=models.load("cifar_resnet", depth=8, width=2, shortcut="projection"),
        recipe=training.load("quick", epochs=1, batch_size=50),
    )

    def table(attack, defence="none", **parts):
        return grid("targeted", "quick", attack=attack, defence=defence, trials=1, **PARTS | parts)

    def outcome(trials, ledger, workers=0):
        try:
            found = experiments.run(trials, workers=workers, ledger=Ledger.open(ledger))
            return [json.loads(record.measured())["result"] for record in found]
        except Exception as error:
            return str(error).strip().splitlines()[-2:][0] if len(str(error).splitlines()) > 1 else str(error)

    def say(*results):
        print(json.dumps(results))

"""


def said(code, folder):
    return printed(script(CLASSES + "\n".join("    " + line for line in code.strip().splitlines()), folder))


def test_an_attack_that_writes_into_the_training_images_is_stopped_and_other_trials_do_not_notice(tmp_path):
    ((alone, wrong, after, other),) = said(
        """
say(outcome(table(Marks()), "a"), outcome(table(Marks(how="in place")), "b"), outcome(table(Marks()), "b"),
    outcome(table(Marks(how="no poison")), "b"))
""",
        tmp_path,
    )
    assert "wrote into the images or labels that it was given; let it change a copy" in wrong and "Marks(how='in place')" in wrong
    assert after == alone and type(alone) is list and len(alone) == 1
    assert "poisons no image; a control that is meant to do so says it with clean=True" in other


def test_what_an_attack_returns_may_be_numbers_of_torch_and_numpy(tmp_path):
    ((plain, tensor, control, scalars),) = said(
        """
scalars = Marks(count=np.int64(4), strength=np.float32(0.5))
say(outcome(table(Marks()), "a"), outcome(table(Marks(how="tensor")), "a"), outcome(table(Marks(how="clean")), "a"),
    [table(scalars)[0].attack == Marks(count=4, strength=0.5), len(table(Marks(count=np.int64(4))))])
""",
        tmp_path,
    )
    assert plain == tensor and type(plain) is type(control) is list and scalars == [True, 1]


def test_a_choice_of_words_is_checked(tmp_path):
    ((fine, wrong),) = said(
        """
try:
    table(Marks(at="somewhere"))
except ValueError as error:
    say(table(Marks(at="middle"))[0].attack.at, str(error))
""",
        tmp_path,
    )
    assert (fine, wrong) == ("middle", "at='somewhere': choose one of 'corner', 'middle'")


def test_the_default_dtype_of_a_script_changes_nothing(tmp_path):
    ((before, inside, kept),) = said(
        """
first = outcome(table(Marks()), "a")
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
say(first, outcome(table(Marks()), "b"), [str(torch.get_default_dtype()), torch.is_grad_enabled()])
""",
        tmp_path,
    )
    assert type(before) is list and before == inside and kept == ["torch.float64", False], "and it is the script's again afterwards"


def test_an_augmentation_that_writes_in_place_is_named_in_maxup(tmp_path):
    ((alone, copied, fine, wrong),) = said(
        """
run = lambda defence: outcome(table(Marks(), defence), "a")
say(run(Shift(in_place=True)), run(Shift()), run("maxup(inner='__main__.Shift', start=0, m=2)"),
    run("maxup(inner='__main__.Shift(in_place=True)', start=0, m=2)"))
""",
        tmp_path,
    )
    assert type(alone) is list and alone == copied, "alone it does no harm"
    assert type(fine) is list and "an augmentation wrote into the images or labels that it was given" in wrong


def test_a_parameter_that_a_network_does_not_use_stops_nothing(tmp_path):
    (found,) = said(
        """
own = dict(model=models.from_module(Unused))
attack = "gradient_matching(steps=3, poison_rate=0.05, restarts=1)"
say(outcome(table(attack, **own), "a"), outcome(table(Marks(), "noisy_sgd(noise=0.01)", **own), "a"),
    outcome(table("metapoison(steps=2, poison_rate=0.05, ensemble=1, epochs=1)", **own), "a"),
    outcome(table(Marks(), model=models.from_module(Aside)), "a"))
""",
        tmp_path,
    )
    *trials, last = found
    assert all(type(each) is list for each in trials), trials
    assert "last, the last nn.Linear, does not make the logits; name the layer: features=..." in last


def test_scores_that_are_no_numbers_are_counted():
    with pytest.raises(ValueError, match="scores: 1 of 3 are NaN"):
        FilterResult(torch.tensor([True] * 3), torch.tensor([0.1, float("nan"), float("inf")]))


def test_the_ids_of_a_goal_are_as_many_as_its_images(tmp_path):
    ((wrong,),) = said(
        """
try:
    Goal(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), torch.arange(3), 0)
except ValueError as error:
    say(str(error))
""",
        tmp_path,
    )
    assert "ids" in wrong


def test_empty_lists_and_numbers_of_numpy_in_a_grid():
    for given in ({"attack": [], "defence": "none"}, {"attack": "patch", "defence": []}):
        assert experiments.grid("backdoor", "quick", **given) == []  # as notebooks have it where a side question is left out
    check.whole("trials", np.int64(2), 1)
    with pytest.raises(ValueError, match="trials=True"):
        check.whole("trials", True, 1)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ((np.zeros((4, 4), np.uint8), 1, "more"), "item 0 is a tuple; give pairs of an image and its label"),
        ({"image": 0, "label": 1}, "item 0 is a dict; give pairs"),
    ],
)
def test_an_item_that_is_no_pair_is_named(item, words):
    with pytest.raises(TypeError, match=words):
        data.from_dataset([item])


def test_arrays_of_anything_but_numbers_are_named():
    grey = np.zeros((3, 4, 4), np.uint8)
    assert data.from_arrays(grey, np.array([0, 1, 2], np.uint16)).labels.tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="labels: give an array or a tensor of numbers"):
        data.from_arrays(grey, ["cat", "dog", "cat"])
    with pytest.raises(TypeError, match="images: give an array"):
        data.from_arrays([object()] * 3, [0, 1, 2])


def test_a_user_without_a_home_has_a_data_root(monkeypatch, tmp_path):
    for name in ("POISONLIB_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))

    def homeless(path):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr("pathlib.Path.expanduser", homeless)
    assert paths.data() == tmp_path / ".cache" / "poisonlib"


def test_settings_restore_the_dtype_after_an_error():
    before = torch.get_default_dtype()
    with pytest.raises(KeyError), training.settings(training.Numerics()):
        raise KeyError
    assert torch.get_default_dtype() == before
