"""The benchmark as a tool: formats, rules, what is refused and why, and that a scored directory gives the recorded result."""

import dataclasses
import io
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poisonlib import attacks, benchmark, cli, data, experiments, files, registry, report
from poisonlib.attacks import ThreatModel
from poisonlib.benchmark import _pickles
from poisonlib.data import ImageSet, Setup, cifar_setup
from poisonlib.data.cifar import Cifar
from poisonlib.experiments import Trial
from poisonlib.experiments.environment import environment
from poisonlib.experiments.failures import Failure
from poisonlib.experiments.record import Records

DIGITS = "digits(limit=120, size=12)"
ATTACK = "clean_label_backdoor(eps=8/255, poison_rate=0.05, steps=3, variant='released')"


@pytest.fixture(scope="module")
def sets():
    return data.load(DIGITS), data.load(DIGITS, "test")


@pytest.fixture(scope="module")
def setups():
    return benchmark.seeded_setups("noise(eps=8/255, poison_rate=0.05)", DIGITS, range(3))


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def crafted(setup, sets, change=8, trigger=5):
    """Poisons of a setup, whose every pixel is changed by this much, and a target with a white trigger in the corner."""
    train, test = sets
    base = train.take(train.positions(torch.tensor(sorted(setup.base_ids))))
    images = torch.where(base.images < 128, base.images + change, base.images - change)
    aim = test.take(test.positions(torch.tensor([setup.target_id])))
    shown = aim.images.clone()
    shown[:, :, -trigger:, -trigger:] = 255
    return data.Poison(base.ids, images), data.Goal(shown, aim.labels, aim.ids, setup.base_class)


@pytest.fixture
def folder(tmp_path, setups, sets):
    """A folder of poisons for all setups, in the public format, beside the setups' file."""
    for number, setup in enumerate(setups):
        benchmark.write(benchmark.packed(*crafted(setup, sets), *sets), tmp_path / "poisons" / str(number))
    benchmark.write_setups(tmp_path / "setups.pickle", setups)
    return tmp_path / "poisons"


def checked(folder, setups, sets, number=1, budget=8):
    benchmark.read(folder / str(number)).check(setups[number], *sets, budget, 5)


def changed(path: Path, change):
    """Write a pickle anew as ``change`` makes it."""
    path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), protocol=4))


# the formats


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_the_reader_makes_of_a_pickle_is_what_pickle_makes_of_it(tmp_path, protocol):
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    columns_first = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    value = {"a": np.int64(7), "b": [np.arange(3), columns_first, np.array([1, 258], ">i2")], "c": (1, 2.5, None, True, "x")}
    file = tmp_path / "some.pickle"
    file.write_bytes(pickle.dumps(value, protocol=protocol))
    wanted = {"a": 7, "b": [[0, 1, 2], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [1, 258]], "c": (1, 2.5, None, True, "x")}
    assert _pickles.read(file) == wanted
    file.write_bytes(pickle.dumps([(Image.fromarray(pixels), 3), (Image.fromarray(pixels[:, :, 0]), 4)], protocol=protocol))
    (colour, _), (grey, label) = _pickles.read(file)
    assert np.array_equal(colour.pixels(), pixels.transpose(2, 0, 1)) and label == 4
    assert np.array_equal(grey.pixels()[0], pixels[:, :, 0])


def test_setups_are_read_as_they_were_written_by_numpy_and_by_us(tmp_path, setups):
    rows = [
        {
            "target class": each.target_class,
            "target index": np.int64(each.target_id),
            "base class": each.base_class,
            "base indices": np.array(each.base_ids),
        }
        for each in setups
    ]
    (tmp_path / "numpy.pickle").write_bytes(pickle.dumps(rows))
    benchmark.write_setups(tmp_path / "ours.pickle", setups)
    assert benchmark.read_setups(tmp_path / "numpy.pickle") == benchmark.read_setups(tmp_path / "ours.pickle") == setups
    assert b"numpy" not in (tmp_path / "ours.pickle").read_bytes()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"target class": 1}, "setup 0: a dict with the keys"),
        ({"target class": 1, "target index": 2, "base class": 1, "base indices": [3]}, "of the base class, 1, already"),
        ({"target class": 1, "target index": -2, "base class": 0, "base indices": [3]}, "whole numbers from 0"),
        ({"target class": 1, "target index": 2, "base class": 0, "base indices": []}, "whole numbers from 0"),
        (7, "a dict with the keys"),
    ],
)
def test_setups_that_are_none_are_refused(tmp_path, entry, words):
    (tmp_path / "wrong.pickle").write_bytes(pickle.dumps([entry]))
    with pytest.raises(ValueError, match=rf"wrong\.pickle, .*{words}"):
        benchmark.read_setups(tmp_path / "wrong.pickle")


class Names(pickle.Unpickler):
    """Notes what a pickle names."""

    def __init__(self, content):
        super().__init__(io.BytesIO(content))
        self.names = set()

    def find_class(self, module, name):
        self.names.add(f"{module}.{name}")
        return super().find_class(module, name)


def test_the_public_testers_demands_on_the_three_pickles_hold(folder, setups, sets):
    """What its code does with them, spelled out: types, order, the score's label, the budget, and the trigger on the target."""
    place = folder / "0"
    contents = {}
    for name in ("poisons", "base_indices", "target"):
        reader = Names((place / f"{name}.pickle").read_bytes())
        contents[name] = reader.load()
        assert reader.names <= {"PIL.Image.Image"}, "no module that an old NumPy or torch lacks"
    poisons, bases, target = contents.values()
    assert type(poisons) is list and all(type(label) is int and image.size == (12, 12) for image, label in poisons)
    assert {label for _, label in poisons} == {setups[0].base_class}
    assert type(bases) is list and all(type(each) is int for each in bases) and sorted(bases) == sorted(setups[0].base_ids)
    train, test = sets
    for (image, _), base in zip(poisons, bases, strict=True):
        clean = train.images[train.ids == base][0, 0].numpy().astype(int)
        assert np.abs(np.asarray(image).astype(int) - clean).max() <= 8
    image, label, patch, (column, row) = target
    assert label == setups[0].target_class and np.array_equal(np.asarray(image), test.images[test.ids == setups[0].target_id][0, 0])
    pasted = torch.from_numpy(np.asarray(image).copy())[None].float() / 255
    pasted[:, row : row + 5, column : column + 5] = torch.tensor(patch)
    shown = (pasted * 255).byte()
    assert torch.equal(shown, crafted(setups[0], sets)[1].images[0]), "after its truncation to bytes"


def test_every_byte_of_a_trigger_survives_the_testers_truncation():
    levels = torch.arange(256).to(torch.uint8)
    written = torch.tensor(((levels.double() + 0.25) / 255).clamp(max=1).tolist())
    assert torch.equal((written * 255).byte(), levels)


@pytest.mark.parametrize("write", [benchmark.write, benchmark.write_bundle])
def test_what_is_written_is_read_back(tmp_path, setups, sets, write):
    poison, goal = crafted(setups[2], sets)
    goal = dataclasses.replace(goal, images=torch.where(goal.images == 255, 77, goal.images).to(torch.uint8))
    write(benchmark.packed(poison, goal, *sets), tmp_path / "2")
    found = benchmark.read(tmp_path / "2")
    found.check(setups[2], *sets, 8, 5)
    assert found.poison().digest == poison.digest
    again = found.goal(setups[2])
    assert torch.equal(again.images, goal.images) and again.intended_class == goal.intended_class
    assert torch.equal(again.ids, goal.ids) and torch.equal(again.labels, goal.labels)


def test_poisons_without_a_trigger_have_none(tmp_path, setups, sets):
    poison, goal = crafted(setups[0], sets)
    plain = dataclasses.replace(goal, images=sets[1].images[sets[1].ids == setups[0].target_id])
    benchmark.write(benchmark.packed(poison, plain, *sets), tmp_path / "0")
    assert len(pickle.loads((tmp_path / "0" / "target.pickle").read_bytes())) == 2
    assert torch.equal(benchmark.read(tmp_path / "0").goal(setups[0]).images, plain.images)


# what is refused


class Malicious:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch owned",)


def forged(module, name):
    """A pickle that calls something by name."""
    return f"c{module}\n{name}\n(S'x'\ntR.".encode()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([Malicious()]),
        pickle.dumps(torch.tensor([1])),
        forged("builtins", "eval"),
        forged("numpy", "load"),
        forged("PIL.Image", "open"),
        forged("numpy.core.multiarray", "fromfile"),
        forged("_codecs", "lookup"),
    ],
)
def test_a_malicious_pickle_is_refused_by_name_and_nothing_of_it_runs(folder, setups, sets, monkeypatch, content):
    monkeypatch.chdir(folder)
    (folder / "1" / "base_indices.pickle").write_bytes(content)
    with pytest.raises(ValueError, match=r"base_indices\.pickle is refused: it names .*, and only plain values"):
        checked(folder, setups, sets)
    assert not (folder / "owned").exists()
    pickle.loads(pickle.dumps([Malicious()]))
    assert (folder / "owned").exists(), "what an ordinary reader would have done"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b"cnumpy\ndtype\n}S'make'\nNsb.",  # sets an attribute of what is on the list
        b"cPIL.Image\nImage\n}S'pixels'\nNsb.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"]\x94h\x00a.",
        pickle.dumps(np.array([{}, 1], dtype=object)),
    ],
)
def test_a_forged_pickle_is_refused(tmp_path, content):
    (tmp_path / "x.pickle").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pickle is (damaged|refused)"):
        _pickles.read(tmp_path / "x.pickle")
    assert isinstance(_pickles.Picture.pixels, type(test_a_forged_pickle_is_refused))


def with_wrong_label(pairs):
    return [*pairs[:2], (pairs[2][0], pairs[2][1] + 1), *pairs[3:]]


def too_far(pairs):
    image = np.asarray(pairs[1][0]).copy()
    image[0, 0] += 1 if image[0, 0] < 128 else -1
    return [pairs[0], (Image.fromarray(image), pairs[1][1]), *pairs[2:]]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("poisons", too_far, r"poison 1 changes base image \d+ by 9/255; 8/255 is allowed"),
        ("poisons", with_wrong_label, r"poison 2 has the label \d; all have the base class, \d"),
        ("poisons", lambda pairs: pairs[1:], r"5 poisons, 5 labels, 6 base indices"),
        ("poisons", lambda pairs: [(image.resize((9, 9)), label) for image, label in pairs], r"shape \(1, 9, 9\)"),
        (
            "poisons",
            lambda pairs: [(image.convert("RGBA"), label) for image, label in pairs],
            r"poison 0: an image of the mode 'RGBA'",
        ),
        ("poisons", lambda pairs: [image for image, _ in pairs], r"holds no list of \(image, label\)"),
        ("base_indices", lambda ids: [*ids[:-1], 5000], r"base index \d+ of the setup is missing, 1 of 6 in all"),
        ("base_indices", lambda ids: [float(each) for each in ids], r"base_indices\.pickle holds no list of whole numbers"),
        ("target", lambda target: (target[0], target[1] + 1), r"the target has the label \d+; the setup's is of class \d"),
        ("target", lambda target: (target[0].rotate(90), *target[1:]), r"the target is not the test image \d+ of the setup"),
        ("target", lambda t: (*t[:2], [[[1.0] * 6] * 6], t[3]), r"the trigger has the shape \(1, 6, 6\); \(1, 5, 5\) is allowed"),
        ("target", lambda t: (*t[:3], [8, 0]), r"the trigger at column 8, row 0 leaves the image"),
        ("target", lambda t: (*t[:2], [[[2.0] * 5] * 5], t[3]), r"values from 0 to 1"),
        ("target", lambda t: t[:3], r"holds neither \(image, label\) nor"),
    ],
)
def test_a_rule_that_is_broken_is_named(folder, setups, sets, name, change, words):
    checked(folder, setups, sets)
    changed(folder / "1" / f"{name}.pickle", change)
    with pytest.raises(ValueError, match=words):
        checked(folder, setups, sets)


@pytest.mark.parametrize("name", ["poisons.pickle", "base_indices.pickle", "target.pickle"])
def test_a_truncated_or_missing_file_is_named(folder, setups, sets, name):
    content = (folder / "1" / name).read_bytes()
    (folder / "1" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name} is damaged or no pickle"):
        checked(folder, setups, sets)
    (folder / "1" / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        checked(folder, setups, sets)


def test_a_damaged_bundle_is_named_and_two_formats_in_one_folder_are_refused(tmp_path, folder, setups, sets):
    benchmark.write_bundle(benchmark.read(folder / "1"), folder / "1")
    with pytest.raises(ValueError, match=r"both poisons\.safetensors and poisons\.pickle are here"):
        checked(folder, setups, sets)
    (folder / "1" / "poisons.pickle").unlink()
    checked(folder, setups, sets)
    bundle = folder / "1" / "poisons.safetensors"
    bundle.write_bytes(bundle.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"poisons\.safetensors is damaged"):
        checked(folder, setups, sets)


def test_an_image_that_a_setup_names_twice_may_be_poisoned_once_but_no_other_twice(folder, setups, sets):
    found, twice = benchmark.read(folder / "0"), (*setups[0].base_ids, setups[0].base_ids[0])
    found.check(dataclasses.replace(setups[0], base_ids=twice), *sets, 8, 5)
    doubled = {part: torch.cat([getattr(found, part), getattr(found, part)[:1]]) for part in ("images", "labels", "bases")}
    with pytest.raises(ValueError, match=r"base index \d+ is not in the setup, or more often than there, 1 of 7 in all"):
        dataclasses.replace(found, **doubled).check(setups[0], *sets, 8, 5)


def test_a_setup_of_another_data_set_is_told(setups, sets):
    train, test = sets
    for wrong, words in (
        (dataclasses.replace(setups[0], target_id=4000), "target image 4000 is not in the data set"),
        (dataclasses.replace(setups[0], base_class=(setups[0].base_class + 1) % 10), r"base image \d+ is of class"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong.check(train, test)


# setups as trials


def test_a_setup_takes_the_place_of_drawn_choices(outputs, setups, sets):
    known = ThreatModel(*sets)
    digest = data.keep_setups(setups)
    odd = Setup(setups[1].target_class, setups[1].target_id, setups[1].base_class, (*setups[1].base_ids, setups[1].base_ids[0]))
    assert data.kept_setup(data.keep_setups([odd]), 0) == odd and data.kept_setup(digest, 2) == setups[2]
    for name in ("noise", "gradient_matching", "hidden_trigger"):
        base, goal = attacks.load(name, setups=digest).choose(known, 1)
        assert base.ids.tolist() == sorted(setups[1].base_ids) and goal.ids[0] == setups[1].target_id
        assert (goal.source_class, goal.intended_class) == (setups[1].target_class, setups[1].base_class)
    everything = (sets[1].labels == setups[1].target_class).sum()
    assert len(goal.ids) == len(goal.ids.unique()) == everything, "a backdoor's targets go on with the rest of the class"
    assert not len(attacks.load("noise", setups=digest, poison_rate=0.0).choose(known, 1)[0]), "the clean control"
    with pytest.raises(ValueError, match="there is no setup 3; the seed of a trial is the number of its setup, from 0 to 2"):
        attacks.load("noise", setups=digest).choose(known, 3)


def test_older_records_keep_their_names():
    assert "setups" not in registry.describe(attacks.load("gradient_matching"))
    assert registry.describe(attacks.load("noise", setups="ab"))["setups"] == "ab"


# from end to end


@pytest.fixture
def quick(outputs, setups):
    """The recorded trials of an attack on two setups."""
    attack = attacks.load(ATTACK, setups=data.keep_setups(setups), targets=1)
    return experiments.grid("targeted", "quick", attack=attack, data=DIGITS, trials=2, first_seed=0)


def test_an_exported_directory_gives_the_recorded_result_and_what_is_refused_costs_nothing_else(quick, tmp_path, setups, capsys):
    recorded = experiments.run(quick, workers=0)
    benchmark.write_setups(tmp_path / "setups.pickle", setups)
    assert [path.name for path in benchmark.export(quick, tmp_path / "mine")] == ["0", "1"]
    shutil.copytree(tmp_path / "mine" / "0", tmp_path / "mine" / "2")
    shutil.copytree(tmp_path / "mine" / "0", tmp_path / "mine" / "7")
    command = ["benchmark", str(tmp_path / "mine"), "--setups", str(tmp_path / "setups.pickle"), "--data", DIGITS, "--workers", "0"]
    assert cli.main(command) == 1
    said = capsys.readouterr()
    assert "2: base index" in said.err and "7: there is no setup 7; there are 3, from 0" in said.err
    assert "2 setups scored, 2 refused, 0 of 3 missing" in said.out
    (path,) = (tmp_path / "outputs" / "benchmark").iterdir()
    content = json.loads(path.read_text())
    for record, result in zip(recorded, content["results"], strict=True):
        assert (result["success"], result["confidence"]) == (record.success, record.evaluation.confidence)
        assert result["accuracy"] == pytest.approx(record.accuracy, abs=1e-6) and result["largest change"] <= 8
        assert result["target class"] == record.source_class and result["base class"] == record.intended_class
    (rate,) = content["victims"].values()
    assert rate["trials"] == 2 and rate["low"] <= rate["success"] <= rate["high"]
    (row,) = benchmark.leaderboard()
    assert (row["poisons"], row["n"], row["refused"], row["victim"]) == ("mine", 2, 2, "patch_mlp")
    (tmp_path / "mine" / "1" / "poisons.pickle").unlink()
    assert cli.main([*command, "--title", "again"]) == 1
    assert [len(json.loads(each.read_text())["results"]) for each in sorted(path.parent.iterdir())] == [1, 2]
    (path.parent / "another.json").write_text("{")
    with pytest.warns(UserWarning, match=f"cannot be read: 1 file, the first: benchmark{os.sep}another.json"):
        assert ">again<" in re.sub(r"\s", "", report.write().read_text())


def test_scores_of_different_titles_are_different_files(outputs):
    titles = ("my-poisons", "my poisons", "my_poisons", "яд", "毒")
    made = [benchmark.Score(title, "s.pickle", "0" * 32, 1, "targeted", "quick", 8, {}, {}, ()).path for title in titles]
    assert len(set(made)) == 5 and made[2].name == "my_poisons-targeted-quick-00000000.json"
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", path.name) for path in made)


def test_a_victim_whose_training_fails_costs_its_setup_alone(folder, outputs, monkeypatch):
    runs = experiments.run

    def failing(trials, **how):
        done = runs([trial for trial in trials if trial.seed != 0], **how)
        lost = [
            Failure(trial.describe(), "training diverged", environment(torch.device("cpu"))) for trial in trials if trial.seed == 0
        ]
        return Records(done, lost)

    monkeypatch.setattr(experiments, "run", failing)
    made = benchmark.score(folder, folder.parent / "setups.pickle", source=DIGITS, workers=0)
    content = made.to_json()
    assert sorted(made.records) == [1, 2] and made.refused == {"0": "a victim's training failed: training diverged"}
    assert content["missing"] == [] and [rate["trials"] for rate in content["victims"].values()] == [2]


@pytest.mark.parametrize("note", [[1], None, {"target_label": float("inf")}, {"target_label": 1, "place": [float("inf"), 0]}])
def test_a_bundle_with_a_note_that_says_nothing_is_refused(folder, sets, setups, note, monkeypatch):
    made = benchmark.packed(*crafted(setups[0], sets), *sets)
    benchmark.write_bundle(made, folder.parent / "bundled")
    read = files.read_tensors
    monkeypatch.setattr(files, "read_tensors", lambda path, *wanted: (read(path, *wanted)[0], note))
    with pytest.raises(ValueError, match="its note holds no target_label, or no place of a trigger"):
        benchmark.read(folder.parent / "bundled")


@pytest.mark.parametrize("numbers", ["5-4", "1-0", "-3", "a", "0-"])
def test_numbers_of_setups_that_mean_none_are_refused(numbers, capsys):
    with pytest.raises(SystemExit):
        cli.main(["export", "out", "--setups", "none.pickle", "--attack", "noise", f"--numbers={numbers}"])
    assert "write a number, or two as in 0-19" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--setups", "nowhere.pickle"], "nowhere.pickle is missing"),
        (["--budget", "0"], "budget=0"),
    ],
)
def test_a_command_that_cannot_work_says_why(folder, outputs, capsys, change, words):
    place = [str(folder)] if change[0].startswith("--") else []
    setups = [] if "--setups" in change else ["--setups", str(folder.parent / "setups.pickle")]
    assert cli.main(["benchmark", *place, *change, *setups, "--data", DIGITS]) == 2
    assert words in capsys.readouterr().err


def test_a_limit_makes_the_training_sets_so_no_other_data_are_given(folder, outputs):
    setups = folder.parent / "setups.pickle"
    with pytest.raises(ValueError, match="limit=2500 makes a training set of CIFAR-10 for each setup; give no data set with it"):
        benchmark.score(folder, setups, source=DIGITS, limit=2500)
    with pytest.raises(SystemExit):
        cli.main(["export", str(folder), "--setups", str(setups), "--attack", "noise", "--data", DIGITS, "--limit", "2500"])


def test_export_from_the_command_line(tmp_path, outputs, setups, capsys, sets):
    benchmark.write_setups(tmp_path / "setups.pickle", setups)
    command = ["export", str(tmp_path / "out"), "--setups", str(tmp_path / "setups.pickle"), "--data", DIGITS]
    assert cli.main([*command, "--attack", "watermark(eps=8/255)", "--numbers", "1-2", "--bundle"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "2"]
    checked(tmp_path / "out", setups, sets)
    assert cli.main([*command, "--attack", "watermark(eps=8/255)", "--numbers", "2-3"]) == 2
    assert cli.main([*command, "--attack", "patch"]) == 2
    said = capsys.readouterr().err
    assert "numbered from 0 to 2" in said and "'patch' chooses its own images" in said


@pytest.mark.skipif(not os.environ.get("POISONLIB_SETUPS"), reason="POISONLIB_SETUPS names no folder with the public setups")
@pytest.mark.parametrize(("name", "bases"), [("cifar10_from_scratch", 500), ("cifar10_transfer_learning", 25)])
def test_the_public_setups_can_be_read(name, bases):
    setups = benchmark.read_setups(Path(os.environ["POISONLIB_SETUPS"]) / f"{name}.pickle")
    assert len(setups) == 100 and {len(each.base_ids) for each in setups} == {bases}


# the training sets of transfer learning


def small_cifar(each: int) -> ImageSet:
    """``each`` images of every class, shuffled, all different."""
    labels = torch.arange(10).repeat(each)[torch.randperm(10 * each, generator=torch.Generator().manual_seed(0))]
    images = torch.arange(10 * each, dtype=torch.int64)[:, None, None, None].expand(-1, 3, 32, 32) % 251
    whole = data.from_arrays(images.to(torch.uint8).contiguous(), labels)
    return whole


def test_a_setups_training_set_has_its_base_images_and_then_the_first_others(outputs, monkeypatch):
    whole = small_cifar(12)
    monkeypatch.setattr(Cifar, "load", lambda self, split, download=False: whole)
    cifar_setup._whole.cache_clear()
    bases = tuple(whole.ids[whole.labels == 3][[11, 2, 7]].tolist())
    digest = data.keep_setups([Setup(1, 5, 3, bases), Setup(2, 5, 3, (*bases, bases[0]))])
    for number in (0, 1):
        found = data.source("cifar_setup", setups=digest, limit=50).for_seed(number).load("train")
        by_hand = []
        for label in range(10):
            own = [i for i in range(len(whole)) if int(whole.labels[i]) == label]
            chosen = [i for i in own if i in bases]
            by_hand += chosen + [i for i in own if i not in bases][: 5 - len(chosen)]
        assert found.ids.tolist() == sorted(by_hand) and found.labels.bincount().tolist() == [5] * 10
        assert torch.equal(found.images, whole.images[found.ids])
    with pytest.raises(ValueError, match="3 base images of one class, of which there are to be 2"):
        data.load("cifar_setup", setups=digest, limit=20)
    with pytest.raises(ValueError, match="base images go up to 120, and CIFAR-10 has 120"):
        data.load("cifar_setup", setups=data.keep_setups([Setup(1, 5, 3, (120,))]), limit=20)
    with pytest.raises(ValueError, match="limit=55: choose a multiple of 10"):
        data.source("cifar_setup", setups=digest, limit=55)
    cifar_setup._whole.cache_clear()


def test_trials_on_setups_take_the_seeds_setup_and_its_images(outputs, setups):
    table = experiments.grid("transfer", "quick", attack=["watermark(eps=8/255)", "bullseye_polytope"], trials=3, first_seed=0)
    on = benchmark.on_setups(table, setups)
    assert [trial.seed for trial in on] == [0, 1, 2] * 2 and {trial.data for trial in on} == {table[0].data}
    assert {trial.attack.setups for trial in on} == {data.keep_setups(setups)} and on[3].attack.steps == table[3].attack.steps
    on = benchmark.on_setups(table, setups, limit=2500)
    assert len({trial.data for trial in on}) == 1, "one cell of a table"
    assert [trial.source.number for trial in on] == [0, 1, 2] * 2 and len({trial.key for trial in on}) == 6
    assert Trial.read(on[4].describe()) == on[4] and registry.label(on[4].data) == "cifar_setup"
    with pytest.raises(ValueError, match="seed 200: the seed is the number of a setup, from 0 to 2; choose first_seed=0"):
        benchmark.on_setups(experiments.grid("transfer", "quick", attack="watermark", trials=1), setups)
    with pytest.raises(ValueError, match="chooses its own images; an attack on a setup"):
        benchmark.on_setups(experiments.grid("backdoor", "quick", attack="patch", trials=1, first_seed=0), setups)


@pytest.mark.skipif(
    not (os.environ.get("POISONLIB_SETUPS") and os.environ.get("POISONLIB_DATA")),
    reason="no public setups or no CIFAR-10",
)
def test_the_public_setups_of_transfer_learning_fit_cifar(outputs, tmp_path, capsys):
    path = Path(os.environ["POISONLIB_SETUPS"]) / "cifar10_transfer_learning.pickle"
    setups = benchmark.read_setups(path)
    source = data.source("cifar_setup", setups=data.keep_setups(setups))
    test = source.load("test")
    for number in (0, 78, 99):  # 78 names a base image twice
        train = source.for_seed(number).load("train")
        setups[number].check(train, test)
        assert train.labels.bincount().tolist() == [250] * 10
    command = [
        "export",
        str(tmp_path),
        "--setups",
        str(path),
        "--limit",
        "2500",
        "--numbers",
        "78-78",
        "--attack",
        "watermark(eps=8/255)",
    ]
    assert cli.main(command) == 0
    found = benchmark.read(tmp_path / "78")
    found.check(setups[78], source.for_seed(78).load("train"), test, 8, 5)
    assert len(found.images) == 24
