"""The examples of CONTRIBUTING.md run as they stand there, in a copy of the package, and meet its contracts."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from poisonlib import paths

TEXT = (paths.root() / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)

CONTRACTS = """
import inspect
from poisonlib import augment
from tests.test_architecture import TestEveryChoice
from tests.test_augment import TestContract
count = 0
for room, name in (("attacks", "brighten"), ("augment", "pixelate"), ("data", "stripes")):
    for test in [test for title, test in vars(TestEveryChoice).items() if title.startswith("test_")]:
        test(TestEveryChoice(), room, name)
        count += 1
for title, test in vars(TestContract).items():
    if title.startswith("test_") and "gpu" not in title and list(inspect.signature(test).parameters) == ["self", "choice"]:
        test(TestContract(), augment.load("pixelate"))
        count += 1
print(count)
"""
USE = """
from poisonlib import data, experiments, papers, training
print(data.load("stripes").shape, data.load("stripes", "test", n=8).labels.tolist())
recipe = training.load("quick", epochs=2, batch_size=16)
attack = ["brighten(count=6)", "brighten(count=6, eps=0.5)"]
table = experiments.grid("backdoor", "quick", attack=attack[:1], defence=["none", "pixelate"], data="stripes(n=64)",
                         model="patch_mlp(width=8)", recipe=recipe, trials=2)
records = experiments.run(table, workers=0)
print(experiments.check(records, table))
print([(record.poisons.count, record.poisons.largest_change) for record in records])
compared = papers.compare(records, "stripes_paper", "table1")
print(*[(cell.claim.row, cell.claim.printed, len(cell.trials.seeds)) for cell in compared.cells], compared.findings[0][0].id)
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package and its tests, with the files of the examples."""
    for name in ("poisonlib", "tests"):
        shutil.copytree(paths.root() / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, source in BLOCKS:
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(source)
    return tmp_path


def test_there_is_an_example_of_each_kind():
    assert [name.split("/")[1] for name, _ in BLOCKS] == ["attacks", "augment", "data", "papers"]


@pytest.mark.slow
def test_the_examples_work_together_and_meet_the_contracts(copy):
    """In one process, as importing takes longest."""
    environment = os.environ | {"PYTHONPATH": str(copy), "POISONLIB_OUTPUTS": str(copy / "out")}
    done = subprocess.run([sys.executable, "-c", USE + CONTRACTS], capture_output=True, text=True, env=environment, cwd=copy)
    assert done.returncode == 0, done.stderr
    shape, checked, poisons, cells, contracts = done.stdout.splitlines()
    assert shape == "(1, 8, 8) [0, 1, 2, 3, 0, 1, 2, 3]" and checked.startswith("4 trials: none missing")
    assert poisons == str([(6, 32)] * 4)
    assert cells == "('none', '40%', 2) ('pixelate', '20%', 2) pixelate-helps"
    assert int(contracts) >= 3 * 4 + 5


def test_a_style_check_finds_nothing_in_them(copy):
    files = [name for name, _ in BLOCKS if name.endswith(".py")]
    command = [sys.executable, "-m", "ruff", "check", "--config", str(paths.root() / "pyproject.toml"), *files]
    assert subprocess.run(command, cwd=copy, capture_output=True).returncode == 0
