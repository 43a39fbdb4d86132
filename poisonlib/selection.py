"""Which notebooks, with which values of their parameters, the words of a command line mean."""

from collections.abc import Sequence
from typing import NamedTuple

from . import notebooks


class Selection(NamedTuple):
    """Notebooks with the values that each was given, all checked, and those that were left out as they lack the profile."""

    chosen: list[tuple[str, dict]]
    skipped: list[str]


def select(words: Sequence[str], given: dict[str, str]) -> Selection:
    """``words``: names of notebooks, or ``all``; ``given``: values as text. A value goes to those notebooks that have it.

    ``all`` leaves out the notebooks that have profiles, but not the given one. Raises LookupError where there is nothing to run or
    a notebook or parameter is unknown, ValueError for a value that a notebook does not take; it names the notebook.
    """
    names, skipped = _names(words, given.get("profile"))
    if len(names) == 1:
        return Selection([(names[0], notebooks.read_parameters(names[0], given))], skipped)
    every = {name: notebooks.parameters(name) for name in names}
    if unknown := sorted(set(given) - {key for known in every.values() for key in known}):
        raise LookupError(f"no notebook has a parameter {', '.join(unknown)}")
    theirs = {name: {k: v for k, v in given.items() if k in known} for name, known in every.items()}
    return Selection([(name, notebooks.read_parameters(name, values)) for name, values in theirs.items()], skipped)


def _names(words: Sequence[str], profile: str | None) -> tuple[list[str], list[str]]:
    """(The notebooks that are named, those of all that are left out.)"""
    if not words:
        raise LookupError(f"name a notebook, or all; choose from: {', '.join(notebooks.names())}")
    if "all" not in words:
        return [_name(word, words[0]) for word in dict.fromkeys(words)], []
    if others := [word for word in dict.fromkeys(words) if word != "all"]:
        raise LookupError(f"all and {', '.join(others)}: name notebooks or all; values are written name=value")
    scales = {name: notebooks.parameters(name).get("profile") for name in notebooks.names()}
    if not scales:
        raise LookupError(f"there is nothing to run: {notebooks.folder()} holds no notebooks")
    known = list(dict.fromkeys(choice for scale in scales.values() if scale for choice in scale.choices))
    if profile is not None and profile not in known:
        raise ValueError(f"profile={profile}: choose one of: {', '.join(known)}")
    lacking = [name for name, scale in scales.items() if scale and profile is not None and profile not in scale.choices]
    return [name for name in scales if name not in lacking], lacking


def _name(word: str, first: str) -> str:
    if word not in notebooks.names() and first in notebooks.names() and word in notebooks.parameters(first):
        raise ValueError(f"{word!r}: write name=value")
    return notebooks.path(word).stem
