"""Code as users run it: in a process of its own, in which no hook checks the shape annotations."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent

ATTEMPTS = """
import json, sys
attempts = json.load(sys.stdin)
for attempt in attempts:
    try:
        exec(attempt, globals())
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]))
    else:
        print(json.dumps(None))
"""


def errors(setup: str, attempts: list[str]) -> list[list[str] | None]:
    """For each attempt, run after the set-up, the name of its exception's class and its message; None where there is none."""
    code = textwrap.dedent(setup) + ATTEMPTS
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=json.dumps(attempts), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
