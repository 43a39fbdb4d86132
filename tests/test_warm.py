"""A warm process is what a new one would be, in all that a program can see but what is imported already."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import warm

pytestmark = [pytest.mark.exact, pytest.mark.skipif(not warm.POSSIBLE, reason="wants Linux")]
SEEN = """
import json, os, sys
flags = [sys.argv, sys.path, __name__, globals().get("__file__"), os.getcwd(), dict(os.environ), os.umask(0), sys.stdin.read()]
print(json.dumps([*flags, sys.stderr is sys.__stderr__, len(os.listdir("/proc/self/task")), "poisonlib" in sys.modules]))
print("complaint", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The program that stands for Python."""
    server = None if warm.PLACE in os.environ else warm.start(tmp_path_factory.mktemp("warm"))
    yield str(Path(os.environ[warm.PLACE]) / "python")
    if server:
        warm.stop(server)


def imported(done: subprocess.CompletedProcess) -> bool:
    return done.stdout == "True\n"


IMPORTED = "import sys; print('torch._dynamo' in sys.modules)"


@pytest.mark.parametrize("safe", [{}, {"PYTHONSAFEPATH": "1"}])
@pytest.mark.parametrize("command", [["-c", SEEN, "a", "-b"], ["-m", "seen", "c"], ["seen.py"], ["deep/seen.py", "d"]])
def test_it_sees_what_a_new_one_sees(command, safe, python, tmp_path):
    for name in ("seen.py", "deep/seen.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SEEN)
    environment = {"PATH": "/usr/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path), "A": "é\n"}
    early = {name: value for name, value in os.environ.items() if name.startswith(warm.EARLY) and name not in warm.LATE}
    how = dict(input="asked", capture_output=True, text=True, cwd=tmp_path, env=environment | early | safe, umask=0o027)
    new, forked = (subprocess.run([each, *command], **how) for each in (warm.FRESH, python))
    assert (new.returncode, new.stderr) == (3, "complaint\n")
    assert (forked.returncode, forked.stderr, forked.stdout) == (3, "complaint\n", new.stdout)


def test_it_has_torch_imported_unless_something_is_asked_that_only_a_new_one_can_give(python):
    def run(*options, **variables):
        command = [python, *options, "-c", IMPORTED]
        return imported(subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=True))

    assert run() and run(ANY="1", OMP_NUM_THREADS="2")
    assert not run("-B") and not run(PYTHONHASHSEED="1") and not run(OPENBLAS_NUM_THREADS="3")


def test_torch_takes_the_threads_that_it_is_given_and_random_numbers_are_other_ones(python):
    code = "import numpy, torch; print(torch.get_num_threads(), numpy.random.rand(), torch.rand(1).item())"

    def run(threads):
        return subprocess.check_output([python, "-c", code], env=os.environ | {"OMP_NUM_THREADS": threads}, text=True).split()

    one, two = run("1"), run("2")
    assert (one[0], two[0]) == ("1", "2") and one[1] != two[1] and one[2] == two[2], "torch begins with the same seed everywhere"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 7)])
def test_a_signal_reaches_it_and_it_ends_with_the_program(number, status, python):
    code = """
import os, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(300)
except KeyboardInterrupt:
    sys.exit(7)
"""
    with subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert pid != process.pid
        process.send_signal(number)
        assert process.stdout.read() == "", "the fork's end of the pipe is closed"
        assert process.wait() == status
    until = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, "the fork outlives the program"
        time.sleep(0.01)


def test_how_it_ends_is_how_the_program_ends(python):
    for code, status in (("", 0), ("1 / 0", 1), ("import os; os._exit(5)", 5), ("import os; os.kill(os.getpid(), 11)", -11)):
        assert subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == status


def test_what_it_starts_is_warm_as_well(python):
    code = f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {IMPORTED!r}], text=True), end='')"
    assert imported(subprocess.run([python, "-c", code], capture_output=True, text=True))


def test_without_the_plugin_processes_are_new_ones():
    assert warm.PLACE in os.environ or sys.executable == warm.FRESH


def test_pandas_is_not_there_before_a_kernel_is(python):
    """As it loads, pandas looks whether it runs in IPython, and shows tables as wide as a terminal where it does not."""
    code = "import sys; print({'pandas', 'matplotlib', 'IPython'} & {*sys.modules})"
    assert subprocess.check_output([python, "-c", code], text=True) == "set()\n"
