"""The cache: each content is made once, whole, by whoever needs it first."""

import os
import subprocess
import sys

import pytest
import torch

from poisonlib import files
from poisonlib.experiments.cache import Cache

IDENTITY, OTHER = {"craft": True, "seed": 1}, {"craft": True, "seed": 2}


class Maker:
    """Makes a content of its own each time and counts the times."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        tensors = {"weights": torch.arange(6.0).view(2, 3) + self.times, "ids": torch.tensor([self.times])}
        return tensors, {"objective": 0.1 * self.times, "list": [1, 2]}


def same(first, second):
    return first[1] == second[1] and {k: v.tolist() for k, v in first[0].items()} == {k: v.tolist() for k, v in second[0].items()}


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "models")


def test_a_content_is_made_once_and_comes_back_as_it_was(cache):
    make = Maker()
    made = cache.fetch(IDENTITY, make)
    found = cache.fetch(dict(reversed(IDENTITY.items())), make)
    assert make.times == 1 and same(made, found)
    assert found[0]["weights"].dtype == torch.float32 and found[0]["ids"].dtype == torch.int64
    assert cache.path(IDENTITY).exists() and not same(cache.fetch(OTHER, make), made)
    assert make.times == 2


@pytest.mark.parametrize("damage", [lambda content: content[:40], lambda content: b"", lambda content: b"\xff" * 64])
def test_a_damaged_file_is_made_again(cache, damage):
    make = Maker()
    cache.fetch(IDENTITY, make)
    path = cache.path(IDENTITY)
    path.write_bytes(damage(path.read_bytes()))
    made = cache.fetch(IDENTITY, make)
    assert make.times == 2 and made[0]["ids"].tolist() == [2]
    assert same(cache.fetch(IDENTITY, make), made) and make.times == 2


def test_what_is_kept_is_read_and_nothing_is_made(cache):
    assert cache.kept(IDENTITY) is None
    made = cache.fetch(IDENTITY, Maker())
    assert same(cache.kept(IDENTITY), made) and cache.kept(OTHER) is None
    cache.path(IDENTITY).rename(cache.path(OTHER))
    assert cache.kept(OTHER) is None, "it is another's"


def test_with_keep_false_nothing_is_written_and_what_is_there_is_read(cache):
    make = Maker()
    assert cache.fetch(IDENTITY, make, keep=False)[0]["ids"].tolist() == [1]
    assert not cache.root.parent.exists() or not list(cache.root.parent.iterdir())
    cache.fetch(IDENTITY, make)
    assert cache.fetch(IDENTITY, make, keep=False)[0]["ids"].tolist() == [2] and make.times == 2


def test_a_content_that_cannot_be_made_leaves_nothing_and_the_next_one_makes_it(cache):
    def fail():
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        cache.fetch(IDENTITY, fail)
    assert not cache.path(IDENTITY).exists()
    assert cache.fetch(IDENTITY, Maker())[0]["ids"].tolist() == [1]


SLOWLY = """
import json, os, sys, time
from pathlib import Path
import torch
from poisonlib.experiments.cache import Cache
root = Path(sys.argv[1])
def make():
    (root / f"made by {os.getpid()}").touch()
    time.sleep(2)
    return {"ids": torch.tensor([os.getpid()])}, {}
tensors, _ = Cache(root / "models").fetch({"seed": 1}, make, keep=sys.argv[2] == "keep")
print(tensors["ids"].item())
"""


def side_by_side(folder, how):
    command = [sys.executable, "-c", SLOWLY, str(folder), how]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [int(each.communicate()[0]) for each in both]
    return answers, len(list(folder.glob("made by *")))


def test_of_two_processes_one_makes_it_and_the_other_waits(tmp_path):
    answers, made = side_by_side(tmp_path, "keep")
    assert made == 1 and answers[0] == answers[1]


def test_without_keeping_nobody_waits(tmp_path):
    answers, made = side_by_side(tmp_path, "once")
    assert made == 2 and answers[0] != answers[1]
    assert not (tmp_path / "models").exists() and not (tmp_path / "locks").exists()


# Files


def test_tensors_of_any_layout_come_back_with_their_note(tmp_path):
    tensors = {
        "bytes": torch.arange(12, dtype=torch.uint8).view(3, 4).T,
        "wide": torch.full((2, 1, 3, 3), -300, dtype=torch.int16),
        "channels last": torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    path = tmp_path / "deep" / "file.safetensors"
    files.write_tensors(path, tensors, {"classes": ["a", "b"], "n": 3})
    found, note = files.read_tensors(path)
    assert note == {"classes": ["a", "b"], "n": 3} and found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor.detach()) and found[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert files.read_tensors(tmp_path / "missing") is None
    files.write_tensors(path, {"x": torch.ones(1)})
    assert files.read_tensors(path)[1] == {}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
