"""The shape of the package: imports run downwards, files are the registration, and importing is cheap."""

import ast
import dataclasses
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import poisonlib
from poisonlib import attacks, augment, data, filters, models, paths, registry, steps

from .warm import FRESH

PACKAGE = Path(poisonlib.__file__).parent
FLOORS = [
    {"calls", "syntax"},
    {"interactive"},
    {"check", "files", "locks", "paths", "progress", "registry", "rng", "scenarios", "source", "tensors", "words"},
    {"data", "models", "augment", "steps", "privacy"},
    {"training", "attacks", "filters"},
    {"experiments"},
    {"papers"},
    {"plots", "benchmark"},
    {"widgets"},
    {"notebooks", "doctor"},
    {"lab", "report", "selection", "listing"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    inside = path.relative_to(PACKAGE).parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = list(inside[: len(inside) - node.level]) + (node.module or "").split(".")
            base = [part for part in base if part]
            found |= {base[0]} if base else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("poisonlib.")}
    return found & FLOOR.keys()


def test_imports_run_strictly_downwards():
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in FLOOR, f"{path.relative_to(PACKAGE)} is on no floor"
        upward = {other for other in imported_rooms(path) - {room} if FLOOR[other] >= FLOOR[room]}
        assert not upward, f"{path.relative_to(PACKAGE)} imports {upward}, which does not lie below {room}"


def test_the_import_check_can_fail(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.py").write_text("def f():\n    from ..experiments import run\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match="does not lie below data"):
        test_imports_run_strictly_downwards()


@pytest.mark.slow
def test_importing_is_cheap():
    """At most 1.3 times importing torch, in processor time of the same process, best of three."""
    code = """
from time import process_time as now
start = now(); import torch
after_torch = now(); import poisonlib, poisonlib.experiments, poisonlib.attacks, poisonlib.data, poisonlib.models
print((now() - start) / (after_torch - start))
"""
    runs = [subprocess.run([FRESH, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) <= 1.3


@pytest.mark.slow
def test_the_compute_path_needs_no_notebook_packages():
    heavy = ("IPython", "pandas", "matplotlib", "papermill", "sklearn", "torchvision", "cloudpickle", "PIL", "scipy")
    code = f"import sys, poisonlib.experiments; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([FRESH, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


ROOMS = {
    "attacks": attacks.Attack,
    "augment": augment.Augment,
    "data": data.Data,
    "filters": filters.Filter,
    "models": models.Model,
    "steps": steps.Step,
}
ROOM_MODULES = {"attacks": attacks, "augment": augment, "data": data, "filters": filters, "models": models, "steps": steps}
CHOICES = [(room, name) for room in ROOMS for name in registry.names(f"poisonlib.{room}")]
REQUIRED = {  # values of choices that have no defaults
    "folder": {"path": "mine"},
    "cifar_setup": {"setups": "0123"},
    "external": {"title": "mine", "content": "0123"},
    "stored": {"title": "mine", "content": "0123"},
    "cifar": {"classes": 10},
    "resnet": {"depth": 18},
    "vgg": {"depth": 16},
    "module": {"factory": "torch.nn.Flatten", "arguments": (("start_dim", 1),)},
}
VERBS = {"attacks": "craft", "augment": "apply", "data": "load", "filters": "score", "models": "build", "steps": "backward"}


@pytest.mark.parametrize(("room", "name"), CHOICES)
class TestEveryChoice:
    """What every file of a room must do. Parametrised over the files, so that a new one is tested at once."""

    def test_is_a_documented_frozen_dataclass_of_its_rooms_protocol(self, room, name):
        cls = registry.find(f"poisonlib.{room}", ROOMS[room], name)
        assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
        assert ROOMS[room] in cls.__mro__[1:] and registry.Choice in cls.__mro__
        text = inspect.cleandoc(cls.__doc__)
        assert text and not text.startswith(f"{cls.__name__}("), "a docstring of its own, not the one that dataclasses write"
        assert sys.modules[cls.__module__].__doc__, "and one of the file"
        verb = VERBS[room]
        assert getattr(cls, verb) is not getattr(ROOMS[room], verb), f"{verb} is the protocol's, which only raises"

    def test_loads_back_from_its_description(self, room, name):
        module = ROOM_MODULES[room]
        load = getattr(module, "source", module.load)
        choice = load(name, **REQUIRED.get(name, {}))
        description = json.loads(json.dumps(registry.describe(choice)))
        assert description["name"] == name == registry.name_of(choice)
        assert load(description) == choice and load(choice) is not None
        assert hash(load(description)) == hash(choice)
        assert type(choice) in choice.depends_on()
        with pytest.raises(dataclasses.FrozenInstanceError):
            choice.anything = 1

    def test_loads_back_from_its_label(self, room, name):
        """But for what labels leave out."""
        module = ROOM_MODULES[room]
        load = getattr(module, "source", module.load)
        choice = load(name, **REQUIRED.get(name, {}))
        hidden = [field.name for field in dataclasses.fields(choice) if not field.metadata.get("shown", True)]
        assert load(registry.label(choice), **{each: getattr(choice, each) for each in hidden}) == choice

    def test_refuses_arguments_that_it_does_not_have(self, room, name):
        module = ROOM_MODULES[room]
        with pytest.raises(TypeError, match=f"{name} has no argument colour_of_the_sky; it has: "):
            getattr(module, "source", module.load)(name, **REQUIRED.get(name, {}), colour_of_the_sky=1)


def test_a_choice_of_one_room_is_none_of_another():
    with pytest.raises(TypeError, match=r"Mixup'> does not derive from poisonlib\.filters\.Filter"):
        filters.load(augment.load("mixup"))
    with pytest.raises(LookupError, match=r"poisonlib\.filters has no 'mixup'; choose one of: activation_clustering, "):
        filters.load("mixup")


NEW = {
    "attacks/flip_label_free.py": """
from dataclasses import dataclass
import torch
from ..data import Goal, Poison
from . import Attack
@dataclass(frozen=True)
class FlipLabelFree(Attack):
    count: int = 3
    def craft(self, threat_model, seed):
        ids = threat_model.train.ids[: self.count].sort().values
        base = threat_model.train.take(threat_model.train.positions(ids))
        aim = threat_model.test.take(torch.arange(2))
        return Poison(ids, 255 - base.images), Goal(aim.images, aim.labels, aim.ids, intended_class=0)
""",
    "filters/keep_all.py": """
from dataclasses import dataclass
import torch
from . import Filter, FilterResult
@dataclass(frozen=True)
class KeepAll(Filter):
    def score(self, features, labels):
        return FilterResult(torch.ones(len(labels), dtype=torch.bool), features.norm(dim=1))
""",
    "augment/invert.py": """
from dataclasses import dataclass
import torch
from . import Augment
@dataclass(frozen=True)
class Invert(Augment):
    def sample_params(self, n, shape, generator):
        return {"invert": torch.rand(n, generator=generator) < 0.5}
    def apply(self, x, y, params, generator=None):
        return torch.where(params["invert"][:, None, None, None], 1 - x, x), y
""",
    "steps/halved.py": """
from dataclasses import dataclass
from . import Step
@dataclass(frozen=True)
class Halved(Step):
    def backward(self, network, loss, x, y, generator):
        value = loss(x, y) / 2
        value.backward()
        return value * 2
""",
    "data/noise.py": """
from dataclasses import dataclass
import torch
from ..rng import stream
from . import Data, ImageSet
@dataclass(frozen=True)
class Noise(Data):
    n: int = 64
    def load(self, split, download=False):
        g = stream(0, split)
        images = torch.randint(256, (self.n, 1, 8, 8), generator=g).to(torch.uint8)
        return ImageSet(images, torch.arange(self.n) % 4, torch.arange(self.n), ("a", "b", "c", "d"), (0.5,), (0.3,))
""",
    "models/linear.py": """
from dataclasses import dataclass
from torch import nn
from . import Model, Network
@dataclass(frozen=True)
class Linear(Model):
    def build(self, classes, shape, mean, std):
        d = shape[0] * shape[1] * shape[2]
        return Network(nn.Flatten(), nn.Linear(d, classes), mean, std)
""",
}


@pytest.mark.slow
def test_one_file_adds_an_attack_a_filter_an_augmentation_a_step_a_data_set_or_a_network(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "poisonlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name, source in NEW.items():
        (tmp_path / "poisonlib" / name).write_text(source)
    code = """
from poisonlib import data, experiments, models, training
defences = ["none", "invert + halved", "invert + keep_all"]
table = experiments.grid("backdoor", "quick", attack="flip_label_free(count=5)", defence=defences, trials=1,
    data=data.source("noise"), model=models.load("linear"), recipe=training.load("quick", epochs=1))
records = experiments.run(table, workers=0)
print(experiments.check(records, table))
print([record.poisons.count for record in records], records[2].filter.removed)
print([trial.defence.label for trial in table])
"""
    environment = {"PYTHONPATH": str(tmp_path), "POISONLIB_OUTPUTS": str(tmp_path / "out"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[5, 5, 5] 0", "['none', 'invert + halved', 'invert + keep_all']"]


LATE = """
from dataclasses import dataclass
from room_of_the_test import Thing
@dataclass(frozen=True)
class Late(Thing):
    pass
"""


def test_a_file_that_is_added_while_a_notebook_is_open_is_a_choice_at_once(tmp_path, monkeypatch):
    room = tmp_path / "room_of_the_test"
    room.mkdir()
    (room / "__init__.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    protocol = importlib.import_module(room.name).Thing
    with pytest.raises(LookupError, match="no 'late'"):
        registry.find(room.name, protocol, "late")
    time.sleep(0.05)  # folders' times are not finer everywhere
    (room / "late.py").write_text(LATE)
    (room / "_shared.py").touch()
    importlib.invalidate_caches()
    assert registry.names(room.name) == ["late"]
    assert registry.find(room.name, protocol, "late").__qualname__ == "Late"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", r"defines 0 classes that derive from Thing; it must define one"),
        (LATE + "@dataclass(frozen=True)\nclass Other(Thing):\n    pass\n", "defines 2 classes"),
        (LATE.replace("@dataclass(frozen=True)", "@dataclass"), r"Late must be decorated with @dataclass\(frozen=True\)"),
        (LATE.replace("@dataclass(frozen=True)", ""), r"Late must be decorated with @dataclass\(frozen=True\)"),
        (LATE.replace("(Thing)", ""), "defines 0 classes"),
    ],
)
def test_a_file_without_exactly_one_frozen_choice_is_refused(tmp_path, monkeypatch, source, words):
    name = f"room_{abs(hash(source))}"
    room = tmp_path / name
    room.mkdir()
    (room / "__init__.py").write_text("class Thing:\n    pass\n")
    (room / "wrong.py").write_text(source.replace("room_of_the_test", name))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match=words):
        registry.find(name, importlib.import_module(name).Thing, "wrong")


def test_roots_do_not_depend_on_the_folder_one_stands_in(tmp_path, monkeypatch):
    monkeypatch.delenv("POISONLIB_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.root() == PACKAGE.parent
    for variable, root in (("POISONLIB_OUTPUTS", paths.outputs), ("POISONLIB_DATA", paths.data)):
        monkeypatch.setenv(variable, "some/folder")
        assert root() == paths.root() / "some" / "folder"
        monkeypatch.setenv(variable, str(tmp_path))
        assert root() == tmp_path
    monkeypatch.delenv("POISONLIB_OUTPUTS")
    assert paths.outputs() == paths.root() / "outputs"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that gives the roots, as an installed copy of the package sees them from a working folder."""
    for name in ("HOME", "OUTPUTS", "DATA"):
        monkeypatch.delenv(f"POISONLIB_{name}", raising=False)
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "poisonlib", ignore=shutil.ignore_patterns("__pycache__"))
    code = "from poisonlib import paths; print(paths.root(), paths.outputs(), sep='\\n')"

    def roots(folder, **environment):
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(site)} | environment
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder)
        assert done.returncode == 0, done.stderr
        return [Path(line) for line in done.stdout.splitlines()]

    return roots


def test_an_installed_copy_works_where_one_stands(installed, tmp_path):
    here = tmp_path / "work"
    assert installed(here) == [here, here / "outputs"]
    assert installed(here / "notebooks") == [here, here / "outputs"], "as in a checkout, notebooks lie below the root"
    assert installed(here / "notebooks", POISONLIB_OUTPUTS="mine") == [here, here / "mine"]


def test_poisonlib_home_wins(installed, tmp_path, monkeypatch):
    home = tmp_path / "home"
    assert installed(tmp_path / "work" / "notebooks", POISONLIB_HOME=str(home)) == [home, home / "outputs"]
    monkeypatch.setenv("POISONLIB_HOME", str(home))
    assert paths.root() == home, "even in a checkout"
    monkeypatch.setenv("POISONLIB_HOME", "~/elsewhere")
    assert paths.root() == Path.home() / "elsewhere"


def test_a_folder_with_only_one_sign_of_a_checkout_is_none(installed, tmp_path):
    (tmp_path / "site" / "notebooks").mkdir()
    assert installed(tmp_path / "work")[0] == tmp_path / "work"
    (tmp_path / "site" / "pyproject.toml").touch()
    assert installed(tmp_path / "work")[0] == tmp_path / "site"
