"""What the figure of certificates draws, read back from its artists: bounds, vacuous ground, measured rates."""

import numpy as np
import pytest

from poisonlib import plots
from poisonlib.papers.statistics import mean_rate, proportion

pytest.importorskip("matplotlib").use("Agg")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba

NOISES = [0.1, 0.5, 1.0, 4.0]
BOUNDS = {
    ("as printed", "4 poisons"): (NOISES, [1.0, 1.0, 0.9, 0.2]),
    ("as printed", "10 poisons"): ([0.2, 1.0, 8.0], [1.0, 1.0, 0.6]),
    ("as trained", "4 poisons"): (NOISES, [1.0, 1.0, 1.0, 0.9]),
    ("as trained", "10 poisons"): (NOISES, [1.0, 1.0, 1.0, 0.95]),
}
CERTIFIED = {key: f"certified {key[0]}: {key[1]}" for key in BOUNDS}
SUCCESS = {
    "4 poisons": {1.0: proportion(3, 20), 0.1: proportion(15, 20)},
    "10 poisons": {0.5: proportion(20, 20), 0.1: proportion(5, 6)},
}
MEASURED = {"4 poisons": "measured: 4 poisons, n = 20", "10 poisons": "measured: 10 poisons, n = 6 to 20"}
ACCURACY = {4.0: mean_rate([0.3, 0.4]), 0.1: mean_rate([0.9, 0.8])}
PANEL = plots.Panel("scale of the noise", BOUNDS, SUCCESS, ACCURACY)
BARE = plots.Panel("noise multiplier", {("", "one"): ([0.5, 1.0], [0.8, 0.1])}, {})


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def lines(axis):
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


def hatched(axis):
    """(left, right) of the hatched ground, None without."""
    spans = [patch.get_extents().transformed(axis.transData.inverted()) for patch in axis.patches if patch.get_hatch()]
    assert len(spans) <= 1
    return (spans[0].x0, spans[0].x1) if spans else None


def words(axis):
    return [text.get_text() for text in axis.texts]


def colour(line):
    return to_rgba(line.get_color())


def test_bounds_have_a_colour_a_series_and_a_dash_a_reading():
    (axis,) = plots.certified({"mixing": PANEL}).axes
    for key, curve in BOUNDS.items():
        line = lines(axis)[CERTIFIED[key]]
        np.testing.assert_allclose(line.get_xydata().T, curve)
        assert line.get_linestyle() == {"as printed": "--", "as trained": ":"}[key[0]]
    few, many = ({colour(lines(axis)[CERTIFIED[key]]) for key in BOUNDS if key[1] == series} for series in SUCCESS)
    assert len(few) == len(many) == 1 and few != many


def test_a_series_has_its_colour_in_every_panel_and_where_it_was_measured():
    only = plots.Panel("noise multiplier", {("", "10 poisons"): (NOISES, [1.0, 0.9, 0.8, 0.7])}, {})
    first, second = (lines(axis) for axis in plots.certified({"mixing": PANEL, "steps": only}).axes)
    for series in SUCCESS:
        assert colour(first[MEASURED[series]]) == colour(first[CERTIFIED["as printed", series]])
    assert colour(second["certified: 10 poisons"]) == colour(first[MEASURED["10 poisons"]])


def test_measured_rates_are_marks_with_their_intervals():
    (axis,) = plots.certified({"mixing": PANEL}).axes
    assert len(axis.collections) == len(SUCCESS)
    for bundle, (series, points) in zip(axis.collections, SUCCESS.items(), strict=True):
        line, noises = lines(axis)[MEASURED[series]], sorted(points)
        np.testing.assert_allclose(line.get_xydata(), [[noise, points[noise].value] for noise in noises])
        assert line.get_linestyle() == "None"
        ends = [segment.tolist() for segment in bundle.get_segments()]
        np.testing.assert_allclose(ends, [[[noise, points[noise].low], [noise, points[noise].high]] for noise in noises])
        assert to_rgba(bundle.get_color()[0]) == colour(line)


def test_marks_of_two_series_at_one_noise_stand_side_by_side():
    """In pixels, where the marks are drawn: apart by a mark's width, the noise in the middle, each bar at its mark."""
    figure = plots.certified({"mixing": PANEL})
    figure.canvas.draw()
    (axis,) = figure.axes
    marks = [lines(axis)[label] for label in MEASURED.values()]
    left, right = (line.get_transform().transform(line.get_xydata())[0, 0] for line in marks)
    (middle, _) = axis.transData.transform((0.1, 0))
    assert right - left >= marks[0].get_markersize() * figure.dpi / 72
    assert (left + right) / 2 == pytest.approx(middle, abs=0.5)
    for bundle, place in zip(axis.collections, (left, right), strict=True):
        assert bundle.get_transform().transform(bundle.get_segments()[0])[0, 0] == pytest.approx(place, abs=0.5)


def test_accuracy_is_a_line_in_the_order_of_the_noises_and_absent_where_it_was_not_measured():
    with_it, without = plots.certified({"mixing": PANEL, "steps": BARE}).axes
    np.testing.assert_allclose(lines(with_it)["clean accuracy, n = 2"].get_xydata(), [[0.1, 0.85], [4.0, 0.35]])
    assert [text.get_text() for text in without.get_legend().get_texts()] == ["certified: one"]


def test_no_series_is_dropped_and_all_are_told_apart():
    many = {f"{count} poisons": {1.0: proportion(count, 20)} for count in range(9)}
    (axis,) = plots.certified({"mixing": plots.Panel("noise", BOUNDS, many)}).axes
    shown = {label: line for label, line in lines(axis).items() if label.startswith("measured")}
    assert list(shown) == [f"measured: {label}, n = 20" for label in many]
    assert len({(line.get_marker(), colour(line)) for line in shown.values()}) == 9


def test_the_ground_is_hatched_up_to_the_first_noise_at_which_a_bound_says_something():
    figure = plots.certified({"some": PANEL, "none vacuous": BARE, "all": plots.Panel("x", {("", "a"): (NOISES, [1.0] * 4)}, {})})
    some, never, always = figure.axes
    assert hatched(some) == pytest.approx((0.1, 1.0))
    assert hatched(never) is None and words(never) == []
    assert hatched(always) == pytest.approx((0.1, 4.0))
    assert words(some) == words(always) == ["hatched: every certificate is vacuous"]


def test_a_bound_that_is_all_but_one_is_vacuous():
    almost = plots.Panel("x", {("", "a"): (NOISES, [1.0, 0.996, 0.994, 0.5])}, {})
    assert hatched(plots.certified({"almost": almost}).axes[0]) == pytest.approx((0.1, 1.0))


def test_titles_axes_and_legend():
    first, second = plots.certified({"mixing": PANEL, "steps": BARE}).axes
    assert (first.get_title(), second.get_title()) == ("mixing", "steps")
    assert (first.get_xlabel(), second.get_xlabel()) == ("scale of the noise", "noise multiplier")
    assert first.get_ylabel() == "attack success, clean accuracy (share)" and second.get_ylabel() == ""
    for axis in (first, second):
        assert axis.get_xscale() == "log" and axis.get_ylim() == (-0.04, 1.12)
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        *CERTIFIED.values(),
        *MEASURED.values(),
        "clean accuracy, n = 2",
    ]


@pytest.mark.parametrize("panels", [{}, {"mixing": PANEL, "steps": plots.Panel("x", {}, SUCCESS)}])
def test_no_bound_to_draw_is_an_error(panels):
    with pytest.raises(ValueError, match=r"bounds by panel: \{.*at least one bound"):
        plots.certified(panels)
