"""Running a notebook through papermill, and the trials that it would run."""

import ast
import contextlib
import importlib.util
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from .. import paths
from ..progress import Progress
from ._files import folder, path, tagged

QUIET = {"POISONLIB_STILL": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # explorers as pictures; no warnings of the debugger
SILENT = ["--IPKernelApp.log_level=50"]  # of the kernel itself, which calls it an error to be ended; not of the notebook
RUNNERS = ("papermill", "ipykernel")  # packages that machines which only compute may lack


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
