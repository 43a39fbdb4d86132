"""Choices by name: a file of this package by its short name, a class of the user's own by its import path.

A *room* is a sub-package such as ``poisonlib.attacks``. Each file in it that does not begin with an underscore holds one choice: a
frozen dataclass of plain values that derives from the room's protocol. The file's name is the choice's name, so adding the file is
all that registers it. A class from anywhere else is named by where Python imports it from, ``"my_package.my_module.MyAttack"``.
"""

import ast
import dataclasses
import functools
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol, runtime_checkable

from .calls import parse as parse

_CARRIED: dict[str, type] = {}  # classes that another process sent to this one, which cannot import them


@runtime_checkable
class Choice(Protocol):
    """What all choices have in common: they are frozen dataclasses of plain values, which records can hold."""

    def depends_on(self) -> tuple[type, ...]:
        """The classes whose source code decides what this choice does."""
        return (type(self),)


def names(room: str) -> list[str]:
    """The files of a room (its full dotted name) that are choices, sorted. Nothing is imported to find them."""
    (folder,) = importlib.util.find_spec(room).submodule_search_locations
    return list(_names(folder, os.stat(folder).st_mtime_ns))


@functools.cache  # the time is part of the key: a file that is added later changes the folder's time
def _names(folder: str, changed: int) -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_")))


def find(room: str, protocol: type, name: str) -> type:
    """The class that a name means: the choice of a file in the room, or the class at an import path.

    Raises LookupError that lists the choices where there is none, and TypeError for a class that does not derive from the room's
    ``protocol`` or is no frozen dataclass.
    """
    if "." in name:
        return _checked(imported(name), protocol)
    if name not in names(room):
        known = ", ".join(names(room))
        raise LookupError(f"{room} has no {name!r}; choose one of: {known}; or give the import path of a class of your own")
    module = importlib.import_module(f"{room}.{name}")
    found = [thing for thing in vars(module).values() if _is_choice(thing, protocol, module)]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} defines {len(found)} classes that derive from {protocol.__name__}; it must define one")
    return _checked(found[0], protocol)


def _is_choice(thing, protocol: type, module: ModuleType) -> bool:
    return isinstance(thing, type) and protocol in thing.__mro__[1:] and thing.__module__ == module.__name__


def _checked(cls, protocol: type) -> type:
    if not (isinstance(cls, type) and protocol in cls.__mro__[1:]):
        raise TypeError(f"{cls!r} does not derive from {protocol.__module__}.{protocol.__name__}")
    if not (dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen):
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} must be decorated with @dataclass(frozen=True)")
    if "name" in {field.name for field in dataclasses.fields(cls)} or cls.__dict__.get("__dataclass_fields__") is None:
        raise TypeError(f"{cls.__module__}.{cls.__qualname__}: a dataclass of its own, without a field called 'name', is required")
    return cls


def imported(path: str):
    """The object at an import path, ``"package.module.Name"``. Raises LookupError that says what could not be imported.

    A path may come from a record that somebody else made, so nothing of the standard library is imported for it: some of its
    modules do things when they are imported.
    """
    if path in _CARRIED:
        return _CARRIED[path]
    if not all(part.isidentifier() for part in path.split(".")):
        raise LookupError(f"{path!r} is no import path, such as package.module.Name")
    if path.partition(".")[0] in sys.stdlib_module_names and not path.startswith("__main__."):
        raise LookupError(f"{path} belongs to the standard library, which has no such class")
    module, _, names = path.rpartition(".")
    while module:
        try:
            found = sys.modules.get(module) or importlib.import_module(module)
            return functools.reduce(getattr, names.split("."), found)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise LookupError(f"{path} cannot be imported: {error}") from error
            module, _, outer = module.rpartition(".")
            names = f"{outer}.{names}"
        except AttributeError:
            break
        except (Exception, SystemExit) as error:  # whatever a module raises while it is imported
            raise LookupError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    where = "was defined in a notebook or script that is not running" if path.startswith("__main__.") else "cannot be imported"
    raise LookupError(f"{path} {where}; a class must stand at the top level of a module on Python's path, or of this notebook")


def carry(classes: Mapping[str, type]) -> None:
    """Make classes known under their names in a process that cannot import them."""
    _CARRIED.update(classes)


def load(room: str, protocol: type, choice, **values):
    """The object that ``choice`` means in a room.

    ``choice`` is a name, a call such as ``"patch(poison_rate=0.1)"``, a description as `describe` gives it, or an object of the
    room already. Raises LookupError for an unknown name, TypeError for an unknown argument or an object of another room, and
    ValueError for a value out of range.
    """
    if not isinstance(choice, str | dict):
        _checked(type(choice), protocol)
        kinds = {field.name: str(field.type) for field in dataclasses.fields(choice) if field.init}
        typed = {name: _typed(name, getattr(choice, name), kind) for name, kind in kinds.items()}  # 1 is 1.0 for a float
        return dataclasses.replace(choice, **typed | values)
    if isinstance(choice, dict):
        name, given = choice["name"], {k: v for k, v in choice.items() if k != "name"}
        if not isinstance(name, str):
            raise TypeError(f"name={name!r}: the name of a choice is a text")
    else:
        name, given = one(choice)
    cls = find(room, protocol, name)
    kinds = {f.name: str(f.type) for f in dataclasses.fields(cls) if f.init}
    if unknown := sorted({*given, *values} - set(kinds)):
        raise TypeError(f"{name} has no argument {', '.join(unknown)}; it has: {', '.join(kinds) or 'none'}")
    needed = [f.name for f in dataclasses.fields(cls) if f.init and f.default is f.default_factory is dataclasses.MISSING]
    if missing := [each for each in needed if each not in {**given, **values}]:
        raise TypeError(f"{name} needs a value for {', '.join(missing)}, as in {name}({missing[0]}=...)")
    return cls(**{k: _typed(k, v, kinds[k]) for k, v in {**given, **values}.items()})


def one(text: str) -> tuple[str, dict]:
    """The name and the values of a single call. Raises ValueError for none or several."""
    calls = parse(text)
    if len(calls) != 1:
        raise ValueError(f"{text!r}: give one name here, not {len(calls)} joined by +")
    return calls[0]


def _typed(name: str, value, kind: str):
    """A value in its field's type: JSON has no tuples, 1 means 1.0 for a float, and a number may be NumPy's. Raises ValueError for
    another type.
    """
    if isinstance(value, list):
        return _tuples(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _typed(name, value.item(), kind)
    if choices := re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", kind):
        if value not in (known := ast.literal_eval(f"({choices[1]},)")):
            raise ValueError(f"{name}={value!r}: choose one of {', '.join(map(repr, known))}")
        return value
    if type(value) is int and "float" in kind and "int" not in kind:
        if abs(value) > sys.float_info.max:
            raise ValueError(f"{name} is a whole number of {value.bit_length()} bits: choose a number that a float can hold")
        return float(value)
    words = {bool: "bool", int: "int", float: "float", str: "str", type(None): "None"}
    word = words.get(type(value))
    if word and word not in kind and any(each in kind for each in words.values()) and "Any" not in kind:
        plain = kind.removeprefix("<class '").removesuffix("'>")
        raise ValueError(f"{name}={value!r}: choose {' or '.join(_KINDS.get(each, each) for each in plain.split(' | '))}")
    return value


_KINDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a text"}


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def name_of(thing) -> str:
    """The name of a choice or of its class: short for a file of this package, else the full import path."""
    cls = thing if isinstance(thing, type) else type(thing)
    room, _, file = cls.__module__.rpartition(".")
    return file if room.rpartition(".")[0] == __package__ else f"{cls.__module__}.{cls.__qualname__}"


def describe(thing) -> dict:
    """``{"name": ..., field: value, ...}``: what a record holds of a choice, and what `load` takes back.

    Raises TypeError for an object whose class is not the one that its name loads: a record would then name something else.
    """
    cls = type(thing)
    if _loaded(cls) is not cls:
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} is not what Python finds under this name. Define the class at the top level of a "
            "module or notebook, under a name of its own, and make the object anew if the class was changed"
        )
    return {"name": name_of(thing), **plain(thing)}


SIMPLE = {bool, int, float, str, type(None)}  # of values that need no copy
LATER = {"later": True}  # metadata of a field that was added when there were records already


def plain(thing) -> dict:
    """The fields of a dataclass as plain values. A `LATER` field is left out at its default, so that older records keep their
    names.
    """
    fields = dataclasses.fields(thing)
    added = {field.name: field.default for field in fields if field.metadata.get("later")}
    values = {field.name: getattr(thing, field.name) for field in fields}
    if not all(type(value) in SIMPLE for value in values.values()):
        values = dataclasses.asdict(thing)  # copies what holds other values, field by field
    return {name: value for name, value in values.items() if name not in added or value != added[name]}


def _loaded(cls: type):
    """What stands where a class says that it was defined; None if nothing does."""
    if (path := f"{cls.__module__}.{cls.__qualname__}") in _CARRIED:
        return _CARRIED[path]
    try:
        return functools.reduce(getattr, cls.__qualname__.split("."), sys.modules.get(cls.__module__))
    except AttributeError:
        return None


def label(thing) -> str:
    """``"mixup(k=4)"``: the name with the values that differ from their defaults. A field with ``metadata={"shown": False}`` is
    left out."""
    shown = [field for field in dataclasses.fields(thing) if field.metadata.get("shown", True)]
    values = ((field.name, getattr(thing, field.name), _default(field)) for field in shown)
    changed = [f"{name}={_shown(value)}" for name, value, default in values if value != default]
    return name_of(thing) + (f"({', '.join(changed)})" if changed else "")


def _default(field: dataclasses.Field):
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _shown(value) -> str:
    """A value as source code; fractions of 255, the steps of stored pixels, as such where that is shorter."""
    levels = f"{round(value * 255)}/255" if isinstance(value, float) and 0 < value < 1 else ""
    return levels if levels and round(value * 255) / 255 == value and len(levels) < len(repr(value)) else repr(value)


def is_a(thing, protocol: type) -> bool:
    """Whether the class of ``thing`` derives from a room's protocol."""
    return protocol in type(thing).__mro__
