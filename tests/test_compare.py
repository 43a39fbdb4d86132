"""Our trials beside the papers' cells: which record belongs to which cell, chance rates, findings, and what is stored."""

import dataclasses
import json
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest

from poisonlib import data, experiments, models, papers, plots, report
from poisonlib.augment import Augment
from poisonlib.experiments import provenance
from poisonlib.experiments.record import Cost
from poisonlib.papers import belonging
from poisonlib.papers.cells import cells, chance, control
from poisonlib.papers.dossier import dossier
from poisonlib.papers.effects import Effect, _corrected
from poisonlib.papers.gaps import gap, gate_takes, seeds
from poisonlib.papers.means import Unpaired, paired
from poisonlib.papers.setting import recorded_with

from . import invent

DEFENCES = {"none": (0.95, 0.80), "mixup": (0.96, 0.80), "cutmix(probability=1.0)": (0.10, 0.97)}
CHANCE = 0.02
ATTACKS = ["patch(poison_rate=1.0)", "patch(poison_rate=0.0)"]


def record(trial, success, accuracy, **more):
    return invent.record(trial, round(1000 * success), 1000, ((round(1000 * accuracy), 1000),) * 10, **more)


@pytest.fixture(scope="module")
def records():
    """Forty seeds of invented outcomes in the papers' pattern."""
    grid = experiments.grid("backdoor", "quick", attack=ATTACKS, defence=list(DEFENCES), trials=40)
    made = []
    for trial in grid:
        success, accuracy = DEFENCES[trial.defence.label]
        scatter = trial.seed * len(trial.defence.label) % 12 / 1000  # not alike in any two rows
        made.append(record(trial, (CHANCE if trial.attack.clean else success) - scatter, accuracy + scatter))
    return made


def test_records_land_in_their_cells(records):
    comparison = papers.compare(records, "strong_augmentation", "table1")
    cell = comparison.cell("CutMix", "Poison Success (100%)")
    outcomes = [0.10 - seed * len("cutmix(probability=1.0)") % 12 / 1000 for seed in range(200, 240)]
    assert cell.trials.success == pytest.approx(outcomes)
    assert cell.ours.value == pytest.approx(sum(outcomes) / 40)
    assert cell.ours.trials == 40 and cell.trials.planned
    assert cell.chance.value == pytest.approx(cell.ours.value - 0.10 + CHANCE)
    assert comparison.cell("CutMix", "Poison Success (10%)").ours is None
    assert comparison.cell("Baseline", "Validation Accuracy (100%)").ours.value == pytest.approx(0.8, abs=0.012)
    with pytest.raises(LookupError, match="Nothing"):
        comparison.cell("Nothing", "Poison Success (100%)")


def test_other_variants_and_other_defences_stay_out(records):
    odd = experiments.grid("backdoor", "quick", attack="patch(poison_rate=1.0, variant='released')", defence="none", trials=12)
    other = experiments.grid("backdoor", "quick", attack="patch(poison_rate=1.0)", defence=["mixup(k=4)", "cutmix"], trials=12)
    with_odd = [*records, *(record(trial, 0.0, 0.0) for trial in [*odd, *other])]
    plain, more = (papers.compare(r, "dp_instahide", "table1").frame() for r in (records, with_odd))
    assert more.to_dict("records")[: len(plain)] == plain.to_dict("records")
    assert set(more["row"][len(plain) :]) == {"mixup(k=4)", "cutmix"}


def test_a_clean_control_is_the_chance_rate_and_never_a_cell():
    attack = ["gradient_matching", "gradient_matching(poison_rate=0)"]
    table = experiments.grid("targeted", "quick", attack=attack, trials=5)
    made = [invent.record(trial, int(not trial.attack.clean)) for trial in table]
    cell = papers.compare(made, "strong_augmentation", "table2").cell("Baseline", "Basic Attack (%)")
    assert (cell.ours.value, cell.chance.value) == (1, 0)


def test_a_control_has_the_goal_of_its_cell_and_several_of_one_seed_are_one():
    attack = ["hidden_trigger(size=6)", "hidden_trigger(size=3, poison_rate=0)", "hidden_trigger(size=6, poison_rate=0)"]
    made = experiments.grid("targeted", "quick", attack=attack, trials=4)
    found = [record(trial, 0.2 if trial.attack.size == 3 else 0.1 if trial.attack.clean else 0.9, 0.9) for trial in made]
    large = next(each for each in cells(found) if not each.setting.control)
    assert chance(large, cells(found)).value == pytest.approx(0.1) and control(large, cells(found)).success == (0.1,) * 4
    small = [each for each in found if not (each.trial.attack.clean and each.trial.attack.size == 6)]
    assert chance(large, cells(small)) is None and control(large, cells(small)) is None
    eps = experiments.grid("targeted", "quick", attack="hidden_trigger(size=6, poison_rate=0, eps=8/255)", trials=4)
    both = chance(large, cells([*found, *(record(trial, 0.3, 0.9) for trial in eps)]))
    assert both.value == pytest.approx(0.2) and both.trials == 4


def test_controls_of_another_setting_are_no_chance_rate(records):
    other = experiments.grid("backdoor", "laptop", attack="patch(poison_rate=0.0)", defence="none", trials=12)
    with_other = [*records, *(record(trial, 0.9, 0.5) for trial in other)]
    plain, same = (papers.compare(r, "strong_augmentation", "table1").frame() for r in (records, with_other))
    assert plain.equals(same)


def test_findings_hold_in_the_papers_pattern_and_fail_in_its_opposite(records):
    words = {each.id: said.word for each, said in papers.compare(records, "strong_augmentation", "table1").findings}
    assert words["cutmix-stops-backdoor"] == words["cutmix-restores-accuracy"] == "holds"
    assert words["mixup-fails-against-backdoor"] == "holds"
    halved = [record(r.trial, r.success / 2 if r.poisons.count else r.success, r.accuracy) for r in records]
    raised = [h if r.trial.defence.label == "none" else record(r.trial, 0.9, 0.9) for r, h in zip(records, halved, strict=True)]
    assert papers.compare(raised, "strong_augmentation", "table1").word("cutmix-stops-backdoor") == "contradicted"


def test_nothing_is_said_of_a_defence_where_the_attack_does_not_beat_its_control(records):
    weak = [record(r.trial, r.success / 8, r.accuracy) if r.poisons.count else r for r in records]
    comparison = papers.compare(weak, "strong_augmentation", "table1")
    assert comparison.word("cutmix-stops-backdoor") == comparison.word("mixup-fails-against-backdoor") == "not tested"
    assert comparison.word("cutmix-restores-accuracy") == "holds", "accuracy needs no attack"
    assert {effect.word for effect in comparison.effects} == {"not tested"}
    assert "its clean control in 1.6 %" in comparison.effects[0].gate
    alone = [r for r in records if r.poisons.count]
    assert "no clean control" in papers.compare(alone, "strong_augmentation", "table1").effects[0].gate
    said = {c.claim.row: c.verdict for c in comparison.cells if c.ours and c.claim.measure == "success"}
    assert said["CutMix"] is None and said["Baseline"].word == "differs"


def test_defences_against_attacks_that_the_gate_stops_count_in_the_correction():
    fall = paired([0.0] * 5 + [1.0] * 7, [1.0] * 12)
    shown = Effect("mixup", "FC", 7 / 12, 1.0, fall, float(fall.below(0.0)), float(fall.above(0.0)), None, None, "")
    stopped, unmeasured = replace(shown, column="CP", gate="the attack fails"), replace(shown, column="BP", gap=None)
    assert shown.lowers == pytest.approx(0.5**5) and _corrected([shown])[0].word == "lowers"
    first, second = _corrected([shown, stopped])
    assert first.lowers == pytest.approx(2 * 0.5**5) and (first.word, second.word) == ("undecided", "not tested")
    assert _corrected([shown, unmeasured])[0].word == "lowers", "what was not measured was no test"
    assert (first.shown()["p"], second.shown()["p"]) == ("0.062", "")


def test_each_defence_stands_beside_undefended_victims_of_its_seeds():
    attacks = ["gradient_matching", "gradient_matching(adaptive='surrogate')", "gradient_matching(poison_rate=0)"]
    table = experiments.grid("targeted", "quick", attack=attacks, defence=["none", "mixup(k=4)"], trials=12)

    def hit(trial):
        return 0 if trial.attack.clean else int(trial.defence.label == "none" or trial.seed % 3 == 0)

    made = [invent.record(t, hit(t), confidence=0.01 if t.attack.clean else 0.2 + 0.6 * hit(t)) for t in table]
    basic, adaptive = papers.compare(made, "strong_augmentation", "table2").effects
    assert (basic.row, basic.column, adaptive.column) == ("mixup (4-way)", "Basic Attack (%)", "Adaptive Attack (%)")
    assert basic.undefended == 1 and basic.success == pytest.approx(1 / 3) and basic.word == "lowers"
    assert basic.lowers == pytest.approx(2 * 0.5**8), "McNemar's exact p of 8 lost and none gained, for the first of two defences"
    odds = np.log(0.8 / 0.2)
    assert basic.shift.value == pytest.approx(-8 / 12 * 2 * odds) and basic.shift.p == pytest.approx(2 * 0.5**8)
    assert basic.left.value == pytest.approx(8 / 12 * -odds + 4 / 12 * odds + np.log(99)) and basic.left.p < 0.05
    shown = papers.compare(made, "strong_augmentation", "table2").effects_frame()
    assert list(shown["success"]) == ["lowers", "lowers"] and list(shown["n"]) == [12, 12]


def test_seeds_that_one_cell_lacks_are_left_out():
    attacks = ["gradient_matching", "gradient_matching(poison_rate=0)"]
    table = experiments.grid("targeted", "quick", attack=attacks, defence=["none", "mixup"], trials=12)
    made = [invent.record(t, int(not t.attack.clean and t.defence.label == "none")) for t in table]
    some = [r for r in made if r.trial.defence.label == "none" or r.seed >= 206]
    comparison = papers.compare(some, "strong_augmentation", "table2")
    (effect,) = [each for each in comparison.effects if each.column == "Basic Attack (%)"]
    assert effect.gap.trials == 6 and "any n" in effect.gap.name, "six of twelve is no number that was planned"
    assert comparison.word("mixup-lowers-gradient-matching") == effect.word.replace("lowers", "holds")


def cell_of(seeds, success):
    """A cell of digits with these seeds."""
    table = [replace(experiments.grid("targeted", "quick", attack="gradient_matching", trials=1)[0], seed=seed) for seed in seeds]
    (cell,) = cells([invent.record(trial, hit) for trial, hit in zip(table, success, strict=True)])
    return cell


def test_cells_that_share_few_seeds_are_compared_as_independent_trials():
    first, second = cell_of(range(10), [1] * 10), cell_of(range(9, 19), [0] * 10)
    mine, others = seeds(first, second)
    assert mine == list(range(10)) and others == list(range(10, 19)), "what both have counts once"
    assert isinstance(gap(first, second, "success"), Unpaired) and float(gap(first, second, "success").above(0)) < 0.01
    larger = cell_of(range(9, 30), [0] * 21)
    assert seeds(larger, first) == (list(range(10, 30)), list(range(10))), "in the smaller cell"
    third = cell_of(range(7, 17), [0] * 10)
    assert seeds(first, third) == (list(range(10)), list(range(10, 17))), "three of ten are few"
    half = cell_of(range(5, 15), [0] * 10)
    assert seeds(first, half) == (list(range(5, 10)),) * 2 and gap(first, half, "success").trials == 5
    assert (
        gap(cell_of([0], [1]), second, "success") is None
        and gap(cell_of([0, 1], [1, 1]), cell_of([1, 2], [0, 0]), "success") is None
    )


@pytest.mark.parametrize(("n", "enough"), [(4, False), (5, False), (6, True)])
def test_too_few_trials_to_pass_the_gate_are_said_to_be(n, enough, monkeypatch):
    monkeypatch.setattr("poisonlib.papers.cells.as_planned", lambda trial, seeds: True)
    attacks = ["gradient_matching", "gradient_matching(poison_rate=0)"]
    table = experiments.grid("targeted", "quick", attack=attacks, defence=["none", "mixup"], trials=n, first_seed=7_000 + n)
    made = [invent.record(t, int(not t.attack.clean and t.defence.label == "none")) for t in table]
    (said,) = {effect.gate for effect in papers.compare(made, "strong_augmentation", "table2").effects}
    assert (said == "") == enough
    assert enough or said.endswith("it is not shown to beat it by more than 10 points, which takes 6 trials at least")
    assert gate_takes() == 6 and gate_takes(planned=False) == 8


def test_a_number_of_trials_that_was_not_planned_is_judged_by_what_holds_at_any_number(records):
    fewer = [r for r in records if r.seed < 220]
    tables = [papers.compare(each, "strong_augmentation", "table1") for each in (records, fewer)]
    planned, at_any_n = (table.cell("CutMix", "Poison Success (100%)").ours.method for table in tables)
    assert "any n" not in planned and "any n" in at_any_n


def test_few_trials_are_undecided_and_open_never_reproduced(records):
    few = [r for r in records if r.seed < 202]
    comparison = papers.compare(few, "strong_augmentation", "table1")
    assert comparison.word("cutmix-stops-backdoor") in ("undecided", "not tested")
    said = {cell.verdict.word for cell in comparison.cells if cell.verdict and cell.claim.measure == "success"}
    assert said
    assert said <= {"open", "differs", "paper too small to tell"}


def test_findings_are_shown_whole_with_what_the_papers_own_cells_say():
    table = experiments.grid("targeted", "quick", attack="gradient_matching", defence=["none", "mixup", "maxup"], trials=4)
    comparison = papers.compare([record(t, t.seed % 2, 0.9) for t in table], "strong_augmentation", "table2")
    shown = comparison.findings_frame()
    assert list(shown) == ["place", "the paper says", "its own cells", "checked", "ours", "because", "note"]
    assert len(shown) == len(comparison.findings)
    for row, (finding, said) in zip(shown.to_dict("records"), comparison.findings, strict=True):
        assert (row["the paper says"], row["note"], row["ours"]) == (finding.quote, finding.note, said.word)
        assert row["its own cells"] == ("bear it out" if finding.holds else "contradict it")
    assert "contradict it" in set(shown["its own cells"]) and any(shown["note"])
    page = HTMLText(shown._repr_html_())
    for text in {text for row in shown.to_dict("records") for text in row.values() if text}:
        assert text in repr(shown) and text in page.words, "nothing is cut"
    assert shown._repr_html_() == comparison.findings_frame()._repr_html_(), "committed outputs do not change"


def test_the_setting_is_that_of_the_records_behind_the_cells(records):
    other = experiments.grid("targeted", "quick", attack="gradient_matching", trials=2)
    comparison = papers.compare([*records, *(record(t, 1, 0.9) for t in other)], "strong_augmentation", "table1")
    assert comparison.caption == "digits(size=12, channels=3) · convnet_gap · n = 40 · cpu"


def test_another_setting_is_said_so(records):
    frame = papers.compare(records, "strong_augmentation", "table1").frame()
    assert frame["verdict"].str.contains("other setting").all()
    paper = experiments.grid("backdoor", "paper", attack="patch(poison_rate=1.0)", defence="none", trials=12)
    there = papers.compare([record(t, 0.98, 0.85) for t in paper], "strong_augmentation", "table1").frame()
    assert not there["verdict"].str.contains("other setting").any()
    narrow = experiments.grid("backdoor", "laptop", attack="patch(poison_rate=1.0)", defence="none", trials=3)
    part = papers.compare([record(t, 0.98, 0.85) for t in narrow], "strong_augmentation", "table1").frame()
    assert part["verdict"].str.contains("other setting").all()


class HTMLText(HTMLParser):
    """The words of a page, as one sees them."""

    def __init__(self, text):
        super().__init__()
        self.words = []
        self.feed(text)

    def handle_data(self, data):
        self.words.append(data)


class Page(HTMLParser):
    """What a screen reader needs of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_the_report_shows_tables_figures_and_can_be_read_without_eyes_or_network(records, tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    comparison = papers.compare(records, "strong_augmentation", "table1")
    comparison.save("strong_augmentation_table1", records)
    plots.save(plots.forest(comparison), "strong_augmentation_table1", "the forest plot")
    plots.save(
        plots.rates(experiments.frame(records), hue="attack.poison_rate"), "strong_augmentation_table1_trials", "every trial"
    )
    (tmp_path / "notebooks").mkdir()
    executed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# x")])
    nbformat.write(executed, tmp_path / "notebooks/strong_augmentation_table1.ipynb")
    text = report.write().read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "CutMix" in text and "cpu: test" in text
    (counts,) = (each["counts"] for each in report.scoreboard() if "sanitizes" in each["title"])
    assert counts["holds"] == 4 and counts["not run"] == len(papers.load("strong_augmentation").findings) - 4
    assert sum(counts.values()) == len(papers.load("strong_augmentation").findings)
    assert text.count('<span class="badge good">holds</span>') == 2 * 4 and '<td class="good">lowers</td>' in text
    assert [image["alt"] for image in page.all("img")] == ["the forest plot", "every trial"]
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert page.all("html")[0]["lang"] == "en" and page.all("title") and page.all("main") and page.all("nav")
    assert all(cell.get("scope") for cell in page.all("th"))
    assert any(m.get("name") == "viewport" for m in page.all("meta"))
    links = [link["href"] for link in page.all("a")]
    identities = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    assert all(link[1:] in identities if link.startswith("#") else (tmp_path / "report" / link).exists() for link in links)
    assert "http" not in text.replace("http-equiv", "")
    assert (tmp_path / "report" / "strong_augmentation_table1.html").exists()


def test_what_a_trial_took_is_stored_beside_its_cell(records):
    def timed(record, device, seconds, processor):
        environment = dataclasses.replace(record.environment, device=device)
        return dataclasses.replace(record, environment=environment, cost=Cost(seconds, {}, 1, processor))

    plain = [r for r in records if r.poisons.count]
    made = [timed(r, "cpu: test", 700.0, 480.0 + 120 * (r.seed % 2)) for r in plain]
    made[0] = timed(plain[0], "cpu: test", 60.0, None)  # of an older version
    made[-1] = timed(plain[-1], "a GPU", 30.0, 400.0)
    content = papers.compare(made, "strong_augmentation", "table1").content(made)
    taken = {cell["row"]: cell["time a trial"] for cell in content["cells"]}
    assert taken == {
        "Baseline": "9 core-minutes; 1 minutes by the clock",
        "mixup": "9 core-minutes",
        "CutMix": "0.5 GPU-minutes; 9 core-minutes",
    }
    assert "time a trial" not in papers.compare(made, "strong_augmentation", "table1").frame()


def test_figures_are_drawn_from_records_alone(records):
    figure = plots.forest(papers.compare(records, "strong_augmentation", "table1"))
    assert [axis.get_title() for axis in figure.axes] == ["Poison Success (100%)", "Validation Accuracy (100%)"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["Baseline", "mixup", "CutMix"]
    assert not figure.axes[1].texts


@dataclasses.dataclass(frozen=True)
class Darken(Augment):
    """An augmentation of the user's own."""

    by: float = 0.5

    def sample_params(self, n, shape, generator):
        return {}

    def apply(self, x, y, params, generator=None):
        return x * self.by, y


DARKEN = f"{__name__}.Darken"


class TestDefencesThatTheTableLacks:
    TABLE = "strong_augmentation", "table1"

    @pytest.fixture
    def more(self, records):
        grid = experiments.grid(
            "backdoor", "quick", attack="patch(poison_rate=1.0)", defence=[f"{DARKEN}(by=0.25)", "cutout"], trials=3
        )
        return [*records, *(record(trial, 0.5, 0.9) for trial in grid)]

    def test_they_are_further_rows_with_an_empty_paper_cell(self, records, more):
        plain, frame = (papers.compare(each, *self.TABLE).frame() for each in (records, more))
        further = frame.iloc[len(plain) :]
        assert frame.to_dict("records")[: len(plain)] == plain.to_dict("records")
        columns = ["Poison Success (100%)", "Validation Accuracy (100%)"]
        rows = [f"{DARKEN}(by=0.25)", "cutout"]
        assert sorted(zip(further["row"], further["column"], strict=True)) == sorted((r, c) for r in rows for c in columns)
        assert set(further["paper"]) == set(further["paper's n"]) == {""} and set(further["verdict"]) == {"-"}
        assert set(further["ours %"]) == {"50.0", "90.0"} and set(further["n"]) == {3}

    def test_the_attack_must_be_that_of_a_column(self, records):
        attacks = ["patch(poison_rate=0.5)", "patch(poison_rate=1.0, variant='released')", "patch(poison_rate=0.0)"]
        grid = experiments.grid("backdoor", "quick", attack=attacks, defence="cutout", trials=3)
        other = [*records, *(record(trial, 0.5, 0.9) for trial in grid)]
        plain, same = (papers.compare(each, *self.TABLE).frame() for each in (records, other))
        assert plain.equals(same)

    def test_they_have_chance_rates_of_their_own(self, more):
        control = experiments.grid("backdoor", "quick", attack="patch(poison_rate=0.0)", defence="cutout", trials=3)
        comparison = papers.compare([*more, *(record(trial, 0.25, 0.9) for trial in control)], *self.TABLE)
        assert comparison.cell("cutout", "Poison Success (100%)").chance.value == 0.25
        assert comparison.cell(f"{DARKEN}(by=0.25)", "Poison Success (100%)").chance is None

    def test_the_forest_and_the_points_show_them(self, more):
        comparison = papers.compare(more, *self.TABLE)
        first, _ = plots.forest(comparison).axes
        shown = [text.get_text().replace("\n", "") for text in first.texts]
        assert len(shown) == 5 and "cutout" in shown and any("Darken" in each for each in shown)
        (diamonds,) = (line for line in first.lines if line.get_marker() == "D")
        assert sorted(diamonds.get_ydata()) == [0, 1, 2], "the paper's values stand in the paper's rows alone"
        points = papers.table_points(comparison, "Poison Success (100%)", "Validation Accuracy (100%)")
        assert points["cutout"].paper is None and points["CutMix"].paper is not None

    def test_a_filter_that_assumes_another_rate_is_not_another_row(self):
        names = ["spectral_signatures", "spectral_signatures(expected=0.025)"]
        grid = experiments.grid("targeted", "quick", attack="gradient_matching", defence=names[1], trials=3)
        made = [invent.record(trial, 1) for trial in grid]
        frame = papers.compare(made, "dp_instahide", "table5").frame()
        assert list(frame["row"]) == ["SPECTRAL SIGNATURES #1", "SPECTRAL SIGNATURES #2"]

    def test_an_augmentation_that_starts_at_a_share_of_the_epochs_is_not_another_row(self):
        names = ["maxup(start=0.125)", "cutout + maxup(start=0.125)", "maxup(m=2, start=0.125)"]
        grid = experiments.grid("targeted", "quick", attack="gradient_matching", defence=names, trials=3)
        frame = papers.compare([invent.record(trial, 1) for trial in grid], "dp_instahide", "table2").frame()
        rows = frame[frame["column"] == "NON-ADAPTIVE"]
        assert list(rows["row"]) == ["MAXUP-CUTOUT", "cutout + maxup(start=0.125)", "maxup(m=2, start=0.125)"]
        assert list(rows["paper"]) == ["5.26%", "", ""]

    def test_a_table_whose_columns_are_the_defences_has_no_further_rows(self):
        grid = experiments.grid("targeted", "quick", attack="gradient_matching", defence="cutout", trials=3)
        made = [invent.record(trial, 1) for trial in grid]
        assert not [cell for cell in papers.compare(made, "dp_instahide", "table4").cells if cell.ours]


def unimportable(known):
    """The record with a class that cannot be imported here."""
    spec = known.spec | {"attack": known.spec["attack"] | {"name": "gone_package.attacks.Gone"}}
    return dataclasses.replace(known, spec=spec)


def test_records_of_classes_that_cannot_be_imported_are_cells_by_their_description(records):
    known, gone = records[0], unimportable(records[0])
    cell, other = sorted(cells([known, gone]), key=lambda each: each.setting.kind == "patch")
    assert cell.setting.kind == "gone_package.attacks.Gone"
    assert cell.setting.attack == "gone_package.attacks.Gone(poison_rate=1.0, size=4, variant='paper')"
    assert cell.setting.data == "digits(size=12, channels=3)" and cell.setting.model == "convnet_gap"
    assert (other.setting.attack, cell.success) == ("patch(poison_rate=1.0)", other.success)


def test_records_of_classes_that_cannot_be_imported_are_left_out(records):
    gone = [unimportable(each) for each in records[:5]]
    plain, same = (papers.compare(each, "strong_augmentation", "table1").frame() for each in (records, [*records, *gone]))
    assert plain.equals(same)


def test_records_of_several_settings_in_one_cell_are_refused(records):
    other = experiments.grid("backdoor", "laptop", attack="patch(poison_rate=1.0)", defence="none", trials=3, first_seed=50)
    with pytest.raises(ValueError, match="table1, Baseline: records of 2 settings"):
        papers.compare([*records, *(record(trial, 0.9, 0.5) for trial in other)], "strong_augmentation", "table1")


class TestProvenance:
    def test_records_of_other_code_and_data_are_counted(self, records):
        trial = records[0].trial
        code, data = provenance.code(trial), provenance.content(trial)
        made = [dataclasses.replace(each, code=code, data=data) for each in records if each.setting == records[0].setting]
        assert recorded_with(made) == "all 40 recorded with this code"
        made[:2] = [dataclasses.replace(each, code="0" * 32) for each in made[:2]]
        made[5] = dataclasses.replace(made[5], data={"train": "0", "test": "0"})
        assert recorded_with([*made, *made]) == "2 of 40 recorded with other code; 1 of 40 recorded with other data"

    def test_data_that_are_not_here_are_unknown(self, records, monkeypatch):
        known = dataclasses.replace(records[0], code=provenance.code(records[0].trial), data={"train": "0", "test": "0"})
        monkeypatch.setattr(provenance, "content", lambda trial: None)
        assert recorded_with([known]) == "1 of 1 recorded with this code; the data are not here to compare"

    def test_classes_that_cannot_be_imported_are_said(self, records):
        assert recorded_with([unimportable(records[0])]) == "1 of 1 of classes that cannot be imported here"

    def test_it_is_in_the_saved_setting_and_not_in_the_caption(self, records):
        comparison = papers.compare(records, "strong_augmentation", "table1")
        assert comparison.content(records)["setting"]["provenance"] == f"{len(records)} of {len(records)} recorded with other code"
        assert "recorded" not in comparison.caption

    def test_each_setting_is_looked_at_once(self, records, monkeypatch):
        asked = []
        monkeypatch.setattr(provenance, "code", lambda trial: asked.append(trial) or "new")
        recorded_with(records)
        assert len({(trial.attack, trial.defence) for trial in asked}) == 6 and len(asked) <= 12


def test_a_digest_of_the_content_is_not_another_setting():
    (trial,) = experiments.grid("targeted_imagenet", "paper", attack="gradient_matching", trials=1)
    trial = dataclasses.replace(trial, data=dataclasses.replace(trial.data, content="abc"))
    cell = papers.compare([invent.record(trial, 1)], "dp_instahide", "table3").cell("NONE", "POISON SUCCESS")
    assert cell.same_setting
    other = dataclasses.replace(trial, data=dataclasses.replace(trial.data, size=32))
    assert not papers.compare([invent.record(other, 1)], "dp_instahide", "table3").cell("NONE", "POISON SUCCESS").same_setting


class TestDossiers:
    @pytest.fixture
    def folder(self, records, tmp_path, monkeypatch):
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
        papers.compare(records, "strong_augmentation", "table1").save("strong_augmentation_table1", records)
        return tmp_path / "claims" / "strong_augmentation"

    def test_each_sentence_has_one_with_the_records_behind_it(self, folder, records):
        comparison = papers.compare(records, "strong_augmentation", "table1")
        assert sorted(path.stem for path in folder.iterdir()) == sorted(finding.id for finding, _ in comparison.findings)
        found = json.loads((folder / "cutmix-stops-backdoor.json").read_text(encoding="utf-8"))
        assert found["verdict"] == found["verdicts"]["as planned"] == comparison.word("cutmix-stops-backdoor") == "holds"
        assert [cell["printed"] for cell in found["cells"]] == ["36%", "100%"] and found["rule"]["margin"] == 0.10
        for cell, label in zip(found["cells"], ["cutmix(probability=1.0)", "none"], strict=True):
            mine = [r for r in records if r.trial.defence.label == label and r.poisons.count]
            assert cell["records"] == [r.key for r in sorted(mine, key=lambda r: r.seed)] and cell["n"] == 40
            assert cell["ours"] == pytest.approx(np.mean([r.success for r in mine]))
        assert found["sentence"] in papers.load("strong_augmentation").findings[0].quote

    def test_the_verdict_at_any_number_of_trials_is_not_less_careful(self, folder):
        for path in folder.iterdir():
            words = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
            assert words["at any number of trials"] in (words["as planned"], "undecided", "not tested")

    def test_another_printed_number_is_another_text(self, folder, records):
        comparison = papers.compare(records, "strong_augmentation", "table1")
        finding, said = comparison.findings[0]
        one = dossier(comparison, finding, said, said)["digests"]["text"]
        cell = comparison.cells[0]
        other = dataclasses.replace(cell, claim=dataclasses.replace(cell.claim, printed="99%"))
        changed = dataclasses.replace(comparison, cells=(other, *comparison.cells[1:]))
        assert dossier(changed, finding, said, said)["digests"]["text"] != one


@pytest.mark.parametrize(("source", "places"), [("cifar(classes=10)", 1), ("tinyimagenet", 1), ("digits(limit=300)", 2)])
def test_trials_on_a_data_set_of_the_benchmark_stand_in_its_columns_alone(source, places):
    (trial,) = experiments.grid("transfer", "quick", attack="feature_collision", trials=1)
    trial = dataclasses.replace(trial, data=data.source(source))
    claims = papers.load("just_how_toxic").table("table2").claims
    found = [claim.means["data"] for claim in claims if belonging.belongs(trial, claim)]
    assert len(found) == places and all(source.startswith("digits") or each.partition("(")[0] in source for each in found)


@pytest.mark.parametrize(
    ("network", "places"),
    [
        ("vgg(depth=11, width=8)", ["VGG11", "Average"]),
        ("resnet(depth=34)", ["Average"]),
        ("convnet", ["ResNet-18", "MobileNetV2", "VGG11", "Average"]),
    ],
)
def test_networks_of_the_benchmark_stand_in_their_columns_and_in_the_average(network, places):
    (trial,) = experiments.grid("scratch", "quick", attack="gradient_matching", trials=1)
    trial = dataclasses.replace(trial, model=models.load(network), data=data.source("cifar(classes=10)"))
    claims = papers.load("just_how_toxic").table("table25").claims
    found = [claim.column for claim in claims if belonging.belongs(trial, claim)]
    assert found == places


def test_a_table_of_which_nothing_was_run_has_its_columns():
    frame = papers.compare([], "just_how_toxic", "table24").frame()
    assert len(frame) == 0 and list(frame[["row", "ours %", "verdict"]]) == ["row", "ours %", "verdict"]
