"""A digest of the source code that decides a result. Comments, docstrings and layout do not count.

The digest covers the modules that define the given classes and, from there on, every module that these import: modules of this
package, and the user's own, which are all that lie outside the standard library and site-packages. Modules that only name,
check, store or describe things (`BOOKKEEPING`) are left out; so are data files, and modules that are imported by a computed name.
A module is read when it is first needed and again when it is reloaded, so the digest describes the code that this process runs.
A file that was edited between its import and that moment is refused.
"""

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import interactive, syntax

STARTED = time.time()
PACKAGE = __package__
_DESCRIBING = ("cache", "environment", "extractor", "ledger", "legacy", "provenance", "record", "seal", "spec")  # in `experiments`
BOOKKEEPING = {
    *(f"{PACKAGE}.{name}" for name in ("check", "files", "interactive", "locks", "paths", "registry", "source", "syntax")),
    *(f"{PACKAGE}.experiments.{name}" for name in _DESCRIBING),
    f"{PACKAGE}.data._content",
}
INSTALLED = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

_CARRIED: dict[str, tuple[str, tuple[str, ...]]] = {}  # `interactive` of classes that another process sent to this one
_DIGESTS: dict[tuple, tuple[str, dict[str, object]]] = {}  # what `_digest` found, by what it was asked
_READ: dict[str, tuple[object, str, frozenset[str]]] = {}  # module -> (its spec, digest of its code, modules that it imports)


def digest(classes: Iterable[type], modules: Iterable[str] = ()) -> str:
    """SHA-256, as 32 hexadecimal digits, of the code of ``classes`` and of named ``modules``, with all that they import."""
    asked = tuple(classes), tuple(modules)
    found, met = _DIGESTS.get(asked, ("", {}))
    if not met or any(_spec(name) is not spec for name, spec in met.items()):
        found, met = _digest(*asked)
        if all(map(_in_a_module, asked[0])):  # what a class of a notebook uses may change at any time
            _DIGESTS[asked] = found, met
    return found


def _digest(classes: tuple[type, ...], modules: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """(`digest`, the spec of each module that was met on the way: another one if a module was imported or reloaded since)."""
    parts, met, todo = {}, {}, list(modules)
    todo += [cls.__module__ for cls in classes if _in_a_module(cls)]
    owners = {name.partition(".")[0] for name in todo}  # installed packages that a class comes from count as well
    for cls in classes:
        if not _in_a_module(cls):
            name = f"{cls.__module__}.{cls.__qualname__}"
            parts[name], imported = _CARRIED.get(name) or of_notebook(cls)
            todo.extend(imported)
    while todo:
        name = todo.pop()
        if name not in met:
            met[name] = _spec(name)
            if name not in BOOKKEEPING and _counts(name, owners):
                parts[name], imported = _read(name)
                todo.extend(imported)
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:32], met


def _in_a_module(cls: type) -> bool:
    return cls.__module__ != "__main__" and _file(cls.__module__) is not None


def _spec(name: str):
    """The spec of a module that was imported; another object after each import."""
    return getattr(sys.modules.get(name), "__spec__", None)


def _counts(name: str, owners: set[str]) -> bool:
    """Whether a module has source code that may differ between two runs of one installation."""
    file = _file(name)
    installed = file is not None and (str(file).startswith(INSTALLED) or {"site-packages", "dist-packages"} & set(file.parts))
    return file is not None and (name.partition(".")[0] in owners or not installed)


def _file(name: str) -> Path | None:
    """The source file of a module; None where it has none, as a notebook has not. Nothing is imported to find it."""
    origin = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _found(name)
    return _resolved(str(origin)) if origin and str(origin).endswith(".py") else None


@functools.cache
def _resolved(origin: str) -> Path | None:
    return Path(origin).resolve() if Path(origin).is_file() else None  # a module in a zip file has no file


@functools.cache
def _found(name: str) -> Path | None:
    """Where the source file of a module that is not imported lies, going down from its top-level package."""
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if not inner:
        return Path(spec.origin) if spec and spec.origin else None
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inner)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _read(name: str) -> tuple[str, frozenset[str]]:
    spec = _spec(name)
    if name not in _READ or _READ[name][0] is not spec:
        if _edited(spec):
            raise RuntimeError(f"{spec.origin} was edited after this process imported it; restart the process (or kernel)")
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
        _READ[name] = spec, _known(name, syntax.digest(tree)), frozenset(_imports(tree, name))
    return _READ[name][1:]


def _known(name: str, digest: str) -> str:
    """The digest by which records know the code of a module."""
    now, before = rewritten().get(name, ("", ""))
    return before if digest == now else digest


@functools.cache
def rewritten() -> dict[str, tuple[str, str]]:
    """The modules of ``rewritten.toml`` with the digests of their code now and before."""
    listed = tomllib.loads(Path(__file__).with_name("rewritten.toml").read_text(encoding="utf-8"))
    return {f"{PACKAGE}.{name}": (each["now"], each["before"]) for name, each in listed.items()}


def _edited(spec) -> bool:
    """Whether a file was edited while this process runs, after it was imported: Python keeps the time of the file beside its byte
    code. Where there is no byte code, nothing can be said.
    """
    if type(getattr(spec, "loader", None)) is not importlib.machinery.SourceFileLoader or not spec.cached:
        return False
    try:
        changed, header = Path(spec.origin).stat().st_mtime, Path(spec.cached).read_bytes()[:12]
    except OSError:
        return False
    by_time = header[4:8] == bytes(4)
    return changed > STARTED and by_time and int.from_bytes(header[8:12], "little") != int(changed) & 0xFFFFFFFF


def _imports(tree: ast.AST, name: str) -> Iterator[str]:
    """The full names of the modules that a module's import statements name, wherever they stand, and of the user's packages above
    it, which are imported first.
    """
    if not name.startswith(f"{PACKAGE}."):
        yield from (name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1))
    package = name if _file(name).name == "__init__.py" else name.rpartition(".")[0]
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            submodules = {alias.name for alias in node.names if _is_module(base, alias.name)}
            yield from (f"{base}.{name}" for name in submodules)
            if any(alias.name not in submodules for alias in node.names):
                yield base


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """A syntax tree but for its expressions, in which no import stands."""
    todo = [tree]
    while todo:
        yield (node := todo.pop())
        todo.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))


@functools.cache
def _is_module(package: str, name: str) -> bool:
    return _found(f"{package}.{name}") is not None


def carry(name: str, digest: tuple[str, tuple[str, ...]]) -> None:
    """Take another process's word for the code of a class that has no source here."""
    _CARRIED[name] = digest


def of_notebook(cls: type) -> tuple[str, tuple[str, ...]]:
    """`interactive.digest` of a class that a notebook or script defines."""
    return interactive.digest(cls, lambda module: _file(module) is not None)
