"""The explorers as users see them: JupyterLab in a headless Chromium, where every cell runs, controls move and pictures follow.

Needs a Chromium on the path and the package ``playwright``. Screenshots of both themes go to the test's temporary folder.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from poisonlib import notebooks

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
EXPLORERS = [name for name in notebooks.names() if name.startswith("explore_")]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "explorers"
PATIENCE = 180_000  # milliseconds, for one slow core that others use too
BENIGN = ("favicon", "Failed to load resource")  # of JupyterLab's own pages
PANEL = ".jp-OutputArea-output .poisonlib-panel"
IMAGE = f"{PANEL} .poisonlib-picture svg >> visible=true"
FAILED = '.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]'
STDERR = '.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]'


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """The address of a JupyterLab whose files are copies of the notebooks; its settings are its own."""
    root = tmp_path_factory.mktemp("lab")
    (root / "notebooks").mkdir()
    for name in EXPLORERS:
        shutil.copy(notebooks.path(name), root / "notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {name: str(root / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    environment = os.environ | folders | {"POISONLIB_OUTPUTS": str(root / "outputs"), "OMP_NUM_THREADS": "1"}
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root / 'notebooks'}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (root / "server.log").open("w") as log:
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", lab)
        yield f"http://127.0.0.1:{port}"
    finally:
        lab.terminate()
        lab.wait(30)


def wait_for(address: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab does not answer at {address}")


@pytest.fixture
def page(browser):
    """A page that collects the errors of its console."""
    page = browser.new_page(viewport={"width": 1280, "height": 1500})
    page.set_default_timeout(PATIENCE)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    page.close()


def picture(page) -> str:
    return page.locator(IMAGE).last.evaluate("image => image.outerHTML")


def wait_for_another(page, before: str) -> str:
    """Wait until the picture differs from ``before``; returns it."""
    until = time.monotonic() + PATIENCE / 1000
    while (now := picture(page)) == before:
        assert time.monotonic() < until, f"the picture stays as it was: {page.locator(PANEL).first.inner_text()}"
        page.wait_for_timeout(100)
    return now


def open_and_run(page, server: str, name: str) -> None:
    page.goto(f"{server}/lab/tree/{name}.ipynb?token={TOKEN}&reset")
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(IMAGE).first.wait_for()


def wait_until_all_cells_ran(page) -> None:
    page.wait_for_function("() => ![...document.querySelectorAll('.jp-InputPrompt')].some(each => each.textContent.includes('*'))")


def enabled_sliders(page) -> list:
    """Those that have an effect in the state that is shown."""
    sliders = page.locator(PANEL).first.get_by_role("slider").all()
    return [slider for slider in sliders if slider.evaluate("each => !each.closest('[disabled], [aria-disabled=true]')")]


def move_a_slider(page) -> None:
    slider = enabled_sliders(page)[0]
    slider.focus()
    slider.press("ArrowLeft" if slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax") else "ArrowRight")


def choose_another(page) -> None:
    """Select the last option of the first list, or the first option if the last is selected."""
    chosen = page.locator(PANEL).first.locator("select").first
    last = chosen.locator("option").count() - 1
    chosen.select_option(index=0 if chosen.evaluate("each => each.selectedIndex") == last else last)


def nameless(page) -> list[str]:
    """Controls and images of the panel that have no name for screen readers."""
    seen = page.locator(PANEL).first.aria_snapshot()
    return re.findall(r'^ *- (?:slider|combobox|checkbox|textbox|spinbutton|button|img)(?! ").*$', seen, re.MULTILINE)


def choose_theme(page, name: str) -> None:
    """``Light`` or ``Dark``; JupyterLab keeps the choice for the next notebook."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.click()
    page.locator(".lm-Menu-item", has_text=re.compile(f"^JupyterLab {name}$")).first.click()
    page.locator(f'body[data-jp-theme-light="{str(name == "Light").lower()}"]').wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_runs_and_its_picture_follows_the_controls(page, server, name, tmp_path):
    open_and_run(page, server, name)
    wait_until_all_cells_ran(page)
    first = picture(page)
    choose_theme(page, "Light")
    page.locator(PANEL).first.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "light.png")
    assert not nameless(page)
    steps = (move_a_slider, choose_another) if enabled_sliders(page) else (choose_another, move_a_slider)
    for step in steps:
        step(page)
        first = wait_for_another(page, first)
    choose_theme(page, "Dark")
    page.locator(PANEL).first.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "dark.png")
    assert "Not shown" not in page.locator(PANEL).first.inner_text()
    assert not page.locator(FAILED).count() and "Traceback" not in "".join(page.locator(STDERR).all_inner_texts())
    assert not [text for text in page.complaints if not any(known in text for known in BENIGN)]
