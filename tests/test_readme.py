"""Every block of Python in the README runs as it stands there; RESULTS.md follows from the kept tables."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from poisonlib import data, paths

from . import refresh_picture
from .refresh_readme import every, page, telling

README = (paths.root() / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
EXPECTED = {
    "class MyNet": r"(?s)none 200 [01]\.0 0\.\d+\n.*mixup\(k=4\) 201 ",
    "class Darken": r"__main__\.Darken\(factor=0\.3\)",
    "poison_from_folder": r"(?s)bilinear_crop.*spectral_signatures.*noisy_sgd",
    "import craft": r"Evaluation\(hits=[01], targets=1, confidence=0\.\d+",
    "class Negatives": r"^$",
    "for attacker in": r"'white box', [01]\.0\), \('grey box', [01]\.0\), \('black box', ",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A working folder with some poisons that were crafted elsewhere."""
    threes = data.load("digits", limit=400).of_class(3)
    (tmp_path / "my_poisons").mkdir()
    for number, image in zip(threes.ids[:10].tolist(), threes.images, strict=False):
        Image.fromarray((255 - image[0]).numpy()).save(tmp_path / "my_poisons" / f"{number}.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("mark", EXPECTED)
def test_a_block_of_the_readme_runs(mark, folder):
    (code,) = (block for block in BLOCKS if mark in block)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 20
    (folder / "example.py").write_text(code)
    environment = os.environ | {"POISONLIB_OUTPUTS": str(folder / "outputs"), "PYTHONPATH": str(paths.root())}
    done = subprocess.run([sys.executable, "example.py"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(EXPECTED[mark], done.stdout), done.stdout


def test_no_block_is_forgotten():
    assert len(BLOCKS) == len(EXPECTED)


def test_the_picture_says_what_its_records_say():
    with Image.open(refresh_picture.PICTURE) as picture:
        assert picture.info["Description"] == refresh_picture.words(), "run: python -m tests.refresh_picture"
    place = refresh_picture.PICTURE.relative_to(paths.root()).as_posix()
    assert f'<img src="{place}" align="right" width="360" alt="{refresh_picture.words()}">' in README
    assert refresh_picture.PICTURE.stat().st_size < 200_000


def test_the_results_follow_from_the_reference_tables():
    assert (paths.root() / "RESULTS.md").read_text(encoding="utf-8") == page(), "run: make readme"


@pytest.mark.parametrize(
    ("trials", "shown"),
    [([40], [40]), ([1], [1]), ([4, 40], [4]), ([2, 14, 40], [2, 14]), ([2, 3, 40], [2, 40]), ([3, 2], [3])],
)
def test_a_scale_with_few_trials_stands_beside_the_largest_that_has_more(trials, shown):
    scales = [SimpleNamespace(notebook="ours", trials=n) for n in trials]
    others = [SimpleNamespace(notebook="other", trials=9)]
    assert [found.trials for found in telling([*others, *scales, *others], "ours")] == shown


def test_the_trials_of_a_table_are_those_of_its_poorest_cell():
    found = next(each for each in every() if each.notebook == "strong_augmentation_table1")
    cells = [{**cell, "n": 3 if cell["row"] == "CutMix" else 9} for cell in found.content["cells"]]
    assert found._replace(content={**found.content, "cells": cells}).trials == 3
