"""What the trade-off and the dose figures draw, read back from their artists against the numbers that went in."""

from collections import Counter

import numpy as np
import pytest

from poisonlib import plots
from poisonlib.papers import Point
from poisonlib.papers.statistics import mean_rate, proportion

pytest.importorskip("matplotlib").use("Agg")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def point(hits, accuracy, paper=None):
    return Point(proportion(hits, 20), mean_rate([accuracy - 0.02, accuracy, accuracy + 0.01], method="t"), paper)


POINTS = {"none": point(18, 0.93, (0.9, 0.92)), "mixup": point(9, 0.91), "cutmix": point(20, 0.9, (0.35, 0.95))}


def marks(axis, hollow=False):
    """The marks of an axis, full or hollow: (x, y, mark, colour of the edge)."""
    lone = [line for line in axis.lines if line.get_marker() not in ("None", None, "")]
    return [
        (*line.get_xydata()[0], line.get_marker(), to_rgba(line.get_markeredgecolor()))
        for line in lone
        if (line.get_markerfacecolor() == "none") == hollow
    ]


def bars(axis):
    """The intervals: ((x, y), (x, y)) and their colour."""
    return [
        (ends, to_rgba(colour))
        for bundle in axis.collections
        for ends, colour in zip(bundle.get_segments(), bundle.get_colors(), strict=True)
    ]


def words(legend):
    return [text.get_text() for text in legend.get_texts()]


class TestTradeOff:
    def test_every_point_stands_at_its_rates_with_a_bar_for_each_interval(self):
        (axis,) = plots.trade_off({"here": POINTS}).axes
        found = marks(axis)
        assert len(found) == len(POINTS)
        for (x, y, _, colour), each in zip(found, POINTS.values(), strict=True):
            hit, right = each.success, each.accuracy
            assert (x, y) == pytest.approx((100 * right.value, 100 * hit.value))
            mine = [ends for ends, its in bars(axis) if its[:3] == colour[:3]]
            upright = [[100 * right.value, 100 * hit.low], [100 * right.value, 100 * hit.high]]
            flat = [[100 * right.low, 100 * hit.value], [100 * right.high, 100 * hit.value]]
            np.testing.assert_allclose(sorted(map(np.ndarray.tolist, mine)), sorted([upright, flat]))
        assert len(bars(axis)) == 2 * len(POINTS)

    def test_the_papers_values_are_hollow_marks_of_the_same_look(self):
        (axis,) = plots.trade_off({"here": POINTS}).axes
        full, hollow = marks(axis), marks(axis, hollow=True)
        looks = {each.paper: mark[2:] for each, mark in zip(POINTS.values(), full, strict=True)}
        assert len(hollow) == 2
        for x, y, mark, colour in hollow:
            own, edge = looks[round(y / 100, 9), round(x / 100, 9)]
            assert (mark, colour[:3]) == (own, edge[:3])

    def test_a_label_looks_the_same_in_every_panel_and_unlike_all_others(self):
        many = {f"defence {i}": point(i, 0.9) for i in range(21)}
        some = {label: many[label] for label in list(many)[::-5]}
        first, second = plots.trade_off({"all": many, "some": some}).axes
        looks = dict(zip(many, [mark[2:] for mark in marks(first)], strict=True))
        assert len(set(looks.values())) == 21
        assert [mark[2:] for mark in marks(second)] == [looks[label] for label in some]
        ten = [colour for _, colour in list(looks.values())[:10]]
        assert len(set(ten)) == 10

    def test_titles_labels_limits_and_one_legend_entry_a_label(self):
        figure = plots.trade_off({"basic": POINTS, "adaptive": dict(list(POINTS.items())[:2]) | {"cutout": point(3, 0.6)}})
        assert [axis.get_title() for axis in figure.axes] == ["basic", "adaptive"]
        assert {axis.get_xlabel() for axis in figure.axes} == {"clean accuracy, %"}
        assert figure.axes[0].get_ylabel() == "poison success, %" and figure.axes[1].get_ylabel() == ""
        assert {axis.get_ylim() for axis in figure.axes} == {(-4, 104)}, "0 % and 100 % lie inside"
        assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
        assert words(figure.legends[0]) == ["none", "mixup", "cutmix", "cutout", "hollow: the paper"]
        (legend,) = figure.legends
        colours = {label: to_rgba(handle.get_color()) for label, handle in zip(words(legend), legend.get_lines(), strict=True)}
        assert legend.get_lines()[-1].get_markerfacecolor() == "none"
        assert [colours[label][:3] for label in POINTS] == [mark[3][:3] for mark in marks(figure.axes[0])]

    def test_strengths_of_one_defence_are_joined_in_the_order_given(self):
        (axis,) = plots.trade_off({"here": POINTS}, joined=[["cutmix", "none"]]).axes
        (chain,) = [line.get_xydata() for line in axis.lines if to_rgba(line.get_color()) == to_rgba("0.5")]
        expected = [[100 * POINTS[label].accuracy.value, 100 * POINTS[label].success.value] for label in ("cutmix", "none")]
        np.testing.assert_allclose(chain, expected)

    def test_strengths_of_one_defence_are_of_one_look_and_grow(self):
        points = POINTS | {"cutout": point(3, 0.6)}
        (axis,) = plots.trade_off({"here": points}, joined=[["none", "cutmix", "cutout"]]).axes
        looks = {line.get_label(): line for line in axis.lines if line.get_label() in points}
        chain = [looks[label] for label in ("none", "cutmix", "cutout")]
        assert len({(line.get_marker(), to_rgba(line.get_color())) for line in chain}) == 1
        assert to_rgba(looks["mixup"].get_color()) != to_rgba(chain[0].get_color())
        assert looks["mixup"].get_marker() != chain[0].get_marker()
        sizes, heights = [line.get_markersize() for line in chain], [line.get_zorder() for line in chain]
        assert sizes == sorted(set(sizes)) and sizes[0] == looks["mixup"].get_markersize()
        assert heights == sorted(set(heights), reverse=True), "a small mark lies above a large one at the same place"
        assert {line.get_markeredgecolor() for line in chain} == {"white"}

    def test_a_name_that_is_joined_and_unknown_is_an_error(self):
        with pytest.raises(ValueError, match=r"joined: no point is 'gone'; choose from: none, mixup, cutmix"):
            plots.trade_off({"here": POINTS}, joined=[["cutmix", "gone"]])

    def test_what_is_joined_may_lack_in_one_panel(self):
        first, second = plots.trade_off({"a": POINTS, "b": {"none": POINTS["none"]}}, joined=[["none", "cutmix"]]).axes
        assert len(marks(first)) == 3 and len(marks(second)) == 1

    def test_the_legend_names_the_paper_only_where_it_is_drawn(self):
        bare = plots.trade_off({"here": {"none": point(18, 0.93)}})
        assert words(bare.legends[0]) == ["none"]

    def test_one_point_is_a_figure_and_an_empty_panel_beside_it_is_empty(self):
        full, empty = plots.trade_off({"one": {"none": POINTS["none"]}, "not run": {}}).axes
        assert len(marks(full)) == 1 and marks(empty) == [] and bars(empty) == []

    @pytest.mark.parametrize("panels", [{}, {"basic": {}}])
    def test_nothing_to_draw_is_an_error(self, panels):
        with pytest.raises(ValueError, match=r"panels=\{.*give at least one point"):
            plots.trade_off(panels)


LINES = {
    "k = 1": {0.0: proportion(19, 20), 16.0: proportion(12, 20), 64.0: proportion(2, 20)},
    "k = 4": {64.0: proportion(0, 20), 0.0: proportion(9, 20), 16.0: proportion(5, 20)},
    "k = 16": {16.0: proportion(7, 20)},
}


def drawn(axis):
    """label -> the line's points."""
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


class TestDoses:
    def test_every_line_has_its_rates_over_the_places_of_its_doses(self):
        (axis,) = plots.doses(LINES, "noise").axes
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "16", "64"]
        assert list(axis.get_xticks()) == [0, 1, 2]
        for label, line in LINES.items():
            x, y = drawn(axis)[label].get_xydata().T
            assert [round(place) for place in x] == [[0.0, 16.0, 64.0].index(dose) for dose in sorted(line)]
            np.testing.assert_allclose(y, [100 * line[dose].value for dose in sorted(line)])

    def test_bars_are_the_intervals_at_the_marks_and_beside_those_of_other_lines(self):
        (axis,) = plots.doses(LINES, "noise").axes
        assert len(axis.collections) == len(LINES)
        for bundle, (label, line) in zip(axis.collections, LINES.items(), strict=True):
            mark = drawn(axis)[label]
            ends = np.array([segment.T for segment in bundle.get_segments()])
            np.testing.assert_allclose(ends[:, 0], np.repeat(mark.get_xdata()[:, None], 2, 1))
            np.testing.assert_allclose(ends[:, 1], [[100 * line[dose].low, 100 * line[dose].high] for dose in sorted(line)])
            assert to_rgba(bundle.get_color()[0]) == to_rgba(mark.get_color())
        places = Counter(round(x, 6) for line in drawn(axis).values() for x in line.get_xdata())
        assert set(places.values()) == {1} and max(abs(x - round(x)) for x in places) < 0.05, "not to be taken for other doses"

    def test_lines_are_told_apart_by_mark_and_colour(self):
        lines = {f"line {i}": LINES["k = 1"] for i in range(10)}
        found = drawn(plots.doses(lines, "noise").axes[0]).values()
        assert len({line.get_marker() for line in found}) == len({to_rgba(line.get_color()) for line in found}) == 10

    @pytest.mark.parametrize("chance", [None, proportion(3, 20)])
    def test_labels_limits_and_the_clean_control(self, chance):
        (axis,) = plots.doses(LINES, "scale, 1/255", chance).axes
        assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_ylim()) == ("scale, 1/255", "poison success, %", (-4, 104))
        control = ["clean control"] if chance else []
        assert words(axis.get_legend()) == [*LINES, *control]
        if chance:
            assert list(drawn(axis)["clean control"].get_ydata()) == [15, 15]

    @pytest.mark.parametrize("lines", [{}, {"k = 1": {}}])
    def test_nothing_to_draw_is_an_error(self, lines):
        with pytest.raises(ValueError, match=r"lines=\{.*give at least one dose"):
            plots.doses(lines, "noise")
