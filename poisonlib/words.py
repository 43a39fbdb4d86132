"""Counts in sentences."""


def plural(count: int, what: str) -> str:
    """The count with its noun: ``"1 trial"``, ``"0 trials"``, ``"40 trials"``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
