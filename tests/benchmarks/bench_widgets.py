"""Times of the explorers' pictures: ``python -m tests.benchmarks.bench_widgets`` from the repository's root, one thread.

Each explorer runs in a new process that has only imported it, with an event loop as in a kernel, an empty cache and 5,000
records. The goals are 2 s for the first picture and 0.2 s for a redraw, both for a view that is chosen for the first time and for
a control that moves (the median of seven). Where poisons are crafted or victims trained, the early picture counts, and the time
until the whole picture is printed beside it. Redraws are also given as multiples of the time of a bare picture. Exits with 1 if a
time is more than three times its goal, as machines differ.
"""

import asyncio
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

FIRST, REDRAW, PATIENCE, MOVES, RECORDS = 2.0, 0.2, 3, 7, 5000
STARTS = {"augmentations": {}, "poisons": {}, "results": {"source": "yours"}}
TABLE = "strong_augmentation table2"
VIEWS = {  # explorer: view: the values that choose it, the control that then moves, its values in turn
    "augmentations": {
        "one sample": ({}, "noise", [0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.08]),
        "many samples": ({"many": True}, "noise", [0.11, 0.12, 0.13, 0.14, 0.15, 0.17, 0.18]),
    },
    "poisons": {
        "poisons": ({}, "page", [1, 0]),
        "craft": ({"view": "craft"}, "page", [1, 0]),
        "training": ({"view": "training"}, "page", [1, 0]),
        "features": ({"view": "features"}, "page", [1, 0]),
        "filters": ({"view": "filters"}, "page", [1, 0]),
        "poisons, as far as known": ({"view": "poisons"}, "seed", [1, 2, 3, 4, 5, 6, 7]),
    },
    "results": {
        "forest": ({}, "rows", [13, 24, 14, 23, 15, 22, 16]),
        "forest beside a table": ({"table": TABLE}, "find", ["mixup", "cutmix", "none", "laplace", "patch", "conv", ""]),
        "trade-off": ({"view": "trade-off", "table": "none"}, "rows", [13, 24, 14, 23, 15, 22, 16]),
        "dose": ({"view": "dose"}, "dose", ["eps", "noise scale", "mixture width", "gradient noise", "poison rate"]),
        "power": ({"view": "power"}, "p1", [0.41, 0.42, 0.43, 0.44, 0.45, 0.46, 0.47]),
    },
}


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def bare() -> None:
    """One image in one matplotlib figure, saved as the explorers save theirs."""
    import torch
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.7), dpi=90)
    figure.add_subplot().imshow(torch.rand(12, 12, 3).numpy())
    figure.savefig(io.BytesIO(), format="png", pil_kwargs={"compress_level": 1})


async def measure(name: str) -> dict:
    """Seconds of one explorer: until its first picture, until all of that, for each view (see `_view`), and for a bare picture."""
    import torch

    explorer = importlib.import_module(f"poisonlib.widgets.{name}")
    torch.set_num_threads(1)
    start = time.perf_counter()
    panel = explorer.explorer(explorer.State(**STARTS[name]))
    while not panel.picture.value:
        await asyncio.sleep(0.005)
    first = time.perf_counter() - start
    await _whole(panel)
    found = {"first": first, "whole": time.perf_counter() - start}
    views = {view: await _view(panel, *plan) for view, plan in VIEWS[name].items()}
    return found | {"views": views, "bare": median([seconds(bare) for _ in range(MOVES)])}


async def _view(panel, chosen: dict, field: str, values: list) -> tuple[float, float, float]:
    """Seconds until a newly chosen view shows a picture, until it shows all of it, and of a redraw after its control has moved."""
    for name, value in chosen.items():
        panel.controls[name].value = value
    start = time.perf_counter()
    panel.redraw()
    early = time.perf_counter() - start
    await _whole(panel)
    whole, moves = time.perf_counter() - start, []
    for i in range(MOVES):
        panel.controls[field].value = values[i % len(values)]
        moves.append(seconds(panel.redraw))
        assert "Not shown" not in panel.line.value, panel.line.value
    await _whole(panel)
    return early, whole, median(moves)


async def _whole(panel) -> None:
    """Wait until the line no longer says what is being done."""
    while "...</p>" in panel.line.value:
        await asyncio.sleep(0)


def fill(folder: Path) -> None:
    """Write records of the kept run ``quick`` with seeds of their own."""
    from poisonlib import paths
    from poisonlib.experiments import Ledger
    from poisonlib.experiments.spec import canonical

    ledger, kept = Ledger(folder / "trials"), list(Ledger(paths.root() / "outputs" / "reference" / "quick" / "trials"))
    for seed in range(RECORDS):
        record = replace(kept[seed % len(kept)], spec=kept[seed % len(kept)].spec | {"seed": 1000 + seed})
        path = ledger.path(record.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(canonical(record.to_json()))


def alone(name: str, outputs: str) -> dict:
    """`measure` in a new process."""
    environment = os.environ | {"POISONLIB_OUTPUTS": outputs, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __spec__.name, name]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def report(name: str, found: dict) -> bool:
    """Print the times; returns whether each is at most `PATIENCE` times its goal."""
    print(f"{name}: the first picture {found['first']:.2f} s (goal {FIRST} s){_then(found['first'], found['whole'])}")
    for view, (early, whole, moved) in found["views"].items():
        times = f"{moved / found['bare']:.1f} times a bare imshow"
        print(f"  {view}: chosen {early:.3f} s{_then(early, whole)}, moved {moved:.3f} s (goal {REDRAW} s), {times}")
    redraws = [each for early, _, moved in found["views"].values() for each in (early, moved)]
    return found["first"] <= PATIENCE * FIRST and max(redraws) <= PATIENCE * REDRAW


def _then(early: float, whole: float) -> str:
    return f", all of it {whole:.2f} s" if whole > early + 0.01 else ""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        return int(not all([report(name, alone(name, folder)) for name in VIEWS]))


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 1 else print(json.dumps(asyncio.run(measure(sys.argv[1])))))
