"""Checks of values that a user gives. Every error names the argument, its value and what is allowed."""

import math
from collections.abc import Iterable
from numbers import Integral

KINDS = {bool: "True or False", float: "a number", int: "a whole number", str: "a text"}


def number(name: str, value, low: int | float = -math.inf, high: int | float = math.inf, *, above: bool = False) -> None:
    """Raises ValueError unless ``value`` is a finite number with ``low <= value <= high`` (``low < value`` if ``above``)."""
    kind = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (kind and low <= value <= high and not (above and value == low)):
        raise ValueError(f"{name}={value!r}: choose a finite number{_range(low, high, above)}")


def whole(name: str, value, low: int | float = -math.inf, high: int | float = math.inf) -> None:
    """Raises ValueError unless ``value`` is an integer, of NumPy too, with ``low <= value <= high``."""
    if not (isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high):
        raise ValueError(f"{name}={value!r}: choose a whole number{_range(low, high, False)}")


def share(name: str, value, what: str = "") -> None:
    """Raises ValueError unless ``value`` is a number in [0, 1]; ``what`` says of what it is a share."""
    if not (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        raise ValueError(f"{name}={value!r}: choose a share{f' of {what}' if what else ''} from 0 to 1")


def first_epoch(name: str, value) -> None:
    """Raises ValueError unless ``value`` is an epoch, a whole number from 0, or a share of the epochs, between 0 and 1."""
    epoch, share = isinstance(value, int) and value >= 0, isinstance(value, float) and 0 < value < 1
    if isinstance(value, bool) or not (epoch or share):
        raise ValueError(
            f"{name}={value!r}: choose an epoch, a whole number of at least 0, or a share of the epochs between 0 and 1"
        )


def flag(name: str, value) -> None:
    """Raises ValueError unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: choose True or False")


def like(name: str, value, example) -> None:
    """Raises ValueError unless ``value`` is of the type of ``example``: text, an int, a float or a bool."""
    if type(value) is not type(example):
        raise ValueError(f"{name}={value!r}: choose {KINDS[type(example)]}, such as {example!r}")


def one_of(name: str, value, choices: Iterable) -> None:
    """Raises ValueError unless ``value`` is one of ``choices``."""
    if value not in (choices := tuple(choices)):
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}")


def variant(value: str) -> None:
    """Raises ValueError unless ``value`` is ``"paper"`` (what the paper says) or ``"released"`` (what the authors' code does)."""
    one_of("variant", value, ("paper", "released"))


def _range(low: int | float, high: int | float, above: bool) -> str:
    start = f" above {low:g}" if above else f" of at least {low:g}"
    if low == -math.inf:
        return "" if high == math.inf else f" of at most {high:g}"
    return start if high == math.inf else f"{start} and at most {high:g}"
