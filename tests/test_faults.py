"""Nothing lost: what a run does when trials fail, files are damaged, disks are full, and others work on the same grid."""

import contextlib
import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from poisonlib import experiments, files, locks
from poisonlib.cli import main
from poisonlib.experiments import Ledger, failures, provenance, run
from poisonlib.experiments.attempt import attempt
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.schedule import Schedule, breadth_first, outstanding
from poisonlib.experiments.spec import canonical
from poisonlib.experiments.workers import Worker

from . import invent, plain
from .small import TINY
from .warm import FRESH

attempts = sys.modules["poisonlib.experiments.attempt"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(trials=1, **more):
    return experiments.grid("backdoor", "quick", attack="patch(poison_rate=1.0)", trials=trials, **(TINY | more))


def matching(how="", **more):
    attack = f"gradient_matching(poison_rate=0.05, steps=1, restarts=1{how})"
    return experiments.grid("targeted", "quick", attack=attack, trials=1, **(TINY | more))


@pytest.fixture
def count(monkeypatch):
    """The seeds of the trials that are run, which give an invented record, or diverge where the learning rate is absurd."""
    seen = []

    def run_trial(trial, *_):
        seen.append(trial.seed)
        if trial.recipe.lr > 1e10:
            raise FloatingPointError("training diverged")
        return invent.record(trial, 1, code=attempts.provenance.code(trial), data=attempts.provenance.content(trial))

    monkeypatch.setattr(attempts, "run_trial", run_trial)
    return seen


def diverging(**more):
    return tiny(recipe=replace(TINY["recipe"], lr=1e30), **more)


class TestFailedTrials:
    def test_are_recorded_with_their_reason_and_not_trained_again_unless_asked(self, count):
        table = diverging(trials=2)
        for _ in range(3):
            with pytest.warns(UserWarning, match=r"2 of 2 trials failed .*again=True.*seed 200: training diverged"):
                records = run(table, workers=0)
            assert records == [] and [each.reason for each in records.failures] == ["training diverged"] * 2
        assert count == [200, 201]
        with pytest.warns(UserWarning, match="2 of 2 trials failed"):
            run(table, workers=0, again=True)
        assert count == [200, 201] * 2

    def test_whose_answers_are_not_finite_have_no_record(self, monkeypatch):
        def run_trial(trial, *_):
            return invent.record(trial, 1, confidence=float("nan"))

        monkeypatch.setattr(attempts, "run_trial", run_trial)
        with pytest.warns(UserWarning, match="answers are not finite"):
            assert run(tiny(), workers=0) == []

    def test_that_succeed_later_are_no_failures(self, count):
        (trial,) = diverging()
        with pytest.warns(UserWarning, match="failed"):
            run([trial], workers=0)
        Ledger.open().put(invent.record(trial, 1))
        assert failures.get(Ledger.open(), trial.key) is None and len(run([trial], workers=0)) == 1

    def test_are_shown_when_they_happen_and_counted_in_plans(self, count, capsys):
        table = diverging() + tiny(trials=2)
        with pytest.warns(UserWarning, match="1 of 3"):
            run(table, workers=0)
        assert "failed: seed 200, none: training diverged" in capsys.readouterr().err
        assert "1 failed" in str(experiments.plan(table)) and experiments.plan(table).trainings == 0

    def test_whose_file_is_damaged_are_run_again(self, count, outputs):
        (trial,) = diverging()
        for times in (1, 2):
            with pytest.warns(UserWarning, match="failed"):
                run([trial], workers=0)
            assert len(count) == times
            (file,) = outputs.rglob("*.failed")
            file.write_bytes(file.read_bytes()[:-9] + b"\xff" * 9)


class TestDamagedRecords:
    @pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"key": 1}', b""])
    def test_stop_nothing_are_counted_kept_and_their_trials_run_again(self, count, content, outputs):
        table, ledger = tiny(trials=3), Ledger.open()
        run(table, workers=0)
        path = ledger.path(table[1].key)
        path.write_bytes(content)
        (path.parent / f"._{path.name}").write_bytes(b"\x00")  # what another system leaves beside each file
        plan = experiments.plan(table)
        assert (plan.recorded, plan.stale, plan.trainings) == (2, {"damaged": 1}, 1)
        with pytest.warns(UserWarning, match=r"left out, .*: 1 file, .*" + path.name):
            assert len(list(ledger)) == 2
        with pytest.warns(UserWarning, match=rf"1 record damaged, to be run again.*{table[1].key}"):
            records = run(table, workers=0)
        assert count == [200, 201, 202, 201] and [record.seed for record in records] == [200, 201, 202]
        assert path.with_suffix(".damaged").read_bytes() == content and outstanding(table, ledger) == ([], {})

    def test_a_removed_attack_is_passed_over(self, count):
        ledger = Ledger.open()
        (trial,), (other,) = tiny(), tiny(defence="mixup")
        run([trial], workers=0)
        gone = ledger.get(trial)
        gone = replace(gone, spec=gone.spec | {"attack": {"name": "removed"}})
        ledger.put(gone)
        assert experiments.plan([trial, other]).recorded == 1
        assert "removed" in set(experiments.frame(ledger)["attack"])


def in_a_child(action) -> int:
    """The exit status of a forked process that runs the action: 0, 1 for an exception, or what the action exits with."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        action()
        status = 0
    finally:
        os._exit(status)


class TestWrites:
    """Old or new, never anything else: after kills at every line, and on disks that fill up at every size."""

    def test_killed_at_any_line(self, outputs):
        old, new = (invent.record(tiny()[0], hits) for hits in (0, 1))
        ledger, seen, lines = Ledger.open(), set(), 0
        ledger.put(old)
        for line in range(32):

            def killed(line=line):
                left = iter(range(line, -1, -1))
                each = lambda *_: None if next(left) else os._exit(9)  # noqa: E731
                sys.settrace(lambda frame, *_: each if frame.f_code.co_filename == files.__file__ else None)
                ledger.put(new)

            lines += in_a_child(killed) == 9
            seen.add(ledger.get(old.trial).evaluation.hits)
        assert lines > 8 and seen == {0, 1}, "some kills came before the rename, some after"

    def test_on_a_disk_that_fills_up(self, outputs):
        old, new = (invent.record(tiny()[0], hits) for hits in (0, 1))
        ledger = Ledger.open()
        ledger.put(old)
        size = ledger.path(old.key).stat().st_size
        for level in range(12):

            def full(level=level):
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size * level // 11 - 1 if level else 0,) * 2)
                ledger.put(new)

            assert in_a_child(full) == 1
            assert list(ledger) == [old] and [path.name for path in outputs.rglob("*") if path.is_file()] == [f"{old.key}.json"]

    def test_into_folders_that_were_deleted(self, count, outputs, monkeypatch):
        real = attempts.run_trial

        def run_trial(trial, *given):
            if trial.seed == 201:
                shutil.rmtree(outputs / "trials")
            return real(trial, *given)

        monkeypatch.setattr(attempts, "run_trial", run_trial)
        table = tiny(trials=3)
        with contextlib.suppress(FileNotFoundError):  # the record that was deleted
            run(table, workers=0)
        assert [record.seed for record in run(table, workers=0)] == [200, 201, 202] and count == [200, 201, 202, 200]


def test_a_ledger_says_what_its_files_are_worth(count, capsys):
    ledger, table = Ledger.open(), tiny(trials=3)
    run(table, workers=0)
    with pytest.warns(UserWarning, match="failed"):
        run(diverging(), workers=0)
    first, second, _ = (ledger.path(trial.key) for trial in table)
    first.write_text(canonical(ledger.get(table[0]).to_json()))  # as an older version wrote it
    second.write_bytes(second.read_bytes().replace(b'"hits":1', b'"hits":0'))
    assert main(["ledger", "check"]) == 1
    said = capsys.readouterr().out
    assert "2 sound records, 1 of them without checksum" in said and "1 damaged; 1 trial failed" in said
    assert (
        f"damaged: {second}" in said and "its checksum is not that of its content" in said and "seed 200: training diverged" in said
    )


class TestFolders:
    def test_that_cannot_be_written_are_found_before_any_training(self, count, outputs, monkeypatch):
        (outputs / "file").touch()
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "file"))
        with pytest.raises(OSError, match=r"nothing can be written in .*file"):
            run(tiny(), workers=0)
        assert count == []

    def test_that_are_full_are_found_before_any_training(self, count, outputs, monkeypatch):
        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"nothing can be written in .*: No space left on device"):
            run(tiny(), workers=0)
        assert count == [] and not [path for path in outputs.rglob("*") if path.is_file()]

    def test_that_fill_up_stop_the_run_at_once(self, count, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Ledger, "put", full)
        with pytest.raises(RuntimeError, match=r"1 of 1 trial failed(.|\n)*No space left on device"):
            run(tiny(trials=5), workers=0)
        assert count == [200]

    def test_leftovers_of_killed_writes_are_swept_once_they_are_old(self, count, outputs):
        old, new = outputs / "trials" / "ab" / ".part-1", outputs / "models" / ".part-2"
        for part in (old, new):
            files.write_atomically(part, b"{")
        os.utime(old, (time.time() - 7200,) * 2)
        run(tiny(), workers=0)
        assert not old.exists() and new.exists()


HOLD = """
import sys, time
from pathlib import Path
from poisonlib import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def held_elsewhere(path):
    """Another process, which holds the lock at ``path``."""
    other = subprocess.Popen([FRESH, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        yield other
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


class TestSharing:
    def test_a_trial_that_was_recorded_meanwhile_is_not_run_again(self, count):
        (trial,), ledger = tiny(), Ledger.open()
        schedule = Schedule(breadth_first([trial]), {}.get)
        ledger.put(invent.record(trial, 1, seconds=7.0))  # by another run, after this one looked
        assert attempt(trial, CPU, Cache.open(), ledger) == {"seconds": 7.0} and count == []
        assert schedule.take() and schedule.take() is None

    @pytest.mark.parametrize(("killed", "order"), [(201, [201, 200, 202]), (202, [201, 202, 200])])
    def test_one_that_another_process_is_at_is_tried_again_after_each_other_and_at_last_waited_for(
        self, count, monkeypatch, killed, order
    ):
        table, ledger = tiny(trials=3), Ledger.open()
        monkeypatch.setattr(locks, "PATIENCE", 0.1)
        lock = ledger.root / "locks" / f"{table[0].key}.lock"
        real = attempts.run_trial
        with held_elsewhere(lock) as other:

            def run_trial(trial, *given):
                if trial.seed == killed:  # the holder dies before its trial is recorded, and this run goes on with it
                    other.kill()
                    other.wait()
                return real(trial, *given)

            monkeypatch.setattr(attempts, "run_trial", run_trial)
            assert [record.seed for record in run(table, workers=0)] == [200, 201, 202]
        assert count == order

    def test_so_does_a_worker(self, monkeypatch):
        table, asked, replies = tiny(trials=2), [], queue.SimpleQueue()

        def ask(_, trial, *, keep, again, wait):
            asked.append((trial.seed, wait))
            return {"busy": True} if asked[-1] == (200, False) else {"seconds": 1.0}

        monkeypatch.setattr(Worker, "ask", ask)
        Worker("cpu", Ledger.open()).serve(Schedule(breadth_first(table), {}.get), replies)
        assert asked == [(200, False), (201, False), (200, False), (200, True)]

    def test_one_whose_poisons_another_process_crafts_is_left_for_those_that_need_others(self, count):
        none, mixup, adaptive = matching(defence=["none", "mixup"]) + matching(", adaptive='surrogate'", defence="mixup")
        cache, ledger = Cache.open(), Ledger.open()
        with held_elsewhere(cache._lock(provenance.craft(none), "claim")) as other:
            assert [attempt(each, CPU, cache, ledger, wait=False) for each in (none, mixup)] == [{"busy": True}] * 2
            assert "seconds" in attempt(adaptive, CPU, cache, ledger, wait=False)
            assert "seconds" in attempt(none, CPU, cache, ledger), "who waits does so where the craft is made"
            other.kill()
            other.wait()
        assert "seconds" in attempt(mixup, CPU, cache, ledger, wait=False) and count == [200] * 3

    def test_what_a_craft_is_made_from_counts_and_what_is_there_does_not(self, count):
        (trial,), cache, ledger = matching(), Cache.open(), Ledger.open()
        surrogate = provenance.surrogate(trial, trial.attack.surrogates[0])
        with held_elsewhere(cache._lock(surrogate, "claim")):
            assert attempt(trial, CPU, cache, ledger, wait=False) == {"busy": True}
            cache.fetch(provenance.craft(trial), lambda: ({}, {}))
            assert "seconds" in attempt(trial, CPU, cache, ledger, wait=False)

    def test_the_network_that_a_craft_is_judged_on_is_needed_last(self, count):
        (trial,), cache = matching(), Cache.open()
        with held_elsewhere(cache._lock(provenance.unpoisoned(trial), "claim")):
            assert "seconds" in attempt(trial, CPU, cache, Ledger.open(), wait=False)

    def test_two_trials_at_once_do_not_claim_one_craft(self, monkeypatch):
        none, mixup = matching(defence=["none", "mixup"])
        cache, ledger, replies = Cache.open(), Ledger.open(), []

        def run_trial(trial, *_):
            replies.append(attempt(mixup, CPU, cache, ledger, wait=False))
            return invent.record(trial, 1)

        monkeypatch.setattr(attempts, "run_trial", run_trial)
        assert "seconds" in attempt(none, CPU, cache, ledger, wait=False)
        assert replies == [{"busy": True}] and not ledger.path(mixup.key).exists()

    def test_who_waits_says_for_whom_and_goes_on_when_the_holder_is_dead(self, tmp_path, monkeypatch, capsys):
        path = tmp_path / "one.lock"
        with held_elsewhere(path) as other:
            with locks.tried(path) as got:
                assert not got
            monkeypatch.setattr(locks, "PATIENCE", 0.1)
            monkeypatch.setattr(locks, "print", lambda *a, **k: (print(*a, **k), other.kill()), raising=False)
            with locks.held(path):
                assert f"waiting for {path}, held by process {other.pid} on " in capsys.readouterr().err
        with locks.tried(path) as got:
            assert got

    def test_two_runs_of_one_grid_run_each_trial_once(self, outputs):
        table = tiny(trials=4)
        specs = outputs / "table.json"
        specs.write_text(json.dumps([trial.describe() for trial in table]))
        code = """
import json, os, sys, time
from poisonlib import experiments as e
attempts = sys.modules["poisonlib.experiments.attempt"]
real = attempts.run_trial
def counted(trial, *given):
    print(trial.seed, flush=True)
    time.sleep(0.3)
    return real(trial, *given)
attempts.run_trial = counted
records = e.run([e.Trial.read(d) for d in json.load(open(sys.argv[1]))], workers=0)
assert len(records) == 4
"""
        both = [subprocess.Popen([sys.executable, "-c", code, str(specs)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
        seeds = [int(line) for each in both for line in each.communicate()[0].splitlines()]
        assert [each.returncode for each in both] == [0, 0] and sorted(seeds) == [trial.seed for trial in table]


def test_progress_needs_no_standard_error(count, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(run(tiny(), workers=0)) == 1


SENSELESS = {
    "grid(trials=10**9)": "trials=1000000000: choose a whole number of at least 1 and at most 100000",
    "grid(first_seed='a')": "first_seed='a': choose a whole number",
    "training.load('quick', epochs=2.5)": "epochs=2.5: choose a whole number of at least 1",
    "training.load('quick', milestones=(2.5,))": "milestones=2.5: choose a whole number of at least 0",
    "training.load('quick', nesterov='no')": "nesterov='no': choose True or False",
    "grid(defence=Laplace(clip='no'))": "clip='no': choose True or False",
    "grid(defence='mixup(k=4,k=2)')": "'mixup(k=4,k=2)': write a name, or name(number=value, ...), joined by + "
    "(an argument is given twice)",
    "data.source('tinyimagenet(classes=(0,2.5))')": "classes=(0, 2.5): choose (first, end) with 0 <= first < end <= 200",
}


def test_senseless_values_are_refused_at_once_by_name():
    setup = """
        import functools
        from poisonlib import data, experiments, training
        from poisonlib.augment.laplace import Laplace
        grid = functools.partial(experiments.grid, "backdoor", attack="patch")
    """
    assert plain.errors(setup, list(SENSELESS)) == [["ValueError", says] for says in SENSELESS.values()]


@pytest.mark.parametrize(("scenario", "attack"), [("backdoor", "patch"), ("targeted", "noise"), ("targeted", "gradient_matching")])
def test_a_rate_that_leaves_no_poison_is_refused_before_any_training(scenario, attack, count):
    table = experiments.grid(scenario, "quick", attack=f"{attack}(poison_rate=1e-300)", trials=1, **TINY)
    with pytest.raises(ValueError, match="poison_rate=1e-300: no poison"):
        run(table, workers=0)
    assert count == []
