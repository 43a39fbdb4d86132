"""Classes from outside the package: what a user writes counts as itself, in this process, in workers, and in records."""

import json
import os
import random
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import poisonlib
from poisonlib import augment, experiments, registry
from poisonlib.attacks import Attack
from poisonlib.data import Goal, Poison
from poisonlib.experiments import provenance
from poisonlib.rng import seeded

OUTSIDE = Path(__file__).parent / "outside"
PACKAGE = Path(poisonlib.__file__).parent


def script(code: str, folder: Path, *, path=(OUTSIDE,), package: Path = PACKAGE.parent, name: str = "script.py"):
    """Run code as a user's script in a folder, with the outside package on the path; returns the finished process."""
    (folder / name).write_text(textwrap.dedent(code))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [*path, package])),
        "POISONLIB_OUTPUTS": str(folder / "outputs"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run([sys.executable, name], capture_output=True, text=True, env=environment, cwd=folder)


def printed(done) -> list:
    """The JSON that a script printed, a line a value."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_outside_package_adds_one_of_each_and_runs_table_2_with_any_number_of_workers(tmp_path):
    """The grid of Table 2 on the user's data and network: own attack, augmentation and filter beside the built-in ones."""
    code = """
        import json, sys
        from poison_club.network import TwoLayers
        from poisonlib import experiments, models, training
        from poisonlib.experiments import Ledger

        table = experiments.grid(
            "targeted", "quick", trials=1,
            attack=[
                "poison_club.attack.Negatives(count=4)",
                "gradient_matching(steps=5, poison_rate=0.1)",
                "gradient_matching(steps=5, poison_rate=0.1, adaptive='surrogate')",
            ],
            defence=["none", "mixup", "cutmix", "poison_club.cutmix.CutMix", "poison_club.filter.LargestNorm"],
            data="poison_club.shapes.Stripes(n=60)",
            model=models.from_module(TwoLayers, width=16),
            recipe=training.load("quick", epochs=2),
        )
        for workers in (0, 2):
            records = experiments.run(table, workers=workers, ledger=Ledger.open(f"ledger{workers}"))
            print(json.dumps([record.measured() for record in records]))
        print(json.dumps([record.trial.defence.label for record in records]))
        print(json.dumps([record.poisons.count for record in records]))
    """
    alone, side_by_side, labels, counts = printed(script(code, tmp_path))
    assert alone == side_by_side and len(alone) == 13  # a filter alone gives an adaptive attacker nothing to adapt to
    assert len(set(alone)) == 13
    assert {"cutmix", "poison_club.cutmix.CutMix", "poison_club.filter.LargestNorm"} <= set(labels)
    assert counts == [4] * 5 + [6] * 8


def test_a_class_that_is_named_like_a_built_in_one_is_never_taken_for_it(tmp_path):
    """It has a name and a key of its own, and workers train with it: blackened images teach nothing."""
    code = """
        import json
        from poison_club.cutmix import CutMix
        from poisonlib import augment, experiments
        from poisonlib.experiments import Ledger

        table = experiments.grid("backdoor", "quick", trials=1, attack="patch(poison_rate=0)", recipe=experiments.profile(
            "backdoor", "quick").recipe.lasting(3), defence=["none", augment.load("cutmix"), CutMix(p=1.0)])
        print(json.dumps([trial.key for trial in table]))
        for workers in (0, 2):
            records = experiments.run(table, workers=workers, ledger=Ledger.open(f"ledger{workers}"))
            print(json.dumps([record.accuracy for record in records]))
    """
    keys, here, in_workers = printed(script(code, tmp_path))
    assert len(set(keys)) == 3
    assert here == in_workers
    assert here[2] < 0.2 < 0.3 < min(here[:2])


NOTEBOOK = """
    import json
    from dataclasses import dataclass
    import torch
    from poisonlib import experiments
    from poisonlib.augment import Augment

    LEVEL = {level}

    @dataclass(frozen=True)
    class Darker(Augment):
        def sample_params(self, n, shape, generator):
            return {{}}
        def apply(self, x, y, params, generator=None):
            return x * LEVEL, y

    recipe = experiments.profile("backdoor", "quick").recipe.lasting(3)
    table = experiments.grid("backdoor", "quick", trials=1, attack="patch(poison_rate=0)", recipe=recipe, defence=Darker())
    plan = experiments.plan(table)
    record = experiments.run(table, workers={workers}, again={again})[0]
    print(json.dumps([record.spec["defence"]["augment"][0]["name"], plan.recorded, plan.stale, record.accuracy, str(plan)]))
"""


def test_a_class_of_a_script_or_notebook_runs_in_workers_as_itself_and_is_told_apart_after_a_change(tmp_path):
    def run(level, workers, again=False):
        return printed(script(NOTEBOOK.format(level=level, workers=workers, again=again), tmp_path))[0]

    name, recorded, stale, bright, _ = run(1.0, workers=2)
    assert (name, recorded, stale) == ("__main__.Darker", 0, {}) and bright > 0.3
    assert run(1.0, workers=2)[1:4] == [1, {}, bright]
    _, recorded, stale, accuracy, text = run(0.0, workers=2)  # a constant that the class uses was changed
    assert (recorded, stale, accuracy) == (1, {"recorded with other code": 1}, bright)
    assert "1 recorded with other code; again=True repeats them" in text
    dark = run(0.0, workers=2, again=True)[3]
    assert dark < 0.2 and run(0.0, workers=0)[2:4] == [{}, dark]


def test_a_changed_source_is_noticed_and_a_changed_comment_is_not(tmp_path):
    """In a copy of the package: a bug in cutmix.py, then a comment and a docstring instead of the bug."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / "poisonlib", ignore=shutil.ignore_patterns("__pycache__"))
    code = """
        import json
        from poisonlib import experiments
        recipe = experiments.profile("backdoor", "quick").recipe.lasting(1)
        table = experiments.grid(
            "backdoor", "quick", trials=1, attack="patch(poison_rate=0)", recipe=recipe, defence=["none", "cutmix"]
        )
        plan = experiments.plan(table)
        again = experiments.plan(table, again=True)
        experiments.run(table, workers=0)
        print(json.dumps([plan.recorded, plan.stale, again.trainings]))
    """
    source = copy / "poisonlib" / "augment" / "cutmix.py"
    right = source.read_text()
    assert printed(script(code, tmp_path, package=copy)) == [[0, {}, 2]]
    assert printed(script(code, tmp_path, package=copy)) == [[2, {}, 0]]
    source.write_text(right.replace("1 - share) * y", "2 - share) * y"))
    done = script(code, tmp_path, package=copy)
    assert printed(done) == [[2, {"recorded with other code": 1}, 1]]
    assert "1 recorded with other code; run(..., again=True) repeats them" in done.stderr
    source.write_text(
        right.replace('"""CutMix:', '"""Another docstring.\n\nCutMix:').replace(
            "h, w = x.shape[2:]", "h, w = x.shape[2:]  # a comment"
        )
    )
    assert printed(script(code, tmp_path, package=copy)) == [[2, {}, 0]]


def test_an_object_whose_class_is_not_what_its_name_loads_is_refused():
    @dataclass(frozen=True)
    class Local(augment.Augment):
        pass

    with pytest.raises(TypeError, match="is not what Python finds under this name"):
        registry.describe(Local())
    impostor = type("Mixup", (augment.Augment,), {"__module__": "poisonlib.augment.mixup", "__qualname__": "Mixup"})
    with pytest.raises(TypeError, match="is not what Python finds under this name"):
        registry.describe(dataclass(frozen=True)(impostor)())


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("no_such_package.Thing", LookupError, "no_such_package.Thing cannot be imported"),
        ("poison_club.cutmix.Missing", LookupError, "cannot be imported"),
        ("__main__.Gone", LookupError, "notebook or script that is not running"),
        ("json.JSONDecoder", LookupError, "belongs to the standard library"),
        ("torch.nn.Linear", TypeError, "derives from none of"),
    ],
)
def test_a_name_that_means_no_defence_says_so(name, error, words, monkeypatch):
    monkeypatch.syspath_prepend(OUTSIDE)
    with pytest.raises(error, match=words):
        experiments.defence(name)


def test_data_of_another_content_have_another_key_or_are_told_apart(tmp_path, monkeypatch):
    """Class folders carry a digest in the key; any other data set has its fingerprint in the record."""
    import numpy as np
    from PIL import Image

    from poisonlib import data

    for split, count in (("train", 3), ("val", 1)):
        for name in ("a", "b"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.full((16, 16, 3), 40 * i, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / split / name / f"{i}.png")
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path))
    whole = data.source("imagenet(folder='set', size=16)").resolved()
    (tmp_path / "set" / "train" / "a" / "2.png").unlink()
    part = data.source("imagenet(folder='set', size=16)").resolved()
    assert whole != part and registry.describe(whole) != registry.describe(part)
    assert registry.label(whole) == registry.label(part) == "imagenet(folder='set', size=16)"
    assert len(part.load("train")) == 5
    with pytest.raises(FileNotFoundError, match="holds other files"):
        whole.load("train")


def test_a_record_of_other_data_is_told_apart(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    stripes = (OUTSIDE / "poison_club" / "shapes.py").read_text()
    (own / "shapes.py").write_text(
        stripes.replace("* 0.5 + noise", "* STRENGTH + noise").replace(
            "@dataclass", "import os\nSTRENGTH = float(os.environ['STRENGTH'])\n\n\n@dataclass"
        )
    )
    code = """
        import json, os
        from poisonlib import experiments
        table = experiments.grid("targeted", "quick", trials=1, attack="noise(poison_rate=0.1)", data="shapes.Stripes(n=60)",
            recipe=experiments.profile("targeted", "quick").recipe.lasting(1))
        print(json.dumps(experiments.plan(table).stale))
        experiments.run(table, workers=0)
    """
    (tmp_path / "run").mkdir()
    os.environ["STRENGTH"] = "0.5"
    assert printed(script(code, tmp_path / "run", path=(own,))) == [{}]
    assert printed(script(code, tmp_path / "run", path=(own,))) == [{}]
    os.environ["STRENGTH"] = "0.25"
    assert printed(script(code, tmp_path / "run", path=(own,))) == [{"recorded with other data": 1}]
    del os.environ["STRENGTH"]


@dataclass(frozen=True)
class Peek(Attack):
    """Says in its poison whether it was told the defence."""

    def craft(self, threat_model, seed):
        base = threat_model.train.take(torch.tensor([0]))
        told = bool(threat_model.defence.parts or threat_model.step)
        aim = threat_model.test.take(torch.tensor([0]))
        return Poison(base.ids, torch.full_like(base.images, int(told))), Goal(aim.images, aim.labels, aim.ids, 0)


@dataclass(frozen=True)
class Adaptive(Peek):
    """The same, adaptive."""

    adaptive: str = "always"


@dataclass(frozen=True)
class Factor(augment.Augment):
    """A field of each kind that a record can hold, or not."""

    factor: float = 1.0
    inner: object = None


@dataclass(frozen=True)
class Named(augment.Augment):
    """A field that would take the place of the class's name in records."""

    name: str = "mixup"


SMALL = {"trials": 1, "data": "digits(limit=100, size=8)"}


def test_an_attacker_knows_the_defence_only_if_adaptive():
    for attack, told in ((Peek(), 0), (Adaptive(), 1)):
        (trial,) = experiments.grid("targeted", "quick", attack=attack, defence="mixup + noisy_sgd", **SMALL)
        poison, _ = experiments.craft(trial, "cpu")
        assert poison.images.unique().tolist() == [told]


def test_a_craft_is_named_by_the_contents_of_both_splits():
    (trial,) = experiments.grid("targeted", "quick", attack="gradient_matching(poison_rate=0.05)", **SMALL)
    assert provenance.craft(trial)["content"] == provenance.content(trial)
    assert set(provenance.content(trial)) == {"train", "test"}


def test_fields_are_what_their_description_says():
    grids = [experiments.grid("targeted", "quick", attack="noise", defence=Factor(factor), **SMALL) for factor in (2, 2.0)]
    assert grids[0] == grids[1] and grids[0][0].key == grids[1][0].key
    with pytest.raises(TypeError, match="not the same after its description was read again"):
        experiments.grid("targeted", "quick", attack="noise", defence=Factor(inner=augment.load("mixup")), **SMALL)
    with pytest.raises(TypeError, match="without a field called 'name'"):
        experiments.defence(Named())


def test_initial_weights_may_come_from_any_global_generator():
    def draws():
        return torch.rand(1).item(), np.random.rand(), random.random()

    before = random.getstate(), np.random.get_state()[1].tolist()
    with seeded(3, "initial weights"):
        first = draws()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    with seeded(3, "initial weights"):
        assert draws() == first
    with seeded(4, "initial weights"):
        assert all(ours != other for ours, other in zip(draws(), first, strict=True))


def test_no_part_of_a_defence_is_dropped():
    """Also where a list holds names and objects, or something else."""
    parts = experiments.defence([augment.load("mixup"), "cutout + noisy_sgd"]).parts
    assert [registry.name_of(part) for part in parts] == ["mixup", "cutout", "noisy_sgd"]
    for stray in (5, None, experiments.Defence()):
        with pytest.raises(TypeError, match="each part must be an augmentation, a filter or a step"):
            experiments.defence([augment.load("mixup"), stray])
