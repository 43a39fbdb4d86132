"""The shape of the package: imports run downwards, files are the registration, and importing is cheap."""

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import poisonlib
from poisonlib import registry

PACKAGE = Path(poisonlib.__file__).parent
FLOORS = [
    {"registry", "rng", "tensors", "paths"},
    {"data", "models", "augment", "steps", "privacy"},
    {"training", "attacks", "filters"},
    {"experiments"},
    {"papers"},
    {"plots"},
    {"widgets"},
    {"notebooks", "doctor"},
    {"report"},
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
        upward = {other for other in imported_rooms(path) - {room} if FLOOR[other] >= FLOOR[room]}
        assert not upward, f"{path.relative_to(PACKAGE)} imports {upward}, which does not lie below {room}"


def test_the_import_check_can_fail(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.py").write_text("def f():\n    from ..experiments import run\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match="does not lie below data"):
        test_imports_run_strictly_downwards()


def test_importing_is_cheap():
    """At most 1.3 times importing torch, in processor time of the same process, best of three."""
    code = """
from time import process_time as now
start = now(); import torch
after_torch = now(); import poisonlib, poisonlib.experiments, poisonlib.attacks, poisonlib.data, poisonlib.models
print((now() - start) / (after_torch - start))
"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) <= 1.3


def test_the_compute_path_needs_no_notebook_packages():
    heavy = ("IPython", "pandas", "matplotlib", "papermill", "sklearn", "torchvision")
    code = f"import sys, poisonlib.experiments; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


NEW = {
    "attacks/flip_label_free.py": """
from dataclasses import dataclass
import torch
from ..data import Goal, Poison
@dataclass(frozen=True)
class Attack:
    count: int = 3
    def craft(self, scene, seed):
        rows = scene.train.rows[: self.count].sort().values
        base = scene.train.take(scene.train.positions(rows))
        aim = scene.test.take(torch.arange(2))
        return Poison(rows, 255 - base.images), Goal(aim.images, aim.labels, aim.rows, 0)
""",
    "filters/keep_all.py": """
from dataclasses import dataclass
import torch
from . import Verdict
@dataclass(frozen=True)
class Filter:
    def judge(self, features, labels):
        return Verdict(torch.ones(len(labels), dtype=torch.bool), features.norm(dim=1))
""",
    "augment/invert.py": """
from dataclasses import dataclass
import torch
@dataclass(frozen=True)
class Augment:
    def draw(self, n, shape, generator):
        return {"invert": torch.rand(n, generator=generator) < 0.5}
    def apply(self, x, y, draw, generator=None):
        return torch.where(draw["invert"][:, None, None, None], 1 - x, x), y
""",
    "data/noise.py": """
from dataclasses import dataclass
import torch
from ..rng import stream
from ._types import ImageSet
@dataclass(frozen=True)
class Data:
    n: int = 64
    def load(self, split, download=False):
        g = stream(0, split)
        images = torch.randint(256, (self.n, 1, 8, 8), generator=g).to(torch.uint8)
        return ImageSet(images, torch.arange(self.n) % 4, torch.arange(self.n), ("a", "b", "c", "d"), (0.5,), (0.3,))
""",
    "models/linear.py": """
from dataclasses import dataclass
from torch import nn
from ._network import Network
@dataclass(frozen=True)
class Model:
    def build(self, classes, shape, mean, std):
        d = shape[0] * shape[1] * shape[2]
        return Network(nn.Flatten(), nn.Linear(d, classes), mean, std)
""",
}


def test_one_file_adds_an_attack_a_filter_an_augmentation_a_data_set_and_a_model(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "poisonlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name, source in NEW.items():
        (tmp_path / "poisonlib" / name).write_text(source)
    code = """
from poisonlib import data, experiments, models, training
table = experiments.grid("backdoor", "quick", attack="flip_label_free(count=5)", defence=["none", "invert", "invert + keep_all"],
    trials=1, data=data.source("noise"), model=models.load("linear"), recipe=training.load("quick", epochs=1))
records = experiments.run(table, workers=0)
print(experiments.check(records, table))
print([r["result"]["poisons"]["count"] for r in records], records[2]["result"]["filter"]["removed"])
"""
    environment = {"PYTHONPATH": str(tmp_path), "POISONLIB_OUTPUTS": str(tmp_path / "out"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[5, 5, 5] 0"


def test_a_file_that_is_added_while_a_notebook_is_open_is_a_choice_at_once(tmp_path, monkeypatch):
    room = tmp_path / "room_of_the_test"
    room.mkdir()
    (room / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError, match="no 'late'"):
        registry.find(room.name, "late")
    time.sleep(0.05)  # folders' times are not finer everywhere
    (room / "late.py").touch()
    (room / "_shared.py").touch()
    assert registry.names(room.name) == ["late"] and registry.find(room.name, "late").__name__ == "room_of_the_test.late"


def test_roots_do_not_depend_on_the_folder_one_stands_in(tmp_path, monkeypatch):
    from poisonlib import paths

    monkeypatch.chdir(tmp_path)
    for variable, root in (("POISONLIB_OUTPUTS", paths.outputs), ("POISONLIB_DATA", paths.data)):
        monkeypatch.setenv(variable, "some/folder")
        assert root() == paths.repository() / "some" / "folder"
        monkeypatch.setenv(variable, str(tmp_path))
        assert root() == tmp_path
    monkeypatch.delenv("POISONLIB_OUTPUTS")
    assert paths.outputs() == paths.repository() / "outputs"
