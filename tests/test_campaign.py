"""Campaigns: the order of the work, deadlines, what is expected and reached, and records from other machines."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest
import torch

from poisonlib import experiments, models
from poisonlib.experiments import Ledger, Trial, provenance, run
from poisonlib.experiments.campaign import Campaign, Standing, forecast
from poisonlib.experiments.environment import environment
from poisonlib.experiments.schedule import Costs, Schedule, breadth_first, outstanding
from poisonlib.experiments.spec import digest

from . import invent
from .small import TINY
from .test_cli import OLD

runner, attempts = sys.modules["poisonlib.experiments.run"], sys.modules["poisonlib.experiments.attempt"]
CPU = torch.device("cpu")
HERE = environment(CPU).device
MATCHING = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=1, eval_samples=2)"


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack="patch(poison_rate=1.0)", defence="none", trials=2, first_seed=0, **more):
    scenario, how = "targeted" if "matching" in attack else "backdoor", TINY | more
    return experiments.grid(scenario, "quick", attack=attack, defence=defence, trials=trials, first_seed=first_seed, **how)


def table(trials=3):
    """Three cells, one of them with a filter that uses the victims of the first."""
    return tiny(defence=["none", "spectral_signatures", "mixup"], trials=trials)


def seeds(trials):
    return Counter(replace(trial, seed=0) for trial in trials)


def measured(records):
    return [record.measured() for record in records]


def known(trials, seconds=600.0, **more):
    """Records of the trials, made on this device with this code."""
    return [invent.record(t, 1, seconds=seconds, device=HERE, code=provenance.code(t), **more) for t in trials]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def ten_minutes_a_trial(monkeypatch):
    """The runner's deadlines are those of a clock on which every trial, really run, takes ten minutes."""
    clock, real = Clock(), attempts.run_trial

    def timed(*given):
        record = real(*given)
        clock.now += 600
        return replace(record, cost=replace(record.cost, seconds=600.0))

    monkeypatch.setattr(attempts, "run_trial", timed)
    monkeypatch.setattr(runner, "Schedule", functools.partial(Schedule, clock=clock))
    return clock


class TestOrder:
    def test_is_by_seed_then_filters_last_then_as_in_the_grid(self):
        none, filtered, mixup = (table()[start : start + 3] for start in (0, 3, 6))
        expected = [trial for seed in range(3) for trial in (none[seed], mixup[seed], filtered[seed])]
        assert [job.trial for job in breadth_first(table())] == expected
        assert [job.trial for job in breadth_first(table() + table())] == expected, "each trial once"

    def test_takes_one_seed_of_every_cell_at_a_time_whichever_seeds_they_are(self):
        none, late = tiny(trials=3), [replace(trial, seed=trial.seed + 200) for trial in tiny(defence=["mixup"], trials=2)]
        expected = [none[0], late[0], none[1], late[1], none[2]]
        assert [job.trial for job in breadth_first([*none, *late])] == expected
        assert [job.round for job in breadth_first([*none, *late])] == [0, 0, 1, 1, 2]
        assert [job.round for job in breadth_first([none[2], *late[::-1]])] == [0, 0, 1], "of the trials that are wanted"

    def test_counts_several_victims_of_a_goal_as_one_seed(self):
        again = [replace(trial, start=1) for trial in tiny(trials=2)]
        assert [job.round for job in breadth_first([*tiny(trials=2), *again])] == [0, 0, 1, 1]

    def test_only_victims_that_a_filter_wants_are_kept(self):
        assert [job.keep for job in breadth_first(table(1))] == [True, False, False]
        assert [job.keep for job in breadth_first(tiny(defence=["none", "mixup"], trials=1))] == [False, False]

    def test_of_what_is_outstanding_leaves_out_what_is_recorded(self):
        ledger = Ledger.open()
        for record in known(table(1)):
            ledger.put(record)
        ledger.put(invent.record(table()[1], 1, code="other"))
        jobs, stale = outstanding(table(2), ledger)
        assert [job.trial.seed for job in jobs] == [1, 1] and stale[table()[1].key] == provenance.OTHER_CODE
        assert table()[1] in [job.trial for job in outstanding(table(2), ledger, again=True)[0]]


class TestSchedule:
    def test_without_a_deadline_hands_out_all_jobs(self):
        jobs = breadth_first(table())
        schedule = Schedule(jobs, {}.get)
        assert list(iter(schedule.take, None)) == jobs and schedule.take() is None

    @pytest.mark.parametrize(("minutes", "started"), [(29, 2), (30, 3), (31, 3)])
    def test_starts_what_is_expected_to_end_in_time(self, minutes, started):
        clock, count = Clock(), 0
        schedule = Schedule(breadth_first(table()), lambda _: 600.0, minutes / 60, clock)
        while schedule.take():
            clock.now, count = clock.now + 600, count + 1
        assert count == started

    def test_a_long_job_holds_back_later_seeds_but_not_shorter_jobs_of_its_own(self):
        none, filtered, mixup = table(2)[0::2]
        schedule = Schedule(breadth_first(table(2)), {none: 9999.0, mixup: 100.0, filtered: 100.0}.get, 1.0, Clock())
        assert [job.trial for job in iter(schedule.take, None)] == [mixup, filtered]
        assert [job.trial.seed for job in schedule.left] == [0, 1, 1, 1]

    def test_tries_what_it_knows_nothing_of_but_not_after_the_deadline(self):
        clock = Clock()
        schedule = Schedule(breadth_first(table()), {}.get, 1.0, clock)
        assert schedule.take()
        clock.now = 3599.0
        assert schedule.take()
        clock.now = 3600.0
        assert schedule.take() is None

    def test_what_was_taken_back_has_its_old_place_once_another_has_finished(self):
        jobs = breadth_first(table(2))
        schedule = Schedule(jobs, {}.get)
        for _ in range(2):
            schedule.postpone(schedule.take())
        assert schedule.take() == jobs[2]
        schedule.resume()
        assert list(iter(schedule.take, None)) == jobs[:2] + jobs[3:] and not schedule.insisted

    def test_of_jobs_that_have_to_wait_the_first_is_handed_out_where_nothing_else_is_left(self):
        jobs, clock = breadth_first(table(1)), Clock()
        schedule = Schedule(jobs, {}.get, 1.0, clock)
        for _ in jobs:
            schedule.postpone(schedule.take())
        assert schedule.take() == jobs[0] and schedule.insisted == {jobs[0].trial}
        clock.now = 3600.0
        assert schedule.take() is None


class TestCosts:
    def test_are_those_of_the_cell_then_of_the_kind(self):
        none, filtered, mixup = table(2)[0::2]
        costs = Costs(known([none], 10.0) + known(table(2)[1:2], 20.0) + known([filtered], 50.0), CPU)
        assert costs.expected(none) == costs.expected(replace(none, seed=7)) == 15
        assert costs.expected(mixup) == 15, "as the other trial without a filter"
        assert costs.expected(replace(filtered, seed=7)) == 50
        costs.add(mixup, 300.0)
        assert (costs.expected(none), costs.expected(replace(mixup, seed=7))) == (15, 300)

    def test_of_a_first_filter_are_at_least_those_of_the_trials_without(self):
        none, filtered, _ = table(2)[0::2]
        costs = Costs(known([none], 10.0), CPU)
        assert (costs.expected(filtered), costs.least(filtered), costs.least(none)) == (None, 10, 10)
        costs.add(filtered, 50.0)
        assert costs.least(filtered) == 50
        assert costs.least(tiny(trials=1, recipe=replace(TINY["recipe"], epochs=2))[0]) is None

    def test_of_another_set_up_tell_nothing(self):
        (trial,) = tiny(trials=1)
        (matching,) = tiny(MATCHING, trials=1)
        assert matching.attack.surrogates
        others = {
            "surrogates": [replace(trial, attack=matching.attack)],
            "a filter": tiny(defence="spectral_signatures", trials=1),
            "epochs": tiny(trials=1, recipe=replace(TINY["recipe"], epochs=2)),
            "network": tiny(trials=1, model=models.load("convnet", width=4)),
            "numerics": [replace(trial, numerics=replace(trial.numerics, channels_last=False))],
        }
        for what, others_trials in others.items():
            assert Costs(known(others_trials), CPU).expected(trial) is None, what
        assert Costs([invent.record(trial, 1, device="another processor")], CPU).expected(trial) is None
        assert Costs(known([trial]), CPU).expected(trial) == 600

    def test_of_classes_that_are_not_here_and_damaged_files_are_passed_over(self):
        ledger, (trial, other, third) = Ledger.open(), tiny(trials=3)
        for record in known([trial]):
            ledger.put(record)
        put_foreign(ledger, "unknown")
        for broken, content in (
            (other, "{"),
            (third, json.dumps(known([third])[0].to_json() | {"cost": {"seconds": "long", "stages": {}, "peak_memory": 1}})),
        ):
            ledger.path(broken.key).parent.mkdir(parents=True, exist_ok=True)
            ledger.path(broken.key).write_text(content)
        assert Costs(ledger.summaries(), CPU).expected(trial) == 600
        more = tiny(trials=5)[3:]
        assert experiments.plan([trial, *more]).hours == pytest.approx(2 * 600 / 3600)
        assert len(run(more[:1], workers=0, hours=1.0)) == 1
        plan = experiments.plan([trial, other])
        assert plan.recorded == plan.stale["damaged"] == 1 and "1 with a damaged record (to be run again)" in str(plan)
        with pytest.warns(UserWarning, match=f"1 record damaged, to be run again.*{other.key}"):
            assert len(run([trial, other], workers=0, hours=1.0)) == 2

    def test_a_plan_counts_filters_and_what_it_knows_nothing_of(self):
        for record in known(table(1)[:1], 100.0) + known(table(1)[1:2], 1000.0):
            Ledger.open().put(record)
        assert experiments.plan(table(2)).hours == pytest.approx((3 * 100 + 1000) / 3600)
        assert experiments.plan(table(2) + tiny(MATCHING)).hours is None


class TestJobsThatWait:
    def test_a_job_that_has_to_wait_is_not_begun_where_it_would_end_too_late(self):
        now = [0.0]
        jobs = breadth_first(tiny(trials=2))
        schedule = Schedule(jobs, lambda trial: 3600.0, hours=1.5, clock=lambda: now[0])
        schedule.postpone(schedule.take())
        now[0] = 0.6 * 3600
        assert schedule.take() is None, "neither the next nor the one that waits ends in time"
        now[0] = 0.4 * 3600
        assert schedule.take() == jobs[1] and schedule.take() == jobs[0] and schedule.insisted == {jobs[0].trial}

    def test_a_schedule_that_was_stopped_hands_out_nothing_whatever_is_given_back(self):
        schedule = Schedule(breadth_first(tiny(trials=3)), {}.get)
        job = schedule.take()
        schedule.stop()
        schedule.postpone(job)
        schedule.resume()
        assert schedule.take() is None

    def test_starts_of_one_cell_cost_alike(self):
        first, second = (replace(tiny(trials=1)[0], start=start) for start in (0, 1))
        costs = Costs([*known([first], 100.0), *known([second], 10.0)], CPU)
        assert costs.expected(first) == costs.expected(second) == 55.0


def test_a_repeat_that_diverges_leaves_no_result_of_other_code(outputs):
    (trial,) = tiny(trials=1)
    old = replace(known([trial])[0], code="0" * 32)
    Ledger.open().put(old)

    def diverges(*_, **__):
        raise FloatingPointError("training diverged")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "run_trial", diverges)
        with pytest.warns(UserWarning, match="1 of 1 trial failed without a result"):
            found = run([trial], workers=0, again=True)
    assert list(found) == [] and [each.reason for each in found.failures] == ["training diverged"]
    assert Ledger.open().path(trial.key).with_suffix(".superseded").exists()


def test_a_full_disk_for_networks_stops_the_run_at_its_first_trial(monkeypatch, outputs):
    tried = []

    def full(*_):
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("poisonlib.files.write_tensors", full)
    with pytest.raises(RuntimeError, match=r"1 of 1 trial failed(.|\n)*No space left on device"):
        run(tiny("patch(poison_rate=0.0)", trials=4), workers=0)
    assert len(tried) == 1


def test_networks_on_different_poisons_are_different_networks():
    """What the attacker has decides the poison, and so the victim."""
    how = dict(attack="bullseye_polytope", defence=["none", "spectral_signatures"], trials=1)
    every = [
        t
        for attacker in ("white box", "grey box", ["convnet(width=8)"])
        for t in experiments.grid("transfer", "quick", attacker=attacker, **how)
    ]
    pairs = {(digest(provenance.craft(trial)), digest(provenance.victim(trial))) for trial in every}
    assert len(pairs) == len({craft for craft, _ in pairs}) == len({victim for _, victim in pairs}) == 3
    clean = experiments.grid("transfer", "quick", attack="bullseye_polytope(poison_rate=0)", trials=1)
    assert all("attacker" not in provenance.victim(trial) for trial in [*clean, *tiny()])


class TestRunWithADeadline:
    @pytest.mark.parametrize("hours", [0.0, -1.0, float("nan")])
    def test_that_is_none_is_refused(self, hours):
        with pytest.raises(ValueError, match="hours="):
            run(table(), hours=hours)

    def test_stops_at_balanced_tables_and_resumes_to_the_same_bytes(self, ten_minutes_a_trial, monkeypatch, outputs):
        reached = []
        for _ in range(5):
            records = run(table(), workers=0, hours=20 / 60)
            reached.append(sorted(seeds(record.trial for record in records).values()))
        assert reached == [[1, 1], [1, 1, 2], [2, 2, 2], [2, 3, 3], [3, 3, 3]]
        assert [record.trial for record in records] == table()
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "whole"))
        assert measured(run(table(), workers=0)) == measured(records)

    def test_returns_what_there_is_in_the_order_asked(self, ten_minutes_a_trial):
        asked = table()[::-1]
        records = run(asked, workers=0, hours=41 / 60)
        assert [record.trial for record in records] == [trial for trial in asked if trial.seed == 0 or trial == table()[7]]

    def test_learns_from_the_trials_that_it_runs(self, ten_minutes_a_trial):
        for record in known(tiny(defence="cutmix", trials=1), 60.0):
            Ledger.open().put(record)
        assert len(run(tiny(trials=9), workers=0, hours=19 / 60)) == 1, "a second one takes ten minutes, not one"

    def test_reports_failures_at_the_end(self, ten_minutes_a_trial):
        bad = tiny(defence="spectral_signatures", trials=1, recipe=replace(TINY["recipe"], lr=1e30))
        with pytest.warns(UserWarning, match="1 of 10 trials failed without a result"):
            records = run(bad + tiny(trials=9), workers=0, hours=20 / 60)
        assert len(records) == 2 and [each.key for each in records.failures] == [bad[0].key]
        assert [trial in Ledger.open() for trial in tiny(trials=4)] == [True, True, False, False]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_starts_nothing_that_takes_longer(self, workers):
        first, *others = tiny(trials=4)
        for record in known([first], 1e6):
            Ledger.open().put(record)
        assert run([first, *others], workers=workers, hours=1.0) == [Ledger.open().get(first)]
        assert len(list(Ledger.open())) == 1

    @pytest.mark.parametrize(
        ("workers", "third"), [(1, "spectral_signatures"), (2, "cutmix")]
    )  # one that waits for no other's victim
    def test_holds_for_worker_processes(self, workers, third, monkeypatch):
        wanted = tiny(defence=["none", third, "mixup"], trials=3)
        readings = iter(range(0, 10**6, 1000))  # seconds; the first starts the clock, each job takes one more
        monkeypatch.setattr(runner, "Schedule", functools.partial(Schedule, clock=lambda: float(next(readings))))
        records = run(wanted, workers=workers, hours=4.5 * 1000 / 3600)
        assert [record.trial for record in records] == [t for t in wanted if t.seed == 0 or t == wanted[1]]
        monkeypatch.undo()

    def test_is_not_needed(self):
        assert len(run(table(1), workers=2)) == 3


INTERRUPTED = """
import json, signal, sys
from poisonlib import experiments as e
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what runs in the background with it ignored
e.run([e.Trial.read(d) for d in json.load(open(sys.argv[1]))], workers=2, hours=1.0)
"""


def test_ctrl_c_loses_only_the_trials_in_progress(outputs, monkeypatch):
    asked = table(15)
    (outputs / "table.json").write_text(json.dumps([trial.describe() for trial in asked]))
    command = [sys.executable, "-c", INTERRUPTED, str(outputs / "table.json")]
    process = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True)
    ledger, patience = Ledger.open(), time.monotonic() + 100
    while len(ledger.stored) < 3 and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "KeyboardInterrupt" in said
    recorded = measured(ledger)
    assert 3 <= len(recorded) < len(asked)
    records = run(asked, workers=0, hours=1.0)
    assert len(records) == len(asked) and set(recorded) <= set(measured(records))


class TestStanding:
    def test_counts_cells(self):
        trials = table(4)
        missing = [job.trial for job in breadth_first(trials)][7:]
        standing = Standing.of(trials, missing)
        assert sorted(standing.cells) == [(2, 4), (2, 4), (3, 4)]
        assert (standing.balanced, standing.ahead, standing.complete) == (2, 1, False)
        assert str(standing) == "7 of 12 trials, every cell has 2 of 4, 1 cell has more"

    def test_victims_of_one_goal_are_of_one_cell(self):
        trials = tiny(trials=2, starts=3)
        assert Standing.of(trials, trials[4:]).cells == ((4, 6),)

    @pytest.mark.parametrize(
        ("cells", "text"),
        [
            (((10, 10), (4, 4)), "all of 14 trials"),
            ((), "all of 0 trials"),
            (
                ((6, 10), (7, 10), (8, 10), (4, 4)),
                "25 of 34 trials, every cell has 6 of 10 or all that it wants, 2 cells have more",
            ),
            (((0, 10), (0, 10)), "0 of 20 trials, every cell has 0 of 10"),
        ],
    )
    def test_as_text(self, cells, text):
        assert str(Standing(cells)) == text


class TestForecast:
    def jobs(self):
        return breadth_first(table(4))

    def test_is_none_where_nothing_is_known(self):
        assert forecast(self.jobs(), Costs((), CPU), 1.0, 1) is None

    @pytest.mark.parametrize(
        ("workers", "hours", "finished"), [(1, 0.5, 3), (2, 0.5, 6), (2, 0.66, 6), (2, 0.67, 8), (3, 99.0, 12)]
    )
    def test_is_what_so_many_workers_finish(self, workers, hours, finished):
        costs = Costs(known(table(1)), CPU)
        assert forecast(self.jobs(), costs, hours, workers) == [job.trial for job in self.jobs()][:finished]

    def test_takes_unknown_costs_for_the_mean_of_the_others(self):
        assert len(forecast(self.jobs(), Costs(known(table(1)[:1]), CPU), 1.0, 1)) == 6

    def test_is_what_a_run_then_reaches(self, ten_minutes_a_trial):
        for record in known(table(1)):
            Ledger.open().put(record)
        jobs, _ = outstanding(table(), Ledger.open())
        promised = forecast(jobs, Costs(Ledger.open(), CPU), 40 / 60, 1)
        records = run(table(), workers=0, hours=40 / 60)
        assert {r.trial for r in records} == {*table(1), *promised} and len(promised) == 4


class TestCampaign:
    @pytest.mark.parametrize(("wrong", "says"), [({"hours": 0.0}, "hours=0"), ({"hours": 1.0, "workers": -1}, "workers=-1")])
    def test_refuses_senseless_numbers(self, wrong, says):
        with pytest.raises(ValueError, match=says):
            Campaign(table(), **wrong)

    def test_says_what_it_expects_and_what_it_reached(self, ten_minutes_a_trial):
        campaign = Campaign(table(), 41 / 60, workers=0)
        assert str(campaign.standing()) == "0 of 9 trials, every cell has 0 of 3"
        assert campaign.outlook() == "seed 0 is next; 0.683333 h with 1 worker: nothing is known yet of the costs on this device"
        text = "finished 4 trials in 0.67 core-hours: 4 of 9 trials, every cell has 1 of 3, 1 cell has more"
        assert campaign.work() == (text, "")
        expected = "expected to finish 4 more: 8 of 9 trials, every cell has 2 of 3, 2 cells have more"
        assert campaign.outlook() == f"seed 1 is next; 0.683333 h with 1 worker: {expected}"
        campaign.work()
        assert campaign.work()[0] == "finished 1 trial in 0.17 core-hours: all of 9 trials"
        assert campaign.outlook() == "nothing is left to run" and campaign.standing().complete

    def test_says_what_fails(self):
        bad = tiny(defence="spectral_signatures", trials=1, recipe=replace(TINY["recipe"], lr=1e30))
        text, failed = Campaign(bad + tiny(trials=1), 1.0, workers=0).work()
        assert text.startswith("finished 1 trial") and "training diverged" in failed

    def test_says_what_does_not_fit_and_what_is_guessed(self):
        for record in known(table(1)[:1], 36000.0):
            Ledger.open().put(record)
        assert "no trial is expected to finish; the next takes about 10 h" in Campaign(table(), 1.0, workers=1).outlook()
        guessed = Campaign(table(), 100.0, workers=1).outlook()
        assert "expected to finish 8 more" in guessed and "(3 of unknown cost are counted as the mean of the others)" in guessed
        assert "nothing is known yet" in Campaign(table(1)[1:2], 1.0, workers=1).outlook()


FOREIGN = ["good", "code", "data", "unknown", "absent"]


def put_foreign(ledger, what):
    """A record that this checkout would not make, or cannot read."""
    (trial,) = tiny(trials=1, first_seed=FOREIGN.index(what))
    record = replace(known([trial])[0], data=provenance.content(trial))
    if what == "code":
        record = replace(record, code="0" * 32)
    elif what == "data":
        record = replace(record, data={"train": "0", "test": "0"})
    elif what == "unknown":
        record = replace(record, spec=record.spec | {"defence": {**record.spec["defence"], "filter": {"name": "no_such.Filter"}}})
    elif what == "absent":
        spec = record.spec | {"data": {**record.spec["data"], "name": "imagenet"}}
        spec["data"] = {"name": "imagenet", "folder": "nowhere", "size": 32}
        trial = Trial.read(spec)
        record = replace(known([trial])[0], data={"train": "0", "test": "0"})
    ledger.put(record)
    return record


def put_old(ledger):
    key = digest(OLD["spec"])
    path = ledger.path(key)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(OLD | {"key": key}))
    return path


class TestMerge:
    @pytest.fixture
    def there(self, outputs):
        return Ledger(outputs / "there")

    def test_takes_over_sound_records_as_they_are(self, there):
        good = put_foreign(there, "good")
        before = there.path(good.key).read_bytes()
        merge = Ledger.open().merge(there)
        assert list(merge.of("merged")) == [there.path(good.key)]
        assert str(merge) == "1 record merged, 0 here already, 0 refused, 0 damaged"
        assert Ledger.open().path(good.key).read_bytes() == before == there.path(good.key).read_bytes()

    def test_keeps_what_is_here(self, there):
        good = put_foreign(there, "good")
        mine = replace(good, cost=replace(good.cost, seconds=5.0))
        Ledger.open().put(mine)
        merge = Ledger.open().merge(there)
        assert list(merge.of("kept")) == [there.path(good.key)] and "warning" not in str(merge)
        assert list(Ledger.open()) == [mine]

    @pytest.mark.parametrize("alike", [True, False])
    def test_warns_of_other_results_from_the_same_code_and_device(self, there, alike):
        good = put_foreign(there, "good")
        place = good.environment if alike else replace(good.environment, device="another processor")
        Ledger.open().put(replace(good, intended_class=7, environment=place))
        merge = Ledger.open().merge(there)
        assert len(merge.of("differs")) == alike and ("warning" in str(merge)) == alike
        assert Ledger.open().get(good.trial).intended_class == 7

    @pytest.mark.parametrize("what", ["code", "data"])
    def test_refuses_what_was_made_with_other_code_or_data_unless_told(self, there, what):
        foreign, good = put_foreign(there, what), put_foreign(there, "good")
        merge = Ledger.open().merge(there)
        assert merge.of("refused") == {there.path(foreign.key): f"recorded with other {what}"}
        assert f"{foreign.key}.json: recorded with other {what}" in str(merge)
        assert list(Ledger.open()) == [good]
        assert list(Ledger.open().merge(there, other_code=True).of("merged")) == [there.path(foreign.key)]
        assert foreign in list(Ledger.open())

    def test_refuses_what_cannot_be_read_here_whatever_it_is_told(self, there):
        foreign, good = put_foreign(there, "unknown"), put_foreign(there, "good")
        merge = Ledger.open().merge(there, other_code=True)
        ((path, why),) = merge.of("refused").items()
        assert path == there.path(foreign.key) and "cannot be read here" in why and "no_such" in why
        assert list(Ledger.open()) == [good]

    def test_refuses_a_description_that_means_another_trial_here(self, there):
        good = put_foreign(there, "good")
        short = replace(good, spec=good.spec | {"attack": {"name": "patch"}})
        there.put(short)
        merge = Ledger.open().merge(there, other_code=True)
        assert merge.of("refused") == {there.path(short.key): "its description means another trial here"}

    def test_damaged_files_never_stop_the_others(self, there):
        good = put_foreign(there, "good")
        first, last = there.root / "00" / "0.json", there.root / "zz" / "z.json"
        for path, content in ((first, "{"), (last, "{}")):
            path.parent.mkdir()
            path.write_text(content)
        (there.root / "yy" / "folder.json").mkdir(parents=True)
        merge = Ledger.open().merge(there)
        assert set(merge.of("damaged")) == {first, last, there.root / "yy" / "folder.json"}
        assert str(first) in str(merge) and "1 record merged" in str(merge)
        assert list(Ledger.open()) == [good]

    def test_a_damaged_record_here_is_listed_and_left(self, there):
        good = put_foreign(there, "good")
        mine = Ledger.open().path(good.key)
        mine.parent.mkdir(parents=True)
        mine.write_text("{")
        merge = Ledger.open().merge(there)
        assert str(mine) in merge.of("damaged")[there.path(good.key)] and mine.read_text() == "{"

    def test_counts_what_could_not_be_checked(self, there, monkeypatch, tmp_path):
        monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
        put_foreign(there, "absent")
        merge = Ledger.open().merge(there)
        assert len(merge.of("unchecked")) == 1 and "data not checked: 1" in str(merge) and str(merge).startswith("1 record merged")

    def test_records_of_older_versions_get_todays_names(self, there):
        path = put_old(there)
        assert list(Ledger.open().merge(there).of("refused").values()) == ["recorded with other code"]
        merge = Ledger.open().merge(there, other_code=True)
        assert [*merge.of("merged"), *merge.of("unchecked")] == [path]
        (record,) = Ledger.open()
        assert record.success == 0.75 and record.trial in Ledger.open() and record.key != path.stem

    def test_a_newer_record_of_the_same_trial_comes_before_an_old_one(self, there):
        path = put_old(there)
        (old,) = there
        there.put(replace(old, intended_class=9))
        merge = Ledger.open().merge(there, other_code=True)
        assert list(merge.of("kept")) == [path] and [record.intended_class for record in Ledger.open()] == [9]

    def test_a_folder_without_records_is_an_error(self, there, outputs):
        with pytest.raises(FileNotFoundError, match="no records in"):
            Ledger.open().merge(there)
