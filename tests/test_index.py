"""The ledger's index: never believed where a file is another, thrown away without harm, and no file is opened twice."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from poisonlib import cli, experiments
from poisonlib.experiments import Ledger, Record, index, schedule
from poisonlib.experiments.export import export
from poisonlib.experiments.index import Summary

from . import invent

OPENED: list[Path] = []


def _watch(event: str, arguments: tuple) -> None:
    if event == "open" and str(arguments[0]).endswith(".json"):
        OPENED.append(Path(str(arguments[0])))


sys.addaudithook(_watch)  # of every way to open a file


@pytest.fixture
def table():
    return experiments.grid("backdoor", "quick", attack=["patch", "patch(poison_rate=0.0)"], defence=["none", "mixup"], trials=6)


@pytest.fixture
def ledger(tmp_path, monkeypatch, table):
    """Records of a whole table in an output folder of its own, and an index that is written for so few."""
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setattr(schedule, "MANY", 1)
    ledger = Ledger.open()
    for number, trial in enumerate(table):
        ledger.put(invent.record(trial, number % 3 + 1, 7, confidence=0.1 + 0.2, code=f"code {number % 2}", data={"train": "x"}))
    return ledger


def looked_up(ledger: Ledger) -> list[Summary]:
    """The summaries as a new process finds them."""
    index._SEEN.clear()
    return ledger.summaries()


def from_the_files(ledger: Ledger) -> list[Summary]:
    return [Summary.of(record) for record in ledger]


def opened(ledger: Ledger, work) -> list[Path]:
    """The records' files that some work opens, as a new process does it."""
    index._SEEN.clear()
    OPENED.clear()
    work()
    return [path for path in OPENED if ledger.root in path.parents]


def test_a_summary_has_what_its_record_has(ledger):
    for record, summary in zip(ledger, looked_up(ledger), strict=True):
        assert all(getattr(record, name) == getattr(summary, name) for name in (*index.NAMES, "data", "trial") if name != "content")


def test_no_file_is_opened_twice(ledger, table, capsys):
    assert len(opened(ledger, ledger.summaries)) == len(table), "the watch sees each file that is opened"
    assert opened(ledger, ledger.summaries) == []
    assert opened(ledger, lambda: schedule.Costs(ledger.summaries(), torch.device("cpu"))) == []
    assert opened(ledger, lambda: experiments.plan(table, device="cpu")) == []
    cli.main(["report"])  # writes all records as tables, which it does not again
    for command in ("list", "report"):
        assert opened(ledger, lambda command=command: cli.main([command])) == []
    assert looked_up(ledger) == from_the_files(ledger)


def test_the_explorers_first_frame_opens_none_either(ledger):
    results = pytest.importorskip("poisonlib.widgets.results")
    ledger.summaries()
    assert opened(ledger, lambda: results.prepare(results.State(source="yours"))) == []


def replaced(ledger: Ledger, record: Record) -> None:
    ledger.put(replace(record, evaluation=replace(record.evaluation, hits=5)))


def removed(ledger: Ledger, record: Record) -> None:
    ledger.path(record.key).unlink()


def added(ledger: Ledger, record: Record) -> None:
    ledger.put(invent.record(replace(record.trial, seed=999), 1))


def edited_in_place_at_the_same_size(ledger: Ledger, record: Record) -> None:
    path = ledger.path(record.key)
    text = path.read_text()
    assert '"targets":7' in text
    path.write_text(text.replace('"targets":7', '"targets":8'))


def swapped_with_another_that_has_its_times(ledger: Ledger, record: Record) -> None:
    import os

    path, about = ledger.path(record.key), ledger.path(record.key).stat()
    replaced(ledger, record)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize(
    "change", [replaced, removed, added, edited_in_place_at_the_same_size, swapped_with_another_that_has_its_times]
)
def test_a_stale_row_is_not_believed(ledger, change):
    before = looked_up(ledger)
    change(ledger, next(iter(ledger)))
    assert len(opened(ledger, ledger.summaries)) == (change is not removed), "just the file that changed"
    assert looked_up(ledger) == from_the_files(ledger) != before


def test_files_that_are_no_records_are_named_and_tried_again(ledger):
    before = looked_up(ledger)
    path = ledger.path(before[0].key)
    sound = path.read_bytes()
    path.write_bytes(b"{")
    found, failed = index.summaries(ledger.root)
    assert found == before[1:] and list(failed) == [path] and path.name in str(failed[path])
    path.write_bytes(sound)
    assert looked_up(ledger) == before


def test_a_damaged_index_is_made_anew(ledger):
    expected, path = looked_up(ledger), ledger.root / index.NAME
    good = path.read_bytes()
    flipped = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), len(good) // 40)]
    for bad in (b"", b"\n", b"\xff\n[]", good[: len(good) // 2], good[65:], *flipped):
        path.write_bytes(bad)
        assert index._load(path) == {}, "not one row of it is believed"
    assert looked_up(ledger) == expected
    assert path.read_bytes() == good


def test_one_of_other_code_is_made_anew(ledger, monkeypatch):
    looked_up(ledger)
    monkeypatch.setattr(index, "_code", lambda name: "of another version")
    assert len(opened(ledger, ledger.summaries)) == len(from_the_files(ledger))


def test_where_none_can_be_written_the_files_are_read(ledger):
    (ledger.root / index.NAME).mkdir()
    assert looked_up(ledger) == looked_up(ledger) == from_the_files(ledger)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_is_one_row_a_record(ledger, tmp_path, capsys, suffix):
    file, records = tmp_path / f"all.{suffix}", list(ledger)
    ledger.root.joinpath("00").mkdir(exist_ok=True)
    ledger.root.joinpath("00", "0.json").write_text("{")
    assert cli.main(["ledger", "export", str(file)]) == 0
    said = capsys.readouterr()
    assert f"{len(records)} records written" in said.out and "left out, as they hold no sound record: 1 file in " in said.err
    table = pd.read_csv(file) if suffix == "csv" else pd.read_parquet(file)
    assert list(table["key"]) == [record.key for record in records]
    assert list(table["success"]) == [record.success for record in records]
    assert list(table["seed"]) == [record.seed for record in records]
    assert list(table["data train"]) == ["x"] * len(records)


def test_other_formats_are_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"all\.xlsx: choose a name that ends in \.csv or \.parquet"):
        export([], tmp_path / "all.xlsx")
