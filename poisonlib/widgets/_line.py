"""A state as one line that can be copied, and back: ``State(augmentation='cutmix', seed=3)``, which is Python too."""

import ast
from dataclasses import fields, replace

from .. import check


def written(state) -> str:
    """The state as a line: the fields that differ from their defaults."""
    changed = [field for field in fields(state) if getattr(state, field.name) != field.default]
    return f"State({', '.join(f'{field.name}={getattr(state, field.name)!r}' for field in changed)})"


def read(line: str, cls: type):
    """The state of class ``cls`` that a line says; ``State`` may stand behind the name of a module.

    Only plain values are read, nothing is executed. Raises ValueError for anything else, and for fields that there are not.
    """
    try:
        call = ast.parse(line.strip(), mode="eval").body
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
        given = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    except (AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"{line!r} is no state: write it like {written(cls())}") from error
    defaults = {field.name: field.default for field in fields(cls)}
    if name != "State" or call.args or (unknown := sorted(str(each) for each in given if each not in defaults)):
        raise ValueError(f"{line!r} is no state: {', '.join(unknown) if name == 'State' and not call.args else name} is not known")
    for field, value in given.items():
        if type(value) is int and isinstance(defaults[field], float):
            given[field] = float(value)
        check.like(field, given[field], defaults[field])
    return replace(cls(), **given)
