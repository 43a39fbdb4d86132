"""Processor seconds of commands beside a ledger of 20,000 records: ``python -m tests.benchmarks.bench_ledger``, one thread.

Each command runs in a new process: first with an empty ledger, then with the records but without an index, then with both. The goal
is 2 s for the last. What a command takes beside an empty ledger is importing torch and its own packages, and does not depend on the
records. Exits with 1 where reading the records adds more than the goal.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

RECORDS, GOAL, TABLE = 20_000, 2.0, "dp_instahide_table2"
COMMANDS = {  # the last line that each prints is its processor seconds
    "list": "cli.main(['list'])",
    "plan": f"cli.main(['plan', {TABLE!r}])",
    "plan without records": "cli.main(['plan', 'dp_instahide_table3'])",
    "plan all": "cli.main(['plan', 'all', '--profile', 'quick'])",
    "report": "cli.main(['report'])",
    "explorer's first frame": "explorer()",
    "import torch": "__import__('torch')",
}
SCRIPT = """
import time
def explorer():
    from poisonlib.widgets import results
    panel = results.explorer(results.State(source="yours"))
    assert panel.picture.value and "Not shown" not in panel.line.value
from poisonlib import cli
{}
print()
print(time.process_time())
"""


def fill(folder: Path, count: int) -> None:
    """Write so many records of the kept run ``quick``, those of the table first, then with seeds of their own."""
    from poisonlib import notebooks, paths
    from poisonlib.experiments import Ledger, provenance
    from poisonlib.experiments.spec import canonical

    ledger, kept = Ledger(folder / "trials"), list(Ledger(paths.root() / "outputs" / "reference" / "quick" / "trials"))
    mine = [replace(kept[0], spec=trial.describe(), code=provenance.code(trial)) for trial in notebooks.trials(TABLE, {})]
    others = (replace(kept[i % len(kept)], spec=kept[i % len(kept)].spec | {"seed": 1000 + i}) for i in range(count - len(mine)))
    for record in (*mine, *others):
        path = ledger.path(record.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(canonical(record.to_json()) + "\n")


def seconds(command: str, outputs: Path) -> float:
    """Processor seconds of a command in a new process."""
    environment = os.environ | {"POISONLIB_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"}
    script = SCRIPT.format(COMMANDS[command])
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main(count: int = RECORDS) -> int:
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder, "empty"), Path(folder, "full")
        fill(full, count)
        print(f"{count} records; processor seconds: empty ledger / without an index / with it; goal {GOAL:g} s")
        worst = 0.0
        for command in COMMANDS:
            bare = seconds(command, empty)
            (full / "trials" / ".index").unlink(missing_ok=True)
            first, again = seconds(command, full), seconds(command, full)
            worst = max(worst, again - bare)
            print(f"{command}: {bare:.2f} / {first:.2f} / {again:.2f} {'' if again <= GOAL else '(above the goal)'}", flush=True)
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
