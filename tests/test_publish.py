"""Keeping a profile's records: which are taken, the tables made of them, the README's and RESULTS.md, and copies of notebooks."""

import dataclasses
import json
import re
import sys

import nbformat
import pytest

from poisonlib import data, experiments, notebooks, paths, registry
from poisonlib.experiments import Ledger
from poisonlib.experiments.record import Cost
from poisonlib.training import Numerics

from . import hardware_lines, invent, publish, refresh_notebooks, refresh_readme, refresh_reference
from .refresh_readme import TABLES, legend, page, written
from .refresh_reference import chosen, compared, kept, of_profile

WHOLE, TENTH = "patch(poison_rate=1.0)", "patch(poison_rate=0.1)"
CUTMIX = "cutmix(probability=1.0)"
SUCCESS = {"none": 0.99, "mixup": 1.0, CUTMIX: 0.24}
BF16 = Numerics("bf16")


def made(trials, processor=540.0):
    """Records with invented outcomes: core-minutes 9, and accuracy 92 %."""
    found = []
    for trial in trials:
        hits = 0.01 if trial.attack.clean else SUCCESS.get(trial.defence.label, 0.5)
        record = invent.record(trial, round(100 * hits), 100, ((920 + trial.seed % 200, 1000),) * 10)
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
    monkeypatch.setattr(hardware_lines, "HOME", tmp_path / "reference" / "hardware")
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
    (tmp_path / "README.md").write_text(f"# poisonlib\n{refresh_readme.BEGIN}\n{refresh_readme.END}\n")
    return tmp_path


def of_commit(record, commit):
    return dataclasses.replace(record, environment=dataclasses.replace(record.environment, commit=commit))


def ledger(folder, records):
    found = Ledger.open(folder / "trials")
    for record in records:
        found.put(record)
    return found


class TestPublish:
    def test_the_records_of_the_profile_are_copied_and_no_others(self, home):
        mine = made(every())
        matching = experiments.grid("targeted", "fast", attack="gradient_matching", trials=1)
        pilot = experiments.grid("targeted", "fast", attack="gradient_matching(eps=12/255)", trials=1)
        shorter = [dataclasses.replace(trial, recipe=trial.recipe.lasting(4)) for trial in every(trials=1)]
        others = made([*every(profile="quick", trials=1), *shorter]) + [invent.record(trial, 1) for trial in pilot]
        both = mine + [invent.record(trial, 1) for trial in matching]
        said = list(publish.publish("fast", ledger(home, both + others)))
        assert said[0].startswith(f"{len(both)} records of fast: {len(both)} new, 0 replaced; ")
        assert {record.key for record in kept("fast")} == {record.key for record in both}
        said = json.loads((home / "reference/fast/claims/dp_instahide/cutmix-stops-backdoor.json").read_text())
        assert {key for cell in said["cells"] for key in cell["records"]} < {record.key for record in mine}
        assert all(
            path.stat().st_size < 2**14 and path.read_text().count("\n") == 1 for path in home.glob("reference/fast/trials/*/*")
        )

    def test_it_says_n_by_cell_and_writes_the_tables_the_readme_and_the_results(self, home):
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
        assert readme.startswith("# poisonlib\n") and "| **DP-InstaHide, Table 1** | `fast` |" in readme
        assert written(readme) == readme
        assert (home / "RESULTS.md").read_text(encoding="utf-8") == page()

    def test_a_record_made_anew_takes_the_place_of_the_older_one(self, home):
        first = made(every())
        list(publish.publish("fast", ledger(home, first)))
        again = dataclasses.replace(first[0], code="new")
        assert " 0 new, 1 replaced" in next(iter(publish.publish("fast", ledger(home, [again]))))
        assert [record.code for record in kept("fast") if record.key == again.key] == ["new"]
        assert " 0 new, 0 replaced" in next(iter(publish.publish("fast", ledger(home, [again]))))

    @pytest.mark.parametrize(("commit", "why"), [(None, "it names no commit"), ("abc+", "its commit, abc+, had changes that")])
    def test_records_of_an_unknown_commit_are_refused_by_name_and_the_rest_is_kept(self, home, monkeypatch, capsys, commit, why):
        bad, *good = made(every())
        source = ledger(home, [of_commit(bad, commit), *good])
        monkeypatch.setattr(sys, "argv", ["publish", "fast", str(source.root)])
        assert publish.main() == 1
        first, second, *_, last = capsys.readouterr().out.splitlines()
        assert first.startswith(f"refused: seed 0 of patch(poison_rate=1.0) under none ({bad.key}): {why}")
        assert second.startswith(f"{len(good)} records of fast: {len(good)} new, 0 replaced; ")
        assert last.startswith("1 record refused: ")
        assert {record.key for record in kept("fast")} == {record.key for record in good}
        source.put(bad)
        assert publish.main() == 0
        assert {record.key for record in kept("fast")} == {record.key for record in (bad, *good)}

    def test_a_record_of_a_changed_checkout_takes_no_older_ones_place_but_one_that_is_kept_stays(self, home):
        first, *rest = made(every())
        list(publish.publish("fast", ledger(home, [first, *rest])))
        again = of_commit(first, "def+")
        said = list(publish.publish("fast", ledger(home, [again])))
        assert said[0].startswith("refused: ") and "0 new, 0 replaced" in said[1]
        assert [record.environment.commit for record in kept("fast") if record.key == first.key] == ["abc"]
        Ledger.open(home / "reference/fast/trials").put(again)  # as an older version kept it
        assert "0 new, 0 replaced" in next(iter(publish.publish("fast", ledger(home, [again]))))

    def test_what_is_not_there_is_said(self, home):
        with pytest.raises(LookupError, match="no scenario has a profile 'faster'"):
            next(publish.publish("faster", Ledger.open(home / "trials")))
        with pytest.raises(LookupError, match=r"has no record of the profile fast$"):
            next(publish.publish("fast", ledger(home, made(every(profile="quick", trials=1)))))
        with pytest.raises(LookupError, match="has no record of the profile fast that can be kept"):
            list(publish.publish("fast", ledger(home, [of_commit(record, None) for record in made(every(trials=1))])))


CHANGED = {"a4af36c262b7+", "b72cb10e46e5+", "d854893076fb+", "229ceee99279+", "402e2a77ad95+", "81dda5b6ee0a+"}


def test_no_further_record_of_a_changed_checkout_is_kept():
    """Those of these commits were kept before they were refused."""
    root = paths.root() / "outputs" / "reference"
    records = [record for run in root.iterdir() for record in Ledger.open(run / "trials")]
    assert {record.environment.commit for record in records if publish.unfit(record)} <= CHANGED


def content(records, run, place):
    found = compared(records, run, place)
    return found and refresh_reference.content(found, chosen(records, run, place))


class TestTables:
    def test_the_share_of_the_schedule_is_the_papers_epoch(self):
        table = experiments.grid("targeted", "fast", attack="gradient_matching", defence=["none", "maxup"], trials=3)
        assert {trial.defence.label for trial in table} == {"none", "maxup(start=0.125)"}
        found = content([invent.record(trial, 1) for trial in table], "fast", TABLES["strong_augmentation_table2"])
        rows = {cell["row"]: cell["paper"] for cell in found["cells"]}
        assert rows == {"Baseline": "92.08", "MaxUp-cutout": "86.05"}

    def test_seeds_on_which_the_profile_was_tuned_and_earlier_ones_are_in_no_table(self):
        at = {"attack": "gradient_matching", "trials": 1}
        table = [experiments.grid("targeted", "quick", first_seed=seed, **at)[0] for seed in (5, 100, 199, 200, 239, 250)]
        (cell, *_) = content([invent.record(trial, 1) for trial in table], "quick", TABLES["strong_augmentation_table2"])["cells"]
        assert cell["n"] == 3
        assert refresh_reference.tuned(310, experiments.profile("backdoor", "quick"))
        assert not refresh_reference.tuned(316, experiments.profile("backdoor", "quick"))

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

    def test_random_removal_stays_beside_the_filter_whose_control_it_is(self):
        def tenth(*defences):
            return made(experiments.grid("backdoor", "quick", attack=TENTH, defence=[*defences], trials=2))

        found = content(tenth("none", "spectral_signatures", *REMOVALS), "quick", TABLES["dp_instahide_table1"])
        assert list(dict.fromkeys(cell["row"] for cell in found["cells"])) == ["BASELINE", "SS", *REMOVALS[:2]]
        assert found["setting"]["trials"] == "8", "what stands beside no filter of the table is left out"

    def test_each_record_behind_a_table_counts_once_and_controls_are_told_apart(self):
        records = made(every())  # four seeds of three cells and of their controls, two of three cells
        name = "strong_augmentation_table1"
        alone = experiments.grid("backdoor", "fast", attack="patch(poison_rate=0.0)", first_seed=50, trials=1, numerics=BF16)
        unused = [*records, *records, *made(alone), *made(every(numerics=Numerics("fp32"), trials=1))]
        for given in (records, unused):
            setting = content(given, "fast", TABLES[name])["setting"]
            assert (setting["trials"], setting["controls"]) == ("30", "12")
            assert (setting["commit"], setting["device"]) == ("abc", "cpu: test")

    def test_every_commit_and_device_is_named(self):
        first, *rest = made(every())
        moved = dataclasses.replace(first.environment, commit="def", device="cpu: other")
        setting = content([*rest, dataclasses.replace(first, environment=moved)], "fast", TABLES["dp_instahide_table1"])["setting"]
        assert set(setting["commit"].split("; ")) == {"abc", "def"}
        assert set(setting["device"].split("; ")) == {"cpu: test", "cpu: other"}


REMOVALS = [
    "random_removal",
    "random_removal(draw=1)",
    "random_removal(inner='deep_knn')",
]


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def compact(readme):
    """The rows of the README's table of all but the first table; its header first."""
    header, _, *rows = [cells(line) for line in readme.partition("**The other tables**")[2].splitlines() if line.startswith("|")]
    return header, *rows


class TestShown:
    @pytest.fixture
    def shown(self, home):
        """A function that publishes records, run by run, and gives the README's part and RESULTS.md."""

        def publish_all(**runs):
            for run, records in runs.items():
                list(publish.publish(run, ledger(home / run, records)))
            return (home / "README.md").read_text(encoding="utf-8"), (home / "RESULTS.md").read_text(encoding="utf-8")

        return publish_all

    def test_the_readme_has_the_first_table_as_the_results_have_it(self, shown):
        readme, results = shown(fast=made(every()))
        tables = [
            re.findall(r"^\|.*\n", text, re.MULTILINE) for text in (readme.partition("**The other")[0], results.split("\n## ")[1])
        ]
        assert tables[0] == tables[1] and len(tables[0]) == 8
        assert "**Strong augmentation, Table 1**, `fast`\n" in readme
        rows = [[row[0], row[1], row[3], row[4].split(" ")[0], row[5]] for row in map(cells, tables[0][2:5])]
        whole = "patch, 100 % of the class"
        printed = [("**Baseline**", "100%", "99.0"), ("**mixup**", "100%", "100.0"), ("**CutMix**", "36%", "24.0")]
        assert rows == [[whole, *values, "1.0"] for values in printed]
        about = r"^- `cifar\(classes=10\)`.* 30 records, 12 of them clean controls; cpu: test; commit abc$"
        assert re.search(about, readme, re.MULTILINE)

    def test_the_readme_has_a_line_for_each_attack_of_the_others(self, shown):
        readme, _ = shown(fast=made(every()))
        header, *rows = compact(readme)
        assert header == ["table", "our run", "attack", "n", "success, per cent: ours (the paper's)", "verdicts"]
        assert [row[0] for row in rows] == ["**DP-InstaHide, Table 1**", ""]
        attacks = ["patch, 100 % of the class", "patch, 10 % of the class"]
        assert [row[1:4] for row in rows[:2]] == [["`fast`", attacks[0], "4"], ["", attacks[1], "2"]]
        assert rows[0][4] == "undefended **99.0** (98.3), CutMix **24.0** (14.1), mixup **100.0** (99.8); clean control 1.0"
        assert rows[0][5] == "1 (open)", "with four trials the undefended attack is not shown to beat its control"
        assert readme.rstrip().endswith("`fast`: all of CIFAR-10, small network and few epochs.\n\n<!-- end of results -->")

    def test_the_results_have_a_line_for_each_attack_and_defence(self, shown):
        _, results = shown(fast=made(every()))
        header, _, *rows = [cells(line) for line in results.split("\n## ")[1].splitlines() if line.startswith("|")]
        assert len(rows) == 6 and [row[0] for row in rows[:4]] == ["patch, 100 % of the class"] * 3 + ["patch, 10 % of the class"]
        row = dict(zip(header[3:], rows[2][3:], strict=True))
        assert (rows[2][1], row["success: paper"], row["accuracy: paper"]) == ("**CutMix**", "36%", "94%")

    def test_below_it_stand_set_up_records_device_commit_and_what_was_not_run(self, shown):
        _, results = shown(fast=made(every()))
        scale = experiments.profile("backdoor", "fast")
        about = f"`cifar(classes=10)`, `{registry.label(scale.model)}`, {scale.recipe.epochs} epochs, bf16"
        about += "; 30 records, 12 of them clean controls; cpu: test; commit abc"
        assert results.count(f"- {about}") == 2
        assert results.count(f"{about}; not run: *SS*, *AC* (patch, 10 % of the class)\n") == 1

    def test_the_readme_shows_the_largest_scale_and_the_results_every_one(self, shown):
        matching = experiments.grid("targeted", "quick", attack="gradient_matching", defence=["none", "mixup"], trials=3)
        small = [*made(every(profile="quick")), *(invent.record(trial, 1) for trial in matching)]
        readme, results = shown(quick=small, fast=made(every()))
        first = re.search(r"^(\*\*.*\*\*), (`\w+`)$", readme, re.MULTILINE).groups()
        assert [first, *(tuple(row[:2]) for row in compact(readme)[1:] if row[0])] == PLACES
        headings = [line for line in results.splitlines() if line.startswith("##")]
        both = ["### `fast`: all of CIFAR-10, small network and few epochs", "### `quick`: digits"]
        assert headings[:5] == ["## Strong augmentation, Table 1", *both, "## Strong augmentation, Table 2", both[1]]
        assert headings.count(both[0]) == 2 and headings.count(both[1]) == 5

    def test_the_results_have_control_answers_and_cost(self, shown):
        _, results = shown(fast=made(every()))
        tables = results.split("\n## ")[1:]
        header, _, *rows = [cells(line) for line in tables[0].splitlines() if line.startswith("|")]
        row = dict(zip(header, rows[2], strict=False))
        assert (row["defence"], row["n"], row["control"], row["a trial takes"]) == ("**CutMix**", "4", "1.0", "9 core-minutes")
        assert "`notebooks/strong_augmentation_table1.ipynb`" in tables[0]

    def test_adaptive_attacks_have_lines_of_their_own_and_accuracies_stand_beside_the_basic_one(self, shown):
        both = ["gradient_matching", "gradient_matching(adaptive='surrogate')"]
        matching = experiments.grid("targeted", "quick", attack=both, defence=["none", "mixup"], trials=3)
        readme, results = shown(quick=[invent.record(trial, 1) for trial in matching])
        _, *rows = compact(readme)
        assert [row[2] for row in rows[:2]] == ["gradient matching", "adaptive gradient matching"]
        assert rows[0][4].startswith("undefended **100.0**, 2-way mixup **100.0** ("), "DP-InstaHide's Table 2 has no baseline"
        first = results.split("\n## ")[1]
        header, _, *rows = [cells(line) for line in first.splitlines() if line.startswith("|")]
        assert [bool(row[header.index("ours", 6)]) for row in rows] == [True, True, False, False]
        assert [row[0] for row in rows] == ["gradient matching"] * 2 + ["adaptive gradient matching"] * 2
        assert [row[header.index("success: paper")] for row in rows[2:]] == ["90.00", "72.00"]
        assert all(row[header.index("ours")].startswith("100.0 (") for row in rows)

    def test_controls_of_filters_stand_below_them(self, shown):
        defences = ["none", "spectral_signatures", "activation_clustering", "random_removal"]
        readme, results = shown(quick=made(experiments.grid("backdoor", "quick", attack=TENTH, defence=defences, trials=2)))
        names = [next(cell for cell in cells(line)[1:] if cell) for line in results.splitlines() if line.startswith("|")]
        assert names.count("as many at random as SS") == 1
        assert names[names.index("as many at random as SS") - 1] == "**SS**"
        assert re.search(r"spectral signatures \*\*50\.0\*\* \([\d.]+\), as many at random \*\*50\.0\*\*", readme)

    def test_one_trial_a_cell_has_no_verdict(self, shown):
        readme, results = shown(fast=made(every(trials=1)))
        assert [row[5] for row in compact(readme)[1:]] == ["-"] * 2
        first = [cells(line) for line in readme.partition("**The other tables**")[0].splitlines() if line.startswith("| patch")]
        assert [row[6] for row in first] == ["-"] * 6
        (row,) = (cells(line) for line in results.splitlines() if "**CUTMIX**" in line and "14.1%" in line)
        assert row[2] == "1" and row[4].startswith("24.0 (") and row[5:7] == ["1.0", "-"]

    def test_without_processor_time_it_is_the_clocks(self, shown):
        assert "| 10 minutes by the clock |" in shown(fast=made(every(), processor=None))[1]

    def test_without_records_there_is_no_table(self, home):
        text = (home / "README.md").read_text()
        assert written(text) == text.replace(refresh_readme.BEGIN, f"{refresh_readme.BEGIN}\n")
        assert page().startswith("# Results\n") and "##" not in page() and legend() in page()


PLACES = [  # what the README names, each at the larger scale
    ("**Strong augmentation, Table 1**", "`fast`"),
    ("**DP-InstaHide, Table 1**", "`fast`"),
    *((f"**{table}**", "`quick`") for table in ("Strong augmentation, Table 2", "DP-InstaHide, Table 2", "DP-InstaHide, Table 3")),
]


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
        ledger(there, made(trial for trial in whole if trial.seed < 203 + trial.attack.clean))
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


def test_trials_in_the_black_box_and_on_setups_are_those_of_the_profile():
    scale = experiments.profile("transfer", "quick")
    how = dict(attack=["bullseye_polytope", "bullseye_polytope(poison_rate=0)"], trials=1)
    white = experiments.grid("transfer", "quick", **how)
    black = experiments.grid("transfer", "quick", model="convnet", attacker=[scale.model], **how)
    elsewhere = experiments.grid("transfer", "quick", model="convnet", attack="bullseye_polytope", trials=1)
    assert all(refresh_reference._placed(trial, scale, True) for trial in [*white, *black])
    assert not refresh_reference._placed(elsewhere[0], scale, True), "a white box of another network"
    setups = dict(setups="0123")
    source = data.source("cifar_setup", **setups)
    on = [dataclasses.replace(t, data=source, attack=dataclasses.replace(t.attack, **setups)) for t in white]
    assert all(refresh_reference._placed(trial, scale, True) for trial in on)
    assert not refresh_reference._placed(dataclasses.replace(white[0], data=source), scale, True)


def test_what_belongs_to_a_run_does_not_depend_on_whether_its_data_are_here(tmp_path, monkeypatch):
    """TinyImageNet is known by a digest of its content, which only those can compute who have it."""
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path))
    records = list(Ledger.open(refresh_readme.REFERENCE / "tiny" / "trials"))
    assert refresh_reference.of_profile(records, "transfer", "tiny") == [r for r in records if r.trial.extractor]
