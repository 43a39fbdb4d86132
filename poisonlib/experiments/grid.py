"""A table of a paper as a list of trials, and the checks that its records must pass."""

import dataclasses
from collections.abc import Iterable, Sequence

from .. import attacks, data, models, registry, training
from .. import check as checks
from ..augment import Augment
from ..filters import Filter
from ..steps import Step
from ..tensors import levels
from ..words import plural
from .extractor import Extractor
from .profiles import Profile
from .profiles import profile as read_profile
from .record import Record, Records
from .spec import Defence, Trial
from .spec import defence as read_defence
from .validation import validate

MOST = 100_000  # trials a cell: far more than anybody runs, and still few enough for memory
Part = Defence | Augment | Filter | Step
READERS = {
    "data": data.source,
    "model": models.load,
    "recipe": training.load,
    "numerics": training.Numerics.load,
    "extractor": lambda extractor: extractor,
}
Attackers = str | Sequence[Extractor | models.Model | str]


def grid(
    scenario: str,
    profile: str = "quick",
    *,
    attack: attacks.Attack | str | Sequence[attacks.Attack | str],
    defence: Part | str | Sequence[Part | str | Sequence[Part]] = "none",
    trials: int | None = None,
    first_seed: int | None = None,
    starts: int = 1,
    attacker: Attackers = (),
    **changes,
) -> list[Trial]:
    """Every attack under every defence, with ``trials`` seeds each, from ``first_seed`` on (by default the profile's numbers).

    ``starts``: victims of each goal and its poisons, which differ in their initial weights and batches; tables take their mean.
    Cells share their seeds, so the rows of a table are paired. Attacks and defences are names such as ``"cutmix"`` or
    ``"my_package.MyAugment(k=3)"``, or objects. Those given as text start from the profile's values for them; an adaptive attack
    without a defence to adapt to is the basic one. ``changes`` replace parts of the profile: ``data=``, ``model=``, ``recipe=``
    and ``numerics=`` (``"bf16(graph=True)"``) as text or objects, ``extractor=`` as an object; an extractor follows the network
    unless it is given. ``data=""``, as notebooks have it, keeps the profile's.

    ``attacker``: from what the attacker's networks start, if not from what the victim does: ``"white box"`` (the victim's
    extractor), ``"grey box"`` (another start of it), or a list of architectures, by name too, and extractors, one for each of the
    attack's networks; an architecture means that of an extractor like the victim's. Attacks without networks have none.

    Raises LookupError, TypeError or ValueError for unknown names, values out of range and parts that do not go together. What
    depends on the images is checked by `run`, before any training.
    """
    base = dataclasses.replace(read_profile(scenario, profile), **_read(changes))
    base = dataclasses.replace(base, data=base.data.resolved(), extractor=_extractor(base, changes))
    known = _attacker(attacker, base)
    count = base.trials if trials is None else trials
    checks.whole("trials", count, 1, MOST)
    checks.whole("starts", starts, 1, MOST)
    defences = [read_defence(choice, base.defences) for choice in _listed(defence)]
    rows = [(_attack(choice, base.attacks).facing(d.changes_training), d) for choice in _listed(attack) for d in defences]
    first = base.first_seed if first_seed is None else first_seed
    checks.whole("first_seed", first)
    seeds = [(seed, start) for seed in range(first, first + count) for start in range(starts)]
    parts = [(base.data, base.model, base.recipe, a, d, base.numerics, known if a.surrogates else ()) for a, d in rows]
    table = [Trial(*each[:-1], *seed, base.extractor, each[-1]) for each in parts for seed in seeds]
    for trial in table[:: len(seeds)]:
        validate(trial)
    return list(dict.fromkeys(table))


def _read(changes: dict) -> dict:
    if unknown := sorted(changes.keys() - READERS.keys()):
        raise TypeError(f"a grid has no {', '.join(unknown)}; it can replace: {', '.join(READERS)}")
    return {name: READERS[name](choice) for name, choice in changes.items() if choice != ""}


def _extractor(base: Profile, changes: dict) -> Extractor | None:
    """The profile's extractor, of the network that the grid has, or the one that is given."""
    if base.extractor is None or "extractor" in changes:
        return base.extractor and base.extractor.resolved()
    return dataclasses.replace(base.extractor, model=base.model).resolved()


def _attacker(choice: Attackers, base: Profile) -> tuple[Extractor | models.Model, ...]:
    """From what the attacker's networks start; empty where that is what the victim starts from."""
    own = base.extractor
    if choice == "grey box":
        return (dataclasses.replace(own, seed=own.seed + 1),) if own else ()
    if choice == "white box" and own is None:
        raise ValueError("attacker='white box': from scratch, nobody has the victim's weights; choose 'grey box' or architectures")
    if isinstance(choice, str) and choice != "white box":
        raise ValueError(f"attacker={choice!r}: choose 'white box', 'grey box', or a list of architectures and extractors")
    given = () if choice == "white box" else choice
    origins = tuple(each.resolved() if isinstance(each, Extractor) else models.load(each) for each in given)
    if own:
        origins = tuple(each if isinstance(each, Extractor) else dataclasses.replace(own, model=each) for each in origins)
    return () if origins == (own or base.model,) else origins


def _listed(choice) -> list:
    return list(choice) if isinstance(choice, list | tuple) else [choice]


def _attack(choice, values: dict[str, dict]) -> attacks.Attack:
    if not isinstance(choice, str):
        return attacks.load(choice)
    name, given = registry.one(choice)
    return attacks.load(name, **values.get(name, {}) | given)


def check(records: Iterable[Record], trials: Sequence[Trial]) -> str:
    """A sentence that says what was checked; raises AssertionError at the first record that is missing or unsound.

    Trials of a run that failed are counted.
    """
    by_key = {record.key: record for record in records}
    failed = {each.key for each in records.failures} if isinstance(records, Records) else set()
    for trial in trials:
        if trial.key in failed:
            continue
        assert trial.key in by_key, f"no record of seed {trial.seed}: {trial.describe()}"
        _check_record(by_key[trial.key], trial)
    said = f"{len(failed)} failed and have no result, none of the others missing" if failed else "none missing"
    return f"{plural(len(trials), 'trial')}: {said}, all counts sound, every poison within its bounds"


def _check_record(record: Record, trial: Trial) -> None:
    evaluation, poisons = record.evaluation, record.poisons
    assert 0 <= evaluation.hits <= evaluation.targets != 0, f"success {evaluation.hits} of {evaluation.targets}"
    assert all(0 <= correct <= total for correct, total in evaluation.clean), f"clean counts {evaluation.clean}"
    assert (poisons.count == 0) == trial.attack.clean, f"{poisons.count} poisons for {trial.attack}"
    if (bound := trial.attack.bound) is not None:
        assert poisons.largest_change <= levels(bound), (
            f"a pixel changed by {poisons.largest_change}/255, eps is {bound * 255:.1f}/255"
        )
