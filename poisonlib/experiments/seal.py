"""What a record's file must hold: a checksum of all the rest, and values of the right kind. Files may come from elsewhere."""

import hashlib
from typing import Any

from .. import check
from .record import SCHEMA
from .spec import canonical

SEALED = 3  # the schema of a record with a checksum; without it, all else alike, the schema is `record.SCHEMA`


def sealed(content: dict) -> dict:
    """A record's content with the SHA-256 of its canonical text."""
    content = content | {"schema": SEALED}
    return content | {"checksum": _checksum(content)}


def unsealed(content: dict) -> dict:
    """The content as it was before `sealed`; one of the schema without checksums comes back as it is.

    Raises ValueError where the checksum is missing or is that of something else.
    """
    if content["schema"] != SEALED and "checksum" not in content:
        return content
    rest = {name: value for name, value in content.items() if name != "checksum"}
    if content.get("checksum") != _checksum(rest):
        raise ValueError("its checksum is not that of its content: the file was changed or damaged")
    return rest | {"schema": SCHEMA}


def _checksum(content: dict) -> str:
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def check_values(content: dict) -> None:
    """Raises LookupError, TypeError or ValueError where a value of a record of today's schema is missing or cannot be."""
    _spec(content["spec"])
    result = content["result"]
    _evaluation(**result["evaluation"])
    _poisons(**result["poisons"])
    for name in ("intended_class", "source_class"):
        check.whole(name, result[name], 0)
    if result["craft"] is not None:
        _craft(**result["craft"])
    if result["filter"] is not None:
        _filter(**result["filter"])
    _cost(**content["cost"])
    for name, value in content["environment"].items():
        _is(name, value, str | None)
    _is("code", content["code"], str | None)
    for split, fingerprint in ({} if content["data"] is None else content["data"]).items():
        _is(f"data of {split}", fingerprint, str)


def _is(name: str, value: Any, kind) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}={value!r}: {getattr(kind, '__name__', kind)} is wanted")


def _spec(spec: dict) -> None:
    defence = spec["defence"]
    parts = [*defence["augment"], *(defence[name] for name in ("step", "filter") if defence[name] is not None)]
    for part in (spec["data"], spec["model"], spec["attack"], *parts):
        _is("name", part["name"], str)
    for name in ("recipe", "numerics"):
        _is(name, spec[name], dict)
    check.number("epochs", spec["recipe"]["epochs"], 0)
    _is("precision", spec["numerics"]["precision"], str)
    check.whole("seed", spec["seed"])
    check.whole("start", spec.get("start", 0))


def _evaluation(hits, targets, confidence, clean) -> None:
    check.whole("targets", targets, 1)
    check.whole("hits", hits, 0, targets)
    if confidence is not None:
        check.share("confidence", confidence)
    if not all(type(correct) is type(total) is int and 0 <= correct <= total for correct, total in clean):
        raise ValueError(f"clean={clean}: pairs of whole numbers, correct and all, are wanted")
    check.whole("clean images", sum(total for _, total in clean), 1)


def _poisons(count, digest, largest_change) -> None:
    check.whole("count", count, 0)
    check.whole("largest_change", largest_change, 0)
    _is("digest", digest, str)


def _craft(targets_correct, objective, held_out=None) -> None:
    correct, total = targets_correct
    check.whole("targets_correct", total, 1)
    check.whole("targets_correct", correct, 0, total)
    for value in (() if objective is None else (objective,)) + (() if held_out is None else tuple(held_out)):
        check.number("objective", value)
    if held_out is not None and len(held_out) != 2:
        raise ValueError(f"held_out={held_out}: two numbers are wanted")


def _filter(removed, poisons_removed, auc, roc, rounds=()) -> None:
    check.whole("removed", removed, 0)
    check.whole("poisons_removed", poisons_removed, 0, removed)
    for each in rounds:
        check.whole("rounds", each, 0)
    if auc is not None:
        check.share("auc", auc)
    for rates in zip(*(((), ()) if roc is None else roc), strict=True):
        if not all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates):
            raise ValueError(f"roc={rates}: pairs of shares from 0 to 1 are wanted")


def _cost(seconds, stages, peak_memory, processor_seconds=None) -> None:
    check.whole("peak_memory", peak_memory, 0)
    for name, value in {"seconds": seconds, "processor_seconds": processor_seconds or 0, **stages}.items():
        check.number(name, value, 0)
