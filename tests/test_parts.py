"""What a cluster's workers do, without a cluster: each part is made once, is handed on, and the records are a single process's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poisonlib import experiments, training
from poisonlib.experiments import Ledger, cluster, provenance, run, tasks
from poisonlib.experiments.parts import Handed, Part, parts
from poisonlib.experiments.plan import _hours
from poisonlib.experiments.schedule import Schedule, breadth_first

from .test_runner import MATCHING, TINY, tiny


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "mine"))
    return tmp_path


@pytest.fixture
def trainings(monkeypatch):
    """Grows by one with each training in this process."""
    seen = []
    monkeypatch.setattr(training, "train", lambda *given, real=training.train, **how: seen.append(given) or real(*given, **how))
    return seen


def through_tasks(table, ledger):
    """The jobs of a table one after the other, each part handed on as a cluster does; returns the replies."""
    made = {}

    def asked(trial, wanted):
        names = [part.name for part in wanted]
        return {"spec": trial.describe(), "code": provenance.code(trial), "device": "cpu", "names": names}

    def content(part):
        if part.name not in made:
            job = asked(part.trial, part.needs) | {"kind": part.kind, "number": part.number}
            made[part.name] = tasks.make("", job, *map(content, part.needs))
        return made[part.name]

    replies = []
    for trial, keep, _ in breadth_first(table):
        wanted = parts(trial, keep)
        reply = tasks.run("", asked(trial, wanted) | {"keep": keep}, *map(content, wanted))
        cluster._write(ledger, trial, reply.pop("files"))
        replies.append(reply)
    return replies


def test_each_part_is_made_once_and_the_records_are_a_single_processs(outputs, trainings, monkeypatch):
    table = tiny(MATCHING, ["none", "mixup", "spectral_signatures"]) + tiny("patch(poison_rate=0.0)")
    promised = experiments.plan(table).trainings
    monkeypatch.setenv("POISONLIB_OUTPUTS", "/dev/null/nowhere")  # a worker reads and writes no folder of results
    assert all("seconds" in reply for reply in through_tasks(table, Ledger(outputs / "theirs")))
    assert len(trainings) == promised
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "mine"))
    run(table, workers=0)
    theirs, mine = ([(r.measured(), r.code) for r in Ledger(outputs / name)] for name in ("theirs", "mine/trials"))
    assert theirs == mine and len(mine) == len(table)


def test_a_part_that_cannot_be_made_fails_its_trials_and_no_others(outputs):
    (bad,) = tiny(defence="spectral_signatures", recipe=replace(TINY["recipe"], lr=1e30))
    (good,) = tiny(defence="mixup")
    job = {"spec": bad.describe(), "code": provenance.code(bad), "device": "cpu", "names": [], "kind": "victim", "number": 0}
    assert tasks.make("", job) is None
    ledger = Ledger(outputs / "theirs")
    replies = through_tasks([bad, good], ledger)
    assert sorted("seconds" in reply for reply in replies) == [False, True]
    assert good in ledger and bad not in ledger


def test_other_code_on_a_worker_is_refused(outputs):
    (trial,) = tiny()
    reply = tasks.run("", {"spec": trial.describe(), "code": "0", "device": "cpu", "names": [], "keep": False})
    assert "this worker has other code" in reply["error"] and reply["files"] == {}


def test_the_network_that_judges_a_craft_is_the_clean_controls_victim():
    (matched,), (clean,) = tiny(MATCHING), tiny("gradient_matching(poison_rate=0.0)")
    judge = next(part for part in Part("craft", matched).needs if part.kind == "unpoisoned")
    assert Part("victim", clean).name == judge.name


def test_what_was_handed_over_is_not_made():
    handed = Handed(contents={})
    assert handed.fetch({"a": 1}, lambda: ({}, {"made": 1})) == handed.fetch({"a": 1}, lambda: 1 / 0)
    assert not Path(handed.root).is_dir()


def test_hours_are_those_of_the_worker_that_ends_last():
    assert _hours([3600.0, 1800.0, 1800.0], 2) == 1 and _hours([3600.0], 64) == 1 and _hours([], 2) is None


@pytest.mark.parametrize(
    ("how", "says"),
    [(dict(engine="slurm"), "engine='slurm': choose"), (dict(engine="ray", workers=-1), "workers=-1")],
)
def test_nonsense_is_refused_before_anything_runs(how, says):
    with pytest.raises(ValueError, match=says):
        run(tiny(), **how)
    with pytest.raises(ValueError, match="per_gpu=0"):
        cluster.Ray(per_gpu=0)
    with pytest.raises(ValueError, match="workers=0: choose a whole number of at least 1"):
        next(cluster.Ray().replies(Schedule([], {}.get), torch.device("cpu"), Ledger.open(), 0))
