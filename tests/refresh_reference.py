"""The tables and claims of ``outputs/reference``, made from its records: ``python -m tests.refresh_reference [RUN [FOLDER]]``.

Without a run, the tables that there are are made anew. With one, every table is made of which the run has a trial; its records are
those in FOLDER, by default ``outputs/reference/RUN/trials``.

A run is named after the profile that it was made with. Its table of a paper takes those of its records that have the profile's data
set, network, schedule and values of attacks, the attack that the table's columns ask for or its clean control, and a defence of the
table or none; beside a filter also the random removal of as many images. Records of the seeds on which a profile's numbers were
chosen, or of earlier ones than it begins with, are left out. Where a profile leaves the precision to the machine, the records of
the most frequent one are taken.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from poisonlib import attacks, papers, registry
from poisonlib.attacks import Attack
from poisonlib.experiments import Ledger, Record, Trial, profile, profiles
from poisonlib.experiments.designs import SCENARIO
from poisonlib.experiments.extractor import Extractor, Origin, model_of
from poisonlib.experiments.profiles import Profile, on_setups
from poisonlib.experiments.spec import canonical
from poisonlib.filters.random_removal import RandomRemoval
from poisonlib.papers import Comparison, dossier
from poisonlib.papers.belonging import attacked_as, belongs, columns, comparable, without_content
from poisonlib.papers.designs import identity

from .refresh_readme import FIGURE, REFERENCE, RUNS, TABLES, Place

BENCHMARK = ("transfer", "scratch")  # scenarios whose attacker has one network, and whose victims have several
VARIED = ("adaptive", "poison_rate", "targets", "variant")  # values of an attack that notebooks vary at one profile


def compared(records: list[Record], run: str, place: Place) -> Comparison | None:
    """The table beside the run's trials; None where none of them measures a cell of the paper."""
    found = papers.compare(chosen(records, run, place), place.paper, place.table)
    return found if any(cell.ours and cell.claim.printed for cell in found.cells) else None


def content(comparison: Comparison, records: list[Record]) -> dict:
    """What the table's file holds. ``records`` are those that the comparison's were chosen from.

    Its setting is that of the distinct records behind the table, and says how many of them are clean controls.
    """
    clean = controls(records, comparison.records)
    found = comparison.content([*comparison.records, *clean])
    return found | {"setting": found["setting"] | {"controls": str(len(clean))}}


def chosen(records: list[Record], run: str, place: Place) -> list[Record]:
    """The records of a run that its table of a paper is made of; [] where the table's scenario has no such profile."""
    if run not in profiles(place.scenario):
        return []
    if place.scenario == SCENARIO:
        return [record for record in of_designs(records, run, [place]) if not tuned(record.seed, profile(SCENARIO, run))]
    tables, mine = [papers.load(place.paper).table(name) for name in place.tables], of_profile(records, place.scenario, run)
    scale = profile(place.scenario, run)
    mine = [record for record in mine if on_setups(record.trial) or not tuned(record.seed, scale)]
    counts = Counter(canonical(record.spec["numerics"]) for record in mine)
    mine = [record for record in mine if canonical(record.spec["numerics"]) == max(counts, key=counts.get)]
    claims = [claim for table in tables for claim in table.claims]
    asked = [column for table in tables for column in columns(table)] or [claim for claim in claims if comparable(claim)]
    attacked = where(mine, lambda trial: any(attacked_as(trial, column) for column in asked))
    named = {name for claim in claims for name in claim.means}
    attacked = attacked if "poison_rate" in named else where(attacked, lambda trial: _as_many(trial.attack, scale))
    kept = where(attacked, lambda t: not t.defence.parts or any(belongs(as_filtered(t), claim) for claim in claims))
    return (kept := _of_equal_networks(kept)) + controls(mine, kept)


def _of_equal_networks(records: list[Record]) -> list[Record]:
    """Of the black box's networks those with the most trials, as their mean is shown: designs of other tables have others, too."""
    seeds: dict[str, set[int]] = {}
    for record in (hidden := where(records, lambda trial: trial.extractor is not None and trial.knowledge == "black box")):
        seeds.setdefault(canonical(record.spec["model"]), set()).add(record.seed)
    most = max(map(len, seeds.values()), default=0)
    few = {record.key for record in hidden if len(seeds[canonical(record.spec["model"])]) < most}
    return [record for record in records if record.key not in few]


def where(records: Iterable[Record], wanted: Callable[[Trial], bool]) -> list[Record]:
    """The records of the settings whose trials are wanted, asked once a setting; none of a class that is not here."""
    records = list(records)
    first = {record.setting: record for record in records}
    found = {text for text, record in first.items() if (trial := _trial(record)) and wanted(trial)}
    return [record for record in records if record.setting in found]


def tuned(seed: int, scale: Profile) -> bool:
    """Whether a profile's numbers were chosen on this seed, or its tables begin with later ones."""
    ranges = re.findall(r"(\d+) to (\d+)", scale.tuned)
    return seed < scale.first_seed or any(int(first) <= seed <= int(last) for first, last in ranges)


def controls(records: Iterable[Record], attacked: Iterable[Record]) -> list[Record]:
    """The clean controls among the records, each once: those of the same attack, network, defence and seed as one attacked."""
    wanted = {_without_poison(record) for record in attacked}
    return list({r.key: r for r in records if r.trial.attack.clean and _without_poison(r) in wanted}.values())


def _without_poison(record: Record) -> tuple[str, str, str, int]:
    spec = record.spec
    return spec["attack"]["name"], canonical(spec["model"]), canonical(record.trial.defence.describe()), record.seed


def as_filtered(trial: Trial) -> Trial:
    """The trial with the filter beside which its random removal stands; any other trial as it is."""
    if not isinstance(trial.defence.filter, RandomRemoval):
        return trial
    return replace(trial, defence=replace(trial.defence, filter=trial.defence.filter.counted))


def of_profile(records: Iterable[Record], scenario: str, name: str) -> list[Record]:
    """The records that have a profile's data set, network and schedule, and its values of their attack but those in `VARIED`; of a
    profile with designs, those of a table's designs."""
    if scenario == SCENARIO:
        return of_designs(records, name, [place for place in TABLES.values() if place.scenario == SCENARIO])
    scale = profile(scenario, name)
    others = scenario in BENCHMARK
    return where(records, lambda trial: _placed(trial, scale, others) and _as_given(trial.attack, scale))


def _placed(trial: Trial, scale: Profile, others: bool) -> bool:
    """Whether data, network and schedule are the profile's; ``others``: victims may have other networks if the attacker has its.
    Setups bring their own training images.
    """
    label = registry.label(trial.data)  # without the digest of the content
    data = label == registry.label(scale.data) or (on_setups(trial) and label == "cifar_setup")
    own = _named(scale.extractor)
    like = trial.extractor and _named(replace(trial.extractor, model=scale.model))
    theirs = [_named(each) if own else model_of(each) for each in trial.attacker]
    other = others and like == own and (trial.attack.clean or theirs == [own or scale.model])
    return data and trial.recipe == scale.recipe and (trial.model == scale.model or other)


def _named(origin: Origin | None) -> Origin | None:
    """An extractor without the digest of its data's content, which is known only where the data are."""
    return replace(origin, data=without_content(origin.data)) if isinstance(origin, Extractor) else origin


def of_designs(records: Iterable[Record], name: str, places: Iterable[Place]) -> list[Record]:
    """The records of the designs of some tables, and of their clean controls, at a profile."""
    wanted = {identity(trial) for place in places for trial in papers.trials(place.paper, place.tables, name, 1)}
    return where(records, lambda trial: identity(trial) in wanted)


def _trial(record: Record) -> Trial | None:
    """The record's trial; None where one of its classes is not here."""
    try:
        return record.trial
    except LookupError:
        return None


def _as_given(attack: Attack, scale: Profile) -> bool:
    """Whether all values of an attack, but those that are varied, are the profile's."""
    described = registry.describe(attack)
    try:
        wanted = registry.describe(_given(attack, scale))
    except TypeError:  # an attack whose values have no defaults, such as poisons of one's own
        return False
    return all(described[field] == value for field, value in wanted.items() if field not in VARIED)


def _as_many(attack: Attack, scale: Profile) -> bool:
    """Whether an attack has the profile's share of poisons: designs vary it, on the same data and networks as a scenario."""
    return getattr(attack, "poison_rate", None) == getattr(_given(attack, scale), "poison_rate", None)


def _given(attack: Attack, scale: Profile) -> Attack:
    """The attack of the same name with the profile's values."""
    name = registry.name_of(attack)
    return attacks.load(name, **scale.attacks.get(name, {}))


def refresh(run: str, records: list[Record], names: Iterable[str] = TABLES) -> dict[Path, dict]:
    """Write the tables of a run that these notebooks make, and the evidence on their sentences (`papers.dossier`).

    Returns the content of each table's file.
    """
    made = {}
    for name in names:
        if comparison := compared(records, run, TABLES[name]):
            if name != FIGURE:  # whose sentences are those of tables
                dossier.write(comparison, REFERENCE / run)
            found = content(comparison, chosen(records, run, TABLES[name]))
            path = REFERENCE / run / "tables" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            made[path] = found
    return made


def kept(run: str) -> list[Record]:
    """The records of a run that are kept with the code."""
    return list(Ledger.open(REFERENCE / run / "trials"))


def there(run: str) -> list[str]:
    """The notebooks whose table the run has."""
    return [name for name in TABLES if (REFERENCE / run / "tables" / f"{name}.json").exists()]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        made = refresh(sys.argv[1], list(Ledger.open(sys.argv[2]).sound()) if len(sys.argv) > 2 else kept(sys.argv[1]))
    else:
        made = {path: found for run in RUNS for path, found in refresh(run, kept(run), there(run)).items()}
    for path in made:
        print(path.relative_to(REFERENCE))
