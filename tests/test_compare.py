"""Our trials beside the papers' cells: which record belongs to which cell, chance rates, findings, and what is stored."""

import json
from html.parser import HTMLParser

import nbformat
import pytest

from poisonlib import experiments, papers, plots, report

DEFENCES = {"none": (0.95, 0.80), "mixup": (0.96, 0.80), "cutmix(probability=1.0)": (0.10, 0.97)}
CHANCE = 0.02


def record(trial, success, accuracy):
    return {
        "schema": 1,
        "key": trial.key,
        "spec": trial.describe(),
        "result": {
            "success": [round(1000 * success), 1000],
            "clean": [[round(1000 * accuracy), 1000]] * 10,
            "wanted": 1,
            "victim class": 2,
            "poisons": {"count": 0 if trial.attack.clean else 9, "digest": "", "largest change": 255},
            "filter": None,
        },
        "cost": {"seconds": 2.0, "stages": {}, "peak memory bytes": 1},
        "place": {"device": "cpu: test", "torch": "2", "python": "3", "poisonlib": "0", "commit": "abc"},
    }


@pytest.fixture(scope="module")
def records():
    """Twelve seeds of invented outcomes in the papers' pattern."""
    grid = experiments.grid("backdoor", "quick", attack=["patch(share=1.0)", "patch(share=0.0)"], defence=list(DEFENCES), trials=12)
    made = []
    for trial in grid:
        success, accuracy = DEFENCES[trial.defence.label]
        scatter = trial.seed * len(trial.defence.label) % 12 / 1000  # not alike in any two rows
        made.append(record(trial, (CHANCE if trial.attack.clean else success) - scatter, accuracy + scatter))
    return made


def test_records_land_in_their_cells(records):
    comparison = papers.compare(records, "strong_augmentation", "table1")
    cell = comparison.cell("CutMix", "Poison Success (100%)")
    outcomes = [0.10 - seed * len("cutmix(probability=1.0)") % 12 / 1000 for seed in range(12)]
    assert list(cell.outcomes.values()) == pytest.approx(outcomes)
    assert cell.ours.value == pytest.approx(sum(outcomes) / 12)
    assert cell.ours.trials == 12
    assert cell.chance.value == pytest.approx(cell.ours.value - 0.10 + CHANCE)
    assert comparison.cell("CutMix", "Poison Success (10%)").ours is None
    assert comparison.cell("Baseline", "Validation Accuracy (100%)").ours.value == pytest.approx(0.8, abs=0.012)
    with pytest.raises(LookupError, match="Nothing"):
        comparison.cell("Nothing", "Poison Success (100%)")


def test_other_variants_and_other_defences_stay_out(records):
    odd = experiments.grid("backdoor", "quick", attack="patch(share=1.0, variant='released')", defence="none", trials=12)
    odd += experiments.grid(
        "backdoor", "quick", attack="patch(share=1.0)", defence=["mixup(k=4)", "cutmix(probability=0.5)"], trials=12
    )
    with_odd = [*records, *(record(trial, 0.0, 0.0) for trial in odd)]
    plain, same = (papers.compare(r, "dp_instahide", "table1").frame() for r in (records, with_odd))
    assert plain.equals(same)


def test_a_clean_control_is_the_chance_rate_and_never_a_cell():
    attack = ["gradient_matching", "gradient_matching(budget=0)"]
    table = experiments.grid("targeted", "quick", attack=attack, trials=5)
    made = [record(trial, float(not trial.attack.clean), 0.9) for trial in table]
    for each in made:
        each["result"]["success"] = [each["result"]["success"][0] // 1000, 1]
    cell = papers.compare(made, "strong_augmentation", "table2").cell("Baseline", "Basic Attack (%)")
    assert (cell.ours.value, cell.chance.value) == (1, 0)


def test_controls_of_another_setting_are_no_chance_rate(records):
    other = experiments.grid("backdoor", "laptop", attack="patch(share=0.0)", defence="none", trials=12)
    with_other = [*records, *(record(trial, 0.9, 0.5) for trial in other)]
    plain, same = (papers.compare(r, "strong_augmentation", "table1").frame() for r in (records, with_other))
    assert plain.equals(same)


def test_findings_hold_in_the_papers_pattern_and_fail_in_its_opposite(records):
    words = {each.id: said.word for each, said in papers.compare(records, "strong_augmentation", "table1").findings}
    assert words["cutmix-stops-backdoor"] == words["cutmix-restores-accuracy"] == "holds"
    assert words["mixup-fails-against-backdoor"] == "holds"
    swapped = json.loads(json.dumps(records))
    for each in swapped:
        if each["result"]["poisons"]["count"]:
            each["result"]["success"][0] = 1000 - each["result"]["success"][0]
    assert papers.compare(swapped, "strong_augmentation", "table1").word("cutmix-stops-backdoor") == "contradicted"


def test_few_trials_are_undecided_and_underpowered_never_reproduced(records):
    few = [r for r in records if r["spec"]["seed"] < 2]
    comparison = papers.compare(few, "strong_augmentation", "table1")
    assert comparison.word("cutmix-stops-backdoor") == "undecided"
    said = {cell.verdict.word for cell in comparison.cells if cell.verdict and cell.claim.measure == "success"}
    assert said
    assert "compatible" not in said


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
    assert comparison.caption == "digits(size=12, channels=3) · local3 · n = 12 · cpu"


def test_another_setting_is_said_so(records):
    frame = papers.compare(records, "strong_augmentation", "table1").frame()
    assert frame["verdict"].str.contains("other setting").all()
    paper = experiments.grid("backdoor", "paper", attack="patch(share=1.0)", defence="none", trials=12)
    there = papers.compare([record(t, 0.98, 0.85) for t in paper], "strong_augmentation", "table1").frame()
    assert not there["verdict"].str.contains("other setting").any()
    narrow = experiments.grid("backdoor", "laptop", attack="patch(share=1.0)", defence="none", trials=3)
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
    plots.save(plots.rates(experiments.frame(records), hue="attack.share"), "strong_augmentation_table1_trials", "every trial")
    (tmp_path / "notebooks").mkdir()
    executed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# x")])
    nbformat.write(executed, tmp_path / "notebooks/strong_augmentation_table1.ipynb")
    text = report.write().read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "CutMix" in text and "cpu: test" in text and "holds" in text
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


def test_figures_are_drawn_from_records_alone(records):
    figure = plots.forest(papers.compare(records, "strong_augmentation", "table1"))
    assert [axis.get_title() for axis in figure.axes] == ["Poison Success (100%)", "Validation Accuracy (100%)"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["Baseline", "mixup", "CutMix"]
