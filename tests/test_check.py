"""The checks of values: at the edges of every range, and what their errors say."""

import math
import re

import pytest
import torch

from poisonlib import check


def whole_text(text):
    """A pattern that matches this text alone."""
    return f"^{re.escape(text)}$"


NO_NUMBERS = (True, False, "1", None, [1], 1 + 0j, math.nan)


@pytest.mark.parametrize(
    ("limits", "allowed", "refused", "words"),
    [
        ({}, (0, -5, 1.5, -1e300), (math.inf, -math.inf), "choose a finite number"),
        ({"low": 0}, (0, 0.0, 7, 1e300), (-1, -1e-9, math.inf), "choose a finite number of at least 0"),
        ({"low": 0, "above": True}, (1e-300, 7), (0, 0.0, -0.0, -1, math.inf), "choose a finite number above 0"),
        ({"low": 0.01, "high": 1}, (0.01, 1, 1.0), (0.0099, 1.0001), "choose a finite number of at least 0.01 and at most 1"),
        ({"low": 0, "high": 1, "above": True}, (0.5, 1), (0, 1.1), "choose a finite number above 0 and at most 1"),
        ({"high": 2.5}, (-1e300, 2.5), (2.6, -math.inf), "choose a finite number of at most 2.5"),
    ],
)
def test_number(limits, allowed, refused, words):
    for value in allowed:
        check.number("x", value, **limits)
    for value in (*refused, *NO_NUMBERS):
        with pytest.raises(ValueError, match=whole_text(f"x={value!r}: {words}")):
            check.number("x", value, **limits)


@pytest.mark.parametrize(
    ("limits", "allowed", "refused", "words"),
    [
        ({}, (0, -5, 10**30), (), "choose a whole number"),
        ({"low": 1}, (1, 10**30), (0, -1), "choose a whole number of at least 1"),
        ({"low": 1, "high": 4}, (1, 4), (0, 5), "choose a whole number of at least 1 and at most 4"),
        ({"high": 4}, (-9, 4), (5,), "choose a whole number of at most 4"),
    ],
)
def test_whole(limits, allowed, refused, words):
    for value in allowed:
        check.whole("k", value, **limits)
    for value in (*refused, *NO_NUMBERS, 2.0, 2.5, torch.tensor(2)):
        with pytest.raises(ValueError, match=whole_text(f"k={value!r}: {words}")):
            check.whole("k", value, **limits)


def test_share():
    for value in (0, 0.0, 0.5, 1, 1.0):
        check.share("rate", value, "a class")
    for value in (-1e-9, 1.0001, 2, *NO_NUMBERS, math.inf):
        with pytest.raises(ValueError, match=re.escape(f"rate={value!r}: choose a share of a class from 0 to 1")):
            check.share("rate", value, "a class")
    with pytest.raises(ValueError, match=r"^rate=2: choose a share from 0 to 1$"):
        check.share("rate", 2)


def test_flag():
    check.flag("clip", True)
    check.flag("clip", False)
    for value in (0, 1, "True", None):
        with pytest.raises(ValueError, match=re.escape(f"clip={value!r}: choose True or False")):
            check.flag("clip", value)


def test_one_of():
    check.one_of("size", 2, (1, 2))
    check.one_of("size", 2, {1: "one", 2: "two"})
    check.one_of("size", 2, (each for each in (1, 2)))
    for value in (3, None, "1"):
        with pytest.raises(ValueError, match=re.escape(f"size={value!r}: choose one of 1, 2")):
            check.one_of("size", value, (each for each in (1, 2)))


def test_variant():
    check.variant("paper")
    check.variant("released")
    for value in ("fast", "", "Paper"):
        with pytest.raises(ValueError, match=re.escape(f"variant={value!r}: choose one of 'paper', 'released'")):
            check.variant(value)


def test_like():
    for value, example in (("x", ""), (3, 0), (0.5, 1.0), (False, True)):
        check.like("level", value, example)
    for value, example, words in (
        ("3", 0, "a whole number, such as 0"),
        (True, 0, "a whole number, such as 0"),
        (3, 0.5, "a number, such as 0.5"),
        (1, True, "True or False, such as True"),
        (2, "quick", "a text, such as 'quick'"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"level={value!r}: choose {words}")):
            check.like("level", value, example)
