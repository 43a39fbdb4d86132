"""What is kept under outputs/reference and what the README says of it."""

import base64
import functools
import json

import nbformat
import pytest

from poisonlib import notebooks, paths
from poisonlib.experiments import Ledger, index

from . import refresh_found
from .refresh_readme import FIGURE, REFERENCE, TABLES, written
from .refresh_reference import chosen, compared, content, kept

RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/trials"))
PLACES = sorted(path.parent for path in REFERENCE.rglob("trials"))
records = functools.cache(kept)


def test_the_readme_shows_the_reference_tables():
    readme = (paths.root() / "README.md").read_text(encoding="utf-8")
    assert written(readme) == readme, "run: make readme"


@pytest.mark.parametrize("place", PLACES, ids=[str(place.relative_to(REFERENCE)) for place in PLACES])
def test_every_reference_record_is_sound_and_can_be_read(place):
    found = list(Ledger.open(place / "trials"))
    assert found
    for record in found:
        assert record.environment.device and record.environment.torch and record.cost.seconds > 0
        assert record.trial.key == record.key


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", TABLES)
def test_the_tables_follow_from_the_records(run, name):
    path = REFERENCE / run / "tables" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the run {run} has no {name}")
    comparison = compared(records(run), run, TABLES[name])
    stored, made = json.loads(path.read_text(encoding="utf-8")), content(comparison, chosen(records(run), run, TABLES[name]))
    for finding, said in comparison.findings if name != FIGURE else ():
        claim = json.loads((REFERENCE / run / "claims" / TABLES[name].paper / f"{finding.id}.json").read_text(encoding="utf-8"))
        assert (claim["sentence"], claim["verdict"]) == (finding.quote, said.word), "run: python -m tests.refresh_reference"
    for each in (stored, made):
        del each["setting"]["provenance"]  # which says how the records stand to the code of the day
    assert json.loads(json.dumps(made)) == stored, "run: python -m tests.refresh_reference"


@pytest.mark.parametrize("name", TABLES)
def test_the_first_screen_of_a_tables_notebook_follows_from_the_records(name, monkeypatch):
    monkeypatch.setattr(refresh_found, "kept", records)
    first = nbformat.read(notebooks.path(name), as_version=4).cells[0]
    assert refresh_found.text(name, refresh_found.comparisons(name)) in first.source, "run: make readme"
    assert base64.b64decode(first.attachments[refresh_found.PICTURE]["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("copy", sorted(REFERENCE.glob("*/notebooks/*.ipynb")), ids=lambda path: f"{path.parts[-3]} {path.stem}")
def test_a_notebook_that_was_executed_at_a_larger_scale_has_todays_text_and_code(copy):
    ours, theirs = (refresh_found.written(nbformat.read(path, as_version=4)) for path in (notebooks.path(copy.stem), copy))
    assert [cell.source for cell in theirs] == [cell.source for cell in ours], "run: python -m tests.refresh_found"
    assert theirs[0].get("attachments") == ours[0].get("attachments")


def test_a_figure_is_kept_beside_the_notebook_that_drew_it():
    for figure in REFERENCE.glob("*/figures/*.png"):
        drawn = any(figure.stem.startswith(each.stem) for each in figure.parents[1].glob("notebooks/*.ipynb"))
        assert drawn or figure.stem == "first_screen", figure


def test_what_is_kept_is_small():
    for path in paths.root().joinpath("outputs").rglob("*"):
        if "reference" in path.parts and path.is_file() and path.name != index.NAME:  # which is made anew and not kept
            assert path.stat().st_size < 2**20, f"{path} is over 1 MB"
