"""The runner when things go wrong or meet: odd numbers of workers, broken processes, shared victims, shared folders."""

import contextlib
import json
import os
import queue
import signal
import stat
import subprocess
import sys

import pytest
import torch

from poisonlib import experiments
from poisonlib.experiments import Ledger, provenance, run, workers
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.schedule import Schedule, breadth_first
from poisonlib.experiments.spec import digest
from poisonlib.files import read_tensors, write_atomically

from . import plain
from .small import TINY

runner, attempts = sys.modules["poisonlib.experiments.run"], sys.modules["poisonlib.experiments.attempt"]
FILTERS = ["spectral_signatures", "activation_clustering", "deep_knn"]
MATCHING = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=1, eval_samples=2)"
NOT_A_NUMBER_OF_WORKERS = [-1, True, False, 2.0, "2"]


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def no_hanging():
    """A test that waits for ever fails after five minutes."""

    def give_up(*_):
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def tiny(attack="patch(poison_rate=1.0)", defence="none", trials=1, **more):
    scenario = "targeted" if "matching" in attack else "backdoor"
    return experiments.grid(scenario, "quick", attack=attack, defence=defence, trials=trials, **(TINY | more))


class TestNumberOfWorkers:
    def test_fewer_than_none_are_refused_instead_of_waited_for(self):
        with pytest.raises(ValueError, match="workers=-1"):
            run(tiny(), workers=-1)

    def test_anything_else_than_a_whole_number_is_refused(self):
        attempts = [f"run([], workers={each!r})" for each in NOT_A_NUMBER_OF_WORKERS]
        found = plain.errors("from poisonlib.experiments import run", attempts)
        for (name, message), each in zip(found, NOT_A_NUMBER_OF_WORKERS, strict=True):
            assert name == "ValueError" and message == f"workers={each!r}: choose a whole number of at least 0"

    @pytest.mark.parametrize("count", [None, 0, 1, 64])
    def test_numbers_of_processes_are_not(self, count):
        assert run([], workers=count) == []

    def test_there_are_never_more_workers_than_jobs(self):
        cpu = torch.device("cpu")
        assert workers.devices(cpu, 5, 3) == ["cpu"] * 3 and workers.devices(cpu, 2, 3) == ["cpu"] * 2
        assert workers.devices(cpu, None, 1000) == ["cpu"] * len(os.sched_getaffinity(0))


def scripted(monkeypatch, script):
    """The runner's workers run a script instead, with their usual arguments and input."""

    class Scripted(workers.Worker):
        def __init__(self, *given):
            super().__init__(*given)
            self.command = [sys.executable, "-c", script, *self.command[3:]]

    monkeypatch.setattr(runner, "Worker", Scripted)


ONCE_BROKEN = """
import sys, time
from pathlib import Path
from poisonlib.experiments import worker
broken = Path(sys.argv[2]).parent / "broken"
if not broken.exists():
    broken.touch()
    sys.stdin.readline()  # the luggage
    sys.stdin.readline()  # the job
    {misbehave}
worker.main(*sys.argv[1:])
"""


class TestBrokenWorkers:
    @pytest.mark.parametrize(
        ("misbehave", "says"),
        [
            ("sys.exit(print('{\"seconds\": 1', end=''))", "JSONDecodeError"),
            ("print('{\"seconds\": 1', flush=True); time.sleep(300)", "JSONDecodeError"),
            ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush(); time.sleep(300)", "UnicodeDecodeError"),
            ("sys.exit(3)", r"died \(exit status 3\)"),
        ],
    )
    def test_cost_one_trial_and_are_started_again(self, misbehave, says, monkeypatch):
        scripted(monkeypatch, ONCE_BROKEN.format(misbehave=misbehave))
        table = tiny(trials=2)
        with pytest.raises(RuntimeError, match=rf"1 of 2 trials failed(.|\n)*{says}(.|\n)*in the trial .*\"seed\":200"):
            run(table, workers=1)
        assert [trial in Ledger.open() for trial in table] == [False, True]

    def test_that_cannot_be_started_fail_every_trial(self, monkeypatch):
        monkeypatch.setattr(workers.Worker, "_start", lambda self: subprocess.Popen(["/nowhere/python"]))
        with pytest.raises(RuntimeError, match=r"3 of 3 trials failed(.|\n)*FileNotFoundError(.|\n)*in the trial .*\"seed\":\d"):
            run(tiny(trials=3), workers=2)

    def test_that_end_between_jobs_cost_nothing(self, tmp_path):
        worker = workers.Worker("cpu", Ledger(tmp_path))
        worker.command = [sys.executable, "-c", "input(); input(); print('{}', flush=True)"]
        try:
            assert worker.ask(tiny(trials=1)[0]) == {}
            worker.process.wait(timeout=60)
            assert worker.ask(tiny(trials=1)[0]) == {}
        finally:
            worker.stop()

    def test_a_trial_whose_code_cannot_be_told_is_an_error_and_not_lost(self, tmp_path, monkeypatch):
        def edited(trial):
            raise RuntimeError("mine.py was edited after this process imported it")

        monkeypatch.setattr(workers.provenance, "code", edited)
        worker, replies, table = workers.Worker("cpu", Ledger(tmp_path)), queue.SimpleQueue(), tiny(trials=2)
        worker.serve(Schedule(breadth_first(table), {}.get), replies)
        answered = list(iter(replies.get, None))
        assert [trial for trial, _ in answered] == table and all("mine.py was edited" in reply["error"] for _, reply in answered)

    def test_no_process_begins_after_the_worker_was_stopped(self, tmp_path):
        worker = workers.Worker("cpu", Ledger(tmp_path))
        worker.stop()
        assert "the run is being stopped" in worker.ask(tiny(trials=1)[0])["error"] and worker.process is None

    def test_one_reply_for_each_job(self, tmp_path):
        worker, replies, table = workers.Worker("cpu", Ledger(tmp_path)), queue.SimpleQueue(), tiny(trials=3)
        worker.command = [sys.executable, "-c", "print('}')"]
        worker.serve(Schedule(breadth_first(table), {}.get), replies)
        answered = list(iter(replies.get, None))
        assert [trial for trial, _ in answered] == table and replies.empty()
        assert all("JSONDecodeError" in reply["error"] for _, reply in answered)
        assert worker.process is None, "a process that makes no sense is not asked again"


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
@pytest.mark.parametrize("set_by_user", [None, "1048576"])
def test_workers_keep_memory_between_batches_unless_the_user_has_set_otherwise(set_by_user, tmp_path, monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if set_by_user:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", set_by_user)
    worker = workers.Worker("cpu", Ledger(tmp_path))
    worker.command = [sys.executable, "-c", "import json, os; input(); input(); print(json.dumps(dict(os.environ)))"]
    try:
        found = worker.ask(tiny(trials=1)[0])
    finally:
        worker.stop()
    assert found["MALLOC_TRIM_THRESHOLD_"] == (set_by_user or str(256 * 2**20))
    assert found["OMP_NUM_THREADS"] == "1"


PROGRESS = """
import sys
from poisonlib.experiments.run import Bar
with Bar(3) as bar:
    for _ in range(3):
        bar.advance(2.0)
"""


def test_progress_in_a_file_is_whole_lines_and_few():
    done = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, text=True)
    first, last = done.stderr.split("\n")[:2]
    assert "\r" not in done.stderr and done.stderr.strip("\n").count("\n") == 1
    assert "0/3" in first and "3/3" in last and "6 s of work" in last


def test_progress_elsewhere_overwrites_its_line(capsys):
    with runner.Bar(1) as bar:
        bar.advance(2.0)
    assert "\r" in capsys.readouterr().err


def test_only_replies_are_on_a_workers_output(tmp_path):
    noisy = """
import os
from poisonlib.experiments import worker
def answer(*_):
    print("a library in Python")
    os.system("echo a library in C")
    return {"seconds": 0.0}
worker._answer = answer
worker.main("cpu", ".")
"""
    done = subprocess.Popen([sys.executable, "-c", noisy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done.stdin.write(b'""\n{}\n')
    done.stdin.flush()
    assert json.loads(done.stdout.readline()) == {"seconds": 0.0}
    rest, noise = done.communicate()
    assert rest == b"" and b"in Python" in noise and b"in C" in noise


class TestInThisProcess:
    def test_a_trial_that_fails_does_not_stop_the_others(self, monkeypatch):
        (bad,), (good,), real = tiny(), tiny(defence="activation_clustering"), attempts.run_trial

        def run_trial(trial, *given):
            return real(trial, *given) if trial == good else 1 / 0

        monkeypatch.setattr(attempts, "run_trial", run_trial)
        with pytest.raises(RuntimeError, match=r"1 of 2 trials failed(.|\n)*Traceback(.|\n)*ZeroDivisionError(.|\n)*in the trial"):
            run([bad, good], workers=0)
        assert good in Ledger.open()

    def test_a_keyboard_interrupt_does(self, monkeypatch):
        asked = []

        def interrupted(trial, *_):
            asked.append(trial)
            raise KeyboardInterrupt

        monkeypatch.setattr(attempts, "run_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tiny(trials=2), workers=0)
        assert len(asked) == 1


COUNTED = """
import os, sys, time
from pathlib import Path
from poisonlib import training
from poisonlib.experiments import worker
def counted(*given, real=training.train, **choices):
    descriptor = os.open(Path(sys.argv[2]).parent / "trainings", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"1")
    os.close(descriptor)
    time.sleep(1)  # so that the workers do meet, on however few cores
    return real(*given, **choices)
training.train = counted
worker.main(*sys.argv[1:])
"""


class TestSharedVictims:
    @pytest.mark.parametrize("attack", ["patch(poison_rate=1.0)", "patch(poison_rate=0.0)", MATCHING])
    def test_are_trained_once_by_workers_side_by_side(self, attack, monkeypatch, outputs):
        table = tiny(attack, FILTERS)
        crafting = 2 if table[0].attack.surrogates else 0  # a surrogate, and a network that the craft is judged on
        promised = experiments.plan(table).trainings
        scripted(monkeypatch, COUNTED)
        together = run(table, workers=3)
        assert len((outputs / "trainings").read_text()) == promised == 4 + crafting
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "alone"))
        assert [record.measured() for record in run(table, workers=0)] == [record.measured() for record in together]
        victim = provenance.victim(table[0])
        (kept, _), (alone, _) = (read_tensors(cache.path(victim)) for cache in (Cache(outputs / "models"), Cache.open()))
        assert kept.keys() == alone.keys() and all(kept[name].equal(alone[name]) for name in kept)

    def test_are_made_under_a_lock_in_which_no_other_is_taken(self, monkeypatch):
        held, seen = [], []
        locked = Cache._locked

        @contextlib.contextmanager
        def watched(cache, identity):
            seen.append([*held, digest(identity)])
            with locked(cache, identity):
                held.append(digest(identity))
                yield
                held.pop()

        monkeypatch.setattr(Cache, "_locked", watched)
        (trial,) = tiny(MATCHING, FILTERS[:1])
        run([trial], workers=0)
        craft, victim = digest(provenance.craft(trial)), digest(provenance.victim(trial))
        surrogates = [digest(provenance.surrogate(trial, wanted)) for wanted in trial.attack.surrogates]
        judge = digest(provenance.unpoisoned(trial))
        assert seen == [[craft], *([craft, network] for network in (*surrogates, judge)), [victim]]

    def test_a_victim_that_no_filter_wants_takes_no_lock_and_is_not_kept(self, outputs):
        run(tiny(defence=["none", "mixup"]), workers=0)
        assert [path.name for path in outputs.iterdir()] == ["trials"]


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


class TestFiles:
    def test_have_the_rights_that_the_umask_leaves(self, umask, outputs):
        run(tiny(attack="patch(poison_rate=0.0)"), workers=0)
        written = [path for path in outputs.rglob("*") if path.suffix in (".json", ".safetensors")]
        assert len(written) == 2
        assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o666 & ~umask] * 2

    def test_of_a_write_that_was_killed_are_neither_records_nor_networks(self, outputs):
        table = tiny(attack="patch(poison_rate=0.0)")
        kill_before_the_rename = "import os, sys; os.replace = lambda *_: os._exit(9); " + (
            "from poisonlib.experiments import Trial, run; import json; run([Trial.read(json.loads(sys.argv[1]))], workers=0)"
        )
        command = [sys.executable, "-c", kill_before_the_rename, json.dumps(table[0].describe())]
        for stale in (1, 2):
            assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 9
            assert len([path for path in outputs.rglob(".part-*") if path.is_file()]) == stale
        part = next(outputs.rglob(".part-*"))
        beside = Ledger.open().path(table[0].key).with_name(part.name)
        write_atomically(beside, b"{")
        assert list(Ledger.open()) == [] and table[0] not in Ledger.open()
        assert read_tensors(Cache.open().path(provenance.victim(table[0]))) is None
        records = run(table, workers=0)
        assert list(Ledger.open()) == records and experiments.check(records, table)
