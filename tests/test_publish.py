"""Keeping a profile's records: which are taken, the tables and the README's first ones, and executed copies of notebooks."""

import dataclasses
import json

import nbformat
import pytest

from poisonlib import experiments, notebooks, registry
from poisonlib.experiments import Ledger
from poisonlib.experiments.record import Cost
from poisonlib.training import Numerics

from . import invent, publish, refresh_notebooks, refresh_readme, refresh_reference
from .refresh_readme import TABLES, full, written
from .refresh_reference import content, kept, of_profile

WHOLE, TENTH = "patch(poison_rate=1.0)", "patch(poison_rate=0.1)"
CUTMIX = "cutmix(probability=1.0)"
SUCCESS = {"none": 0.99, "mixup": 1.0, CUTMIX: 0.24}
BF16 = Numerics("bf16")


def made(trials, processor=540.0):
    """Records with invented outcomes: core-minutes 9, and accuracy 92 %."""
    found = []
    for trial in trials:
        hits = 0.01 if trial.attack.clean else SUCCESS[trial.defence.label]
        record = invent.record(trial, round(100 * hits), 100, ((920 + trial.seed, 1000),) * 10)
        found.append(dataclasses.replace(record, cost=Cost(600.0, {}, 1, processor)))
    return found


def every(profile="fast", trials=4, numerics=BF16):
    """Table 1's grid but for the filters, with at most two trials a cell of the 10 % attack."""
    how = dict(defence=["none", "mixup", CUTMIX], numerics=numerics)
    table = experiments.grid("backdoor", profile, attack=[WHOLE, "patch(poison_rate=0.0)"], trials=trials, **how)
    return table + experiments.grid("backdoor", profile, attack=TENTH, trials=min(trials, 2), **how)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder in place of outputs/reference, and a README with the two marks alone."""
    for module in (publish, refresh_notebooks, refresh_readme, refresh_reference):
        monkeypatch.setattr(module, "REFERENCE", tmp_path / "reference")
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
    (tmp_path / "README.md").write_text(f"# poisonlib\n{refresh_readme.BEGIN}\n{refresh_readme.END}\n")
    return tmp_path


def ledger(folder, records):
    found = Ledger.open(folder / "trials")
    for record in records:
        found.put(record)
    return found


class TestPublish:
    def test_the_records_of_the_profile_are_copied_and_no_others(self, home):
        mine = made(every())
        matching = experiments.grid("targeted", "fast", attack="gradient_matching", trials=1)
        pilot = experiments.grid("targeted", "fast", attack="gradient_matching(eps=8/255)", trials=1)
        shorter = [dataclasses.replace(trial, recipe=trial.recipe.lasting(4)) for trial in every(trials=1)]
        others = made([*every(profile="quick", trials=1), *shorter]) + [invent.record(trial, 1) for trial in pilot]
        both = mine + [invent.record(trial, 1) for trial in matching]
        said = list(publish.publish("fast", ledger(home, both + others)))
        assert said[0].startswith(f"{len(both)} records of fast: {len(both)} new, 0 replaced; ")
        assert {record.key for record in kept("fast")} == {record.key for record in both}
        assert all(
            path.stat().st_size < 2**14 and path.read_text().count("\n") == 1 for path in home.glob("reference/fast/trials/*/*")
        )

    def test_it_says_n_by_cell_and_writes_the_tables_and_the_readme(self, home):
        said = list(publish.publish("fast", ledger(home, made(every()))))
        assert said[1] == "strong_augmentation_table1"
        columns = {
            "Poison Success (100%)": 4,
            "Validation Accuracy (100%)": 4,
            "Poison Success (10%)": 2,
            "Validation Accuracy (10%)": 2,
        }
        assert said[2] == "    Baseline: " + ", ".join(f"{name}: {n}" for name, n in columns.items())
        assert {path.stem for path in home.glob("reference/fast/tables/*")} == {"strong_augmentation_table1", "dp_instahide_table1"}
        readme = (home / "README.md").read_text(encoding="utf-8")
        assert readme.startswith("# poisonlib\n") and "All of CIFAR-10: Table 1 of both papers" in readme
        assert written(readme) == readme

    def test_a_record_made_anew_takes_the_place_of_the_older_one(self, home):
        first = made(every())
        list(publish.publish("fast", ledger(home, first)))
        again = dataclasses.replace(first[0], code="new")
        assert " 0 new, 1 replaced" in next(iter(publish.publish("fast", ledger(home, [again]))))
        assert [record.code for record in kept("fast") if record.key == again.key] == ["new"]
        assert " 0 new, 0 replaced" in next(iter(publish.publish("fast", ledger(home, [again]))))

    def test_what_is_not_there_is_said(self, home):
        with pytest.raises(LookupError, match="no scenario has a profile 'faster'"):
            next(publish.publish("faster", Ledger.open(home / "trials")))
        with pytest.raises(LookupError, match="has no record of the profile fast"):
            next(publish.publish("fast", ledger(home, made(every(profile="quick", trials=1)))))


class TestTables:
    def test_the_share_of_the_schedule_is_the_papers_epoch(self):
        table = experiments.grid("targeted", "fast", attack="gradient_matching", defence=["none", "maxup"], trials=3)
        assert {trial.defence.label for trial in table} == {"none", "maxup(start=0.125)"}
        found = content([invent.record(trial, 1) for trial in table], "fast", TABLES["strong_augmentation_table2"])
        rows = {cell["row"]: cell["paper"] for cell in found["cells"]}
        assert rows == {"Baseline": "92.08", "MaxUp-cutout": "86.05"}

    def test_records_of_the_rarer_precision_are_left_out(self):
        bf16, fp32 = every(trials=3), every(trials=1, numerics=Numerics("fp32"))
        found = content(made([*fp32, *bf16]), "fast", TABLES["strong_augmentation_table1"])
        assert {cell["n"] for cell in found["cells"]} == {2, 3} and found["setting"]["precision"] == "bf16"

    @pytest.mark.parametrize("name", TABLES)
    def test_a_run_without_a_trial_of_the_table_has_none(self, name):
        assert content(made(every(profile="quick", trials=1)), "fast", TABLES[name]) is None

    def test_clean_controls_alone_are_no_table(self):
        control = experiments.grid("backdoor", "fast", attack="patch(poison_rate=0.0)", trials=2)
        assert content(made(control), "fast", TABLES["dp_instahide_table1"]) is None

    def test_records_of_missing_classes_are_left_out(self):
        (known, *_) = made(every(trials=1))
        gone = dataclasses.replace(known, spec=known.spec | {"model": {"name": "gone_package.Net"}})
        assert of_profile([gone, known], "backdoor", "fast") == [known]


class TestReadme:
    def blocks(self, home, records):
        list(publish.publish("fast", ledger(home, records)))
        return full("fast")

    def test_each_cell_has_the_papers_value_ours_n_verdict_and_core_minutes(self, home):
        heading, *tables = self.blocks(home, made(every()))
        assert "underpowered" in heading and [table.count("\n| 1") for table in tables] == [8, 6]
        scale = experiments.profile("backdoor", "fast")
        setting = (
            f"- `cifar(classes=10)`, `{registry.label(scale.model)}`, {scale.recipe.epochs} epochs, bf16, 30 trials; cpu: test"
        )
        assert tables[1].endswith(setting) and "(`strong_augmentation_table1.ipynb`)" in tables[1]
        (row,) = (line for line in tables[1].splitlines() if "**CutMix**" in line and line.startswith("| 100%"))
        patched, defence, n, paper, ours, control, verdict, accuracy, right, said, work = row.strip("| ").split(" | ")
        assert (patched, defence, n, paper, accuracy) == ("100%", "**CutMix**", "4", "36%", "94%")
        assert ours.startswith("24.0 (") and right.startswith("92.2 (") and control == "1.0"
        assert verdict == "underpowered" and said in ("underpowered", "compatible") and work == "9 core-minutes"

    def test_cells_that_were_not_run_stay_empty(self, home):
        tables = "\n".join(self.blocks(home, made(every())))
        (row,) = (line for line in tables.splitlines() if "**AC**" in line)
        assert row == "| 10% | **AC** |  | 44.0% |  |  |  | 89.4% |  |  |  |"

    def test_one_trial_a_cell_has_no_verdict(self, home):
        tables = "\n".join(self.blocks(home, made(every(trials=1))))
        (row,) = (line for line in tables.splitlines() if "**CUTMIX**" in line and line.startswith("| 100%"))
        assert "| 24.0 (0.0 to 100.0) | 1.0 | - |" in row

    def test_without_processor_time_it_is_the_clocks(self, home):
        assert "| 10 minutes by the clock |" in "\n".join(self.blocks(home, made(every(), processor=None)))

    def test_without_records_there_is_no_block(self, home):
        assert full("fast") == []
        assert "All of CIFAR-10" not in written((home / "README.md").read_text())


class TestExecutedCopies:
    NAME = "strong_augmentation_table1"

    @pytest.fixture
    def there(self, home, monkeypatch):
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(home / "reference" / "quick"))
        monkeypatch.delenv("POISONLIB_HOME")
        return home / "reference" / "quick"

    def test_the_number_of_trials_is_what_every_cell_has(self, there):
        values = {"profile": "quick", "released": False}
        whole = notebooks.trials(self.NAME, values)
        with pytest.raises(LookupError, match=r"strong_augmentation_table1: a cell has no record in .*trials"):
            refresh_notebooks.recorded(self.NAME, values)
        ledger(there, made(trial for trial in whole if trial.seed < 3 + trial.attack.clean))
        assert refresh_notebooks.recorded(self.NAME, values) == {"trials": 3}
        ledger(there, made(whole))
        assert refresh_notebooks.recorded(self.NAME, values) == {}

    def test_a_copy_is_made_from_the_records_alone(self, there, monkeypatch):
        values = {"profile": "quick", "released": False}
        ledger(there, made(notebooks.trials(self.NAME, values | {"trials": 2})))
        keys = {path.stem for path in there.rglob("trials/*/*.json")}
        said = refresh_notebooks.refresh_run(self.NAME, "quick", {})
        assert said == f"{self.NAME} profile=quick released=False trials=2"
        done = nbformat.read(there / "notebooks" / f"{self.NAME}.ipynb", as_version=4)
        assert {path.stem for path in there.rglob("trials/*/*.json")} == keys and not (there / "models").exists()
        counts = [cell.execution_count for cell in done.cells if cell.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))
        assert any("trials = 2" in cell.source for cell in done.cells), "the reader sees what it was given"
        names = {output.get("name") for cell in done.cells for output in cell.get("outputs", [])}
        assert "stdout" in names and "stderr" not in names
        assert json.loads((there / "tables" / f"{self.NAME}.json").read_text())["setting"]["trials"] == "18"
