"""What is asked for many times is worked out once: counted in calls, as seconds differ between machines."""

import functools
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest

from poisonlib import cli, experiments, notebooks, paths, registry, source
from poisonlib.data import source as read_data
from poisonlib.data.cifar import Cifar
from poisonlib.experiments import Ledger, Trial, index, networks, provenance
from poisonlib.experiments.ledger import read
from poisonlib.experiments.snapshot import looked_up, snapshot
from poisonlib.experiments.spec import digest

from .warm import FRESH


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of a function that it is told: ``calls(module, "name")`` is the list of what it was given."""

    def watch(owner, name: str) -> list[tuple]:
        seen, original = [], getattr(owner, name)

        @functools.wraps(original)
        def counted(*given, **named):
            seen.append(given)
            return original(*given, **named)

        monkeypatch.setattr(owner, name, counted)
        return seen

    return watch


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("POISONLIB_DATA", str(tmp_path / "nothing"))
    networks.images.cache_clear()  # what other tests read from elsewhere


@pytest.fixture
def trial() -> Trial:
    return experiments.grid("targeted", "quick", attack="gradient_matching", defence="mixup", trials=1)[0]


def test_a_trial_is_described_once(trial, calls):
    trial, described = replace(trial), calls(registry, "describe")
    first = trial.describe()
    assert described
    described.clear()
    assert trial.describe() == first and trial.key == digest(first)
    assert described == []


def test_its_text_is_no_part_of_a_trial(trial):
    fresh = replace(trial)
    before = pickle.dumps(fresh)
    fresh.describe()["attack"]["name"] = "another"
    assert fresh == trial and hash(fresh) == hash(trial) and fresh.describe() == trial.describe()
    assert pickle.dumps(fresh) == before
    assert replace(fresh, seed=fresh.seed + 1).key == replace(trial, seed=trial.seed + 1).key != fresh.key


@dataclass(frozen=True)
class Own(registry.imported("poisonlib.augment.Augment")):
    """An augmentation of the user's own, which a notebook may define anew."""

    def sample_params(self, n, shape, generator):
        return {}

    def apply(self, x, y, params, generator=None):
        return x, y


def test_a_class_that_was_defined_anew_is_noticed(trial, monkeypatch):
    mine = replace(trial, defence=experiments.defence(Own()))
    assert mine.describe()["defence"]["augment"][0]["name"].endswith(".Own")
    monkeypatch.setattr(sys.modules[__name__], "Own", type("Own", (), {}))
    with pytest.raises(TypeError, match="make the object anew"):
        mine.describe()


def test_code_is_gone_through_once_until_a_module_is_imported_anew(trial, calls, monkeypatch):
    expected, gone_through = provenance.code(trial), calls(source, "_counts")
    assert provenance.code(replace(trial, seed=7)) == expected and gone_through == []
    module = sys.modules["poisonlib.augment.mixup"]
    monkeypatch.setattr(module, "__spec__", registry.importlib.util.spec_from_file_location(module.__name__, module.__file__))
    assert provenance.code(trial) == expected and gone_through


def test_a_snapshot_looks_once_and_ends():
    seen = []

    def look(name):
        seen.append(name)
        return len(seen)

    with snapshot():
        assert [looked_up(look, "a"), looked_up(look, "b"), looked_up(look, "a")] == [1, 2, 1]
        with snapshot():
            assert looked_up(look, "b") == 2
    assert looked_up(look, "a") == 3


def test_missing_data_are_looked_for_once_in_a_plan(outputs, calls):
    table = experiments.grid("backdoor", "small", attack="patch", defence=["none", "mixup"], trials=3)
    found = calls(Cifar, "load")
    planned = experiments.plan(table, device="cpu")
    assert (planned.trainings, planned.operations) == (6, None)
    assert len({split for _, split in found}) == len(found) - 1 == 1, "once for each split, and once to count operations"


def test_the_command_reads_the_ledger_once_and_plans_each_notebook_once(outputs, calls, capsys):
    names = ["strong_augmentation_figure3", "dp_instahide_table3"]
    read, planned = calls(index, "_stored"), calls(experiments, "plan")
    assert cli.main(["plan", *names, "trials=1", "--json"]) == 0
    assert [each["notebook"] for each in json.loads(capsys.readouterr().out)] == names
    assert (len(read), len(planned)) == (1, len(names))


def test_a_plan_imports_no_plots_and_a_list_no_torch(outputs):
    heavy = "{'matplotlib', 'pandas', 'scipy', 'sklearn', 'torchvision'}"
    code = "import sys; from poisonlib import cli; cli.main(['list']); listed = 'torch' in sys.modules"
    code += f"; cli.main(['plan', 'dp_instahide_table1', 'trials=1']); print(listed, {heavy} & {{*sys.modules}})"
    said = subprocess.check_output([FRESH, "-c", code], text=True)
    assert said.splitlines()[-1] == "False set()"


def test_notebooks_plan_what_their_cells_say(outputs):
    scope = {}
    for tag in ("parameters", "imports", "grid"):
        for cell in notebooks.tagged("dp_instahide_table2", tag):
            exec("\n".join(line for line in cell.replace(", plots", "").splitlines() if not line.startswith("print(")), scope)
    assert notebooks.trials("dp_instahide_table2", {}) == list(dict.fromkeys(scope["table"]))


def test_a_module_that_was_rewritten_gives_the_images_that_records_were_made_with():
    """`source.rewritten`: the fingerprints in the kept records are those of `load_digits`, as scikit-learn reads it."""
    kept = [read(path) for path in Ledger(paths.root() / "outputs" / "reference" / "quick" / "trials").stored[::50]]
    digits = [each for each in kept if each.spec["data"]["name"] == "digits" and each.data]
    assert len({json.dumps(each.spec["data"]) for each in digits}) >= 3
    for record in digits:
        found = {split: provenance.fingerprint(read_data(record.spec["data"]), split) for split in ("train", "test")}
        assert found.items() <= record.data.items()
    for name, (now, before) in source.rewritten().items():
        source._READ.pop(name, None)
        assert source._read(name)[0] == before != now, (
            f"{name} was edited: leave it out of rewritten.toml, or show that it does the same"
        )
