"""Checks of numerical arguments, element by element. Every error names the argument, its value and the range that is allowed."""

import numpy as np


def positive(**numbers):
    """Converts the numbers to float arrays. Raises ValueError unless all elements are finite and greater than 0."""
    rule = lambda x: np.isfinite(x) & (x > 0)  # noqa: E731
    return [_checked(name, value, rule, "finite and greater than 0") for name, value in numbers.items()]


def nonnegative(**numbers):
    """Converts the numbers to float arrays. Raises ValueError unless all elements are finite and at least 0."""
    rule = lambda x: np.isfinite(x) & (x >= 0)  # noqa: E731
    return [_checked(name, value, rule, "finite and at least 0") for name, value in numbers.items()]


def fraction(**numbers):
    """Converts the numbers to float arrays. Raises ValueError unless all elements are in [0, 1]."""
    rule = lambda x: (x >= 0) & (x <= 1)  # noqa: E731
    return [_checked(name, value, rule, "between 0 and 1") for name, value in numbers.items()]


def whole(**numbers):
    """Converts the numbers to float arrays. Raises ValueError unless all elements are whole numbers of at least 1."""
    rule = lambda x: np.isfinite(x) & (x >= 1) & (x == np.floor(x))  # noqa: E731
    return [_checked(name, value, rule, "a whole number of at least 1") for name, value in numbers.items()]


def width(k, n):
    """Converts the mixture width k and the number of records n to float arrays.

    Raises ValueError unless both are whole numbers with 1 <= k < n.
    """
    k, n = whole(k=k, n=n)
    if np.any(k >= n):
        raise ValueError(f"k={k}, n={n}: k must be less than n, because a mixture needs k records after one record is removed")
    return k, n


def _checked(name, value, rule, allowed):
    array = np.asarray(value, dtype=float)
    if not np.all(rule(array)):
        raise ValueError(f"{name}={value!r}: must be {allowed}")
    return array
