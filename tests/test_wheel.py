"""The wheel, built and installed in an environment of its own, in a folder that is no checkout."""

import json
import os
import re
import site
import subprocess
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import poisonlib
from poisonlib import notebooks, paths

from .warm import FRESH

pytestmark = pytest.mark.slow
ROOT = paths.root()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of what git knows of the checkout, so that no build folder of an earlier build is used."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "requirements.txt", "poisonlib", "notebooks"]
    source.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in listed), str(source)], check=True)
    command = [FRESH, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*command, str(source)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that runs a command of the environment in an empty folder. It finds this environment's packages below its own."""
    folder, here = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    subprocess.run([FRESH, "-m", "venv", "--without-pip", str(folder)], check=True)
    (own,) = folder.glob("lib/*/site-packages")
    (own / "core.pth").write_text("\n".join(site.getsitepackages()))
    pip = [FRESH, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--ignore-installed", str(wheel)], check=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("POISONLIB_", "PYTHON"))}

    def run(*command: str) -> str:
        done = subprocess.run([str(folder / "bin" / command[0]), *command[1:]], cwd=here, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder, run.own = here, own
    return run


def test_it_holds_the_notebooks_the_data_files_and_the_sign_that_types_are_given(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"poisonlib/_notebooks/{name}.ipynb" for name in notebooks.names()} <= names
    package = Path(poisonlib.__file__).parent
    kinds = [
        path.relative_to(package.parent).as_posix() for kind in ("toml", "j2", "css", "py") for path in package.rglob(f"*.{kind}")
    ]
    assert set(kinds) <= names and "poisonlib/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "outputs"))]


def test_it_wants_what_the_package_imports_and_nothing_of_the_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (place,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        about = Parser().parsestr(archive.read(place).decode())
    assert (about["Version"], about["Requires-Python"]) == (poisonlib.__version__, ">=3.11")
    wanted = {canonicalize_name(Requirement(line).name) for line in about.get_all("Requires-Dist")}
    assert {"torch", "torchvision", "papermill", "jupyterlab", "argcomplete", "scikit-learn"} <= wanted
    assert not wanted & {"pytest", "ruff", "playwright", "hypothesis", "nbval", "pdoc", "poisonlib"}


def test_the_command_says_its_version_and_finds_the_notebooks_that_it_brings(installed):
    assert installed("poisonlib", "--version") == f"poisonlib {poisonlib.__version__}\n"
    code = "import json; from poisonlib import notebooks; print(json.dumps([notebooks.__file__, notebooks.names()]))"
    where, names = json.loads(installed("python", "-c", code))
    assert Path(where).is_relative_to(installed.own), "not the checkout's package"
    assert names == notebooks.names()


def test_in_an_empty_folder_one_command_reproduces_a_table_of_digits(installed):
    said = installed("poisonlib", "run", "dp_instahide_table3", "trials=1")
    outputs = installed.folder / "outputs"
    assert str(outputs / "notebooks" / "dp_instahide_table3.ipynb") in said
    table = json.loads((outputs / "tables" / "dp_instahide_table3.json").read_text())
    cells = {(cell["row"], cell["column"]): cell for cell in table["cells"]}
    assert len({row for row, _ in cells}) == 3 and {cell["n"] for cell in cells.values()} == {1}
    assert table["setting"]["commit"] == "None", "an installed copy is of no commit, whatever checkout the folder lies in"
    assert len(list(outputs.glob("trials/*/*.json"))) == int(table["setting"]["trials"])
    assert {path.name for path in installed.folder.iterdir()} == {"outputs"}


def requirements(name: str) -> dict[str, Requirement]:
    """The requirements of a file by their names."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if re.match(r"\w", line)]
    return {canonicalize_name(each.name): each for each in wanted}


def test_every_open_requirement_is_locked_within_its_range():
    locked = requirements("requirements-lock.txt")
    for name, wanted in requirements("requirements.txt").items():
        assert name in locked, f"{name}: run make lock"
        (pin,) = locked[name].specifier
        assert pin.operator == "==" and wanted.specifier.contains(pin.version), f"{locked[name]} is not {wanted}; run make lock"
    for name, each in locked.items():
        assert re.fullmatch(r"==[\w.!]+", str(each.specifier)), f"{name}: one version, of no local build"
