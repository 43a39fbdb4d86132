"""The report's parts: the wide table, mathematics without a network, the notebooks' pages, and the records beside them."""

import html
import json
import os
import re

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from poisonlib import experiments, papers, paths, plots, registry, report
from poisonlib.experiments import Ledger, failures
from poisonlib.report import mathematics, pages, verdicts
from poisonlib.report.wide import wide

from . import invent

TABLE = "strong_augmentation_table1"


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def content(name=TABLE, run="quick"):
    return json.loads((paths.root() / "outputs" / "reference" / run / "tables" / f"{name}.json").read_text())


class TestWide:
    @pytest.mark.parametrize("name", [TABLE, "strong_augmentation_table2", "dp_instahide_table5"])
    def test_each_number_stands_where_the_paper_prints_it_with_ours_beside(self, name):
        long, table = content(name), wide(content(name))
        paper = papers.load(name.rpartition("_")[0]).table(name.rpartition("_")[2])
        assert [row.name for row in table.rows if row.printed] == [row for row in paper.rows if row in [r.name for r in table.rows]]
        assert [column.name for column in paper.columns if column.name in table.columns] == list(table.columns)
        places = {(row.name, column): cell for row in table.rows for column, cell in zip(table.columns, row.entries, strict=True)}
        for cell in long["cells"]:
            entry = places.pop((cell["row"], cell["column"]))
            assert (entry.ours, entry.interval, entry.n) == (cell["ours %"], cell["95 % interval"], str(cell["n"]))
            assert entry.paper == cell["paper"] and entry.verdict == cell["verdict"].replace("-", "", cell["verdict"] == "-")
        printed = {(claim.row, claim.column): claim.printed for claim in paper.claims}
        assert all(not entry.ours and entry.paper == printed.get(place, "") for place, entry in places.items())

    def test_a_row_that_was_not_run_is_there_with_the_papers_numbers(self):
        long = content()
        long["cells"] = [cell for cell in long["cells"] if cell["row"] != "CutMix"]
        row = next(row for row in wide(long).rows if row.name == "CutMix")
        assert (
            row.printed
            and [entry.paper for entry in row.entries] == ["36%", "94%", "23%", "95%"]
            and not any(entry.ours for entry in row.entries)
        )

    def test_a_table_of_no_paper_is_shown_as_it_is(self):
        table = wide(content() | {"paper": "another"})
        assert len(table.columns) == 4 and not any(row.printed for row in table.rows)


class TestVerdicts:
    def test_every_word_has_a_style_and_a_column(self):
        assert [verdicts.tone(word) for word in ("(differs: other setting)", "holds", "open", "-", "42")] == [
            "bad",
            "good",
            "open",
            "",
            "",
        ]
        counts = {"holds": 2, "undecided": 3, "not tested": 4, "not run": 5}
        assert [verdicts.counted(counts, column) for column in verdicts.BOARD] == [2, 0, 7, 5]


class TestMathematics:
    def test_what_stands_between_dollars_becomes_mathml_without_an_address(self):
        page = mathematics.typeset(
            r"<p>With $\mu" "\n" r"= 0.9$ and $a &lt; b$:</p>$$\frac{T}{k\sigma}$$<code>$x$</code><pre>cost $5 or $6</pre>"
        )
        assert page.count("<math") == 3 and "<mfrac>" in page and "&#x003BC;" in page and "http" not in page
        assert "$" not in re.sub(r"<(code|pre)>.*?</\1>", "", page) and "<code>$x$</code><pre>cost $5 or $6</pre>" in page

    @pytest.mark.parametrize("text", ["from $5 to $6 each", r"\$1 and \$2", "a$b$c", r"$\frac{$"])
    def test_what_is_no_mathematics_stays(self, text):
        assert mathematics.typeset(text) == text


def executed(outputs, name, *cells):
    (outputs / "notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), outputs / "notebooks" / f"{name}.ipynb")


class TestPages:
    def test_a_page_has_its_neighbours_and_no_warnings_or_dead_widgets(self, outputs):
        view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Panel(children=())"}
        noise = nbformat.v4.new_output("stream", name="stderr", text="a warning")
        kept = [nbformat.v4.new_output("stream", name="stdout", text="a line"), noise]
        dead = [
            nbformat.v4.new_output("display_data", data=view),
            nbformat.v4.new_output("display_data", data=view | {"text/html": "<b>still</b>"}),
        ]
        code = nbformat.v4.new_code_cell("1 + 1", outputs=kept + dead, execution_count=1)
        for name in ("00_tour", TABLE):
            executed(outputs, name, nbformat.v4.new_markdown_cell("# Title\n\n$x_0$"), code)
        text = report.write().with_name(f"{TABLE}.html").read_text(encoding="utf-8")
        assert "a line" in text and "<b>still</b>" in text and "<msub>" in text and 'name="viewport"' in text
        assert not [
            word for word in ("a warning", "widget-view", "Panel(", "http:", "https:", "<script", "In&nbsp;[") if word in text
        ]
        assert f'href="index.html#{TABLE}"' in text and 'href="00_tour.html"' in text
        assert not (outputs / "report" / "dp_instahide_table1.html").exists()

    def test_tables_scroll_in_boxes_that_the_keyboard_reaches(self):
        assert pages._scrollable("<table border=1><tr></tr></table>").startswith('<div class="wide" tabindex="0"')


def test_the_records_are_beside_the_report(outputs):
    kept = list(Ledger.open(paths.root() / "outputs" / "reference" / "fast" / "trials"))[:3]
    for record in kept:
        Ledger.open().put(record)
    text = report.write().read_text(encoding="utf-8")
    table = pd.read_csv(outputs / "report" / "records.csv")
    assert set(table["key"]) == {record.key for record in kept}
    assert 'href="records.csv" download' in text and "All 3 records" in text
    if (outputs / "report" / "records.parquet").exists():
        pd.testing.assert_series_equal(pd.read_parquet(outputs / "report" / "records.parquet")["success"], table["success"])


HOSTILE = """<script>planted()</script><img src=x onerror="planted()"><a href="javascript:planted()">a</a>
<svg onload="planted()"><a href="data:text/html,planted">d</a></svg><iframe srcdoc="planted"></iframe><style>planted{}</style>
<form action="planted"><input></form><object data="planted"></object><img src="https://planted.example/x.png">"""


def test_failed_trials_are_named_with_their_reason(outputs):
    (trial,) = experiments.grid("backdoor", "quick", attack="patch", defence="mixup(k=4)", trials=1, first_seed=9)
    reason, ledger = "training diverged: <b>nan</b>", Ledger.open()
    assert "Trials that failed" not in report.write().read_text()
    for spec in (trial.describe(), trial.describe() | {"attack": {"name": "gone.Attack"}}):
        failures.put(ledger, failures.Failure(spec, reason, invent.record(trial, 1, 1).environment))
    page = report.write().read_text()
    named = f"{registry.label(trial.attack)} on {registry.label(trial.model)}, defence mixup(k=4), seed 9: {reason}"
    for words in (named, f"gone.Attack, seed 9: {reason}"):
        assert f"<li>{html.escape(words)}</li>" in page


def test_nothing_in_a_notebook_acts_in_the_readers_browser(outputs):
    code = nbformat.v4.new_code_cell("f(1)", execution_count=1)
    row = '<tr style="text-align: right; position: fixed"><th scope="col">9</th></tr>'
    table = f'<table class="dataframe" onclick="planted()">{row}</table>'
    kinds = ("text/html", "image/svg+xml", "text/markdown", "text/latex")
    code.outputs = [nbformat.v4.new_output("display_data", data={kind: HOSTILE}) for kind in kinds]
    code.outputs += [nbformat.v4.new_output("display_data", data={"text/html": table})]
    hidden = "$\\text{&lt;img src=x onerror=planted()&gt;}$"
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# x\n\n" + HOSTILE, hidden, "$$\\frac{a}{b}$$")]
    executed = outputs / "notebooks" / f"{TABLE}.ipynb"
    executed.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, code]), executed)
    text = pages.rendered(executed)
    assert not re.search(
        r"<[^>]*(planted|javascript:)|<(script|svg|iframe|object|form|input|style|link|meta)\b", text, re.IGNORECASE
    )
    assert '<tr style="text-align:right">' in text and "<mfrac>" in text and 'class="highlight' in text


def test_figures_of_other_tables_with_longer_names_are_not_shown(outputs):
    (outputs / "figures").mkdir()
    for name in ("just_how_toxic_table2", "just_how_toxic_table2_trials", "just_how_toxic_table25", "just_how_toxic_table22_roc"):
        plots.save(plt.figure(figsize=(1, 1)), name, f"figure {name}")
    shown = [figure["alt"] for figure in report.section("just_how_toxic_table2", [])["figures"]]
    assert shown == ["figure just_how_toxic_table2", "figure just_how_toxic_table2_trials"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"cells": [{"row": 1}]}', b"[]"])
def test_files_that_cannot_be_read_are_left_out_counted_and_named(outputs, content):
    names = {"notebooks": f"{TABLE}.ipynb", "tables": f"{TABLE}.json", "figures": f"{TABLE}.png"}
    for folder, name in names.items():
        (outputs / folder).mkdir()
        (outputs / folder / name).write_bytes(content)
    claim = outputs / "claims" / "strong_augmentation" / "x.json"
    claim.parent.mkdir(parents=True)
    claim.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"cannot be read: 4 files, the first: notebooks{os.sep}{TABLE}"):
        text = report.write().read_text(encoding="utf-8")
    assert all(str(path) in text for path in (f"tables/{TABLE}.json", f"figures/{TABLE}.png", "claims/strong_augmentation/x.json"))
