"""Tables whose cells are designs: an attack's baseline with named changes (`experiments.design`), and the trials of such cells."""

import contextlib
import fnmatch
import functools
from collections.abc import Sequence

from .. import registry
from ..experiments import Trial, design, profiles
from ..experiments.designs import SCENARIO
from ..experiments.spec import canonical
from .cells import GOAL
from .claims import Claim, load

CHANGES = ("design", "amount", "box", "crafting")  # what ``means`` call the changes of a cell, in their order; "": none
MEASURES = ("success", "clean accuracy")


def designed(claim: Claim) -> bool:
    """Whether the claim is a rate under a design."""
    return "design" in claim.means and claim.measure in MEASURES


def changes(claim: Claim) -> tuple[str, ...]:
    """The changes of a claim that is `designed`."""
    return tuple(claim.means[kind] for kind in CHANGES if claim.means.get(kind))


def trials(
    paper: str, tables: Sequence[str], profile: str, count: int | None = None, rows: str = "", controls: bool = True
) -> list[Trial]:
    """The trials of every cell of some tables that the profile has a design for, each set-up beside its clean control.

    ``count``: trials in each cell, by default the profile's number. ``rows``: those to run, joined by ``;``, where ``*`` stands for
    any letters (``"FC; Transfer*"``); by default all. Raises LookupError for a row that none of the tables has, and where there is
    no trial.
    """
    claims = [claim for table in tables for claim in load(paper).table(table).claims]
    wanted = _rows(list(dict.fromkeys(claim.row for claim in claims)), rows)
    found, beside = [], {}
    for claim in claims:
        if designed(claim) and claim.row in wanted:
            found += (mine := _trials(claim, profile, count))
            if controls and mine and not mine[0].defence.parts:
                beside.setdefault(_goal(mine[0]), _trials(claim, profile, count, clean=True))
    if not found:
        raise LookupError(f"the profile {profile} has no design of {', '.join(tables)}")
    return list(dict.fromkeys([*found, *(trial for each in beside.values() for trial in each)]))


def _rows(known: Sequence[str], text: str) -> set[str]:
    """The rows that a text names."""
    found = {pattern.strip(): fnmatch.filter(known, pattern.strip()) for pattern in text.split(";") if pattern.strip()}
    if unknown := [pattern for pattern, rows in found.items() if not rows]:
        raise LookupError(f"rows: no {', '.join(unknown)}; choose from: {', '.join(known)}")
    return {row for rows in found.values() for row in rows} or set(known)


def _trials(claim: Claim, profile: str, count: int | None, clean: bool = False) -> list[Trial]:
    """The trials of a cell; none where the profile has no such design."""
    with contextlib.suppress(LookupError):
        return list(_made(claim.means["attack"], changes(claim), claim.means.get("defence", "none"), profile, count, clean))
    return []


@functools.lru_cache(maxsize=4096)
def _made(attack: str, changes: tuple[str, ...], defence: str, profile: str, count: int | None, clean: bool) -> tuple[Trial, ...]:
    return tuple(design(profile, attack, changes, clean=clean, defence=defence, trials=count))


def _goal(trial: Trial) -> str:
    """What two trials of one seed have in common if a clean control serves both."""
    spec = trial.describe()
    attack = {key: value for key, value in spec.pop("attack").items() if key in ("name", "inner", *GOAL)}
    return canonical([attack, {key: value for key, value in spec.items() if key not in ("attacker", "seed")}])


def measures(trial: Trial, claim: Claim) -> bool:
    """Whether a trial is one of the claim's design, at whatever profile."""
    return identity(trial) in _identities(claim.means["attack"], changes(claim), claim.means.get("defence", "none"))


@functools.lru_cache(maxsize=4096)
def _identities(attack: str, changes: tuple[str, ...], defence: str) -> frozenset[str]:
    """The identities of a design's trials, one for each profile that has it."""
    found = []
    for profile in profiles(SCENARIO):
        with contextlib.suppress(LookupError):
            found += _made(attack, changes, defence, profile, 1, False)
    return frozenset(map(identity, found))


@functools.lru_cache(maxsize=16384)
def identity(trial: Trial) -> str:
    """What a design decides of a trial, as text: all but its seed, its numerics and the poison rate that its filter assumes."""
    spec, judge = trial.describe(), trial.defence.filter
    if judge:
        spec["defence"]["filter"] = registry.describe(judge.assuming(0.0))
    return canonical({key: value for key, value in spec.items() if key not in ("seed", "start", "numerics")})
