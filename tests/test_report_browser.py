"""The HTML report in a real browser: an accessibility checker, a phone's width, and no address outside the page.

Needs a Chromium on the path and the packages ``playwright`` and ``axe-core-python``.
"""

import json
import shutil

import nbformat
import pytest

from poisonlib import experiments, papers, paths, plots, report
from poisonlib.experiments import Ledger

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
NAME = "strong_augmentation_table1"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A report of the reference records: a table, two figures, a page of a notebook."""
    records = list(Ledger.open(paths.root() / "outputs" / "reference" / "quick" / "trials"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POISONLIB_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        comparison = papers.compare(records, "strong_augmentation", "table1")
        comparison.save(NAME, records)
        plots.save(plots.forest(comparison), NAME, "every defence beside the paper")
        patched = [record for record in records if record.spec["attack"]["name"] == "patch"]
        plots.save(plots.rates(experiments.frame(patched), hue="attack.poison_rate"), f"{NAME}_trials", "every trial")
        (paths.outputs() / "notebooks").mkdir()
        code = nbformat.v4.new_code_cell("f(1)  # why", execution_count=1)
        code.outputs = [nbformat.v4.new_output("execute_result", data={"text/html": "<table><tr><th>a</th></tr></table>"})]
        executed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# x\n\n$$\\frac{a}{b}$$"), code])
        nbformat.write(executed, paths.outputs() / f"notebooks/{NAME}.ipynb")
        return report.write()


@pytest.fixture(scope="module")
def page(index):
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(index.as_uri())
        yield page
        browser.close()


def test_the_accessibility_checker_finds_nothing(page):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="the package axe-core-python is not installed").Axe()
    found = axe.run(page)["violations"]
    assert not found, json.dumps([(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found], indent=1)


def test_the_accessibility_checker_can_fail(page):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="the package axe-core-python is not installed").Axe()
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    try:
        assert "image-alt" in [each["id"] for each in axe.run(page)["violations"]]
    finally:
        page.reload()


def test_a_phone_shows_it_without_scrolling_sideways(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_and_on_a_notebooks_page_it_finds_nothing_either(page, index):
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="the package axe-core-python is not installed").Axe()
    page.emulate_media(color_scheme="dark")
    try:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        page.goto(index.with_name(f"{NAME}.html").as_uri())
        found = axe.run(page)["violations"]
        assert not found, json.dumps([(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found], indent=1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.querySelector('mfrac').getBoundingClientRect().height") > 20
    finally:
        page.emulate_media(color_scheme="light")
        page.goto(index.as_uri())


def test_it_asks_for_nothing_outside_itself(page):
    assert page.asked
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
