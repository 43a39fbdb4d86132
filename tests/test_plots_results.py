"""What the figures of results draw, read back from their artists against records: scales, words, dots, and the line below."""

import dataclasses

import numpy as np
import pytest

from poisonlib import experiments, papers, plots
from poisonlib.experiments.record import CraftReport, FilterReport
from poisonlib.papers.setting import caption, counted
from poisonlib.papers.statistics import proportion

from . import invent

pytest.importorskip("matplotlib").use("Agg")
to_rgba = pytest.importorskip("matplotlib.colors").to_rgba

PLACE = "digits(limit=400) · patch_mlp · n = 4 · cpu"
DEFENCES = ["none", "mixup", "mixup(k=4)"]


@pytest.fixture(autouse=True)
def closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def record(trial, hit, accuracy=0.9, filtered=None, device="cpu: some model"):
    clean = ((round(1000 * accuracy) + trial.seed % 200, 1000),)
    return invent.record(trial, hit, 1, clean, confidence=0.1 + 0.8 * hit, poisons=10, filtered=filtered, device=device)


def invented(defence=DEFENCES, attack=("gradient_matching", "gradient_matching(adaptive='surrogate')"), trials=4, **more):
    grid = experiments.grid("targeted", "quick", attack=list(attack), defence=list(defence), trials=trials)
    return [record(trial, trial.seed % 2, **more) for trial in grid]


def below(figure):
    """The words at the lower edge, on however many lines."""
    return figure._supxlabel.get_text().replace("\n", " ") if figure._supxlabel else ""


def words(figure):
    (legend,) = figure.legends
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


class TestCaption:
    def test_it_names_data_network_trials_a_cell_and_kind_of_device(self):
        assert caption(invented()) == PLACE
        assert caption([]) == ""

    def test_cells_of_several_sizes_and_settings_are_all_named(self):
        other = experiments.grid("backdoor", "quick", attack="patch", defence="none", trials=6)
        mixed = [*invented(), *(record(trial, 1, device="cuda: some card") for trial in other)]
        assert caption(mixed) == "digits(limit=400); digits(size=12, channels=3) · patch_mlp; convnet_gap · n = 4 to 6 · cpu; cuda"

    def test_a_record_that_is_given_twice_counts_once(self):
        assert caption([*invented(), *invented()]) == PLACE
        assert counted([3, 3]) == "n = 3" and counted(iter([7, 3, 5])) == "n = 3 to 7"

    @pytest.mark.parametrize("kind", ["trade_off", "doses", "rates", "forest", "roc_curves", "certified"])
    def test_every_picture_of_results_carries_it_within_the_page_and_over_nothing(self, kind):
        figure = drawings()[kind]
        assert below(figure) == PLACE
        figure.canvas.draw()
        page, line = figure.bbox, figure._supxlabel.get_window_extent()
        assert page.x0 <= line.x0 and line.x1 <= page.x1 and page.y0 <= line.y0
        others = [axis.get_tightbbox() for axis in figure.axes] + [legend.get_window_extent() for legend in figure.legends]
        assert not any(line.overlaps(other) for other in others)
        assert all(page.x0 <= other.x0 and other.x1 <= page.x1 + 1 for other in others), "nothing is cut"

    @pytest.mark.parametrize("kind", ["rates", "forest"])
    def test_a_long_one_takes_several_lines_within_the_page(self, kind, monkeypatch):
        setting = " · ".join(f"network(depth={i}, width=16)" for i in range(12))
        monkeypatch.setattr("poisonlib.plots.results.caption", lambda records: setting)
        monkeypatch.setattr(papers.Comparison, "caption", setting)
        figure = drawings()[kind]
        assert figure._supxlabel.get_text().count("\n") >= 2 and below(figure) == setting
        figure.canvas.draw()
        page, line = figure.bbox, figure._supxlabel.get_window_extent()
        assert page.x0 <= line.x0 and line.x1 <= page.x1 and page.y0 <= line.y0
        others = [axis.get_tightbbox() for axis in figure.axes] + [legend.get_window_extent() for legend in figure.legends]
        assert not any(line.overlaps(other) for other in others)

    def test_without_records_there_is_no_line(self):
        points = papers.points(invented(attack=["gradient_matching"]))
        assert below(plots.trade_off({"": points})) == ""


def drawings():
    records = invented()
    basic = [r for r in records if r.spec["attack"]["adaptive"] == "none"]
    points, frame = papers.points(basic), experiments.frame(records)
    bound = plots.Panel("noise", {("", "all"): ([1.0, 2.0], [1.0, 0.5])}, {"all": {1.0: proportion(2, 4)}})
    return {
        "trade_off": plots.trade_off({"": points}, records=basic),
        "doses": plots.doses({"mixup": {1.0: points["none"].success, 2.0: points["mixup"].success}}, "k", records=basic),
        "rates": plots.rates(frame, hue="attack.adaptive", records=records),
        "forest": plots.forest(papers.compare(records, "dp_instahide", "table3")),
        "roc_curves": plots.roc_curves(filtered(), images=400),
        "certified": plots.certified({"": bound}, records=basic),
    }


class TestForest:
    def accuracies(self, accuracy):
        comparison = papers.compare(invented(accuracy=accuracy), "strong_augmentation", "table2")
        return {axis.get_title(): axis for axis in plots.forest(comparison).axes}

    @pytest.mark.parametrize(("accuracy", "left"), [(0.9, 84), (0.44, 40), (0.70, 66)])
    def test_accuracy_begins_below_the_least_value_and_says_so(self, accuracy, left):
        """The paper prints 87.45 % at least for these rows."""
        axis = self.accuracies(accuracy)["Validation Accuracy (%)"]
        low, high = axis.get_xlim()
        assert low == left and 100 < high < 103
        ticks = axis.get_xticks()
        assert (ticks[0], ticks[-1]) == (left, 100) and 3 <= len(ticks) <= 6
        assert axis.get_xlabel() == f"%, from {left}"

    def test_success_is_shown_from_nothing_to_all(self):
        axis = self.accuracies(0.9)["Basic Attack (%)"]
        assert axis.get_xlim() == (-3, 103) and axis.get_xlabel() == "%"


class TestRates:
    def test_every_trial_is_a_dot_and_every_mean_a_bar(self):
        records = invented(trials=3)
        frame = experiments.frame(records)
        (axis,) = plots.rates(frame, y="confidence", hue="attack.adaptive").axes
        dots = sorted(y for bundle in axis.collections for _, y in bundle.get_offsets().tolist())
        assert dots == pytest.approx(sorted(frame["confidence"]))
        bars = sorted(bar.get_height() for bar in axis.patches if bar.get_width() and bar.get_height())
        assert bars == pytest.approx(sorted(frame.groupby(["defence", "attack.adaptive"])["confidence"].mean()))

    def test_words_for_the_reader(self):
        figure = plots.rates(experiments.frame(invented()), y="confidence", hue="attack.adaptive")
        assert words(figure) == ["dot: a trial; bar: mean; colour: attacker trains under the defence", "no", "yes"]
        assert figure.axes[0].get_ylabel() == "probability of the intended class"
        assert figure.axes[0].get_legend() is None
        plain = plots.rates(experiments.frame(invented(attack=["gradient_matching"])))
        assert words(plain) == ["dot: a trial; bar: mean"]
        assert plain.axes[0].get_ylabel() == "attack success (share)"

    def test_dots_have_the_colour_of_their_bar(self):
        (axis,) = plots.rates(experiments.frame(invented(attack=["gradient_matching"]))).axes
        dots = {to_rgba(colour) for bundle in axis.collections for colour in bundle.get_facecolors()}
        bars = {to_rgba(bar.get_facecolor(), 1) for bar in axis.patches if bar.get_height()}
        assert len(dots) == len(bars) == 1
        assert next(iter(dots)) == pytest.approx(next(iter(bars)), abs=0.15), "a bar is a little paler"

    def test_many_bars_stay_within_a_page(self):
        many = [*DEFENCES, "cutmix", "cutout", "maxup", "noisy_sgd"]
        width, _ = plots.rates(experiments.frame(invented(many)), hue="attack.adaptive").get_size_inches()
        assert width <= 9

    def test_the_line_below_is_of_the_rows_that_are_shown(self):
        records, more = invented(["none"]), invented(["none"], attack=["gradient_matching(poison_rate=0)"], trials=9)
        frame = experiments.frame([*records, *more])
        figure = plots.rates(frame[frame["attack.poison_rate"] > 0], records=[*records, *more])
        assert below(figure) == PLACE


CAUGHT = [(50, 5), (390, 0), (10, 10), (0, 0)]  # removed, poisons among them; 10 poisons among 400 images


def filtered():
    made = []
    for name in ("spectral_signatures(expected=0.025)", "activation_clustering"):
        grid = experiments.grid("targeted", "quick", attack="gradient_matching", defence=name, trials=len(CAUGHT))
        for trial, (removed, caught) in zip(grid, CAUGHT, strict=True):
            curve = (0.0, 0.1 * (trial.seed - grid[0].seed), 1.0), (0.0, 0.5, 1.0)
            made.append(record(trial, 0, filtered=FilterReport(removed, caught, 0.6, curve)))
    return made


class TestRocCurves:
    def test_a_dot_a_trial_at_what_its_filter_removed(self):
        for axis in plots.roc_curves(filtered(), images=400).axes:
            dots = [tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "o"]
            np.testing.assert_allclose(dots, [((removed - caught) / 390, caught / 10) for removed, caught in CAUGHT])
            assert not [line for line in axis.lines if line.get_linestyle() == ":"]
            curves = [line.get_xydata().T for line in axis.lines if line.get_linestyle() == "-"]
            np.testing.assert_allclose(curves, [[[0, 0.1 * seed, 1], [0, 0.5, 1]] for seed in range(4)])

    def test_the_legend_says_what_is_what(self):
        figure = plots.roc_curves(filtered(), images=400)
        assert words(figure)[1:] == ["a trial, over all thresholds", "what its filter removed", "scores at random"]
        assert [axis.get_title().split("\n")[1] for axis in figure.axes] == 2 * ["mean area 0.60, n = 4"]

    def test_a_set_that_is_too_small_for_what_was_removed_is_an_error(self):
        with pytest.raises(ValueError, match=r"images=100: 390 were removed and 10 are poisons"):
            plots.roc_curves(filtered(), images=100)

    def test_no_filter_is_an_error(self):
        with pytest.raises(ValueError, match="none of 4 records has a filter's scores"):
            plots.roc_curves(invented(["none"]), images=400)


class TestTransfer:
    VALUES = ((0.2, 0.9), (0.6, 0.5), (0.3, 0.8), (0.4, 0.4))  # of the poisons and of the unpoisoned images, by seed

    def judged(self, known=4):
        crafts = [CraftReport((1, 1), 0.1, pair if seed < known else None) for seed, pair in enumerate(self.VALUES)]
        return [dataclasses.replace(each, craft=crafts[each.seed % 200]) for each in invented(["none"], ["gradient_matching"])]

    def test_each_trial_is_a_mark_hits_apart_from_misses(self):
        records = self.judged()
        figure = plots.transfer(experiments.frame(records), records=records)
        (axis,) = figure.axes
        lines = {line.get_label(): line for line in axis.lines}
        for name, seeds, confidence in (("hit (2)", (1, 3), 0.9), ("miss (2)", (0, 2), 0.1)):
            np.testing.assert_allclose(lines[name].get_xdata(), [self.VALUES[s][0] - self.VALUES[s][1] for s in seeds])
            np.testing.assert_allclose(lines[name].get_ydata(), [confidence, confidence])
        assert lines["hit (2)"].get_marker() != lines["miss (2)"].get_marker() and lines["miss (2)"].get_mfc() == "none"
        assert words(figure) == ["a mark: a trial; dashed: no transfer", "hit (2)", "miss (2)"]
        assert any(list(line.get_xdata()) == [0, 0] for line in axis.lines) and axis.get_title() == ""
        assert below(figure) == PLACE and "poisons minus the same images unpoisoned" in axis.get_xlabel()

    @pytest.mark.parametrize("known", [0, 1])
    def test_trials_of_older_versions_are_left_out_and_counted(self, known):
        records = self.judged(known)
        figure = plots.transfer(experiments.frame(records), records=records)
        assert figure.axes[0].get_title() == f"{4 - known} of 4 trials have no transfer on record"
        assert words(figure)[1:] == ["hit (0)", f"miss ({known})"]
        assert below(figure) == (PLACE.replace("n = 4", "n = 1") if known else "")
