"""Trials, records, ledger, cache and runner: what is stored, what is shared, and that killing or other workers change nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import pytest
import torch

from poisonlib import attacks, data, experiments, models, training
from poisonlib.data.digits import Digits
from poisonlib.experiments import Ledger, Trial, provenance, spec
from poisonlib.experiments.ledger import read
from poisonlib.experiments.provenance import victim
from poisonlib.experiments.record import CraftReport, FilterReport
from poisonlib.experiments.spec import digest
from poisonlib.papers.cells import cells

from . import invent
from .small import TINY


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack="patch(poison_rate=1.0)", defence="none", trials=2, **more):
    return experiments.grid("backdoor", "quick", attack=attack, defence=defence, trials=trials, **(TINY | more))


def measured(records):
    return [record.measured() for record in records]


class TestSpec:
    def test_a_trial_survives_its_own_description(self):
        defences = ["none", "mixup(k=4) + laplace(scale=0.1)", "cutmix + spectral_signatures"]
        for trial in tiny(["patch", "patch(poison_rate=0.0)"], defences):
            again = Trial.read(json.loads(json.dumps(trial.describe())))
            assert again == trial and again.key == trial.key

    def test_keys_differ_where_anything_differs(self):
        trials = tiny(["patch", "patch(poison_rate=0.2)"], ["none", "mixup", "mixup(k=3)"])
        trials += tiny(recipe=training.load("quick", epochs=2))
        assert len({trial.key for trial in trials}) == len(trials)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"defence": "mixpu"}, "mixup"),
            ({"defence": "mixup(q=2)"}, r"mixup has no argument q; it has: k, alpha, variant"),
            ({"defence": "mixup(k=0)"}, "k=0"),
            ({"defence": "spectral_signatures + activation_clustering"}, "one filter"),
            ({"defence": "mixup(k=__import__('os'))"}, "name"),
            ({"attack": "pach"}, "patch"),
            ({"attack": "patch(poison_rate=2)"}, "poison_rate=2"),
            ({"trials": 0}, "trials=0"),
            ({"model": "resnt18"}, "resnet18_imagenet"),
            ({"data": "digits(sise=8)"}, "size"),
            ({"modell": "convnet"}, "modell.*data, model, recipe, numerics"),
        ],
    )
    def test_wrong_names_and_values_are_refused_before_anything_runs(self, change, says):
        with pytest.raises((LookupError, TypeError, ValueError), match=says):
            tiny(**change)

    def test_parts_of_the_profile_are_replaced_by_text_or_objects(self):
        network, recipe = models.load("cifar_resnet", depth=8, width=4, shortcut="projection"), training.load("benchmark_a")
        parts = {"data": data.source("digits", size=8), "model": network, "recipe": recipe}
        text = {"data": "digits(size=8)", "model": "cifar_resnet(depth=8, width=4, shortcut='projection')", "recipe": "benchmark_a"}
        assert tiny(**parts) == tiny(**text) != tiny()

    def test_unknown_profiles_and_scenarios_list_the_choices(self):
        with pytest.raises(LookupError, match="quick"):
            experiments.grid("backdoor", "quikc", attack="patch")
        with pytest.raises(LookupError, match="backdoor"):
            experiments.grid("backdor", "quick", attack="patch")


class TestLedger:
    @pytest.mark.parametrize("rounds", [(), (7, 0, 9)])
    def test_a_record_comes_back_as_it_was_stored(self, rounds):
        roc = FilterReport(7, 3, 0.1 + 0.2, ((0.0, 1.0), (0.5, 1.0)), rounds)
        ledger, (trial, other) = Ledger.open(), tiny(defence="spectral_signatures")
        record = invent.record(trial, 3, 4, ((5, 6), (7, 8)), confidence=0.1, filtered=roc, code="c", data={"train": "t"})
        record = replace(record, craft=CraftReport((1, 2), 0.3))
        assert trial not in ledger
        ledger.put(record)
        assert trial in ledger and other not in ledger
        assert ledger.get(trial) == record and list(ledger) == [record]
        assert read(ledger.path(trial.key)) == record and record.trial == trial and record.seed == trial.seed
        assert ("rounds" in record.to_json()["result"]["filter"]) == bool(rounds), "records of other filters stay as they were"
        row = experiments.frame([record]).iloc[0]
        assert (row["least removed"], row["most removed"]) == ((0, 9) if rounds else (None, None))

    def test_a_records_file_is_canonical_json_with_a_checksum(self):
        (trial, _), ledger = tiny(), Ledger.open()
        ledger.put(invent.record(trial, 1, 1, confidence=0.5, code="c"))
        content = json.loads(ledger.path(trial.key).read_text())
        assert (content["schema"], content["key"], content["spec"], content["code"]) == (3, trial.key, trial.describe(), "c")
        assert content["result"] == {
            "evaluation": {"hits": 1, "targets": 1, "confidence": 0.5, "clean": [[900, 1000]]},
            "intended_class": 1,
            "source_class": 2,
            "poisons": {"count": 9, "digest": "", "largest_change": 255},
            "craft": None,
            "filter": None,
        }

    def test_measured_leaves_out_where_and_how_long(self):
        trial, other = tiny()
        record = invent.record(trial, 1, data={"train": "a"})
        assert replace(record, cost=replace(record.cost, seconds=9.0), code="x").measured() == record.measured()
        assert replace(record, environment=replace(record.environment, device="cuda")).measured() == record.measured()
        others = [
            invent.record(other, 1, data={"train": "a"}),
            invent.record(trial, 0, data={"train": "a"}),
            invent.record(trial, 1, data={"train": "b"}),
            replace(record, intended_class=5),
            replace(record, poisons=replace(record.poisons, digest="x")),
        ]
        assert record.measured() not in {each.measured() for each in others}

    def test_trials_of_one_cell_have_one_setting(self):
        (one, same), (other, _) = tiny(), tiny(defence="mixup")
        settings = [invent.record(trial, 1).setting for trial in (one, same, other)]
        assert settings[0] == settings[1] != settings[2]

    def test_a_missing_or_unsound_record_is_an_error_that_names_it(self):
        ledger, (trial, other) = Ledger.open(), tiny()
        with pytest.raises(KeyError, match=trial.key):
            ledger.get(trial)
        sound = invent.record(trial, 1).to_json()
        unknown, wrong = sound | {"schema": 4}, sound | {"spec": other.describe()}
        lacking = sound | {"result": {}}
        for content in ("{", "{}", "[]", *map(json.dumps, (unknown, wrong, lacking, invent.record(other, 1).to_json()))):
            ledger.path(trial.key).parent.mkdir(parents=True, exist_ok=True)
            ledger.path(trial.key).write_text(content)
            with pytest.raises(ValueError, match=f"{trial.key}.json is not a sound record"):
                ledger.get(trial)

    def test_a_failed_write_leaves_nothing(self, monkeypatch, outputs):
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        trial = tiny()[0]
        with pytest.raises(OSError, match="disk full"):
            Ledger.open().put(invent.record(trial, 1))
        assert [path for path in outputs.rglob("*") if path.is_file()] == []


class TestRun:
    def test_only_what_is_missing_is_run(self, monkeypatch):
        table = tiny(["patch(poison_rate=1.0)", "patch(poison_rate=0.0)"])
        first = experiments.run(table[:2], workers=0)
        stamp = Ledger.open().path(table[0].key).stat().st_mtime_ns
        records = experiments.run(table, workers=0)
        assert Ledger.open().path(table[0].key).stat().st_mtime_ns == stamp
        assert records[:2] == first and len(records) == 4
        assert "4 trials" in experiments.check(records, table)
        monkeypatch.setattr(sys.modules["poisonlib.experiments.attempt"], "run_trial", None)
        assert experiments.run(table, workers=0) == records

    def test_bytes_do_not_depend_on_the_number_of_workers(self, monkeypatch, tmp_path):
        table, results = tiny(["patch(poison_rate=1.0)"], ["none", "mixup", "spectral_signatures"]), []
        for workers in (0, 1, 2):
            monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / str(workers)))
            results.append(measured(experiments.run(table, workers=workers)))
        assert results[0] == results[1] == results[2]

    def test_a_victim_from_the_cache_gives_the_same_record(self, tmp_path, monkeypatch):
        both = tiny(["patch(poison_rate=1.0)"], ["none", "activation_clustering"], trials=1)
        shared = experiments.run(both, workers=0)
        assert len(list((tmp_path / "models").iterdir())) == 1, "the filter's trial shares the undefended victim"
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "alone"))
        assert measured(experiments.run(both[1:], workers=0)) == measured(shared[1:])

    def test_several_victims_of_one_goal_share_its_poisons_and_make_one_value(self, tmp_path):
        (one,) = tiny(["patch(poison_rate=1.0)"], trials=1)
        table = tiny(["patch(poison_rate=1.0)", "patch(poison_rate=0.0)"], "activation_clustering", trials=1, starts=3)
        assert tiny(["patch(poison_rate=1.0)"], trials=1, starts=3)[0].key == one.key, "the first start has no name"
        assert [trial.start for trial in table] == [0, 1, 2] * 2 and len({trial.victim_seed for trial in table}) == 3
        records = experiments.run(table, workers=0)
        assert len({record.poisons.digest for record in records[:3]}) == 1
        assert len(list((tmp_path / "models").iterdir())) == 6, "none shares its network with another start"
        assert len({record.measured() for record in records}) == 6
        assert [record.trial for record in records] == table
        (attacked,) = [cell for cell in cells(records) if not cell.setting.control]
        assert attacked.seeds == (one.seed,) and attacked.accuracy == (sum(record.accuracy for record in records[:3]) / 3,)

    def test_a_damaged_cache_file_is_as_good_as_none(self, tmp_path, monkeypatch):
        table = tiny("patch(poison_rate=0.0)", trials=1)
        before = measured(experiments.run(table, workers=0))
        (file,) = (tmp_path / "models").iterdir()
        file.write_bytes(file.read_bytes()[:100])
        Ledger.open().path(table[0].key).unlink()
        assert measured(experiments.run(table, workers=0)) == before

    def test_one_failing_trial_does_not_stop_the_others_and_is_reported(self):
        steep = replace(TINY["recipe"], lr=1e30)
        good, bad = tiny(trials=1), tiny(defence="spectral_signatures", trials=1, recipe=steep)
        with pytest.warns(UserWarning, match=r"1 of 2 trials failed .*, seed 200: training diverged: the mean loss of epoch 0"):
            records = experiments.run(bad + good, workers=1)
        assert records == [Ledger.open().get(good[0])] and bad[0] not in Ledger.open()

    def test_a_device_that_is_not_here_is_refused(self):
        with pytest.raises(ValueError, match="tpu"):
            experiments.run(tiny(), device="tpu")

    def test_the_record_says_what_was_measured_and_where(self):
        (record,) = experiments.run(tiny("patch(poison_rate=0.5)", "spectral_signatures", trials=1), workers=0)
        assert 0 <= record.evaluation.hits <= record.evaluation.targets and len(record.evaluation.clean) == 10
        assert record.filter.removed > 0 and 0 <= record.filter.auc <= 1
        assert record.poisons.count > 0 and record.poisons.largest_change == 255
        assert record.cost.seconds > 0 and record.cost.peak_memory > 0
        assert record.environment.torch == torch.__version__ and "cpu" in record.environment.device
        assert record.data == {split: data.load(record.trial.data, split).fingerprint for split in ("train", "test")}
        row = experiments.frame([record]).iloc[0]
        assert (
            row["defence"] == "spectral_signatures"
            and row["success"] == record.success == record.evaluation.hits / record.evaluation.targets
        )


KILLS = int(os.environ.get("POISONLIB_KILLS", 10))  # 35 and more for an hour's peace of mind


def test_killing_at_random_moments_and_resuming_gives_the_same_records(tmp_path, monkeypatch):
    attacks, defences = ["patch(poison_rate=1.0)", "patch(poison_rate=0.0)"], ["none", "mixup", "spectral_signatures"]
    table = tiny(attacks, defences, trials=max(6, 6 * KILLS // 10))
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "whole"))
    whole = measured(experiments.run(table, workers=2))
    specs = tmp_path / "table.json"
    specs.write_text(json.dumps([trial.describe() for trial in table]))
    code = (
        "import json, sys; from poisonlib import experiments as e; "
        "e.run([e.Trial.read(d) for d in json.load(open(sys.argv[1]))], workers=int(sys.argv[2]))"
    )
    environment = {**os.environ, "POISONLIB_OUTPUTS": str(tmp_path / "killed")}
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "killed"))
    moments, stages, ledger = random.Random(0), [0], Ledger.open()

    def recorded():
        return sum(1 for _ in ledger.root.glob("??/*.json"))

    for number in range(KILLS):  # in turn with workers and without: whichever process writes is killed
        command = [sys.executable, "-c", code, str(specs), str(2 * (number % 2))]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        more = recorded() + moments.randrange(5)
        while process.poll() is None and recorded() < more:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        stages.append(len(list(ledger)))
    assert len(set(stages)) > 4, f"the kills did not fall into the work: {stages}"
    time.sleep(1)  # the last workers notice that their input has ended
    assert measured(experiments.run(table, workers=2)) == whole


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    command = [sys.executable, "-m", "poisonlib.experiments.worker", "cpu", str(tmp_path)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker.stdin.close()
    assert worker.wait(timeout=60) == 0


@dataclass(frozen=True)
class OwnForEachSeed(Digits):
    """A hundred digits, others for each seed."""

    limit: int = 100

    def for_seed(self, seed):
        return replace(self, skip=seed)


class TestPlan:
    def test_a_record_of_a_seed_with_its_own_data_is_not_out_of_date(self):
        table = experiments.grid("targeted", "quick", attack="noise", data=OwnForEachSeed(), trials=3)
        about = [{"code": provenance.code(trial), "data": provenance.content(trial)} for trial in table]
        assert about[0]["data"]["train"] != about[1]["data"]["train"]
        for trial, known in zip(table, about, strict=True):
            Ledger.open().put(invent.record(trial, 0, **known))
        assert experiments.plan(table).stale == {}
        Ledger.open().put(invent.record(table[1], 0, **about[0]))
        assert experiments.plan(table).stale == {provenance.OTHER_DATA: 1}

    def test_shared_victims_are_counted_once(self):
        table = tiny(["patch(poison_rate=1.0)", "patch(poison_rate=0.0)"], ["none", "mixup"], trials=3)
        table += tiny(["patch(poison_rate=1.0)"], ["spectral_signatures", "activation_clustering"], trials=3)
        plan = experiments.plan(table)
        assert (plan.trials, plan.recorded, plan.trainings, plan.crafts) == (18, 0, 12 + 6, 0)
        assert plan.operations > 0 and plan.hours is None

    def test_what_is_recorded_costs_nothing(self):
        table = tiny(trials=2)
        experiments.run(table, workers=0)
        plan = experiments.plan(table + tiny(trials=3))
        assert (plan.trials, plan.recorded, plan.trainings) == (3, 2, 1)
        assert plan.hours > 0
        assert experiments.plan(table).trainings == 0

    def test_the_count_of_operations_is_that_of_a_hand_count(self):
        table = tiny(trials=1, model=models.load("convnet", width=4), recipe=replace(TINY["recipe"], epochs=3))
        side, d = 8, 4
        convs = 2 * 9 * (1 * d * side**2 + d * 2 * d * (side // 2) ** 2 + 2 * d * 2 * d * (side // 4) ** 2)
        dense = 2 * (2 * d * (side // 4) ** 2 * 4 * d + 4 * d * 10)
        assert experiments.plan(table).operations == pytest.approx(3 * 3 * 100 * (convs + dense))


def test_check_refuses_missing_and_unsound_records():
    table = tiny(trials=2)
    records = experiments.run(table, workers=0)
    with pytest.raises(AssertionError, match="no record"):
        experiments.check(records[:1], table)
    assert "2 trials" in experiments.check(records, table)
    evaluation, poisons = records[0].evaluation, records[0].poisons
    for part, says in (
        ({"evaluation": replace(evaluation, hits=5, targets=4)}, "5 of 4"),
        ({"evaluation": replace(evaluation, clean=((3, 2),))}, "clean counts"),
        ({"poisons": replace(poisons, count=0)}, "0 poisons"),
    ):
        with pytest.raises(AssertionError, match=says):
            experiments.check([replace(records[0], **part), records[1]], table)


def test_seeds_are_shared_between_cells():
    table = tiny(["patch(poison_rate=1.0)"], ["none", "cutmix"], trials=2)
    assert [trial.seed for trial in table] == [200, 201, 200, 201]
    records = experiments.run(table, workers=0)
    assert [record.intended_class for record in records[:2]] == [record.intended_class for record in records[2:]]
    assert digest(victim(table[0])) != digest(victim(table[2]))
    assert attacks.load(table[0].describe()["attack"]) == table[0].attack


@pytest.mark.parametrize("name", ["mine.Own", "mine2.Own", "MINE.Own", "mi\u00e9.Own", "mine.\u00d6wn", "a.b_.own"])
def test_classes_of_ones_own_are_told_from_others_by_their_import_path(name):
    assert spec.OWN.search(spec.canonical({"name": name})) and spec.OWN.search(spec.canonical({"factory": name}))


@pytest.mark.parametrize("name", ["mixup", "laplace(scale=0.5)", "mixup(k=4) + laplace(scale=16/255)", "cifar10"])
def test_choices_of_this_package_are_not_taken_for_ones_own(name):
    assert not spec.OWN.search(spec.canonical({"name": name, "inner": name, "size": 0.5}))
