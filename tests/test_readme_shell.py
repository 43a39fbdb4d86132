"""Every command in the README's blocks for the shell is one that there is, with options, names and values that it takes."""

import re
import shlex
import subprocess
import sys

import pytest

from poisonlib import cli, notebooks, paths
from poisonlib.commands import work
from poisonlib.selection import select

ROOT = paths.root()
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"^```bash\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)]
INLINE = [each for text in TEXTS.values() for each in re.findall(r"`((?:poisonlib|python -m poisonlib|make) [^`]*)`", text)]
COMMANDS = [part.strip() for block in BLOCKS for line in block.splitlines() for part in line.split("&&")] + INLINE
WORDS = {command: shlex.split(command, comments=True) for command in COMMANDS}


def of(name):
    """The commands that begin with a word, each without it."""
    return [words[1:] for words in WORDS.values() if words[:1] == [name]]


def test_each_is_a_command_that_a_test_below_looks_at():
    known = {"make", "poisonlib", "python", "papermill", "pytest", "jupyter", "source", "pip", "docker", "eval", "ray"}
    assert {words[0] for words in WORDS.values() if words} <= known
    assert len(of("poisonlib")) >= 8 and len(of("make")) >= 3


@pytest.mark.parametrize("words", of("poisonlib") + [words[2:] for words in of("python") if words[1] == "poisonlib"], ids=" ".join)
def test_poisonlib(words, monkeypatch):
    if words == ["--version"]:
        return
    arguments = cli._parsed(words)
    if "words" in arguments and not any(word.isupper() for word in words):
        given = work.given(arguments)
        own = given.pop("defences", None)  # of the reader's own module
        chosen, _ = select([word for word in arguments.words if "=" not in word], given)
        assert chosen and (own is None or all("defences" in notebooks.parameters(name) for name, _ in chosen))


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_make(words):
    """``make -n`` knows the targets and what they are made of."""
    subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("words", of("papermill"), ids=" ".join)
def test_papermill(words):
    name, out, *options = words
    assert (ROOT / name).is_file() and out.endswith(".ipynb")
    assert options[::3] == ["-p"] * (len(options) // 3)
    assert notebooks.read_parameters(
        name.split("/")[1].removesuffix(".ipynb"), dict(zip(options[1::3], options[2::3], strict=True))
    )


@pytest.mark.parametrize("words", of("pytest"), ids=" ".join)
def test_pytest(words):
    """It takes the options; a file that is not there is looked for after they were read."""
    *options, folder = words
    assert (ROOT / folder).exists()
    command = [sys.executable, "-m", "pytest", "--noconftest", *options, "no_such_file"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "file or directory not found: no_such_file" in done.stderr and "unrecognized" not in done.stderr


def test_files_that_are_named_are_there():
    for words in of("pip"):
        names = [word for word in words if word.endswith(".txt")]
        assert words[0] == "install" and all((ROOT / name).is_file() for name in names)
    assert all("Dockerfile" in {path.name for path in ROOT.iterdir()} for _ in of("docker"))
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY"):
            *names, _ = line.split()[2:]
            assert all((ROOT / name).exists() for name in names), line
    for line in (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if ".txt" in line:
            assert (ROOT / ".binder" / line.split()[1]).is_file()


def test_ruff_is_the_locked_one_in_each_commit_too():
    locked = re.search(r"^ruff==.*$", (ROOT / "requirements-lock.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    assert set(re.findall(r"ruff==[\d.]+", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))) == {locked}
