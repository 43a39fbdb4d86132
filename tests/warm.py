"""``pytest -p tests.warm``, as make runs it: processes that tests start with ``sys.executable`` have torch imported already.

A run of the tests starts hundreds of Python processes: workers, kernels, users' scripts. Each would spend three seconds of
a processor on importing torch. Instead, ``sys.executable`` is a small program that asks a server to fork. The server is a Python
process that has imported torch and nothing of this package; the fork takes over the program's environment, arguments, folder and
standard streams, runs what Python would run, and ends with the program. The server has one thread and never touches a GPU, so it is
safe to fork.

What forks share, and new processes would not, is the seed of hashes. Without the plugin all processes are new ones: a plain
``pytest`` and ``make test-portable`` run the same tests so. A test of what is imported, or of a process by its number, starts
`FRESH`.
"""

import contextlib
import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from pathlib import Path

FRESH = sys.executable  # a new Python process
PLACE = "POISONLIB_WARM"  # the variable that names the server's folder
POSSIBLE = hasattr(os, "pidfd_open") and " " not in FRESH  # on Linux, where a program's first line can name this Python
IMPORTED = (
    "torch._dynamo",
    "torch.utils.flop_counter",
)  # no pandas: it looks for IPython as it loads
LATE = {"PYTHONPATH", "PYTHONSAFEPATH"}  # of Python's own variables, those that the fork heeds
MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(256 * 2**20))  # as `experiments.workers` has it
EARLY = ("PYTHON", "LD_", "OPENBLAS_", "GOMP_")  # variables that are read before a fork could: they want a new process

PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys
argv = [each for each in sys.argv[1:] if each != "-Xfrozen_modules=off"]  # for debuggers, of which there is none
early = {{k: v for k, v in os.environ.items() if k.startswith({early}) and k not in {late}}}
if early != {expected} or not argv or argv[0].startswith("-") and argv[0] not in ("-c", "-m"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
umask = os.umask(0)
os.umask(umask)
asked = json.dumps([argv, os.getcwd(), dict(os.environ), umask]).encode()
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
server.sendall(asked)
for stream in (0, 1):
    os.dup2(os.open(os.devnull, os.O_RDWR), stream)
answers = server.makefile()
pid = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = int(answers.readline() or 1)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def pytest_configure(config):
    """Start the server, unless the process that started this one has, and let tests find the program."""
    if not POSSIBLE:
        return
    if PLACE not in os.environ:
        config.warm = start(Path(tempfile.mkdtemp(prefix="warm-")))
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        sys.executable = str(Path(os.environ[PLACE]) / "python")


def pytest_unconfigure(config):
    """End the server where it was started."""
    sys.executable = FRESH
    if server := getattr(config, "warm", None):
        stop(server)


def start(folder: Path) -> subprocess.Popen:
    """Start a server that listens in a folder, and write the program ``python`` there. The server ends with this process."""
    os.environ[PLACE] = str(folder)
    early = {name: value for name, value in os.environ.items() if name.startswith(EARLY) and name not in LATE}
    how = dict(python=FRESH, early=EARLY, late=LATE, expected=early, address=str(folder / "socket"))
    (folder / "python").write_text(PROGRAM.format(**how))
    (folder / "python").chmod(0o700)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    listening.listen(64)  # who comes before the imports are through waits
    environment = {name: value for name, value in os.environ.items() if name not in LATE} | {"OMP_NUM_THREADS": "1"} | MEMORY
    command = [FRESH, __file__, str(folder / "python"), str(listening.fileno())]
    with listening:
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[listening.fileno()])


def stop(server: subprocess.Popen) -> None:
    """End a server; forks that still run are let run."""
    server.stdin.close()
    server.wait()
    shutil.rmtree(os.environ.pop(PLACE))


def serve(listening: socket.socket) -> tuple[list[str], str, dict[str, str], int]:
    """Fork for whoever asks, until standard input ends. Returns in the forks alone, each with what it was asked for:
    (arguments, folder, environment, umask).
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who watch the forks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    while True:
        if 0 in select.select([listening, 0], [], [])[0]:
            os._exit(0)
        asking, _ = listening.accept()
        if os.fork() == 0:
            break
        asking.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listening.close()
    length, streams, *_ = socket.recv_fds(asking, 4, 3)
    with asking.makefile("rb") as stream:
        asked = stream.read(int.from_bytes(length, "big"))
    if pid := os.fork():
        for each in streams:
            os.close(each)
        watch(pid, asking)
    asking.close()
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    return json.loads(asked)


def watch(pid: int, asking: socket.socket) -> None:
    """Tell who asked the fork's number and how it ended, and kill the fork where the one who asked is gone. Does not return."""
    asking.sendall(f"{pid}\n".encode())
    ended = os.pidfd_open(pid)
    if ended not in select.select([ended, asking], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        asking.sendall(f"{status}\n".encode())
    os._exit(0)


def become(argv: list[str], folder: str, environment: dict[str, str], umask: int, packages: list[str]) -> None:
    """Run what ``python ARGV`` would, in this process."""
    import numpy
    import torch

    os.setsid()
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    numpy.random.seed()  # as in a new process, it is another one in each fork
    sys.stdin = sys.__stdin__ = os.fdopen(0)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w")
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    kind = argv[0] if argv[0] in ("-c", "-m") else ""
    first = {"-c": "", "-m": folder}.get(kind, str(Path(argv[0]).resolve().parent))
    given = environment.get("PYTHONPATH")
    sys.path[:] = [first] * ("PYTHONSAFEPATH" not in environment) + (given.split(os.pathsep) if given else []) + packages
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__builtins__ = __builtins__
    if kind == "-m":
        import runpy

        sys.argv = argv[1:]
        runpy._run_module_as_main(argv[1])
    elif kind == "-c":
        sys.argv = ["-c", *argv[2:]]
        exec(compile(argv[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv, main.__file__ = argv, str(Path(argv[0]).absolute())
        exec(compile(Path(argv[0]).read_bytes(), main.__file__, "exec"), main.__dict__)


if __name__ == "__main__":
    packages = [each for each in sys.path if each != str(Path(__file__).parent)]
    for name in IMPORTED:
        __import__(name)
    gc.freeze()  # forks leave alone what was there before them, also as they end
    sys.executable = sys.argv[1]
    become(*serve(socket.socket(fileno=int(sys.argv[2]))), packages)
