"""What is kept under outputs/reference and what the README says of it."""

import json

import pytest

from poisonlib import papers, paths, registry
from poisonlib.experiments import Ledger, Trial

from .refresh_readme import REFERENCE, TABLES, written

RUNS = sorted(path.name for path in REFERENCE.iterdir() if path.is_dir())


def test_the_readme_shows_the_reference_tables():
    readme = (paths.repository() / "README.md").read_text(encoding="utf-8")
    assert written(readme) == readme, "run: make readme"


@pytest.mark.parametrize("run", RUNS)
def test_every_reference_record_is_sound_and_the_tables_follow_from_them(run):
    records = list(Ledger.open(REFERENCE / run / "trials"))
    assert records
    for record in records:
        assert record["place"]["device"] and record["place"]["torch"] and record["cost"]["seconds"] > 0
    data = [registry.label(Trial.read(record["spec"]).data) for record in records]
    for name, place in TABLES.items():
        path = REFERENCE / run / "tables" / f"{name}.json"
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            used = [record for record, name in zip(records, data, strict=True) if name in stored["setting"]["data"].split("; ")]
            cells = papers.compare(used, *place).frame().to_dict("records")
            assert json.loads(json.dumps(cells)) == stored["cells"]


def test_what_is_kept_is_small():
    for path in paths.repository().joinpath("outputs").rglob("*"):
        if "reference" in path.parts and path.is_file():
            assert path.stat().st_size < 2**20, f"{path} is over 1 MB"
