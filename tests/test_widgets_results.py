"""The results explorer: cells and their intervals, the papers' tables, curves, the planner, exports; no redraw reads files."""

import functools
import json
import sys
from collections import Counter
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("ipywidgets")

from poisonlib import experiments, papers, paths
from poisonlib.experiments import Ledger, Record, index
from poisonlib.experiments.record import Cost
from poisonlib.experiments.spec import canonical
from poisonlib.papers import costs as planner
from poisonlib.papers.belonging import beside
from poisonlib.papers.cells import chance, measured, point
from poisonlib.papers.dose import DOSES, fit, series
from poisonlib.papers.power import trials_to_tell
from poisonlib.papers.telling import names
from poisonlib.widgets import results
from poisonlib.widgets.results import State, _pictures, _records
from poisonlib.widgets.results._listing import as_html, as_latex, frame

QUICK = State(source="quick")
PNG = b"\x89PNG"


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """An output folder of the user's own, empty at first."""
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


@functools.cache
def reference(run="quick") -> list[Record]:
    return list(Ledger.open(paths.root() / "outputs" / "reference" / run / "trials"))


def write(ledger: Ledger, record: Record, **spec) -> None:
    """The record as it would be with another spec; faster than `Ledger.put`, which waits for the disk."""
    record = replace(record, spec=record.spec | spec)
    path = ledger.path(record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(canonical(record.to_json()))


def numbers(estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high, estimate.trials]


def chosen(cells, attack, defence):
    return next(cell for cell in cells if (cell.setting.attack, cell.setting.defence) == (attack, defence))


class TestRecords:
    def test_cells_are_those_of_the_ledgers_own_table(self):
        cells = _records.load("quick").cells
        records = reference()
        table, counts = experiments.frame(records), Counter(record.setting for record in records)
        assert {cell.setting.text: len(cell.seeds) for cell in cells} == counts
        assert {(cell.setting.kind, cell.setting.defence) for cell in cells} == set(
            zip(table["attack"], table["defence"], strict=True)
        )
        assert sum(sum(cell.success) for cell in cells) == pytest.approx(table["success"].sum())
        assert sum(sum(cell.accuracy) for cell in cells) == pytest.approx(table["accuracy"].sum())
        assert all(list(cell.seeds) == sorted(set(cell.seeds)) for cell in cells)

    def test_intervals_are_those_of_papers_points(self):
        cell = chosen(_records.load("quick").cells, "patch(poison_rate=1.0)", "mixup")
        mine = [record for record in reference() if record.setting == cell.setting.text]
        theirs, ours = papers.points(mine)["mixup"], point(cell)
        assert numbers(ours.success) == pytest.approx(numbers(theirs.success))
        assert numbers(ours.accuracy) == pytest.approx(numbers(theirs.accuracy))

    def test_auto_is_yours_or_a_kept_run(self, outputs):
        assert _records.load().name == "quick"
        write(Ledger.open(), reference()[0])
        found = _records.load()
        assert (found.name, len(found.cells), found.unreadable) == ("yours", 1, ())
        with pytest.raises(LookupError, match=r"source='mine': choose one of: auto, yours, .*quick"):
            _records.load("mine")

    def test_a_new_record_is_seen(self, outputs):
        for count, record in enumerate(reference()[:2], start=1):
            write(Ledger.open(), record)
            assert sum(len(cell.seeds) for cell in _records.load("yours").cells) == count

    def test_names_say_what_differs_and_no_more(self):
        cells = _records.load("quick").cells
        patch = [chosen(cells, attack, "none") for attack in ("patch(poison_rate=0.0)", "patch", "patch(poison_rate=1.0)")]
        assert names(patch) == ["patch(poison_rate=0.0)", "patch(poison_rate=0.1)", "patch(poison_rate=1.0)"]
        assert names(patch[:1]) == ["none"]
        assert names([patch[0], patch[0]]) == ["none", "none #2"]
        other = chosen(_records.load("laptop").cells, "patch(poison_rate=1.0)", "none")
        assert names([patch[2], other]) == [patch[2].setting.data, other.setting.data]
        assert names([patch[0], other]) == ["patch(poison_rate=0.0)", "patch(poison_rate=1.0)"]


OWN = """
from dataclasses import dataclass
from poisonlib.augment.mixup import Mixup

@dataclass(frozen=True)
class Softer(Mixup):
    power: float = 0.5
"""


@pytest.fixture
def own_module(tmp_path):
    """A module that holds an augmentation of the user's own; its folder is not on Python's path yet.

    Its name is new in each test, as trials that were read once stay known.
    """
    path = tmp_path / "code" / f"own_{tmp_path.name}.py"
    path.parent.mkdir()
    path.write_text(OWN)
    yield path
    sys.modules.pop(path.stem, None)


def write_own(module: Path, count: int) -> None:
    """Records of trials under a defence whose class stands in that module."""
    record = next(each for each in reference() if each.spec["attack"]["name"] == "patch" and not each.trial.defence.parts)
    part = {"name": f"{module.stem}.Softer", "k": 2, "alpha": 1.0, "variant": "paper", "power": 0.25}
    for seed in range(count):
        write(Ledger.open(), record, seed=seed, defence={"augment": [part], "filter": None, "step": None})


class TestUnreadable:
    """Records that name a class of the user's own, and damaged files."""

    def test_records_of_an_own_class_are_shown_by_its_import_path(self, outputs, own_module, monkeypatch):
        monkeypatch.syspath_prepend(own_module.parent)
        write_own(own_module, 3)
        state = State(source="yours", find="softer")
        assert results.prepare(state).chosen[0].setting.defence == f"{own_module.stem}.Softer(power=0.25)"
        for view in results.VIEWS:
            line = results.explorer(replace(state, view=view)).line.value
            assert "Not shown" not in line and "cannot be read" not in line
        assert "3 of 3 trials" in results.words(state) and f"{own_module.stem}.Softer(power=0.25)" in results.listing(state)

    def test_a_class_that_cannot_be_imported_is_counted_and_named(self, outputs, own_module):
        write_own(own_module, 3)
        write(Ledger.open(), reference()[0])
        for view in results.VIEWS:
            panel = results.explorer(State(source="yours", view=view))
            assert panel.picture.value and "Not shown" not in panel.line.value
            assert f"3 records cannot be read and are left out: {own_module.stem}.Softer cannot be imported" in panel.line.value
        assert "1 of 1 trial, " in results.words(State(source="yours"))

    def test_it_is_shown_as_soon_as_it_can_be_imported(self, outputs, own_module, monkeypatch):
        write_own(own_module, 2)
        state = State()
        assert "There are no records in yours yet" not in results.words(state)
        assert "2 records cannot be read" in results.words(state)
        monkeypatch.syspath_prepend(own_module.parent)
        assert "Records yours: 2 of 2 trials" in results.words(state) and "cannot be read" not in results.words(state)

    def test_a_damaged_file_is_counted_and_named(self, outputs):
        write(Ledger.open(), reference()[0])
        (outputs / "trials" / "00").mkdir(exist_ok=True)
        (outputs / "trials" / "00" / "0.json").write_text("{")
        line = results.explorer(State(source="yours")).line.value
        assert "1 of 1 trial, " in line and "1 record cannot be read and is left out: " in line
        assert "0.json is not a sound record" in line and "move it away" in line

    def test_the_most_frequent_reason_is_given(self, outputs, own_module):
        write_own(own_module, 2)
        (outputs / "trials" / "00").mkdir(exist_ok=True)
        (outputs / "trials" / "00" / "0.json").write_text("{")
        assert f"3 records cannot be read and are left out: 2 because {own_module.stem}.Softer" in results.words(State())
        assert "None of the records in yours can be read." in results.words(State())


class TestRedraw:
    def test_five_thousand_records_are_read_once(self, outputs):
        """The files are emptied in place, which leaves their folders' times as they were."""
        ledger, records = Ledger.open(), reference()
        for seed in range(5000):
            write(ledger, records[seed % len(records)], seed=1000 + seed)
        panel = results.explorer(State(source="yours", table="none"))
        assert "5000 of 5000 trials" in panel.line.value
        for path in ledger.root.glob("??/*.json"):
            path.write_text("")
        before = panel.picture.value
        panel.controls["rows"].value = 5
        assert "5000 of 5000 trials" in panel.line.value and panel.picture.value != before
        for view in ("trade-off", "dose", "power"):
            panel.controls["view"].value = view
            assert "Not shown" not in panel.line.value

    def test_only_folders_that_changed_are_read_again(self, outputs, monkeypatch):
        records, read = reference()[:40], []
        for record in records[:-1]:
            write(Ledger.open(), record)
        monkeypatch.setattr(index, "_read", lambda path, real=index._read: read.append(path) or real(path))
        _records.load("yours")
        assert len(read) == 39
        write(Ledger.open(), records[-1])
        _records.load("yours")
        again = {path.parent.name for path in read[39:]}
        assert again == {records[-1].key[:2]}


class TestPanel:
    def test_every_field_has_a_control_with_a_label_and_a_word_of_help(self):
        panel = results.explorer(QUICK)
        assert set(panel.controls) == {field.name for field in fields(State)} and panel.state == QUICK
        labels = [widget.description for widget in panel.controls.values()]
        assert all(labels) and len(set(labels)) == len(labels)
        assert all(widget.tooltip for widget in panel.controls.values())

    def test_controls_pass_their_values_on(self):
        panel = results.explorer(QUICK)
        wanted = {"view": "power", "p1": 0.9, "p2": 0.4, "power": 0.9, "cells": 5, "find": "mixup", "attack": "patch"}
        for field, value in wanted.items():
            panel.controls[field].value = value
        assert panel.state == replace(QUICK, **wanted)
        assert f"each cell needs {trials_to_tell(0.9, 0.4, 0.9)} trials" in panel.line.value

    @pytest.mark.parametrize("view", results.VIEWS)
    @pytest.mark.parametrize("source", ["quick", "laptop"])
    def test_every_view_of_the_kept_runs(self, view, source):
        state = State(source=source, view=view)
        first = results.render(state).png()
        assert first.startswith(PNG) and first == results.render(state).png()
        assert results.words(state) and "nan" not in results.words(state)

    @pytest.mark.parametrize("view", results.VIEWS)
    def test_an_empty_ledger_gives_words(self, outputs, view):
        state = State(source="yours", view=view)
        assert results.render(state).png().startswith(PNG)
        said = "the hours are not known" if view == "power" else "There are no records in yours yet: run a notebook"
        assert said in results.words(state) and results.listing(state) == ""
        assert "Not shown" not in results.explorer(state).line.value
        with pytest.raises(ValueError, match="no cell is selected"):
            results.save(state)

    def test_a_choice_that_leaves_nothing_says_so(self):
        assert "cells of the records quick is selected: set fewer conditions" in results.words(
            replace(QUICK, find="nothing like it")
        )
        assert "No selected cells differ only in eps" in results.words(replace(QUICK, view="dose", dose="eps", attack="patch"))

    @pytest.mark.parametrize("change", [{"view": "pie"}, {"dose": "salt"}, {"table": "dp_instahide table99"}])
    def test_bad_states_name_the_choices(self, change):
        with pytest.raises(ValueError, match=f"{next(iter(change))}=.*choose one of"):
            replace(QUICK, **change)

    def test_the_buttons_save_what_is_chosen_and_say_where(self, outputs):
        panel = results.explorer(replace(QUICK, attack="patch", find="mixup"))
        buttons = {button.description: button for button in panel.children[-2].children}
        for label, suffix in (("Save as CSV", "csv"), ("Save as LaTeX", "tex")):
            buttons[label].click()
            assert f"Saved: {outputs / 'exports' / f'results.{suffix}'}" in panel.line.value
        assert len(pd.read_csv(outputs / "exports" / "results.csv")) == len(results.prepare(panel.state).chosen) == 3
        panel.controls["find"].value = "nothing like it"
        buttons["Save as CSV"].click()
        assert "Not saved: no cell is selected" in panel.line.value


def legend(axis) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axis.get_legend().get_texts()]


class TestMenus:
    def test_it_opens_on_a_papers_table_with_its_values_and_ours(self):
        below = results.explorer(QUICK).children[-1].value
        claims = papers.load("strong_augmentation").table("table1").claims
        first, second = below.split("</details>")[:2]
        assert first.startswith("<details open><summary>Table 1 of strong_augmentation, as printed and as measured")
        cells = results.prepare(QUICK).chosen
        assert second.startswith(f"<details><summary>{len(cells)} cells selected") and "not run" not in first
        for spot in beside(results.prepare(QUICK).chosen, QUICK.table):
            rate = measured(spot.ours[0], spot.claim.measure)
            numbers = (
                spot.claim.printed,
                f"{100 * rate.value:.1f}",
                f"{100 * rate.low:.1f} to {100 * rate.high:.1f}",
                str(rate.trials),
            )
            assert spot.claim in claims and all(f">{number}</td>" in first for number in numbers)

    def test_every_option_of_every_menu_and_every_preset_is_shown(self):
        panel = results.explorer(QUICK)
        menus = {control.field: control.options for control in results.controls() if hasattr(control, "options")}
        assert set(menus) == {"view", "source", "attack", "data", "table", "dose", "find"}
        for field, options in menus.items():
            panel.show(replace(QUICK, view="dose") if field == "dose" else QUICK)
            for option in options:
                panel.controls[field].value = option
                assert "Not shown" not in panel.line.value and panel.picture.value.startswith("<svg"), (field, option)
        for preset in panel.tools.presets.children:
            preset.click()
            assert "Not shown" not in panel.line.value, preset.description

    @pytest.mark.parametrize(
        ("change", "used"),
        [
            ({}, {"table"}),
            ({"table": "none"}, {"table", "rows"}),
            ({"view": "dose"}, {"dose"}),
            ({"view": "power"}, {"p1", "p2", "power", "cells"}),
        ],
    )
    def test_controls_without_an_effect_are_disabled(self, change, used):
        panel = results.explorer(replace(QUICK, **change))
        on = {field for field, widget in panel.controls.items() if not widget.disabled}
        assert on - {"view", "source", "attack", "data", "find"} == used


class TestPictures:
    def test_the_trade_off_is_that_of_the_tables(self):
        """The same marks, intervals and colours as the notebooks' figure of the same points."""
        from matplotlib import pyplot

        from poisonlib import plots

        cells = results.prepare(QUICK).most(5)
        (mine,) = results.render(replace(QUICK, view="trade-off", rows=5)).axes
        figure = plots.trade_off({"": {name: point(cell) for name, cell in zip(names(cells), cells, strict=True)}})
        looks = [
            [(line.get_xydata().tolist(), line.get_marker(), line.get_color()) for line in axis.lines]
            + [
                (ends.tolist(), "", tuple(colour))
                for bars in axis.collections
                for ends, colour in zip(bars.get_segments(), bars.get_colors(), strict=True)
            ]
            for axis in (mine, *figure.axes)
        ]
        pyplot.close(figure)
        assert len(looks[0]) == 15 and looks[0] == looks[1]
        data = {cell.setting.data for cell in cells}
        assert len(data) == 1 and legend(mine) == names(cells)

    def test_a_legend_names_the_data_and_the_network_where_they_differ(self):
        state = replace(QUICK, view="trade-off", rows=8)
        cells = results.prepare(state).most(8)
        assert len({cell.setting.data for cell in cells}) == len({cell.setting.model for cell in cells}) == 2
        (axis,) = results.render(state).axes
        for words, name, cell in zip(legend(axis), names(cells), cells, strict=True):
            assert words == f"{name} · {cell.setting.data} · {cell.setting.model}"

    def test_a_name_that_has_the_data_in_it_does_not_get_it_twice(self):
        ours, theirs = (
            next(
                cell
                for cell in _records.load(run).cells
                if (cell.setting.attack, cell.setting.defence) == ("patch(poison_rate=1.0)", "none")
            )
            for run in ("quick", "laptop")
        )
        words = legend(_pictures.trade_off([ours, theirs]).axes[0])
        assert words == [f"{cell.setting.data} · {cell.setting.model}" for cell in (ours, theirs)]

    def test_a_legend_of_many_cells_lies_on_the_picture(self):
        figure = results.render(replace(QUICK, view="trade-off", rows=24))
        figure.canvas.draw()
        box, page = figure.axes[0].get_legend().get_window_extent(), figure.bbox
        assert page.y0 <= box.y0 and box.y1 <= page.y1 and box.x1 <= page.x1

    def test_every_row_of_a_forest_has_its_name_beside_its_interval(self):
        cells = results.prepare(QUICK).most(6)
        left, right = results.render(replace(QUICK, table="none", rows=6)).axes
        assert [(text.get_position()[1], text.get_text().replace("\n", " ")) for text in left.texts] == list(
            enumerate(names(cells))
        )
        assert not right.texts and left.get_ylim() == right.get_ylim() == (5.5, -0.5)
        spans = [segment.tolist() for segment in left.collections[1].get_segments()]
        rates = [point(cell).success for cell in cells]
        assert spans == [[[100 * rate.low, row], [100 * rate.high, row]] for row, rate in enumerate(rates)]


class TestPapers:
    @pytest.mark.parametrize("table", ["strong_augmentation table1", "dp_instahide table1"])
    def test_cells_beside_a_table_are_those_that_the_comparison_finds(self, table):
        """The slow way: every record compared."""
        comparison, cells = papers.compare(reference(), *table.split()), _records.load("quick").cells
        for spot in beside(cells, table):
            theirs = comparison.cell(spot.claim.row, spot.claim.column)
            assert len(spot.ours) == bool(theirs.ours)
            for cell in spot.ours:
                assert numbers(measured(cell, spot.claim.measure)) == pytest.approx(numbers(theirs.ours))
            if theirs.chance:
                assert numbers(chance(spot.ours[0], cells)) == pytest.approx(numbers(theirs.chance))

    def test_several_networks_in_one_place_are_kept_apart(self, outputs):
        for record in [*reference(), *reference("laptop")]:
            if record.spec["attack"]["name"] == "patch":
                write(Ledger.open(), record)
        spot = beside(_records.load("yours").cells, "strong_augmentation table1")[0]
        assert {cell.setting.model for cell in spot.ours} == {"convnet_gap", "resnet(depth=18, width=8)"}
        assert "are measured; the paper's value lies inside" in results.words(
            State(source="yours", table="strong_augmentation table1")
        )


def by_hand(doses, rates, steps=50):
    """Newton's method on the log-likelihood: (intercept, slope) and their covariance."""
    design, weights = np.stack([np.ones(len(doses)), doses], axis=1), np.zeros(2)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-design @ weights))
        information = design.T @ (design * (p * (1 - p))[:, None])
        weights = weights + np.linalg.solve(information, design.T @ (rates - p))
    return weights, np.linalg.inv(information)


class TestDose:
    def test_hits_and_misses_as_by_hand_and_by_statsmodels(self):
        import statsmodels.api as sm

        doses = np.repeat([0.0, 1.0, 2.0, 5.0], 25)
        hits = (np.random.default_rng(0).random(100) < 1 / (1 + np.exp(2 - doses))).astype(float)
        curve, (weights, covariance) = fit(doses, hits), by_hand(doses, hits)
        assert (curve.intercept, curve.slope) == pytest.approx(weights)
        assert np.array(curve.covariance) == pytest.approx(covariance)
        logit = sm.Logit(hits, sm.add_constant(doses)).fit(disp=0)
        assert (curve.intercept, curve.slope) == pytest.approx(logit.params)
        model = sm.GLM(hits, sm.add_constant(doses), family=sm.families.Binomial()).fit()
        theirs = model.get_prediction([[1, 3.0]]).summary_frame(alpha=0.05).iloc[0]
        assert [float(each[0]) for each in curve.at([3.0])] == pytest.approx(
            theirs[["mean", "mean_ci_lower", "mean_ci_upper"]].to_list()
        )

    @pytest.mark.filterwarnings("ignore:overflow")
    def test_where_newtons_own_steps_go_astray_it_is_statsmodels_curve_too(self):
        """Few hits at doses far apart: full steps end at a singular matrix."""
        import statsmodels.api as sm

        doses = np.repeat([0.0, 0.01, 1.0, 30.0], [3, 180, 2, 1])
        hits = (np.arange(len(doses)) % 40 == 0).astype(float)
        curve = fit(doses, hits)
        theirs = sm.GLM(hits, sm.add_constant(doses), family=sm.families.Binomial()).fit(tol=1e-12, maxiter=300)
        assert (curve.intercept, curve.slope) == pytest.approx(theirs.params, rel=1e-5)
        assert np.array(curve.covariance) == pytest.approx(theirs.cov_params(), rel=1e-4)

    def test_the_curve_passes_through_rates_whose_log_odds_lie_on_a_line(self):
        rates = 1 / (1 + np.exp(-np.array([-1.5, 0.0, 1.5])))
        curve = fit(np.repeat([0, 1, 2], 2), np.repeat(rates, 2) + np.tile([-0.01, 0.01], 3))
        assert curve.at([0, 1, 2])[0] == pytest.approx(rates)
        assert curve.slope == pytest.approx(1.5)

    def test_rates_get_a_band_from_their_own_spread(self):
        doses, steady = np.repeat([0.0, 1.0, 2.0], 8), np.repeat([0.2, 0.5, 0.8], 8)
        wide, narrow = (fit(doses, steady + spread * np.tile([-1, 1], 12)) for spread in (0.15, 0.01))
        widths = [curve.at([1.0])[2] - curve.at([1.0])[1] for curve in (wide, narrow)]
        assert widths[0] > 10 * widths[1]

    @pytest.mark.parametrize(
        ("doses", "rates", "words"),
        [
            ([0, 0, 1, 1], [0, 1, 0, 1], "2 doses; a curve needs at least 3"),
            ([0, 1, 2], [1, 1, 1], "every trial came out alike"),
            ([0, 1, 2], [0, 1, 1], "separates hits from misses"),
            ([0, 1, 1, 2], [0, 0, 1, 1], "separates hits from misses"),
        ],
    )
    def test_no_curve_where_there_is_none(self, doses, rates, words):
        with pytest.raises(ValueError, match=words):
            fit(doses, rates)

    def test_a_series_differs_in_the_dose_alone(self):
        patch = [cell for cell in _records.load("quick").cells if cell.setting.kind == "patch"]
        rates, widths = (series(patch, DOSES[name]) for name in ("poison rate", "mixture width"))
        assert [line.doses for line in rates] == 3 * [(0.0, 0.1, 1.0)] and [line.doses for line in widths] == 3 * [(1.0, 2.0)]
        for line in rates:
            specs = [json.loads(cell.setting.text) for cell in line.cells]
            assert [spec["attack"].pop("poison_rate") for spec in specs] == list(line.doses)
            assert specs[0] == specs[1] == specs[2]
        assert "(2 doses; a curve needs at least 3)" in results.words(
            replace(QUICK, view="dose", dose="mixture width", attack="patch")
        )
        assert "(log-odds +" in results.words(replace(QUICK, view="dose"))

    def test_undefended_victims_are_the_weakest_dose_of_every_noise(self, outputs):
        record = next(each for each in reference() if not each.spec["defence"]["augment"])
        for text in ("none", "laplace(scale=0.05)", "laplace(scale=0.1)", "gaussian(scale=0.1)"):
            write(Ledger.open(), record, defence=experiments.defence(text).describe())
        lines = series(_records.load("yours").cells, DOSES["noise scale"])
        assert [line.doses for line in lines] == [(0.0, 0.05, 0.1), (0.0, 0.1)]


class TestPower:
    def test_hours_are_mean_seconds_times_trials(self):
        mine = [record for record in reference() if record.spec["attack"]["name"] == "patch"]
        here = [record for record in mine if record.environment.device == planner.this_device()] or mine
        seconds = [record.cost.seconds for record in here]
        (cost,) = planner.costs([cell for cell in _records.load("quick").cells if cell.setting.kind == "patch"])
        assert (cost.seconds, cost.trials) == (pytest.approx(sum(seconds) / len(seconds)), len(seconds))
        count = 3 * trials_to_tell(0.6, 0.5)
        said = results.words(replace(QUICK, attack="patch", view="power", p1=0.6, p2=0.5, cells=3))
        assert f"and 3 cells need {count}. One worker: {cost.where} {cost.seconds * count / 3600:.2g} h on" in said

    def test_records_of_this_device_count_before_others(self, outputs):
        record = next(each for each in reference() if each.spec["attack"]["name"] == "patch")
        for seed, (device, seconds) in enumerate([(planner.this_device(), 2.0), ("another", 50.0)]):
            place, cost = replace(record.environment, device=device), Cost(seconds, {}, 0)
            write(Ledger.open(), replace(record, environment=place, cost=cost), seed=seed)
        found = planner.costs(_records.load("yours").cells)
        assert found == [planner.Cost("digits(size=12, channels=3) · convnet_gap", 2.0, 1, True)]

    def test_equal_rates_are_refused_with_words(self):
        panel = results.explorer(replace(QUICK, view="power", p1=0.5, p2=0.5))
        assert "no number of trials tells equal rates apart" in panel.line.value


class Table(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.scopes, self.rows, self.open = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.rows += tag == "tr"
        self.scopes += [dict(attrs)["scope"]] if tag == "th" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class TestExports:
    def test_csv_reads_back_as_the_selection(self, outputs):
        state = replace(QUICK, find="cutmix")
        path = results.save(state, "mine")
        assert path == outputs / "exports" / "mine.csv"
        read = pd.read_csv(path, keep_default_na=False, na_values=[""])
        pd.testing.assert_frame_equal(read, frame(results.prepare(state).chosen), check_dtype=False, rtol=1e-13)

    def test_latex_is_whole_and_escaped(self, outputs):
        text = results.save(QUICK, "mine", "tex").read_text()
        body = text.split("\\midrule")[1].split("\\bottomrule")[0]
        assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
        assert "activation\\_clustering" in body and "success \\%" in text
        assert not any(f"{before}{sign}" in text for sign in "_%" for before in "abcdefghijklmnopqrstuvwxyz ")
        assert {line.count(" & ") for line in body.strip().splitlines()} == {text.split("{")[2].index("}") - 1}
        assert text.count("{") == text.count("}")

    def test_the_html_table_has_headings_and_a_count_of_the_rest(self):
        cells = results.prepare(QUICK).chosen
        table = Table(as_html(cells, 10))
        assert table.rows == 11 and not table.open
        common = 3 - sum(len({getattr(cell.setting, part) for cell in cells}) > 1 for part in ("data", "model", "training"))
        assert table.scopes == ["col"] * (11 - common) + ["row"] * 10
        assert f"{len(cells)} cells selected; {len(cells) - 10} are not shown here, but exported" in as_html(cells, 10)

    def test_no_name_leaves_the_folder(self, outputs):
        with pytest.raises(ValueError, match="choose a name without folders"):
            results.save(QUICK, "../mine")
        assert not list(outputs.rglob("*.csv"))

    def test_as_latex_and_as_html_show_the_same_numbers(self):
        cells = results.prepare(replace(QUICK, find="mixup")).chosen
        rates = [f"{100 * point(cell).success.value:.1f}" for cell in cells]
        assert all(rate in as_latex(cells) and rate in as_html(cells) for rate in rates)
