"""A table of a paper as a list of trials, and the checks that its records must pass."""

import dataclasses
from collections.abc import Iterable, Sequence

from .. import attacks, data, models, registry, training
from ..tensors import levels
from .profiles import profile as read_profile
from .sound import refuse
from .spec import Trial, defence

READERS = {"data": data.source, "model": models.load, "recipe": training.load}


def grid(
    scenario: str,
    profile: str = "quick",
    *,
    attack: Sequence | str,
    defence: Sequence | str = "none",
    trials: int | None = None,
    first_seed: int = 0,
    **changes,
) -> list[Trial]:
    """Every attack under every defence, ``trials`` times (default: the profile's number) with seeds from ``first_seed``.

    Seeds are shared between cells, so rows of a table are paired. An attack given as text starts from the profile's numbers for it;
    an adaptive one without anything to adapt to is the basic one. ``changes`` replace parts of the profile, as text or objects:
    ``model="resnet18(width=16)"``, ``data=``, ``recipe=``, and ``numerics=`` as an object.
    Unknown names, numbers out of range and parts that do not go together raise here; what depends on the images, `run` refuses
    before any training.
    """
    base = dataclasses.replace(read_profile(scenario, profile), **_read(changes))
    count = base.trials if trials is None else trials
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"trials={trials!r}: a whole number from 1")
    defences = [_defence(choice) for choice in _listed(defence)]
    rows = [(_facing(_attack(a, base.attacks), d), d) for a in _listed(attack) for d in defences]
    seeds = range(first_seed, first_seed + count)
    table = [Trial(base.data, base.model, base.recipe, a, d, base.numerics, seed) for a, d in rows for seed in seeds]
    for trial in table[::count]:
        refuse(trial)
    return list(dict.fromkeys(table))


def _read(changes: dict) -> dict:
    if unknown := sorted(changes.keys() - READERS.keys() - {"numerics"}):
        raise TypeError(f"a grid has no {', '.join(unknown)}; what can be replaced: {', '.join(READERS)}, numerics")
    return {name: READERS[name](choice) if name in READERS else choice for name, choice in changes.items()}


def _listed(choice) -> list:
    return list(choice) if isinstance(choice, list | tuple) else [choice]


_defence = defence


def _attack(choice, numbers: dict[str, dict]):
    if not isinstance(choice, str):
        return attacks.load(choice)
    ((name, given),) = registry.parse(choice)
    return attacks.load(name, **numbers.get(name, {}) | given)


def _facing(attack, defence):
    return attack.facing(defence.trains) if hasattr(attack, "facing") else attack


def check(records: Iterable[dict], trials: Sequence[Trial]) -> str:
    """A sentence that says what was checked; raises AssertionError at the first record that is missing or unsound."""
    by_key = {record["key"]: record for record in records}
    for trial in trials:
        assert trial.key in by_key, f"no record of seed {trial.seed}: {trial.describe()}"
        _check_result(by_key[trial.key]["result"], trial)
    return f"{len(trials)} trials: none missing, all counts sound, every poison within its budget"


def _check_result(result: dict, trial: Trial) -> None:
    hits, of = result["success"]
    assert 0 <= hits <= of != 0, f"success {hits} of {of}"
    assert all(0 <= right <= all_ for right, all_ in result["clean"]), f"clean counts {result['clean']}"
    count, change = result["poisons"]["count"], result["poisons"]["largest change"]
    assert (count == 0) == getattr(trial.attack, "clean", False), f"{count} poisons for {trial.attack}"
    if eps := getattr(trial.attack, "eps", None):
        assert change <= levels(eps), f"a pixel moved by {change}/255, eps is {eps * 255:.1f}/255"
