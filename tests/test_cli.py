"""The command line: what it says, what it refuses, its exit status."""

import dataclasses
import functools
import json
import os
import subprocess
import sys

import pytest
import torch
from nbclient.exceptions import DeadKernelError

import poisonlib
from poisonlib import cli, data, doctor, experiments, notebooks, paths, training
from poisonlib.commands import work
from poisonlib.experiments import Ledger, provenance
from poisonlib.experiments.crafting import images
from poisonlib.experiments.environment import choose, environment
from poisonlib.experiments.spec import digest
from poisonlib.selection import select

from . import invent

OLD = {  # a record of version 0.1, but for its key
    "schema": 1,
    "spec": {
        "attack": {"name": "patch", "share": 1.0, "size": 4, "variant": "paper"},
        "data": {"name": "cifar10", "limit": 5000},
        "defence": {"augment": [], "filter": None},
        "model": {"name": "resnet18", "width": 8},
        "numerics": {"channels_last": True, "graph": False, "precision": "fp32"},
        "recipe": {"batch": 64, "epochs": 10, "rate": 0.05, "drops": [3, 6, 8], "nesterov": False},
        "seed": 2,
    },
    "result": {
        "success": [3, 4],
        "clean": [[5, 6], [7, 8]],
        "poisons": {"count": 9, "digest": "0", "largest change": 255},
        "filter": None,
        "wanted": 0,
        "victim class": 1,
    },
    "cost": {"peak memory bytes": 1, "seconds": 2.0, "stages": {}},
    "place": {"commit": "0", "device": "cpu", "poisonlib": "0.1.0", "python": "3", "torch": "2"},
}


def run(capsys, *arguments):
    status = cli.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def test_list_names_notebooks_parameters_and_choices(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    words = "strong_augmentation_table1", "profile='quick'", "attacks: ", "patch", "cutmix", "resnet", "dp_sgd", "noisy_sgd"
    for word in (*words, "by their import path", "profiles of backdoor: quick, laptop, fast, small, paper"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nothing"], "choose one of: 00_tour"),
        (["run", "strong_augmentation_table1", "profle=quick"], "has no parameter profle"),
        (["run", "strong_augmentation_table1", "profile=huge"], "choose one of: quick"),
        (["run", "strong_augmentation_table1", "trials"], "write name=value"),
        (["run", "all", "nonsense=1"], "no notebook has a parameter nonsense"),
        (["run", "00_tour", "strong_augmentation_table1", "nonsense=1"], "no notebook has a parameter nonsense"),
        (["run", "00_tour", "nothing"], "choose one of: 00_tour"),
        (["run", "trials=3"], "name a notebook, or all"),
        (["run", "all", "--profile", "huge"], "profile=huge: choose one of: quick"),
        (["run", "all", "quick"], "all and quick: name notebooks or all; values are written name=value"),
        (["run", "strong_augmentation_table1", "profile=small", "--profile", "quick"], "profile=small is given, too"),
        (["plan", "strong_augmentation_table1", "trials=3", "trials=7"], "trials=7: trials=3 is given, too"),
        (["run", "elsewhere/00_tour.ipynb"], "elsewhere/00_tour.ipynb is not in "),
        (["pretrain", "transfer", "--device", "cpu:abc"], "device='cpu:abc': choose auto, cpu, cuda or cuda:N"),
        (["run", "strong_augmentation_table1", "--workers", "2"], "--workers 2: goes with --hours"),
        (["run", "strong_augmentation_table1", "--hours", "-1"], "hours=-1.0: choose a finite number above 0"),
        (["run", "strong_augmentation_table1", "--hours", "1", "--workers", "-1"], "workers=-1"),
        (["ledger", "merge", "no_such_folder"], "there is no folder no_such_folder"),
        (["plan", "strong_augmentation_table1", "trials=x"], "trials='x': choose a whole number"),
        (["plan", "00_tour", "--again"], "has no parameter again"),
        (["plan", "strong_augmentation_table1", "defences=mixpu"], "no defence 'mixpu'"),
        (["ledger", "upgrade", "no_such_folder"], "there is no folder no_such_folder"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(capsys, outputs, arguments, says):
    status, out, err = run(capsys, *arguments)
    assert status == 2 and says in err and out == ""
    assert list(outputs.iterdir()) == []


@pytest.mark.parametrize(
    ("trials", "tells"),
    [
        (1, "1 trial a cell tells no drop from 90%"),
        (4, "4 trials a cell tell no drop from 90%"),
        (12, "12 trials a cell tell a drop from 90% to 33%"),
        (40, "40 trials a cell tell a drop from 90% to 65% or from 45% to 17%"),
    ],
)
def test_a_plan_says_what_its_trials_tell(capsys, trials, tells):
    """By the tests of the verdicts, gate included (`papers.power`)."""
    _, out, _ = run(capsys, "plan", "strong_augmentation_table1", f"trials={trials}")
    assert f"    {tells}; agreement within 10 points of a printed rate takes 212" in out.splitlines()


def test_plan_counts_without_training(capsys):
    status, out, _ = run(capsys, "plan", "--profile", "quick", "strong_augmentation_table1", "trials=20")
    assert status == 0
    assert out.count("260 trials, 0 recorded; to do: 260 trainings, 0 crafts") == 1


def test_again_counts_what_was_recorded_with_other_code(capsys, outputs, monkeypatch):
    values = "strong_augmentation_table1", "trials=1"
    for trial in notebooks.trials(values[0], {"trials": 1}):
        Ledger.open().put(invent.record(trial, 1, code="other code"))
    assert "(of these, 13 recorded with other code; again=True repeats them); to do: 0 trainings" in run(capsys, "plan", *values)[1]
    assert "to do: 13 trainings" in run(capsys, "plan", "--again", *values)[1]


@pytest.mark.parametrize("given", [True, False])
def test_ledger_upgrade_rewrites_old_records(capsys, outputs, given):
    key, folder = digest(OLD["spec"]), outputs / ("mine" if given else "trials")
    (folder / key[:2]).mkdir(parents=True)
    (folder / key[:2] / f"{key}.json").write_text(json.dumps(OLD | {"key": key}))
    status, out, _ = run(capsys, "ledger", "upgrade", *[str(folder)] * given)
    assert (status, out) == (0, f"1 record rewritten in {folder}\n")
    (path,) = folder.glob("??/*.json")
    content = json.loads(path.read_text())
    assert content["schema"] == 3 and content["spec"]["model"] == {"name": "resnet", "depth": 18} | content["spec"]["model"]
    assert [record.success for record in Ledger(folder)] == [0.75]
    assert run(capsys, "ledger", "upgrade", str(folder))[1].startswith("0 records")


def test_several_notebooks_take_the_parameters_that_they_have(capsys):
    status, out, _ = run(
        capsys, "plan", "strong_augmentation_table1", "--profile", "quick", "strong_augmentation_figure2", "trials=20"
    )
    assert status == 0
    assert out.startswith("strong_augmentation_table1: 260 trials") and "strong_augmentation_figure2" not in out


def test_all_can_be_asked_for_at_every_profile():
    """Also at those that only some scenarios have."""
    profiles = {profile for scenario in experiments.scenarios() for profile in experiments.profiles(scenario)}
    assert profiles >= {"quick", "laptop", "fast", "small", "paper"}
    for profile in profiles:
        chosen, skipped = select(["all"], {"profile": profile})
        assert sorted([*(name for name, _ in chosen), *skipped]) == sorted(notebooks.names())
        assert {values.get("profile", profile) for _, values in chosen} == {profile}


def test_all_means_the_notebooks_that_have_the_profile_and_the_others_are_named(capsys, monkeypatch):
    choices = notebooks.Parameter.choices.fget
    without = property(lambda self: [c for c in choices(self) if c != "laptop" or "targeted_imagenet" not in self.help])
    chosen = {name for name, _ in work.chosen(cli._parsed(["run", "all", "--profile", "laptop"]))}
    lacking = {name for name in notebooks.names() if name.startswith(("just_how_toxic_table", "just_how_toxic_figure"))}
    lacking |= {"dp_instahide_table4", "04_what_transfer_learning_trains"}
    assert chosen == set(notebooks.names()) - lacking | {"just_how_toxic_table1"}, "transfer learning has no profile laptop"
    monkeypatch.setattr(notebooks.Parameter, "choices", without)
    capsys.readouterr()
    fewer = {name for name, _ in work.chosen(cli._parsed(["run", "all", "--profile", "laptop"]))}
    assert chosen - fewer == {"dp_instahide_table3"}
    skipped = ", ".join(sorted((lacking | {"dp_instahide_table3"}) - {"just_how_toxic_table1"}))
    assert capsys.readouterr().err == f"poisonlib: skipped, as they lack this profile: {skipped}\n"


def test_one_of_several_that_refuses_a_value_is_named(capsys):
    status, _, err = run(capsys, "run", "00_tour", "strong_augmentation_table1", "trials=-1")
    assert status == 2 and "strong_augmentation_table1: trials=-1: choose 0 or more" in err


def test_a_file_that_is_no_notebook_is_named_and_an_empty_one_is_no_error(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    new = tmp_path / "notebooks" / "Untitled.ipynb"
    new.write_text(json.dumps({"cells": [{"cell_type": "code", "metadata": {}, "source": []}]}))
    assert run(capsys, "list")[0] == 0 and notebooks.title("Untitled") == "Untitled"
    for content in (b"", b"[]", b"{}", b"\xff"):
        new.write_bytes(content)
        status, _, err = run(capsys, "list")
        assert status == 2 and f"{new} is no notebook (" in err


def test_notebooks_of_ones_own_do_not_hide_those_of_an_installed_copy(monkeypatch, tmp_path):
    shipped, own = tmp_path / "package" / "_notebooks", tmp_path / "home" / "notebooks"
    for folder in (shipped, own):
        folder.mkdir(parents=True)
    (shipped / "00_tour.ipynb").touch(), (own / "mine.ipynb").touch()
    monkeypatch.setattr(paths, "__file__", str(shipped.with_name("paths.py")))
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path / "home"))
    assert paths.notebooks() == shipped
    (own / "00_tour.ipynb").touch()
    assert paths.notebooks() == own


@pytest.mark.parametrize(
    "error", [ImportError("engine 'ray' needs Ray"), FloatingPointError("training diverged"), KeyError("lost")]
)
def test_what_a_command_raises_is_a_line(capsys, monkeypatch, error):
    monkeypatch.setattr("poisonlib.listing.facts", lambda: (_ for _ in ()).throw(error))
    assert run(capsys, "list") == (2, "", f"poisonlib: {error.args[0]}\n")
    wrong = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    monkeypatch.setattr("poisonlib.listing.facts", lambda: (_ for _ in ()).throw(wrong))
    assert "can't decode byte 0xff" in run(capsys, "list")[2]


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_all_with_nothing_to_run_is_an_error(capsys, monkeypatch, tmp_path, verb):
    monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
    status, out, err = run(capsys, verb, "all", "--profile", "quick")
    assert (status, out) == (2, "") and f"there is nothing to run: {tmp_path / 'notebooks'} holds no notebooks" in err


def test_tables_can_be_had_as_json(capsys, monkeypatch, tmp_path):
    _, out, _ = run(capsys, "list", "--json")
    found = json.loads(out)
    assert [each["name"] for each in found["notebooks"]] == notebooks.names() and "cutmix" in found["augment"]
    (tour, *_) = found["notebooks"]
    assert tour["parameters"][0] == {"name": "seed", "default": 5, "help": notebooks.parameters("00_tour")["seed"].help}
    _, out, _ = run(capsys, "plan", "--json", "strong_augmentation_table1", "trials=1")
    (found,) = json.loads(out)
    assert (found["notebook"], found["trials a cell"], found["trials"]) == ("strong_augmentation_table1", 1, 13)
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    _, out, _ = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert found["data sets"]["digits"] == 397 and found["torch"] == torch.__version__


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0 and capsys.readouterr().out == f"poisonlib {poisonlib.__version__}\n"


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("poisonlib run strong_augmentation_t", {"strong_augmentation_table1", "strong_augmentation_table2"}),
        ("poisonlib run strong_augmentation_table1 pro", {"profile="}),
    ],
)
def test_a_shell_is_offered_what_fits(tmp_path, line, offers):
    """As bash asks after argcomplete's set-up."""
    asked = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out"),
    }
    subprocess.run([sys.executable, "-m", "poisonlib"], env=os.environ | asked, check=True)
    assert {word.strip() for word in (tmp_path / "out").read_text().split("\x0b")} == offers


@pytest.fixture
def sitting(capsys, monkeypatch):
    """Two notebooks with tiny trials, half of which they share; a function that works on both, and the names of those that ran."""
    defences = {"dp_instahide_table1": ["none", "mixup"], "strong_augmentation_table1": ["none", "spectral_signatures"]}
    parts = dict(data="digits(size=8, limit=100)", model="cifar_resnet(depth=8, width=2)", recipe=training.load("quick", epochs=1))

    def trials(name, values):
        return experiments.grid("backdoor", values["profile"], attack="patch", defence=defences[name], trials=2, **parts)

    executed = []
    monkeypatch.setattr(notebooks, "trials", trials)
    monkeypatch.setattr(notebooks, "execute", lambda name, values: executed.append((name, values)) or name)

    def work(*more):
        names = *defences, "--profile", "quick", "--hours", "1", "--workers", "1"
        return run(capsys, "run", *names, *more), executed

    return work, {name: trials(name, {"profile": "quick"}) for name in defences}


def costly(trial):
    """A record of this device that says that such trials take ten hours."""
    device = environment(torch.device("cpu")).device
    return invent.record(trial, 1, seconds=36000.0, device=device, code=provenance.code(trial), data=provenance.content(trial))


def test_a_campaign_runs_the_notebooks_whose_trials_are_all_recorded(sitting):
    work, tables = sitting
    (status, out, _), executed = work()
    assert status == 0 and len(list(Ledger.open())) == 6
    assert out.startswith(
        "recorded: 0 of 6 trials, every cell has 0 of 2\nseed 200 is next; 1 h with 1 worker: nothing is known yet"
    )
    assert "finished 6 trials in " in out and "core-hours: all of 6 trials" in out and "from here: nothing is left to run" in out
    assert executed == [(name, {"profile": "quick"}) for name in tables]


def test_a_machine_without_notebooks_works_on_trials_and_says_what_it_lacks(sitting, capsys, monkeypatch, outputs):
    monkeypatch.setitem(sys.modules, "papermill", None)  # as if it were not installed
    lacks = "running notebooks needs papermill, not installed here: pip install -r requirements.txt"
    status, out, err = run(capsys, "run", "dp_instahide_table1", "--profile", "quick")
    assert (status, out, err) == (2, "", f"poisonlib: {lacks}; --hours works on the trials without it\n")
    assert list(outputs.iterdir()) == []
    (status, _, err), executed = sitting[0]()
    assert status == 0 and len(list(Ledger.open())) == 6 and not executed
    assert err.endswith(f"poisonlib: dp_instahide_table1, strong_augmentation_table1: all trials are recorded; {lacks}\n")


def test_a_campaign_stops_by_itself_and_says_how_far_it_is(sitting):
    work, tables = sitting
    for trial in [*tables["dp_instahide_table1"], tables["strong_augmentation_table1"][2]]:
        Ledger.open().put(costly(trial))
    (status, out, err), executed = work()
    assert status == 0 and "failed" not in err and len(list(Ledger.open())) == 5
    lines = out.splitlines()
    expected = "seed 201 is next; 1 h with 1 worker: no trial is expected to finish; the next takes about 10 h"
    assert lines[:2] == ["recorded: 5 of 6 trials, every cell has 1 of 2, 2 cells have more", expected]
    assert lines[2].startswith("finished 0 trials in 0 core-hours: 5 of 6 trials") and lines[3].endswith(expected)
    standing = "strong_augmentation_table1: 3 of 4 trials, every cell has 1 of 2, 1 cell has more; it is run when all are recorded"
    assert lines[4] == standing and [name for name, _ in executed] == ["dp_instahide_table1"]


def test_a_campaign_gives_status_1_where_a_trial_fails(sitting, monkeypatch):
    work, tables = sitting
    failing = dataclasses.replace(tables["dp_instahide_table1"][0], recipe=training.load("quick", epochs=1, lr=1e30))
    monkeypatch.setattr(notebooks, "trials", lambda name, values: [failing] if "dp" in name else tables[name][:1])
    (status, out, err), executed = work()
    assert status == 1 and "1 of 2 trials failed" in err and "finished 1 trial in" in out and "all of 2 trials (1 failed)" in out
    assert [name for name, _ in executed] == ["dp_instahide_table1", "strong_augmentation_table1"], "nothing is left to run"


@pytest.mark.parametrize("into", [True, False])
def test_ledger_merge_takes_what_is_sound_and_lists_the_rest(capsys, outputs, sitting, into):
    trials = sitting[1]["dp_instahide_table1"]
    there, here = Ledger(outputs / "there"), Ledger(outputs / ("mine" if into else "trials"))
    there.put(costly(trials[0]))
    there.put(dataclasses.replace(costly(trials[1]), code="0"))
    command = "ledger", "merge", str(there.root), *(["--into", str(here.root)] if into else [])
    status, out, _ = run(capsys, *command)
    assert status == 0 and out.startswith(f"{here.root}: 1 record merged, 0 here already, 1 refused, 0 damaged\n")
    assert f"{trials[1].key}.json: recorded with other code" in out
    (there.root / "00").mkdir()
    (there.root / "00" / "0.json").write_text("{")
    status, out, _ = run(capsys, *command, "--other-code")
    assert status == 1 and "1 record merged, 1 here already, 0 refused, 1 damaged" in out and "0.json is not a sound" in out
    assert {record.trial for record in here} == set(trials[:2])


def test_plan_at_paper_scale_needs_no_data(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    images.cache_clear()  # of what an earlier test read elsewhere
    status, out, _ = run(capsys, "plan", "dp_instahide_table1", "--profile", "paper")
    assert status == 0
    assert "280 trials, 0 recorded; to do: 280 trainings" in out and "PFLOP" not in out


def test_run_writes_the_executed_notebook_and_says_where(capsys, outputs):
    status, out, _ = run(capsys, "run", "strong_augmentation_figure2", "k=3")
    assert status == 0
    assert (outputs / "notebooks" / "strong_augmentation_figure2.ipynb").exists()
    assert (outputs / "figures" / "strong_augmentation_figure2.png").exists()
    assert "strong_augmentation_figure2.ipynb" in out


def test_a_notebook_that_fails_gives_status_1(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    status, _, err = run(capsys, "run", "strong_augmentation_figure2", "data=cifar(classes=10)")
    assert status == 1
    assert "FileNotFoundError" in err and "1 failed: strong_augmentation_figure2" in err


def test_a_kernel_that_dies_costs_its_notebook_alone(capsys, monkeypatch):
    def dying(name, values):
        if name == "00_tour":
            raise DeadKernelError("Kernel died")
        return name

    monkeypatch.setattr(notebooks, "execute", dying)
    status, out, err = run(capsys, "run", "00_tour", "strong_augmentation_figure2")
    assert status == 1 and "its kernel died" in err and "1 failed: 00_tour" in err and "-> strong_augmentation_figure2" in out


def test_modules_in_the_working_folder_are_found_unless_python_is_told_not_to(tmp_path):
    (tmp_path / "mine_in_here.py").write_text("from poisonlib.augment.flip import Flip\n")
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; from poisonlib import cli, registry; cli.main(['list']); "
    code += "registry.imported('mine_in_here.Flip')"
    run_in = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True)
    assert run_in([sys.executable, "-c", code]).returncode == 0
    told = run_in([sys.executable, "-P", "-c", code], env=os.environ | {"PYTHONPATH": str(paths.checkout())})
    assert "mine_in_here.Flip cannot be imported" in told.stderr


def test_a_damaged_data_set_does_not_keep_the_doctor_from_the_others(monkeypatch):
    load = data.load

    def damaged(choice, split):
        if choice.startswith("cifar"):
            raise ValueError("MD5 is 0, not 1")
        return load("digits", "test", limit=40)

    monkeypatch.setattr("poisonlib.data.load", damaged)
    found = doctor.facts()["data sets"]
    assert found["cifar(classes=10)"] == "damaged: MD5 is 0, not 1" and found["digits"] == len(load("digits", "test", limit=40))


def test_a_device_may_be_torchs_own():
    assert choose(torch.device("cpu")) == choose("cpu") == torch.device("cpu")
    for name in ("cpu:0", "cuda:x", "tpu"):
        with pytest.raises(ValueError, match=f"device='{name}': choose auto, cpu, cuda or cuda:N"):
            choose(name)


def test_a_reader_that_has_read_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "poisonlib", "list"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 1 and done.stderr == ""


def test_doctor_says_what_is_here_and_how_to_get_what_is_not(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert "digits: 397 test images" in out and "POISONLIB_DOWNLOAD=1" in out and "torch " in out
    assert "cifar(classes=10): " in out and "cifar(classes=100): " in out
    assert "stored" not in out and "ray" not in out


def test_report_of_an_empty_folder_says_that_nothing_was_run(capsys, outputs):
    status, out, _ = run(capsys, "report")
    page = (outputs / "report" / "index.html").read_text()
    assert status == 0 and "index.html" in out
    assert "strong_augmentation_table1 (not run yet)" in page
