"""A digest of the source code that decides a result. Comments, docstrings and layout do not count.

The digest covers the modules that define the given classes and, from there on, every module that these import: modules of this
package, and the user's own, which are all that lie outside the standard library and site-packages. Modules that only name, check,
store or describe things (`BOOKKEEPING`) are left out. A module is read when it is first needed and again when it is reloaded, so
the digest describes the code that this process runs, not a file that was edited since.
"""

import ast
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = __package__
BOOKKEEPING = {f"{PACKAGE}.{name}" for name in ("check", "files", "paths", "registry", "source")} | {
    f"{PACKAGE}.experiments.{name}" for name in ("cache", "environment", "ledger", "legacy", "provenance", "record", "spec")
}
INSTALLED = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

_CARRIED: dict[str, tuple[str, tuple[str, ...]]] = {}  # `interactive` of classes that another process sent to this one
_READ: dict[str, tuple[object, str, frozenset[str]]] = {}  # module -> (its spec, digest of its code, modules that it imports)


def digest(classes: Iterable[type], modules: Iterable[str] = ()) -> str:
    """SHA-256, as 32 hexadecimal digits, of the code of ``classes`` and of named ``modules``, with all that they import."""
    parts, todo, classes = {}, list(modules), list(classes)
    for cls in classes:
        if cls.__module__ != "__main__" and _file(cls.__module__):
            todo.append(cls.__module__)
    owners = {name.partition(".")[0] for name in todo}  # installed packages that a class comes from count as well
    for cls in classes:
        if cls.__module__ == "__main__" or not _file(cls.__module__):
            name = f"{cls.__module__}.{cls.__qualname__}"
            parts[name], imported = _CARRIED.get(name) or interactive(cls)
            todo.extend(imported)
    while todo:
        name = todo.pop()
        if name not in parts and name not in BOOKKEEPING and _counts(name, owners):
            parts[name], imported = _read(name)
            todo.extend(imported)
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:32]


def _counts(name: str, owners: set[str]) -> bool:
    """Whether a module has source code that may differ between two runs of one installation."""
    file = _file(name)
    return file is not None and (name.partition(".")[0] in owners or not str(file).startswith(INSTALLED))


def _file(name: str) -> Path | None:
    """The source file of a module; None where it has none, as a notebook has not. Nothing is imported to find it."""
    origin = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _found(name)
    return _resolved(str(origin)) if origin and str(origin).endswith(".py") else None


_resolved = functools.cache(lambda origin: Path(origin).resolve())


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
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if name not in _READ or _READ[name][0] is not spec:
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
        _READ[name] = spec, _hash(tree), frozenset(_imports(tree, name))
    return _READ[name][1:]


def _imports(tree: ast.AST, name: str) -> Iterator[str]:
    """The full names of the modules that a module's import statements name, wherever they stand."""
    package = name if _file(name).name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            submodules = {alias.name for alias in node.names if _is_module(base, alias.name)}
            yield from (f"{base}.{name}" for name in submodules)
            if any(alias.name not in submodules for alias in node.names):
                yield base


@functools.cache
def _is_module(package: str, name: str) -> bool:
    file = _file(package)
    return bool(file) and ((file.parent / f"{name}.py").is_file() or (file.parent / name / "__init__.py").is_file())


def _hash(tree: ast.AST) -> str:
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()


def _plain(node):
    """A syntax tree as nested tuples without docstrings, alike in all versions of Python: empty fields are left out."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [] and name != "kind")
        return (type(node).__name__, *((name, _plain(value)) for name, value in fields))
    if isinstance(node, list):
        return tuple(_plain(each) for each in node if not _is_text(each))
    return node


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def carry(name: str, digest: tuple[str, tuple[str, ...]]) -> None:
    """Take another process's word for the code of a class that has no source here."""
    _CARRIED[name] = digest


def interactive(cls: type) -> tuple[str, tuple[str, ...]]:
    """The digest of a class from a notebook or script, with the functions, classes and plain values of the notebook that it uses;
    and the modules that these refer to.
    """
    seen, todo, modules = {}, [cls], []
    while todo:
        thing = todo.pop()
        if (key := f"{type(thing).__name__} {thing.__qualname__}") not in seen:
            seen[key] = _code(thing)
            todo.extend(_used(thing, modules, seen))
    return hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest(), tuple(sorted(set(modules)))


def _functions(thing) -> Iterator[types.FunctionType]:
    """The functions that a class's body defines, or the function itself. Those that `dataclasses` generates have no source."""
    for each in vars(thing).values() if isinstance(thing, type) else [thing]:
        each = getattr(each, "fget", None) or getattr(each, "__func__", each)
        if isinstance(each, types.FunctionType) and each.__code__.co_filename != "<string>":
            yield each


def _code(thing) -> str:
    """What is written in a function or in a class: the source of its functions, and the values of its other attributes."""
    if not isinstance(thing, type):
        return _written(thing)
    plain = int | float | str | bytes | bool | tuple | None
    values = {k: repr(v) for k, v in vars(thing).items() if isinstance(v, plain) and k not in ("__doc__", "__firstlineno__")}
    parents = [f"{base.__module__}.{base.__qualname__}" for base in thing.__bases__]
    return repr((sorted(values.items()), repr(vars(thing).get("__annotations__")), parents, [*map(_written, _functions(thing))]))


def _written(function: types.FunctionType) -> str:
    """The digest of a function's source or, where Python no longer has that, of its byte code."""
    try:
        return _hash(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, SyntaxError, TypeError):
        code = function.__code__
        return repr((code.co_code, code.co_names, [each for each in code.co_consts if not isinstance(each, types.CodeType)]))


def _used(thing, modules: list[str], constants: dict[str, str]) -> Iterator:
    """The notebook's functions and classes that a function or class refers to; imports and plain values go to their collections."""
    for function in _functions(thing):
        names = {name for code in _codes(function.__code__) for name in code.co_names}
        for name in sorted(names & function.__globals__.keys()):
            value = function.__globals__[name]
            owner = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            if isinstance(owner, str) and owner != "__main__" and _file(owner):
                modules.append(owner)
            elif isinstance(value, types.FunctionType | type):
                yield value
            elif isinstance(value, int | float | str | bytes | bool | tuple | None):
                constants[f"constant {name}"] = repr(value)
    for base in thing.__bases__ if isinstance(thing, type) else ():
        if base.__module__ != "__main__" and _file(base.__module__):
            modules.append(base.__module__)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _codes(each)
