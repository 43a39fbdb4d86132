"""Records of version 0.1 (schema 1): real ones read under today's names, with the counts that they had."""

import copy
import json

import pytest

from poisonlib import attacks, data, experiments, models, registry
from poisonlib.attacks import ThreatModel
from poisonlib.experiments import Ledger, Record, Trial, legacy
from poisonlib.experiments.ledger import read
from poisonlib.experiments.spec import digest

PLACE = {"commit": "6f5da3c47f87", "device": "cpu: Intel(R) Xeon(R)", "poisonlib": "0.1.0", "python": "3.11.7", "torch": "2.15.0"}
MATCHING = {
    **{"adaptive": "none", "batch": 512, "budget": 0.025, "companions": 128, "ensemble": 1, "eps": 0.5333333333333333},
    **{"judgements": 8, "name": "gradient_matching", "pretrained": False, "rate": 0.2, "restarts": 1, "steps": 60},
    **{"targets": 1, "variant": "paper"},
}
NUMERICS = {"channels_last": True, "graph": False, "precision": "fp32"}
SGD = {"augment": "none", "factor": 0.1, "momentum": 0.9, "nesterov": True, "optimiser": "sgd", "weight_decay": 0.0005}
TARGETED = {
    "data": {"channels": 1, "limit": 400, "name": "digits", "size": 16, "train": 1400},
    "model": {"name": "patches", "normalise": True, "side": 4, "units": 64, "width": 32},
    "numerics": NUMERICS,
    "recipe": SGD | {"batch": 64, "drops": [15, 25, 35], "epochs": 40, "rate": 0.04},
}
# Their keys are those of the files in version 0.1.
PATCH = {
    "cost": {"peak memory bytes": 886751232, "seconds": 3.162, "stages": {"craft": 0.002, "evaluate": 0.017, "train": 3.143}},
    "key": "01b8a152391ee91590c3b74b651e7cd5",
    "place": PLACE,
    "result": {
        "clean": [[47, 47], [50, 50], [32, 32], [4, 42], [43, 44], [37, 39], [37, 37], [32, 32], [33, 33], [40, 41]],
        "craft": {},
        "filter": None,
        "poisons": {
            "count": 141,
            "digest": "6d753848d41d15d3c0da7acb56d910677d6df268fe37e4b4595c75a62263b556",
            "largest change": 255,
        },
        "success": [41, 41],
        "victim class": 9,
        "wanted": 3,
        "wanted probability": 0.914005,
    },
    "schema": 1,
    "spec": {
        "attack": {"name": "patch", "share": 1.0, "size": 4, "variant": "exported"},
        "data": {"channels": 3, "limit": None, "name": "digits", "size": 12, "train": 1400},
        "defence": {"augment": [], "filter": None},
        "model": {"name": "local3", "normalise": True, "width": 16},
        "numerics": NUMERICS,
        "recipe": SGD | {"batch": 100, "drops": [9, 13], "epochs": 16, "rate": 0.2},
        "seed": 1,
    },
}
STEP = {
    "cost": {"peak memory bytes": 882708480, "seconds": 0.759, "stages": {"craft": 0.001, "evaluate": 0.003, "train": 0.755}},
    "key": "03ac694b4769e88840716826270fb5fc",
    "place": PLACE,
    "result": {
        "clean": [[47, 47], [48, 50], [31, 32], [42, 42], [42, 44], [35, 39], [35, 37], [32, 32], [29, 33], [36, 41]],
        "craft": {"objective": 0.004323, "targets right": [1, 1]},
        "filter": None,
        "poisons": {
            "count": 10,
            "digest": "59eaa725a9ea777350b19671e2a299de4c59b21e08db319e3572ca0783270914",
            "largest change": 136,
        },
        "success": [1, 1],
        "victim class": 2,
        "wanted": 0,
        "wanted probability": 0.997491,
    },
    "schema": 1,
    "spec": TARGETED
    | {
        "attack": MATCHING,
        "defence": {
            "augment": [],
            "filter": None,
            "step": {"clip": 1.0, "name": "noisy_sgd", "noise": 0.01, "variant": "paper"},
        },
        "seed": 2,
    },
}
FILTER = {  # its ROC curve is shortened
    "cost": {"peak memory bytes": 882839552, "seconds": 1.395, "stages": {"craft": 0.001, "filter": 0.013, "train": 1.374}},
    "key": "10c4b58dc1884d2d4e7db291837a6eb7",
    "place": PLACE,
    "result": {
        "clean": [[46, 47], [40, 50], [30, 32], [40, 42], [41, 44], [33, 39], [34, 37], [31, 32], [20, 33], [36, 41]],
        "craft": {"objective": 0.001737, "targets right": [1, 1]},
        "filter": {"auc": 0.35846153846153844, "poisons removed": 3, "removed": 150, "roc": [[0.0, 0.7, 1.0], [0.0, 0.5, 1.0]]},
        "poisons": {
            "count": 10,
            "digest": "b04629d1f1defa7ec6c4b240c3f509a04a3b4502d1c2877501e2a7441d4250b8",
            "largest change": 136,
        },
        "success": [1, 1],
        "victim class": 8,
        "wanted": 9,
        "wanted probability": 0.98803,
    },
    "schema": 1,
    "spec": TARGETED
    | {
        "attack": MATCHING,
        "defence": {"augment": [], "filter": {"expected": 0.025, "multiple": 1.5, "name": "spectral_signatures"}},
        "seed": 11,
    },
}
OLD = {"patch": PATCH, "step": STEP, "filter": FILTER}


def written(folder, content, name=None):
    """The file of a record in a ledger."""
    key = name or content["key"]
    path = folder / key[:2] / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", OLD)
def test_its_counts_are_those_of_the_file(tmp_path, name):
    old = OLD[name]
    record, result = read(written(tmp_path, old)), old["result"]
    assert [record.evaluation.hits, record.evaluation.targets] == result["success"]
    assert [list(each) for each in record.evaluation.clean] == result["clean"]
    assert record.evaluation.confidence == result["wanted probability"]
    assert (record.intended_class, record.source_class) == (result["wanted"], result["victim class"])
    assert (record.poisons.count, record.poisons.digest, record.poisons.largest_change) == tuple(result["poisons"].values())
    assert (record.cost.seconds, record.cost.peak_memory) == (old["cost"]["seconds"], old["cost"]["peak memory bytes"])
    assert record.environment.device == PLACE["device"] and record.environment.commit == PLACE["commit"]
    assert record.code is None and record.data is None, "they count as recorded with other code"
    if result["craft"]:
        assert list(record.craft.targets_correct) == result["craft"]["targets right"]
        assert record.craft.objective == result["craft"]["objective"]
    else:
        assert record.craft is None
    if result["filter"]:
        found = [record.filter.auc, record.filter.poisons_removed, record.filter.removed, list(map(list, record.filter.roc))]
        assert found == list(result["filter"].values())
    else:
        assert record.filter is None


def today(name):
    """The same trials, made with today's names."""
    seed = OLD[name]["spec"]["seed"]
    values = "eps=0.5333333333333333, poison_rate=0.025, step_size=0.2, restarts=1, steps=60"
    scenario, choices = {
        "patch": ("backdoor", {"attack": "patch(poison_rate=1.0, variant='exported')"}),
        "step": ("targeted", {"attack": f"gradient_matching({values})", "defence": "noisy_sgd(noise=0.01)"}),
        "filter": ("targeted", {"attack": f"gradient_matching({values})", "defence": "spectral_signatures(expected=0.025)"}),
    }[name]
    (trial,) = experiments.grid(scenario, "quick", trials=1, first_seed=seed, **choices)
    return trial


@pytest.mark.parametrize("name", OLD)
def test_it_is_the_record_of_todays_trial(tmp_path, name):
    record = read(written(tmp_path, OLD[name]))
    assert record.trial == today(name)
    assert record.key == today(name).key == digest(record.spec) != OLD[name]["key"]
    assert record.spec == today(name).describe()
    assert Record.from_json(record.to_json()) == record


def test_todays_patch_is_the_recorded_one():
    """The renaming left the random streams as they were."""
    trial = today("patch")
    poison, goal = attacks.craft(trial.attack, ThreatModel(*(data.load(trial.data, s) for s in ("train", "test"))), seed=trial.seed)
    assert poison.digest == PATCH["result"]["poisons"]["digest"] and len(poison) == 141
    assert (goal.intended_class, goal.source_class, len(goal.labels)) == (3, 9, 41)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"name": "conv16", "width": 16}, "convnet"),
        ({"name": "local3", "width": 8}, "convnet_gap(width=8)"),
        ({"name": "patches", "side": 2}, "patch_mlp(side=2)"),
        ({"name": "resnet8", "width": 8}, "cifar_resnet(depth=8, width=8, shortcut='projection')"),
        ({"name": "narrow_resnet", "depth": 20, "width": 16}, "cifar_resnet(depth=20)"),
        ({"name": "resnet18", "width": 16, "stem": "tiny"}, "resnet(depth=18, width=16, stem='tiny')"),
        ({"name": "resnet34", "width": 64}, "resnet(depth=34)"),
        ({"name": "resnet18_group", "width": 64, "groups": 8}, "resnet(depth=18, norm='group', groups=8)"),
        ({"name": "vgg11", "width": 32}, "vgg(depth=11, width=32)"),
        ({"name": "vgg16", "width": 64}, "vgg(depth=16)"),
        ({"name": "mobilenet_v2", "width": 0.5}, "mobilenet_v2(width=0.5)"),
    ],
)
def test_every_old_network_has_its_name_of_today(old, new):
    upgraded = legacy._spec(PATCH["spec"] | {"model": old})
    assert Trial.read(upgraded).model == models.load(new)


@pytest.mark.parametrize(
    ("old", "label"),
    [
        (
            {"name": "cifar10", "limit": 2000, "pool": 2, "test_limit": 1000},
            "cifar(classes=10, limit=2000, test_limit=1000, pool=2)",
        ),
        ({"name": "cifar100", "limit": None, "pool": 1, "test_limit": None}, "cifar(classes=100)"),
        ({"name": "imagenet", "folder": "imagenette", "size": 32}, "imagenet(folder='imagenette', size=32)"),
        ({"name": "tinyimagenet", "classes": [0, 100]}, "tinyimagenet(classes=(0, 100))"),
    ],
)
def test_every_old_data_set_has_its_name_of_today(old, label):
    assert registry.label(Trial.read(legacy._spec(PATCH["spec"] | {"data": old})).data) == label


@pytest.mark.parametrize("name", ["noise", "watermark"])
def test_the_controls_have_their_values_of_today(name):
    attack = {"name": name, "budget": 0.05, "eps": 16 / 255, "targets": 2} | ({"opacity": 0.4} if name == "watermark" else {})
    found = Trial.read(legacy._spec(PATCH["spec"] | {"attack": attack})).attack
    assert (found.poison_rate, found.eps, found.targets) == (0.05, 16 / 255, 2)
    assert getattr(found, "opacity", 0.4) == 0.4


def changed(**parts):
    """The patch's record with other parts."""
    return copy.deepcopy(PATCH) | parts


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (changed(spec=PATCH["spec"] | {"seed": 3}), None),  # its key is not the hash of its description
        (PATCH, "f" * 32),  # nor is the file's name
        (changed(schema=3), None),
        (changed(schema=0), None),
        (changed(schema=2), None),
        (changed(result={}), None),
        (changed(spec=PATCH["spec"] | {"model": {"name": "lost"}}, key=None), None),
    ],
)
def test_an_unsound_record_is_refused_by_its_file(tmp_path, content, name):
    content = content | {"key": content["key"] or digest(content["spec"])}
    path = written(tmp_path, content, name)
    with pytest.raises(ValueError, match=f"{path.name} is not a sound record"):
        read(path)


def test_upgrade_rewrites_old_records_once(tmp_path):
    for old in OLD.values():
        written(tmp_path, old)
    ledger = Ledger(tmp_path)
    before = list(ledger)
    assert today("patch") not in ledger, "a ledger finds records by today's keys"
    assert ledger.upgrade() == 3
    assert sorted(path.stem for path in tmp_path.rglob("*.json")) == sorted(record.key for record in before)
    assert sorted(ledger, key=lambda record: record.key) == sorted(before, key=lambda record: record.key)
    assert ledger.get(today("patch")).evaluation.hits == 41
    contents = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert all(json.loads(content)["schema"] == 3 for content in contents.values())
    assert ledger.upgrade() == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == contents


def test_upgrade_keeps_a_newer_record_of_the_same_trial(tmp_path):
    ledger = Ledger(tmp_path)
    written(tmp_path, PATCH)
    (old,) = ledger
    newer = Record.from_json(old.to_json() | {"code": "today"})
    ledger.put(newer)
    assert ledger.upgrade() == 1
    assert list(ledger) == [newer]


def test_upgrade_changes_nothing_where_a_file_is_damaged(tmp_path):
    written(tmp_path, PATCH)
    damaged = tmp_path / "ff" / f"{'f' * 32}.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    with pytest.raises(ValueError, match=damaged.name):
        Ledger(tmp_path).upgrade()
    assert (tmp_path / PATCH["key"][:2] / f"{PATCH['key']}.json").exists()


def test_old_records_count_as_recorded_with_other_code(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    written(tmp_path / "trials", PATCH)
    Ledger.open().upgrade()
    plan = experiments.plan([today("patch")])
    assert (plan.recorded, plan.stale, plan.trainings) == (1, {"recorded with other code": 1}, 0)
    with pytest.warns(UserWarning, match=r"of 1 trial, 1 recorded with other code; run\(\.\.\., again=True\) repeats them"):
        (record,) = experiments.run([today("patch")], workers=0)
    assert record.evaluation.hits == 41
