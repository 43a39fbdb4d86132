"""Long runs say where they are, and what is opened to be run is a copy."""

import os
import subprocess

import pytest

from poisonlib import lab, notebooks, paths
from poisonlib.experiments.run import Bar
from poisonlib.progress import Progress

WARNING = "[IPKernelApp] WARNING | Kernel is running over TCP\nUserWarning: 12% of them\n"


class TestProgress:
    def test_in_a_file_it_shows_bars_now_and_then_and_nothing_else(self, capsys):
        now = [0.0]
        progress = Progress(clock=lambda: now[0])
        for second, done in ((0, 1), (5, 2), (29, 3), (31, 4), (40, 5)):
            now[0] = float(second)
            progress.write(f"{WARNING}\r{20 * done}%|##   | {done}/5 [00:0{done}<00:09,  1.0s/trial, 3 s of work]")
        progress.close()
        shown = capsys.readouterr().err.splitlines()
        assert [line.split("|")[2].split()[0] for line in shown] == ["1/5", "4/5", "5/5"] and "<00:09" in shown[0]

    def test_in_a_file_it_shows_the_end_of_each_run_of_a_notebook_once(self, capsys):
        progress = Progress(clock=lambda: 0.0)
        full = "100%|#####| 5/5 [00:05<00:00,  1.0s/trial]"
        progress.write(" 20%|#    | 1/5 [00:01<00:04]\r 99%|####| 1999/2000 [00:01<00:04]")
        progress.write(f"\r100%|####| 1999/2000 [00:01<00:04]\r{full}")
        progress.write(f"\r{full}\n\r  0%|     | 0/7 [00:00<?, ?trial/s]")
        progress.write("\r100%|#####| 7/7 [00:01<00:00,  1.0s/trial]")
        progress.close()
        assert [line.split("|")[2].split()[0] for line in capsys.readouterr().err.splitlines()] == ["1/5", "5/5", "7/7"]

    def test_a_terminal_has_one_line_that_moves(self, capsys, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        progress = Progress()
        progress.write("\r 20%|#    | 1/5 [00:01<00:04]\r 40%|##   | 2/5 [00:02<00:03]")
        progress.write(WARNING)
        progress.close()
        assert capsys.readouterr().err == "\r    40%|##   | 2/5 [00:02<00:03]\n"

    def test_the_bar_of_a_run_is_one_that_it_knows(self, capsys):
        bar = Bar(3)
        bar.advance(1.0)
        bar.close()
        progress = Progress()
        progress.write(capsys.readouterr().err)
        progress.close()
        assert "/3 [" in capsys.readouterr().err


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


class TestLab:
    def test_what_is_opened_is_a_copy_and_stays_the_users(self, outputs):
        folder, kept = lab.copies()
        assert {path.stem for path in folder.glob("*.ipynb")} == set(notebooks.names()) and not kept
        mine = folder / "00_tour.ipynb"
        mine.write_text("mine")
        original = notebooks.path("00_tour").read_bytes()
        (folder / "explore_results.ipynb").unlink()
        lab.copies()
        assert mine.read_text() == "mine" and (folder / "explore_results.ipynb").exists()
        assert notebooks.path("00_tour").read_bytes() == original

    def test_a_copy_older_than_its_original_is_named(self, outputs):
        folder, _ = lab.copies()
        os.utime(folder / "00_tour.ipynb", (1, 1))
        assert lab.copies()[1] == ["00_tour"]

    def test_jupyterlab_is_started_on_the_copies_with_the_same_root(self, outputs, monkeypatch):
        asked = []
        monkeypatch.setattr(subprocess, "call", lambda command, env: asked.append((command, env)) or 0)
        assert lab.start(outputs / "lab") == 0
        ((command, env),) = asked
        assert command[1:] == ["-m", "jupyterlab", str(outputs / "lab")] and env["POISONLIB_HOME"] == str(paths.root())
