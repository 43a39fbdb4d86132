"""The privacy figures say in words what an axis cannot show: infinite epsilons, stored values, floors."""

import pytest

from poisonlib import plots, privacy

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def words(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_readings_label_every_epsilon_and_the_infinite_ones():
    found = privacy.honest_readings()
    said = words(plots.readings(found))
    assert len(said) == len(found)
    assert said[0] == "211"
    assert [text for text in said if text.startswith("none")] == ["none; delta ≥ 0.98", "none; delta ≥ 0.98", "none; delta ≥ 1"]


def test_dropped_assumptions_name_the_infinite_ones():
    examples = privacy.all_examples()
    figure = plots.dropped_assumptions(examples)
    assert words(figure) == ["infinite, delta = 0.4", "infinite, delta = 0.4", "infinite, delta = 1"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [each.assumption for each in examples]


def test_width_curves_name_claims_and_floors_only_where_given():
    curves = {"s = 1": ([1, 2, 4], [100.0, 20.0, 5.0])}
    assert legend(plots.width_curves(curves)) == ["s = 1"]
    assert legend(plots.width_curves(curves, curves, {"s = 1": 3.0})) == ["s = 1", "stored value", "no width is below"]


def test_tightness_has_a_line_and_its_circles_for_each_width():
    figure = plots.tightness([0.1, 1.0], {"k = 1": [3.0, 0.3]}, {"k = 1": [3.0, 0.3]}, [(0.5, 0.2), (0.6, 1.0)])
    assert len(figure.axes[0].lines) == 2
    assert "2 random data sets" in figure.axes[1].get_title()


def test_brackets_keep_the_order_of_their_labels():
    figure = plots.brackets({"a": privacy.Bracket(0.1, 0.2, 0.3), "b": privacy.Bracket(0.2, 0.4, 0.4)})
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert legend(figure) == ["theorem", "enumerated", "attack, at least"]
    assert figure.axes[0].get_ylim() == (1.5, -0.5), "half a row between the frame and the first and last bar"
