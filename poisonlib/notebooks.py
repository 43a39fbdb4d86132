"""The notebooks: finding them, checking what they are given, and running them through papermill."""

import ast
import contextlib
import importlib.util
import io
import itertools
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from . import paths, scenarios
from .check import like
from .progress import Progress

QUIET = {"POISONLIB_STILL": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # explorers as pictures; no warnings of the debugger
SILENT = ["--IPKernelApp.log_level=50"]  # of the kernel itself, which calls it an error to be ended; not of the notebook
RUNNERS = ("papermill", "ipykernel")  # packages that machines which only compute may lack
SWITCH = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameter cell: its default, and what its comment says of the choices.

    A comment begins with ``one of: a, b;`` for a list of choices, with ``a profile of "backdoor";`` for the profiles of a scenario,
    with ``a data set`` for anything that `poisonlib.data.source` reads, or with ``from 1;`` for a least value. What follows is for
    the reader. It must not hold a ``=``: papermill would not recognise the line.
    """

    name: str
    default: object
    help: str

    def read(self, text: str):
        """The value that a command line means.

        Raises ValueError that names the value and the choices; for an unknown data set LookupError or TypeError.
        """
        return self.checked(self._literal(text))

    def checked(self, value):
        """The value itself, if it is one that the parameter takes. Raises what `read` raises."""
        like(self.name, value, self.default)
        if choices := self.choices:
            if value not in choices:
                raise ValueError(f"{self.name}={value}: choose one of: {', '.join(choices)}")
        elif self.least is not None and value < self.least:
            raise ValueError(f"{self.name}={value}: choose {self.least} or more")
        elif self.help.startswith("a data set") and value:
            from . import data

            data.source(value)
        return value

    def _literal(self, text: str):
        """The text as a value, of the default's type where it can be read so."""
        if isinstance(self.default, str):
            return text
        if isinstance(self.default, bool):
            return SWITCH.get(text.lower(), text)
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            return text
        return float(value) if isinstance(self.default, float) and type(value) is int else value

    @property
    def choices(self) -> list[str]:
        """The values that are allowed; empty where there is no such list."""
        if found := re.match(r'a profile of "(\w+)"', self.help):
            return scenarios.profiles(found[1])
        found = re.match(r"one of: ([^;]*)", self.help)
        return [choice.strip() for choice in re.split(r",(?![^(]*\))", found[1])] if found else []

    @property
    def least(self) -> int | None:
        """The least value that is allowed; None where there is no such limit."""
        found = re.match(r"from (\d+)", self.help)
        return int(found[1]) if found else None


def folder() -> Path:
    """The folder that holds the notebooks."""
    return paths.notebooks()


def names() -> list[str]:
    """Every notebook by name, in reading order: the numbered ones, the tables and figures of each paper, the explorers."""
    found = [path.stem for path in folder().glob("*.ipynb")]
    return sorted(found, key=lambda name: (not name[0].isdigit(), name.startswith("explore_"), name))


def path(name: str) -> Path:
    """The notebook's file, by name or path. Raises LookupError that lists the names, or for the path of another file."""
    stem = Path(name).stem
    if stem not in names():
        raise LookupError(f"no notebook {name!r}; choose one of: {', '.join(names())}")
    found = folder() / f"{stem}.ipynb"
    if Path(name).name != name and Path(name).resolve() != found.resolve():
        raise LookupError(f"{name} is not in {folder()}; papermill runs it: papermill {name} out.ipynb")
    return found


def cells(name: str) -> list[dict]:
    """The notebook's cells, as nbformat reads them."""
    import nbformat

    return nbformat.read(path(name), as_version=4).cells


def tagged(name: str, tag: str) -> list[str]:
    """The sources of the cells that bear a tag."""
    return [source for source, tags in _sources(name) if tag in tags]


def title(name: str) -> str:
    """The notebook's first line; its name where there is none."""
    lines = [line for source, _ in _sources(name) for line in source.splitlines()]
    return lines[0].lstrip("# ") if lines else name


def _sources(name: str) -> list[tuple[str, list[str]]]:
    """(source, tags) of each cell, from the file's JSON: importing nbformat takes longer than all that is done here.

    Raises ValueError that names a file which is no notebook.
    """
    file = path(name)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return [("".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in found]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is no notebook ({error}); mend it or move it away") from None


def parameters(name: str) -> dict[str, Parameter]:
    """The lines ``name: type = literal  # help`` of the parameter cell; the type may be missing."""
    return {each.name: each for source in tagged(name, "parameters") for each in _parameters(source)}


def _parameters(source: str) -> Iterator[Parameter]:
    lines = [line.encode() for line in source.splitlines()]  # Python's parser counts columns in bytes
    for node in ast.parse(source).body:
        (target,) = node.targets if isinstance(node, ast.Assign) else (node.target,)
        comment = lines[node.end_lineno - 1][node.end_col_offset :].decode()
        yield Parameter(target.id, ast.literal_eval(node.value), comment.strip().removeprefix("#").strip())


def read_parameters(name: str, given: dict[str, str]) -> dict:
    """Values for the parameters that were given as text. Raises LookupError for an unknown name, ValueError for a bad value."""
    known = parameters(name)
    if unknown := sorted(set(given) - set(known)):
        raise LookupError(f"{name} has no parameter {', '.join(unknown)}; it has: {', '.join(known)}")
    try:
        return {key: known[key].read(text) for key, text in given.items()}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


INJECTED = "# Parameters\n"  # so begins the cell with what papermill was given, which follows the parameter cell


def check() -> None:
    """Refuse what papermill was given and this notebook does not take, as the command line does; for the first cell of code below.

    Raises LookupError for an unknown name, ValueError for a bad value. Where no notebook runs there is nothing to check.
    """
    cells = getattr(sys.modules["__main__"], "In", [])  # the cells that IPython has run
    for above, given in itertools.pairwise(cells):
        if given.startswith(INJECTED):
            _check({each.name: each for each in _parameters(above)}, _parameters(given))


def _check(known: dict[str, Parameter], given: Iterator[Parameter]) -> None:
    for name, value in ((each.name, each.default) for each in given):
        if name not in known:
            raise LookupError(f"this notebook has no parameter {name}; it has: {', '.join(known)}")
        known[name].checked(float(value) if isinstance(known[name].default, float) and type(value) is int else value)


def lacking() -> list[str]:
    """The packages without which `execute` cannot run here. Trials need none of them."""
    return [package for package in RUNNERS if importlib.util.find_spec(package) is None]


def execute(name: str, values: dict) -> Path:
    """Run a notebook with these parameters; returns the executed copy under ``outputs/notebooks``, which exists also on failure.

    The kernel reads and writes below the same root as this process, and imports modules from its working folder. Explorers are kept
    as pictures. Progress bars are passed on to standard error, what the kernel logs is not.
    """
    import papermill

    out = paths.outputs() / "notebooks" / f"{name}.ipynb"
    part = out.with_name(f".part-{uuid.uuid4().hex}.ipynb")  # papermill writes after each cell; what was there stays until the end
    out.parent.mkdir(parents=True, exist_ok=True)
    found = [str(Path.cwd()), os.environ.get("PYTHONPATH")]
    environment = _environment(POISONLIB_HOME=str(paths.root()), PYTHONPATH=os.pathsep.join(filter(None, found)), **QUIET)
    how = dict(cwd=str(_place()), kernel_name="python3", progress_bar=False, start_timeout=180, extra_arguments=SILENT)
    try:
        with environment, contextlib.closing(Progress()) as progress:
            papermill.execute_notebook(str(path(name)), str(part), values, stderr_file=progress, **how)
    except papermill.PapermillExecutionError:
        os.replace(part, out)
        raise
    else:
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return out


def _place() -> Path:
    """Where a kernel runs: beside its notebook, or in the root where the notebooks lie in the installed package."""
    return folder() if folder().parent == paths.root() else paths.root()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Inside the block, these environment variables have these values, in child processes too."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def trials(name: str, values: dict) -> list:
    """All trials that a notebook would run, from its parameter, import and grid cells, executed here without their output: those of
    its ``table`` and of the side questions in ``quirks``.

    Empty for a notebook without a grid.
    """
    above, grid, scope = [*tagged(name, "parameters"), *tagged(name, "imports")], tagged(name, "grid"), {}
    if not grid:
        return []
    with contextlib.redirect_stdout(io.StringIO()):
        for code, given in zip(_needed(above, grid), ({}, values), strict=True):
            scope.update(given)
            exec(code, scope)
    return list(dict.fromkeys([*scope["table"], *scope.get("quirks", [])]))


def _needed(*parts: list[str]) -> Iterator[CodeType]:
    """The code of cells, part by part, without ``print(...)``, which plans once more, and without imports that the rest of it does
    not use, as those of plots.
    """
    bodies = [[line for line in ast.parse("\n".join(cells)).body if not _prints(line)] for cells in parts]
    used = {node.id for body in bodies for line in body for node in ast.walk(line) if isinstance(node, ast.Name)}
    for body in bodies:
        for line in (each for each in body if isinstance(each, ast.Import | ast.ImportFrom)):
            line.names = [each for each in line.names if (each.asname or each.name).partition(".")[0] in {*used, "*"}]
        kept = [line for line in body if getattr(line, "names", True)]
        yield compile(ast.Module(kept, type_ignores=[]), "<cells>", "exec")


def _prints(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Call) and ast.unparse(line.value.func) == "print"
