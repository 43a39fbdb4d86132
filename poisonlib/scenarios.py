"""Scenarios and the names of their profiles, from ``experiments/profiles.toml``; without torch, for whom names are enough."""

import functools
import tomllib
from pathlib import Path

RULES = "rules"  # the table of the file that is no scenario


@functools.cache
def tables() -> dict[str, dict]:
    """The whole file: the rules of verdicts, and for each scenario its profiles."""
    file = Path(__file__).with_name("experiments") / "profiles.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def names() -> list[str]:
    """The kinds of experiment that have profiles."""
    return [name for name in tables() if name != RULES]


def profiles(scenario: str) -> list[str]:
    """The names of a scenario's profiles, smallest first. Raises LookupError for an unknown scenario."""
    if scenario not in names():
        raise LookupError(f"no scenario {scenario!r}; choose one of: {', '.join(names())}")
    return list(tables()[scenario])
