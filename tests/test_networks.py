"""How accurate networks are, beside the paper's Tables 16 to 20."""

from statistics import fmean

import pytest

from poisonlib import data, models, papers, training
from poisonlib.experiments import Ledger
from poisonlib.papers.networks import Kind

from .refresh_readme import REFERENCE


@pytest.fixture(scope="module")
def records():
    """The kept records of the benchmark on real images."""
    return [record for record in Ledger.open(REFERENCE / "fast" / "trials") if record.trial.extractor]


def test_victims_are_counted_by_seed_and_extractors_by_weights(records):
    frame = papers.networks(records).set_index(["network", "trained"])
    narrow = [record for record in records if record.trial.model == models.load("resnet(depth=18, width=16)")]
    accuracies = {record.seed: record.accuracy for record in narrow if record.trial.attack.clean}
    head = frame.loc[("resnet(depth=18, width=16)", "head")]
    assert (head["n"], head["accuracy %"]) == (len(accuracies), round(100 * fmean(accuracies.values()), 2))
    pretrained = frame.loc[("resnet(depth=18, width=16)", "pretrained")]
    [own] = {record.extractors[0] for record in narrow}
    assert list(pretrained[["n", "accuracy %", "weights"]]) == [1, round(100 * own.accuracy, 2), own.digest[:8]]


def test_the_paper_stands_beside_networks_of_any_width_that_were_trained_alike(records):
    frame = papers.networks(records).set_index(["network", "trained"])
    assert tuple(frame.loc[("resnet(depth=18, width=16)", "head"), ["paper %", "place"]]) == ("80.38", "Table 20")
    assert tuple(frame.loc[("vgg(depth=11, width=16)", "pretrained"), ["paper %", "place"]]) == ("67.87", "Table 17")
    robust = [trained for _, trained in frame.index if trained.startswith("pretrained by adversarial_training")]
    assert robust and all(frame.loc[("resnet(depth=18, width=16)", each), "paper %"] == "" for each in robust)


@pytest.mark.parametrize(
    ("trained", "source", "model", "printed"),
    [
        ("from scratch", "cifar(classes=10)", "resnet(depth=18, width=8)", ("Table 16", ["87.05", "87.10", "94.96"])),
        ("from scratch", "tinyimagenet", "vgg(depth=16)", ("Table 19", ["58.72"])),
        ("pretrained", "tinyimagenet(classes=(0, 100))", "resnet(depth=34)", ("Table 18", ["62.11"])),
        ("head", "cifar(classes=10, limit=2500)", "mobilenet_v2(width=0.25)", ("Table 20", ["79.53"])),
        ("from scratch", "cifar(classes=10, limit=2500)", "mobilenet_v2(width=0.25)", ("Table 20", ["68.55"])),
        ("from scratch", "cifar(classes=10, limit=5000)", "mobilenet_v2(width=0.25)", ("", [])),
        ("pretrained", "cifar(classes=10)", "mobilenet_v2", ("Table 16", ["82.11", "82.04", "93.36"])),
        ("pretrained", "cifar(classes=100)", "mobilenet_v2", ("Table 17", ["71.81"])),
        ("head", "tinyimagenet(classes=(100, 200))", "vgg(depth=16)", ("", [])),
        ("fine-tuned", "cifar(classes=10)", "resnet(depth=18)", ("", [])),
        ("from scratch", "digits", "patch_mlp", ("", [])),
    ],
)
def test_the_rows_of_the_paper(trained, source, model, printed):
    assert Kind(trained, data.source(source), models.load(model), training.load("quick")).printed == printed
