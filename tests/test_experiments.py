"""Trials, ledger, runner: what is stored, what is shared, and that nothing is lost or changed by killing or by company."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from poisonlib import attacks, data, experiments, models, training
from poisonlib.experiments import Ledger, Trial
from poisonlib.experiments.ledger import measured
from poisonlib.experiments.spec import digest

TINY = dict(
    data=data.source("digits", size=8, limit=100),
    model=models.load("resnet8", width=2),
    recipe=training.load("quick", epochs=1, batch=50),
)


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack="patch(share=1.0)", defence="none", trials=2, **more):
    return experiments.grid("backdoor", "quick", attack=attack, defence=defence, trials=trials, **(TINY | more))


def all_measured(records):
    return [measured(record) for record in records]


class TestSpec:
    def test_a_trial_survives_its_own_description(self):
        defences = ["none", "mixup(k=4) + laplace(scale=0.1)", "cutmix + spectral_signatures"]
        for trial in tiny(["patch", "patch(share=0.0)"], defences):
            again = Trial.read(json.loads(json.dumps(trial.describe())))
            assert again == trial and again.key == trial.key

    def test_keys_differ_where_anything_differs(self):
        trials = tiny(["patch", "patch(share=0.2)"], ["none", "mixup", "mixup(k=3)"])
        trials += tiny(recipe=training.load("quick", epochs=2))
        assert len({trial.key for trial in trials}) == len(trials)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"defence": "mixpu"}, "mixup"),
            ({"defence": "mixup(q=2)"}, "q; its numbers are"),
            ({"defence": "mixup(k=0)"}, "k=0"),
            ({"defence": "spectral_signatures + activation_clustering"}, "one filter"),
            ({"defence": "mixup(k=__import__('os'))"}, "name"),
            ({"attack": "pach"}, "patch"),
            ({"attack": "patch(share=2)"}, "share=2"),
            ({"trials": 0}, "trials=0"),
            ({"model": "resnt18"}, "resnet18"),
            ({"data": "digits(sise=8)"}, "size"),
            ({"modell": "resnet18"}, "modell.*data, model, recipe, numerics"),
        ],
    )
    def test_wrong_names_and_numbers_are_refused_before_anything_runs(self, change, says):
        with pytest.raises((LookupError, TypeError, ValueError), match=says):
            tiny(**change)

    def test_parts_of_the_profile_are_replaced_by_text_or_objects(self):
        network, recipe = models.load("resnet8", width=4), training.load("benchmark_a")
        parts = {"data": data.source("digits", size=8), "model": network, "recipe": recipe}
        text = {"data": "digits(size=8)", "model": "resnet8(width=4)", "recipe": "benchmark_a"}
        assert tiny(**parts) == tiny(**text) != tiny()

    def test_unknown_profiles_and_scenarios_list_the_choices(self):
        with pytest.raises(LookupError, match="quick"):
            experiments.grid("backdoor", "quikc", attack="patch")
        with pytest.raises(LookupError, match="backdoor"):
            experiments.grid("backdor", "quick", attack="patch")


class TestLedger:
    def test_a_record_comes_back_as_it_was_stored(self):
        ledger, (trial, *_) = Ledger.open(), tiny()
        record = {"schema": 1, "key": trial.key, "spec": trial.describe(), "result": {"x": 0.1}}
        assert trial not in ledger
        ledger.put(record)
        assert trial in ledger and ledger.get(trial) == record and list(ledger) == [record]

    def test_a_missing_or_unsound_record_is_an_error_that_names_it(self):
        ledger, (trial, other) = Ledger.open(), tiny()
        with pytest.raises(KeyError, match=trial.key):
            ledger.get(trial)
        for content in ("{", "{}", json.dumps({"schema": 1, "key": trial.key, "spec": other.describe()})):
            ledger.path(trial.key).parent.mkdir(parents=True, exist_ok=True)
            ledger.path(trial.key).write_text(content)
            with pytest.raises(ValueError, match=trial.key):
                ledger.get(trial)

    def test_a_failed_write_leaves_nothing(self, monkeypatch, outputs):
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        trial = tiny()[0]
        with pytest.raises(OSError, match="disk full"):
            Ledger.open().put({"key": trial.key})
        assert [path for path in outputs.rglob("*") if path.is_file()] == []


class TestRun:
    def test_only_what_is_missing_is_run(self, monkeypatch):
        table = tiny(["patch(share=1.0)", "patch(share=0.0)"])
        first = experiments.run(table[:2], workers=0)
        stamp = Ledger.open().path(table[0].key).stat().st_mtime_ns
        records = experiments.run(table, workers=0)
        assert Ledger.open().path(table[0].key).stat().st_mtime_ns == stamp
        assert records[:2] == first and len(records) == 4
        assert "4 trials" in experiments.check(records, table)
        monkeypatch.setattr(sys.modules["poisonlib.experiments.run"], "run_trial", None)
        assert experiments.run(table, workers=0) == records

    def test_bytes_do_not_depend_on_the_number_of_workers(self, monkeypatch, tmp_path):
        table, results = tiny(["patch(share=1.0)"], ["none", "mixup", "spectral_signatures"]), []
        for workers in (0, 1, 2):
            monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / str(workers)))
            results.append(all_measured(experiments.run(table, workers=workers)))
        assert results[0] == results[1] == results[2]

    def test_a_victim_from_the_cache_gives_the_same_record(self, tmp_path, monkeypatch):
        both = tiny(["patch(share=1.0)"], ["none", "activation_clustering"], trials=1)
        shared = experiments.run(both, workers=0)
        assert len(list((tmp_path / "models").iterdir())) == 1, "the filter's trial shares the undefended victim"
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "alone"))
        assert all_measured(experiments.run(both[1:], workers=0)) == all_measured(shared[1:])

    def test_a_damaged_cache_file_is_as_good_as_none(self, tmp_path, monkeypatch):
        table = tiny("patch(share=0.0)", trials=1)
        before = all_measured(experiments.run(table, workers=0))
        (file,) = (tmp_path / "models").iterdir()
        file.write_bytes(file.read_bytes()[:100])
        Ledger.open().path(table[0].key).unlink()
        assert all_measured(experiments.run(table, workers=0)) == before

    def test_one_failing_trial_does_not_stop_the_others_and_is_told(self):
        steep = replace(TINY["recipe"], rate=1e30)
        good, bad = tiny(trials=1), tiny(defence="spectral_signatures", trials=1, recipe=steep)
        with pytest.raises(RuntimeError, match=r"1 of 2 trials failed(.|\n)*training diverged: the mean loss of epoch 0"):
            experiments.run(bad + good, workers=1)
        assert good[0] in Ledger.open() and bad[0] not in Ledger.open()

    def test_a_device_that_is_not_here_is_refused(self):
        with pytest.raises(ValueError, match="tpu"):
            experiments.run(tiny(), device="tpu")

    def test_the_record_says_what_was_measured_and_where(self):
        (record,) = experiments.run(tiny("patch(share=0.5)", "spectral_signatures", trials=1), workers=0)
        result, cost, place = (record[part] for part in ("result", "cost", "place"))
        assert 0 <= result["success"][0] <= result["success"][1] and len(result["clean"]) == 10
        assert result["filter"]["removed"] > 0 and 0 <= result["filter"]["auc"] <= 1
        assert result["poisons"]["count"] > 0 and result["poisons"]["largest change"] == 255
        assert cost["seconds"] > 0 and cost["peak memory bytes"] > 0
        assert place["torch"] == torch.__version__ and "cpu" in place["device"]
        row = experiments.frame([record]).iloc[0]
        assert row["defence"] == "spectral_signatures" and row["success"] == result["success"][0] / result["success"][1]


def test_killing_at_ten_random_moments_and_resuming_gives_the_same_records(tmp_path, monkeypatch):
    table = tiny(["patch(share=1.0)", "patch(share=0.0)"], ["none", "mixup", "spectral_signatures"], trials=6)
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "whole"))
    whole = all_measured(experiments.run(table, workers=2))
    specs = tmp_path / "table.json"
    specs.write_text(json.dumps([trial.describe() for trial in table]))
    code = (
        "import json, sys; from poisonlib import experiments as e; "
        "e.run([e.Trial.read(d) for d in json.load(open(sys.argv[1]))], workers=2)"
    )
    environment = {**os.environ, "POISONLIB_OUTPUTS": str(tmp_path / "killed")}
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "killed"))
    moments, stages, ledger = random.Random(0), [0], Ledger.open()
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", code, str(specs)], env=environment, stderr=subprocess.DEVNULL)
        more = len(list(ledger)) + moments.randrange(5)
        while process.poll() is None and len(list(ledger)) < more:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        stages.append(len(list(ledger)))
    assert len(set(stages)) > 4, f"the kills did not fall into the work: {stages}"
    time.sleep(1)  # the last workers notice that their input has ended
    assert all_measured(experiments.run(table, workers=2)) == whole


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    command = [sys.executable, "-m", "poisonlib.experiments.worker", "cpu", str(tmp_path)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker.stdin.close()
    assert worker.wait(timeout=60) == 0


class TestPlan:
    def test_shared_victims_are_counted_once(self):
        table = tiny(["patch(share=1.0)", "patch(share=0.0)"], ["none", "mixup"], trials=3)
        table += tiny(["patch(share=1.0)"], ["spectral_signatures", "activation_clustering"], trials=3)
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
        table = tiny(trials=1, model=models.load("conv16", width=4), recipe=replace(TINY["recipe"], epochs=3))
        side, d = 8, 4
        convs = 2 * 9 * (1 * d * side**2 + d * 2 * d * (side // 2) ** 2 + 2 * d * 2 * d * (side // 4) ** 2)
        dense = 2 * (2 * d * (side // 4) ** 2 * 4 * d + 4 * d * 10)
        assert experiments.plan(table).operations == pytest.approx(3 * 3 * 100 * (convs + dense))


def test_check_refuses_missing_and_unsound_records():
    table = tiny(trials=2)
    records = experiments.run(table, workers=0)
    with pytest.raises(AssertionError, match="no record"):
        experiments.check(records[:1], table)
    broken = json.loads(json.dumps(records))
    broken[0]["result"]["success"] = [5, 4]
    with pytest.raises(AssertionError, match="5 of 4"):
        experiments.check(broken, table)


def test_seeds_are_shared_between_cells():
    table = tiny(["patch(share=1.0)"], ["none", "cutmix"], trials=2)
    assert [trial.seed for trial in table] == [0, 1, 0, 1]
    records = experiments.run(table, workers=0)
    assert [r["result"]["wanted"] for r in records[:2]] == [r["result"]["wanted"] for r in records[2:]]
    assert digest(table[0].victim()) != digest(table[2].victim())
    assert attacks.load(table[0].describe()["attack"]) == table[0].attack
