"""A grid on a Ray cluster of two nodes, with a class of a script's own; skipped without Ray (`make test-optional`)."""

import subprocess
import sys

import pytest

pytest.importorskip("ray")


def test_two_nodes_of_which_one_dies_and_comes_back_make_a_single_processs_records(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tests.two_nodes", str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "the second node was killed and is back" in done.stdout, (
        "it was killed while it ran a trial, and ran one when it was back"
    )
    assert "the same records: 6" in done.stdout
