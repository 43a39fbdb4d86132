"""Captions of mixed labels, and what the figure of surviving triggers draws."""

import pytest
import torch

from poisonlib import plots

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([0.0, 0.33, 0.0, 0.67], "67% d, 33% b"),
        ([0.0, 0.0, 1.0, 0.0], "100% c"),
        ([0.1, 0.4, 0.3, 0.2], "40% b, 30% c\n20% d, 10% a"),
        ([0.004, 0.996, 0.0, 0.0], "100% b"),
        ([0.5, 0.0, 0.0, 0.5], "50% a, 50% d"),
    ],
)
def test_a_mixed_label_as_a_caption(label, words):
    assert plots.shares(torch.tensor(label), "abcd") == words


def test_survival_says_what_the_dashed_line_is_and_shows_every_draw():
    left = {"trigger": torch.tensor([0.0, 0.5, 1.0]), "label": torch.tensor([0.2, 0.6, 1.0])}
    first, second = plots.survival_figure(left, "CutMix").axes
    assert (first.get_title(), second.get_title()) == ("CutMix", "dashed: trigger and label fade alike")
    (dots,) = second.collections
    assert dots.get_offsets().tolist() == torch.stack([left["label"], left["trigger"]], 1).tolist()
    assert dots.get_alpha() > 0.3
    (line,) = second.lines
    assert line.get_linestyle() == "--" and line.get_xydata().tolist() == [[0, 0], [1, 1]]
