"""poisonlib: data poisoning attacks and defences, measured one recorded trial at a time."""

import importlib

__version__ = "0.2.0"

_HOMES = {"craft": "attacks", "train": "training", "evaluate": "training"}  # where the three steps of every trial are defined


def __getattr__(name: str):
    """``poisonlib.craft``, ``poisonlib.train`` and ``poisonlib.evaluate``, imported at their first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
