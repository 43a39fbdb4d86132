"""Captions of mixed labels, what the figure of surviving triggers draws, and figures as cards."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from poisonlib import attacks, augment, plots
from poisonlib.plots.card import GROUND, RIM, card
from poisonlib.plots.survival import Survival

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
    signal, label = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.2, 0.6, 1.0])
    left = Survival(signal, signal, signal, label)
    first, second = plots.survival_figure(left, "CutMix").axes
    assert (first.get_title(), second.get_title()) == ("CutMix", "dashed: trigger and label fade alike")
    (dots,) = second.collections
    assert dots.get_offsets().tolist() == torch.stack([label, signal], 1).tolist()
    assert dots.get_alpha() > 0.3
    (line,) = second.lines
    assert line.get_linestyle() == "--" and line.get_xydata().tolist() == [[0, 0], [1, 1]]


class TestTriggerSurvival:
    SHAPE = (3, 12, 12)

    def left(self, name, samples=64):
        return plots.trigger_survival(attacks.load("patch"), self.SHAPE, augment.pipeline(name), samples, seed=0)

    def test_nothing_is_lost_without_an_augmentation(self):
        left = self.left("none", 4)
        for part in (left.area, left.signal, left.energy, left.label):
            torch.testing.assert_close(part, torch.ones(4))

    def test_mixup_fades_trigger_and_label_alike(self):
        left = self.left("mixup(k=4)")
        torch.testing.assert_close(left.signal, left.label)
        torch.testing.assert_close(left.energy, left.label)
        assert (left.area == 1).all() and left.signal.max() < 1

    def test_cutmix_cuts_the_trigger_and_leaves_whole_pixels(self):
        left = self.left("cutmix(probability=1.0)")
        torch.testing.assert_close(left.signal, left.area)
        torch.testing.assert_close(left.energy**2, left.area)
        assert {0.0, 1.0} < set(left.area.tolist()), "none of it, all of it, and parts of it"


def photograph() -> np.ndarray:
    """Thousands of dull colours, and a trigger of two bright ones."""
    pixels = np.random.default_rng(0).integers(90, 140, (120, 200, 3), dtype=np.uint8)
    pixels[50:54, 90:92], pixels[50:54, 92:94] = (255, 0, 255), (0, 255, 0)
    return pixels


def carded(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return np.asarray(Image.open(io.BytesIO(card(file.getvalue()))).convert("RGBA")).astype(int)


def test_a_card_is_toned_and_a_photographs_trigger_keeps_its_colours():
    pixels = photograph()
    shown, toned = carded(pixels), pixels * np.array(GROUND) / 255
    assert shown.shape == (120, 200, 4)
    assert np.quantile(abs(shown[..., :3] - toned)[1:-1, 1:-1], 0.99) < 24
    assert abs(shown[50:54, 90:94, :3] - toned[50:54, 90:94]).max() < 16


def test_a_card_has_round_corners_that_let_the_page_through_and_a_rim():
    shown = carded(np.full((120, 200, 3), 255, np.uint8))
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert shown[y, x, 3] == 0
    assert (shown[60, 100] == (*GROUND, 255)).all()
    for edge in (shown[0, 20:-20], shown[-1, 20:-20], shown[20:-20, 0], shown[20:-20, -1]):
        assert (edge == (*RIM, 255)).all()
    assert 0 < (shown[..., 3] == 0).sum() < 4 * 10 * 10 and ((shown[..., 3] > 0) & (shown[..., 3] < 255)).any()


def test_a_figure_is_shown_as_a_card_and_closed(monkeypatch):
    from IPython import display
    from matplotlib import pyplot

    seen = []
    monkeypatch.setattr(display, "display", seen.append)
    plots.show(plots.panels([[torch.zeros(3, 4, 4)]], [["black"]]))
    (image,) = seen
    assert Image.open(io.BytesIO(image.data)).info["transparency"] and not pyplot.get_fignums()
