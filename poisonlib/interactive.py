"""A digest of a class that a notebook or script defines, with all of the notebook that it refers to."""

import ast
import dis
import functools
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable

import torch

from . import syntax

PLAIN = int | float | complex | str | bytes | bool | types.NoneType | types.EllipsisType
GENERATED = {  # by Python, by `dataclasses` and by `typing`: follows from what is written
    *("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "__match_args__", "__hash__"),
    *("__dataclass_fields__", "__dataclass_params__", "__parameters__", "__abstractmethods__", "_abc_impl", "__orig_bases__"),
    *("_is_protocol", "__subclasshook__", "__repr__", "__eq__", "__setattr__", "__delattr__"),
    *("__protocol_attrs__", "__non_callable_proto_members__", "__annotate_func__", "__annotations_cache__"),
}


def digest(cls: type, has_file: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """(SHA-256 of the class's code, the modules with files that it refers to).

    The code is that of its methods and bases, and the functions, classes and values of the notebook that these use in turn.
    ``has_file(module)`` says whether a module's code is in a file, which then counts as a whole. Objects of other packages' classes
    that are neither numbers, texts, tensors nor containers of these count by their class.
    """
    walk = _Walk(has_file)
    text = repr(walk.visit(cls))
    return hashlib.sha256(text.encode()).hexdigest(), tuple(sorted(walk.modules))


class _Walk:
    """Objects as nested tuples, each described once; ``modules`` collects the modules with files that are met."""

    def __init__(self, has_file: Callable[[str], bool]):
        self.has_file, self.modules = has_file, set()
        self.met: dict[int, tuple[int, object]] = {}  # id -> (number, the object, so that its id is not used again)

    def visit(self, thing):
        """What describes a value: the code of functions and classes, the content of containers and tensors."""
        if isinstance(thing, PLAIN):
            return repr(thing)
        if id(thing) in self.met:
            return "met", self.met[id(thing)][0]
        self.met[id(thing)] = len(self.met), thing
        if isinstance(thing, list | tuple):
            return type(thing).__name__, *map(self.visit, thing)
        if isinstance(thing, set | frozenset):
            return "set", *sorted(map(repr, thing))
        if isinstance(thing, dict):
            return "dict", *((self.visit(key), self.visit(value)) for key, value in thing.items())
        if _is_array(thing):
            content = repr(thing.tolist()).encode() if thing.dtype.hasobject else thing.tobytes()
            return "array", str(thing.dtype), tuple(thing.shape), hashlib.sha256(content).hexdigest()
        if isinstance(thing, torch.Tensor):
            return "tensor", str(thing.dtype), tuple(thing.shape), hashlib.sha256(repr(thing.tolist()).encode()).hexdigest()
        return self._code(thing)

    def _code(self, thing):
        if isinstance(thing, types.ModuleType):
            return self._module(thing.__name__)
        if isinstance(thing, property):
            return "property", *map(self.visit, (thing.fget, thing.fset))
        if isinstance(thing, functools.partial | functools.partialmethod):
            return "partial", *map(self.visit, (thing.func, thing.args, thing.keywords))
        if inner := _inside(thing):
            return type(thing).__name__, self.visit(inner), self._function(thing) if isinstance(thing, types.FunctionType) else ""
        owner = getattr(thing, "__module__", None)
        if not isinstance(thing, type | types.FunctionType):
            return "object", self.visit(type(thing)), self.visit(dict(sorted(_values(thing).items())))
        if owner != "__main__":
            return self._module(owner), thing.__qualname__
        return self._class(thing) if isinstance(thing, type) else self._function(thing)

    def _module(self, name: str | None) -> str:
        if name and name != "__main__" and self.has_file(name):
            self.modules.add(name)
        return f"module {name}"

    def _class(self, cls: type):
        own = {k: v for k, v in vars(cls).items() if k not in GENERATED and not _is_generated(v)}
        return "class", *map(self.visit, cls.__bases__), *((name, self.visit(value)) for name, value in own.items())

    def _function(self, function: types.FunctionType):
        names = sorted({name for code in _codes(function.__code__) for name in _globals(code)} & function.__globals__.keys())
        cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
        used = (self.visit(function.__globals__[name]) for name in names) if function.__module__ == "__main__" else ()
        return (
            _written(function),
            self.visit(function.__defaults__),
            self.visit(function.__kwdefaults__),
            *map(self.visit, cells),
            *used,
        )


def _is_array(thing) -> bool:
    """Whether a value is NumPy's, which need not be imported to know."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.ndarray | numpy.generic)


def _values(thing) -> dict[str, object]:
    """The attributes of an object. Those in slots count where the notebook defines them: elsewhere they may be caches."""
    mine = [vars(cls).items() for cls in type(thing).__mro__ if cls.__module__ == "__main__"]
    slots = [name for items in mine for name, value in items if isinstance(value, types.MemberDescriptorType)]
    return {name: getattr(thing, name) for name in slots if hasattr(thing, name)} | getattr(thing, "__dict__", {})


def _globals(code: types.CodeType) -> set[str]:
    """The global names that a function's byte code loads; names of attributes are none."""
    return {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _inside(thing):
    """The function that a method, a descriptor or a decorated function stands for; None for anything else."""
    if isinstance(thing, functools.cached_property | functools.singledispatchmethod):
        return thing.func
    if isinstance(thing, staticmethod | classmethod | types.MethodType):
        return thing.__func__
    return getattr(thing, "__wrapped__", None) if isinstance(thing, types.FunctionType | functools._lru_cache_wrapper) else None


def _is_generated(value) -> bool:
    """Whether `dataclasses` wrote a function."""
    code = value.__code__ if isinstance(value, types.FunctionType) else None
    return bool(code) and code.co_filename == "<string>" and code.co_name in ("__init__", "__create_fn__", "__hash__")


def _is_empty(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


def _written(function: types.FunctionType) -> str:
    """The digest of a function's source or, where Python no longer has that, of its byte code."""
    try:
        return syntax.digest(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, SyntaxError, TypeError):
        constants = [[c for c in code.co_consts if not isinstance(c, types.CodeType)] for code in _codes(function.__code__)]
        return repr([(code.co_code, code.co_names) for code in _codes(function.__code__)] + constants)


def _codes(code: types.CodeType) -> list[types.CodeType]:
    """A function's byte code and that of the functions inside it."""
    return [code, *(inner for each in code.co_consts if isinstance(each, types.CodeType) for inner in _codes(each))]
