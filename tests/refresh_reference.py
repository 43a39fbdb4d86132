"""The tables of ``outputs/reference``, made anew from the records beside them: ``python -m tests.refresh_reference``.

A run is named after the profile that it was made with. Its table of a paper takes those of its records that have the profile's data
set, network and schedule, the attack that the table's columns ask for or its clean control, and a defence of the table or none.
"""

import json

from poisonlib import papers, registry
from poisonlib.experiments import Ledger, Record, profile
from poisonlib.papers.belonging import alike, attacked_as, belongs, columns

from .refresh_readme import REFERENCE, RUNS, TABLES, Place


def content(run: str, place: Place) -> dict | None:
    """What the table's file holds; None where the run has no record for it."""
    records = chosen(list(Ledger.open(REFERENCE / run / "trials")), run, place)
    return papers.compare(records, place.paper, place.table).content(records) if records else None


def chosen(records: list[Record], run: str, place: Place) -> list[Record]:
    """The records of a run that its table of a paper is made of."""
    table, scale = papers.load(place.paper).table(place.table), profile(place.scenario, run)
    set_up = registry.label(scale.data), scale.model, scale.recipe  # a label leaves out the digest of the content
    mine = [r for r in records if (registry.label(r.trial.data), r.trial.model, r.trial.recipe) == set_up]
    attacked = [r for r in mine if any(attacked_as(r.trial, column) for column in columns(table))]
    kept = [r for r in attacked if not r.trial.defence.parts or any(belongs(r.trial, claim) for claim in table.claims)]
    names = {record.spec["attack"]["name"] for record in kept}
    defences = list(dict.fromkeys(record.trial.defence for record in kept))
    clean = [r for r in mine if r.trial.attack.clean and r.spec["attack"]["name"] in names]
    return kept + [r for r in clean if any(alike(r.trial.defence, each) for each in defences)]


if __name__ == "__main__":
    for run in RUNS:
        for name, place in TABLES.items():
            path = REFERENCE / run / "tables" / f"{name}.json"
            if path.exists():
                path.write_text(json.dumps(content(run, place), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                print(path.relative_to(REFERENCE))
