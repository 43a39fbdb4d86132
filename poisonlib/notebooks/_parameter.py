"""A notebook's parameters: lines of its parameter cell, with their defaults and choices, and values that they take."""

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from .. import scenarios
from ..check import like

SWITCH = {"true": True, "yes": True, "false": False, "no": False}
INJECTED = "# Parameters\n"  # so begins the cell with what papermill was given, which follows the parameter cell


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
            from .. import data

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


def parsed(source: str) -> Iterator[Parameter]:
    """The lines ``name: type = literal  # help`` of a parameter cell; the type may be missing."""
    lines = [line.encode() for line in source.splitlines()]  # Python's parser counts columns in bytes
    for node in ast.parse(source).body:
        (target,) = node.targets if isinstance(node, ast.Assign) else (node.target,)
        comment = lines[node.end_lineno - 1][node.end_col_offset :].decode()
        yield Parameter(target.id, ast.literal_eval(node.value), comment.strip().removeprefix("#").strip())


def check() -> None:
    """Refuse what papermill was given and this notebook does not take, as the command line does; for the first cell of code below.

    Raises LookupError for an unknown name, ValueError for a bad value. Where no notebook runs there is nothing to check.
    """
    cells = getattr(sys.modules["__main__"], "In", [])  # the cells that IPython has run
    for above, given in itertools.pairwise(cells):
        if given.startswith(INJECTED):
            _check({each.name: each for each in parsed(above)}, parsed(given))


def _check(known: dict[str, Parameter], given: Iterator[Parameter]) -> None:
    for name, value in ((each.name, each.default) for each in given):
        if name not in known:
            raise LookupError(f"this notebook has no parameter {name}; it has: {', '.join(known)}")
        known[name].checked(float(value) if isinstance(known[name].default, float) and type(value) is int else value)
