"""The command line: what it says, what it refuses, its exit status."""

import json

import pytest

from poisonlib import cli, notebooks
from poisonlib.experiments import Ledger
from poisonlib.experiments.crafting import images
from poisonlib.experiments.spec import digest

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
    for word in (*words, "by their import path", "profiles of backdoor: quick, laptop, small, paper"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nothing"], "choose one of: 00_tour"),
        (["run", "strong_augmentation_table1", "profle=quick"], "has no parameter profle"),
        (["run", "strong_augmentation_table1", "profile=huge"], "choose one of: quick"),
        (["run", "strong_augmentation_table1", "trials"], "write name=value"),
        (["run", "all", "nonsense=1"], "no notebook has a parameter nonsense"),
        (["plan", "strong_augmentation_table1", "trials=x"], "a int is wanted"),
        (["plan", "00_tour", "--again"], "has no parameter again"),
        (["plan", "strong_augmentation_table1", "more_defences=mixpu"], "no defence 'mixpu'"),
        (["ledger", "upgrade", "no_such_folder"], "there is no folder no_such_folder"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(capsys, outputs, arguments, says):
    status, out, err = run(capsys, *arguments)
    assert status == 2 and says in err and out == ""
    assert list(outputs.iterdir()) == []


def test_plan_counts_without_training(capsys):
    status, out, _ = run(capsys, "plan", "--profile", "quick", "strong_augmentation_table1", "trials=20")
    assert status == 0
    assert out.count("180 trials, 0 recorded; to do: 180 trainings, 0 crafts") == 1


def test_again_counts_what_was_recorded_with_other_code(capsys, outputs, monkeypatch):
    values = "strong_augmentation_table1", "trials=1"
    for trial in notebooks.trials(values[0], {"trials": 1}):
        Ledger.open().put(invent.record(trial, 1, code="other code"))
    assert "(of these, 9 recorded with other code; again=True repeats them); to do: 0 trainings" in run(capsys, "plan", *values)[1]
    assert "to do: 9 trainings" in run(capsys, "plan", "--again", *values)[1]


@pytest.mark.parametrize("given", [True, False])
def test_ledger_upgrade_rewrites_old_records(capsys, outputs, given):
    key, folder = digest(OLD["spec"]), outputs / ("mine" if given else "trials")
    (folder / key[:2]).mkdir(parents=True)
    (folder / key[:2] / f"{key}.json").write_text(json.dumps(OLD | {"key": key}))
    status, out, _ = run(capsys, "ledger", "upgrade", *[str(folder)] * given)
    assert (status, out) == (0, f"1 records rewritten in {folder}\n")
    (path,) = folder.glob("??/*.json")
    content = json.loads(path.read_text())
    assert content["schema"] == 2 and content["spec"]["model"] == {"name": "resnet", "depth": 18} | content["spec"]["model"]
    assert [record.success for record in Ledger(folder)] == [0.75]
    assert run(capsys, "ledger", "upgrade", str(folder))[1].startswith("0 records")


def test_plan_at_paper_scale_needs_no_data(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    images.cache_clear()  # of what an earlier test read elsewhere
    status, out, _ = run(capsys, "plan", "dp_instahide_table1", "--profile", "paper")
    assert status == 0
    assert "220 trials, 0 recorded; to do: 220 trainings" in out and "PFLOP" not in out


def test_run_writes_the_executed_notebook_and_says_where(capsys, outputs):
    status, out, _ = run(capsys, "run", "strong_augmentation_figure2", "k=3")
    assert status == 0
    assert (outputs / "notebooks" / "strong_augmentation_figure2.ipynb").exists()
    assert (outputs / "figures" / "strong_augmentation_figure2.png").exists()
    assert "strong_augmentation_figure2.ipynb" in out


def test_a_notebook_that_fails_gives_status_1(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "none"))
    status, _, err = run(capsys, "run", "strong_augmentation_figure2", "dataset=cifar(classes=10)")
    assert status == 1
    assert "FileNotFoundError" in err and "1 failed: strong_augmentation_figure2" in err


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
