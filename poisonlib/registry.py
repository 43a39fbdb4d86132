"""The file is the registration.

A room (a sub-package such as ``poisonlib.attacks``) offers one choice per module: the module's name is the choice's name, and a
fixed class in it (``Attack``, ``Filter``, ...), a frozen dataclass of numbers, is the choice. Modules that begin with an
underscore are shared by their neighbours and are no choice. Dropping a file into the folder is all it takes to add one.
"""

import ast
import dataclasses
import functools
import importlib
import os
import pkgutil


def names(room: str) -> list[str]:
    """The choices of a room (its full dotted name), sorted."""
    (folder,) = importlib.import_module(room).__path__
    return list(_names(folder, os.stat(folder).st_mtime_ns))


@functools.cache  # thousands of records are read by these names; a file that is added later moves the folder's time
def _names(folder: str, changed: int) -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_")))


def find(room: str, name: str):
    """The module ``name`` of a room. Raises LookupError that lists the choices where there is none."""
    if name not in names(room):
        raise LookupError(f"{room} has no {name!r}; choose one of: {', '.join(names(room))}")
    return importlib.import_module(f"{room}.{name}")


def parse(text: str) -> list[tuple[str, dict]]:
    """``"mixup(k=4) + cutout"`` -> ``[("mixup", {"k": 4}), ("cutout", {})]``: literals and fractions of them, nothing else."""
    try:
        return list(_calls(ast.parse(text, mode="eval").body))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r}: write a name, or name(number=value, ...), joined by + ({error})") from None


def _calls(node):
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _calls(node.left)
        yield from _calls(node.right)
    elif isinstance(node, ast.Name):
        yield node.id, {}
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        yield node.func.id, {k.arg: _literal(k.value) for k in node.keywords}
    else:
        raise ValueError("not a name or a call with named numbers")


def _literal(node):
    """The value of a literal, or of a fraction such as 16/255."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        over, under = ast.literal_eval(node.left), ast.literal_eval(node.right)
        if isinstance(over, int | float) and isinstance(under, int | float) and under:
            return over / under
    return ast.literal_eval(node)


def load(room: str, kind: str, choice, **numbers):
    """The object of class ``kind`` that ``choice`` means in a room.

    ``choice`` is a name, a call such as ``"patch(share=0.1)"``, a description as `describe` gives it, or an object of the class
    already. Raises LookupError for an unknown name, TypeError for an unknown number, ValueError for a number out of range.
    """
    if not isinstance(choice, str | dict):
        return dataclasses.replace(choice, **numbers)
    if isinstance(choice, dict):
        name, given = choice["name"], {k: v for k, v in choice.items() if k != "name"}
    else:
        calls = parse(choice)
        if len(calls) != 1:
            raise ValueError(f"{choice!r}: one name is wanted here, not {len(calls)} joined by +")
        name, given = calls[0]
    cls = getattr(find(room, name), kind)
    kinds = {f.name: str(f.type) for f in dataclasses.fields(cls) if f.init}
    if unknown := sorted({*given, *numbers} - set(kinds)):
        raise TypeError(f"{name} has no {', '.join(unknown)}; its numbers are: {', '.join(kinds) or 'none'}")
    return cls(**{k: _plain(k, v, kinds[k]) for k, v in {**given, **numbers}.items()})


def _plain(name: str, value, kind: str):
    """A value as the field wants it: JSON knows no tuples, and 1 stands for 1.0 where a float is wanted, so that both are equal."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, float) and "int" in kind and "float" not in kind:
        raise ValueError(f"{name}={value!r}: choose a whole number")
    return float(value) if type(value) is int and "float" in kind and "int" not in kind else value


def name_of(thing) -> str:
    """The choice's name: that of the module that defines its class."""
    return type(thing).__module__.rpartition(".")[2]


def describe(thing) -> dict:
    """``{"name": ..., field: value, ...}``: what goes into a record, and what `load` takes back."""
    return {"name": name_of(thing), **dataclasses.asdict(thing)}


def label(thing) -> str:
    """``"mixup(k=4)"``: the name with those numbers that differ from their defaults, as a reader wants to see it."""
    values = ((field.name, getattr(thing, field.name), field.default) for field in dataclasses.fields(thing))
    changed = [f"{name}={_shown(value)}" for name, value, default in values if value != default]
    return name_of(thing) + (f"({', '.join(changed)})" if changed else "")


def _shown(value) -> str:
    """A value as one writes it: steps of 1/255, in which pixels are counted, as such, if that is shorter."""
    levels = f"{round(value * 255)}/255" if isinstance(value, float) and 0 < value < 1 else ""
    return levels if levels and round(value * 255) / 255 == value and len(levels) < len(repr(value)) else repr(value)
