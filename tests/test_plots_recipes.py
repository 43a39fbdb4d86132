"""The figure of recipes, read back from its artists against records with invented outcomes."""

import dataclasses
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import t

from poisonlib import experiments, plots, training
from poisonlib.experiments.record import CraftReport
from poisonlib.papers.statistics import proportion

from . import invent

pytest.importorskip("matplotlib").use("Agg")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba

HITS = {"SGD": (1, 1, 1, 0), "Muon": (0, 1, 0, 0), "Adam": (1, 0, 1, 0)}
HELD_OUT = {
    "SGD": ((0.02, 0.61), (0.05, 0.48), (0.01, 0.7), (0.03, 0.66)),
    "Muon": ((0.06, 0.5), (0.04, 0.52), (0.09, 0.4), (0.05, 1.45)),  # misalignment goes up to 2
    "Adam": ((0.9, 0.8), (0.7, 0.7), (0.95, 0.9), (0.8, 0.85)),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def crafted(label, attack="gradient_matching"):
    recipe = training.load("quick_targeted", batch_size=64 + len(label))
    table = experiments.grid("targeted", "quick", attack=attack, recipe=recipe, trials=4)
    rows = zip(table, HITS[label], HELD_OUT[label], strict=True)
    records = [(invent.record(trial, hit), CraftReport((1, 1), 0.02, held)) for trial, hit, held in rows]
    return [dataclasses.replace(record, craft=craft) for record, craft in records]


def controls(label):
    """One of four targets is taken for the intended class without poisons."""
    table = experiments.grid("targeted", "quick", attack="gradient_matching(poison_rate=0.0)", trials=4)
    return [invent.record(trial, trial.seed == 202) for trial in table]


ATTACKED = {label: crafted(label) for label in HITS}


def marks(figure, hollow):
    (axis,) = figure.axes
    lone = [line for line in axis.lines if line.get_marker() not in ("None", None, "")]
    return [line for line in lone if (line.get_markerfacecolor() == "white") == hollow]


def words(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_mark_stands_at_the_mean_transfer_and_the_success_of_each_recipe():
    figure = plots.recipes(ATTACKED)
    assert words(figure) == [*HITS, "no transfer"]
    for line, label in zip(marks(figure, hollow=False), HITS, strict=True):
        gained = [poisons - unpoisoned for poisons, unpoisoned in HELD_OUT[label]]
        assert line.get_xydata()[0] == pytest.approx((fmean(gained), 25 * sum(HITS[label])))
    (legend,) = figure.legends
    colours = [to_rgba(handle.get_color()) for handle in legend.get_lines()[:3]]
    assert colours == [to_rgba(line.get_color()) for line in marks(figure, hollow=False)]
    assert len({line.get_marker() for line in marks(figure, hollow=False)}) == len(set(colours)) == 3


def test_bars_are_95_percent_intervals_of_hits_upright_and_students_flat():
    (axis,) = plots.recipes(ATTACKED).axes
    bars = iter(axis.collections)
    for label, hits in HITS.items():
        gained = np.array([poisons - unpoisoned for poisons, unpoisoned in HELD_OUT[label]])
        half = t.ppf(0.975, 3) * gained.std(ddof=1) / 2
        x, rate = gained.mean(), proportion(sum(hits), 4)
        (upright,), (flat,) = next(bars).get_segments(), next(bars).get_segments()
        np.testing.assert_allclose(upright, [[x, 100 * rate.low], [x, 100 * rate.high]])
        np.testing.assert_allclose(flat, [[x - half, 100 * rate.value], [x + half, 100 * rate.value]])
    assert next(bars, None) is None


def test_controls_are_hollow_marks_of_the_same_look_below_their_recipe():
    figure = plots.recipes(ATTACKED, {"Muon": controls("Muon")})
    assert words(figure) == [*HITS, "no transfer", "hollow: clean control"]
    (control,) = marks(figure, hollow=True)
    own = marks(figure, hollow=False)[1]
    assert control.get_xydata()[0] == pytest.approx((own.get_xdata()[0], 25))
    assert control.get_marker() == own.get_marker()
    assert to_rgba(control.get_markeredgecolor()) == to_rgba(own.get_color())


def test_the_line_of_no_transfer_and_0_and_100_percent_lie_inside():
    figure = plots.recipes(ATTACKED)
    (axis,) = figure.axes
    (line,) = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [0, 0]
    left, right = axis.get_xlim()
    assert left < -0.5 and right > 0 and axis.get_ylim() == (-4, 104)


def test_the_setting_stands_below_and_nothing_is_cut_or_covered():
    figure = plots.recipes(ATTACKED, {label: controls(label) for label in HITS})
    assert figure._supxlabel.get_text() == "digits(limit=400) · patch_mlp · n = 4 · cpu"
    figure.canvas.draw()
    page, line, (axis,), (legend,) = figure.bbox, figure._supxlabel.get_window_extent(), figure.axes, figure.legends
    boxes = [line, axis.get_tightbbox(), legend.get_window_extent()]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_one_trial_of_a_recipe_spans_nearly_all_values():
    (axis,) = plots.recipes({"SGD": ATTACKED["SGD"][:1]}).axes
    _, flat = axis.collections
    left, right = flat.get_segments()[0][:, 0]
    assert -2 <= left < -1.9 and 1.9 < right <= 2


def test_without_recipes_without_transfer_and_for_an_unknown_control_it_refuses():
    with pytest.raises(ValueError, match=r"records by recipe: \{\}; give at least one"):
        plots.recipes({})
    with pytest.raises(ValueError, match=r"\{'SGD': 4, 'Muon': 0\}; give at least one recipe, and records of each"):
        plots.recipes({"SGD": ATTACKED["SGD"], "Muon": []})
    old = [dataclasses.replace(ATTACKED["SGD"][1], craft=CraftReport((1, 1), 0.02))]
    with pytest.raises(ValueError, match=r"SGD: the records of seeds \[201\] hold no transfer; run these trials again"):
        plots.recipes({"SGD": [ATTACKED["SGD"][0], *old]})
    with pytest.raises(ValueError, match=r"SGD: the records of seeds \[200, 201, 202, 203\] hold no transfer"):
        plots.recipes({"SGD": controls("SGD")})
    with pytest.raises(ValueError, match="controls: no recipe is 'sgd'; choose from: SGD, Muon, Adam"):
        plots.recipes(ATTACKED, {"sgd": controls("SGD")})
