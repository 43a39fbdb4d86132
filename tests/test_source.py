"""The digest of code tells every change of what a class does, and nothing else."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from poisonlib import source

HEAD = """
import functools
from dataclasses import dataclass
import numpy
import torch
from poisonlib import source
from poisonlib.augment import Augment
"""
BODY = """
@dataclass(frozen=True)
class Own(Augment):
    def sample_params(self, n, shape, generator):
        return {}
    def apply(self, x, y, params, generator=None):
        return USE, y
print(source.digest([Own]))
"""
CHANGES = {  # what a method uses: the definition, with @ for what changes, and its use
    "constant": ("LEVEL = @", "x * LEVEL"),
    "list": ("LEVELS = [1, @]", "x * LEVELS[1]"),
    "dictionary": ("LEVELS = {'a': [@]}", "x * LEVELS['a'][0]"),
    "tensor": ("LEVEL = torch.tensor([1.0, @])", "x * LEVEL[1]"),
    "function": ("def level():\n    return @", "x * level()"),
    "default": ("def level(a=@):\n    return a", "x * level()"),
    "closure": ("def make(a):\n    def level():\n        return a\n    return level\nlevel = make(@)", "x * level()"),
    "helper of a helper": ("def inner():\n    return @\ndef level():\n    return inner()", "x * level()"),
    "helper under no_grad": ("def inner():\n    return @\n@torch.no_grad()\ndef level():\n    return inner()", "x * level()"),
    "cached helper": ("def inner():\n    return @\n@functools.lru_cache\ndef level():\n    return inner()", "x * level()"),
    "partial": ("def inner(a):\n    return a\nlevel = functools.partial(inner, @)", "x * level()"),
    "lambdas": ("first = lambda: 7\nlevel = lambda: @", "x * first() * level()"),
    "instance": ("class Box:\n    def __init__(self, a):\n        self.a = a\nbox = Box(@)", "x * box.a"),
    "class": ("class Box:\n    levels = [@]", "x * Box.levels[0]"),
    "property": ("class Box:\n    @property\n    def a(self):\n        return @\nbox = Box()", "x * box.a"),
    "cached property": ("class Box:\n    @functools.cached_property\n    def a(self):\n        return @\nbox = Box()", "x * box.a"),
    "class with an attribute called func": (
        "class Box:\n    func = 'relu'\n    def a(self):\n        return @\nbox = Box()",
        "x * box.a()",
    ),
    "instance with an attribute called func": (
        "class Box:\n    def __init__(self, a):\n        self.func, self.a = len, a\nbox = Box(@)",
        "x * box.a",
    ),
    "decorator that is an instance": (
        "class Times:\n    def __init__(self, f, a):\n        functools.update_wrapper(self, f)\n        self.a = a\n"
        "    def __call__(self):\n        return self.a * self.__wrapped__()\ndef inner():\n    return 1\nlevel = Times(inner, @)",
        "x * level()",
    ),
    "array": ("LEVELS = numpy.array([1, @])", "x * float(LEVELS[1])"),
    "array of objects": ("LEVELS = numpy.array([None, @], dtype=object)", "x * LEVELS[1]"),
    "one private slot": (
        "class Box:\n    __slots__ = '__a'\n    def __init__(self, a):\n        self.__a = a\nbox = Box(@)",
        "x * box._Box__a",
    ),
    "slots": ("class Box:\n    __slots__ = ('a',)\n    def __init__(self, a):\n        self.a = a\nbox = Box(@)", "x * box.a"),
    "static method": ("class Box:\n    @staticmethod\n    def a():\n        return @", "x * Box.a()"),
    "class method": ("class Box:\n    @classmethod\n    def a(cls):\n        return @", "x * Box.a()"),
    "bound method": ("class Box:\n    def a(self):\n        return @\nlevel = Box().a", "x * level()"),
    "method by type": (
        "class Box:\n    @functools.singledispatchmethod\n    def a(self, b):\n        return @\nbox = Box()",
        "x * box.a(1)",
    ),
    "base class": ("class Base:\n    a = @\nclass Box(Base):\n    pass", "x * Box.a"),
}


FORKED = """
import json, os, sys, time, traceback, types
import numpy, torch
from poisonlib import augment, source

for line in sys.stdin:
    task = json.loads(line)
    if (child := os.fork()) == 0:
        os.chdir(task["folder"])
        source.STARTED = time.time()
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            exec(compile(task["code"], "<string>", "exec"), vars(main))
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print("end", flush=True)
"""


class Forks:
    """As ``python -B -c CODE`` in a folder, each time in a new process, but what all of them import is imported once."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def __call__(self, code: str, folder="/") -> str:
        self.process.stdin.write(json.dumps({"code": code, "folder": str(folder)}) + "\n")
        self.process.stdin.flush()
        said = "".join(iter(self.process.stdout.readline, "end\n")).strip()
        assert re.fullmatch("[0-9a-f]{32}", said), said
        return said


@pytest.fixture(scope="module")
def digest():
    command = [sys.executable, "-B", "-c", FORKED]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield Forks(process)
        process.stdin.close()


@pytest.mark.parametrize("kind", CHANGES)
def test_what_a_class_of_a_script_uses_is_part_of_its_code(kind, digest):
    definition, use = CHANGES[kind]
    one, same, other = (HEAD + re.sub("@(?![a-z])", value, definition) + BODY.replace("USE", use) for value in ("1", "1", "2"))
    # `python -c` keeps no source, so byte code decides; notebooks and scripts have theirs, see test_outside.py
    assert digest(one) == digest(same) != digest(other)


def test_what_an_object_of_another_package_remembers_is_no_part_of_a_class(digest):
    code = "import pathlib\nroot = pathlib.Path('a') / 'b'\n@"
    fresh, used = (
        HEAD + code.replace("@", use) + BODY.replace("USE", "x * len(root.parts)")
        for use in ("", "str(root), hash(root), root.parts")
    )
    assert digest(fresh) == digest(used)


def test_a_value_with_the_name_of_an_attribute_that_is_used_is_no_part_of_a_class(digest):
    code = "class Box:\n    def __init__(self):\n        self.level = 3\nbox = Box()\nlevel = @"
    one, other = (HEAD + code.replace("@", value) + BODY.replace("USE", "x * box.level") for value in ("1", "2"))
    assert digest(one) == digest(other)


def test_a_decorator_of_a_method_is_part_of_its_class(digest):
    code = "def times(f):\n    @functools.wraps(f)\n    def g(*a):\n        return f(*a) * FACTOR\n    return g\n"
    code += "class Box:\n    @times\n    def a(self):\n        return 1\nbox = Box()"
    twice, thrice = (HEAD + code.replace("FACTOR", factor) + BODY.replace("USE", "x * box.a()") for factor in ("2", "3"))
    assert digest(twice) != digest(thrice)


FILES = {
    "mine/steps.py": "from dataclasses import dataclass\nfrom poisonlib.augment import Augment\nfrom . import helper\n"
    "import loose\n"
    "@dataclass(frozen=True)\nclass Own(Augment):\n    def apply(self, x, y, params, generator=None):\n"
    "        return helper.f(x)\n",
    "mine/helper.py": "def f(x):\n    return x\n",
    "loose.py": "LEVEL = 1\n",
}


@pytest.mark.parametrize("package", [True, False])
@pytest.mark.parametrize("changed", ["mine/steps.py", "mine/helper.py", "loose.py", "mine/__init__.py"])
def test_every_file_of_the_user_counts(tmp_path, changed, package, digest):
    """Also in a package without ``__init__.py``."""
    if changed == "mine/__init__.py" and not package:
        pytest.skip("there is no such file")
    files = FILES | ({"mine/__init__.py": "A = 1\n"} if package else {})
    code = (
        "import sys; sys.path.insert(0, '.')\nfrom mine.steps import Own\nfrom poisonlib import source\nprint(source.digest([Own]))"
    )

    def run(more: str) -> str:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text + (more if name == changed else ""))
        return digest(code, tmp_path)

    assert run("") == run("# a comment\n") == run('"""A remark."""\n') != run("B = 2\n")


def test_a_file_that_was_edited_after_its_import_is_refused(tmp_path):
    code = """
        import os, sys, time
        sys.path.insert(0, ".")
        from poisonlib import source
        import loose
        loose.Thing.__module__
        text = open("loose.py").read()
        open("loose.py", "w").write(text.replace("1", "2"))
        os.utime("loose.py", (time.time() + 5, time.time() + 5))
        try:
            source.digest([loose.Thing])
        except RuntimeError as error:
            print(error)
    """
    (tmp_path / "loose.py").write_text("class Thing:\n    a = 1\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "loose.py was edited after this process imported it; restart the process" in done.stdout, done.stderr


def test_what_is_installed_does_not_count_and_what_only_describes_neither():
    from poisonlib.augment.mixup import Mixup

    source.digest([Mixup], ["poisonlib.experiments.trial"])
    read = set(source._READ)
    assert "poisonlib.augment.mixup" in read and "poisonlib.training.fit" in read
    assert not {name for name in read if name.split(".")[0] in ("torch", "numpy", "dataclasses")}
    assert not read & source.BOOKKEEPING
