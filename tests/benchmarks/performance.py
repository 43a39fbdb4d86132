"""The fifteen ratios by which the package's speed is judged, as one table: ``python -m tests.benchmarks.performance [P3 P8 ...]``.

Each is measured in one run against the usual way, in seconds of the processor and one thread, but for P9, which is about two
processes and goes by the clock. *spread* is the middle half of the ratios of single turns. Exits with the number of limits missed.
``--keep`` writes the table to ``outputs/reference/performance.md``, with what is missed.
"""

import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch

from poisonlib import augment, data, experiments, models, papers, paths, training
from poisonlib.filters import deep_knn
from poisonlib.rng import stream
from poisonlib.tensors import to_float

from . import bench_augment, bench_craft, bench_filters, bench_maxup, bench_training
from .bench_augment import Ratio, compare

KEPT = "outputs/reference/performance.md"
TITLE = [
    "# Speed as ratios",
    "",
    "Written by `python -m tests.benchmarks.performance --keep`, which says how they are measured.",
    "",
]
GPU = "G0-G10, the ratios on a GPU: needs CUDA; none was measured yet."


class Row(NamedTuple):
    """A ratio, and the limit that it must not fall below or, with ``least`` False, not exceed; ``unclear``: why it says nothing."""

    what: str
    value: float
    limit: float
    least: bool = True
    unclear: str = ""

    @property
    def verdict(self) -> str:
        holds = self.value >= self.limit if self.least else self.value <= self.limit
        return f"not judged: {self.unclear}" if self.unclear else "holds" if holds else "missed"

    def line(self, number: str) -> str:
        spread = f"{self.value.low:.3g} to {self.value.high:.3g}" if isinstance(self.value, Ratio) else ""
        bound = f"{'at least' if self.least else 'at most'} {self.limit:g}"
        return f"| {number} | {self.what} | {self.value:.4g} | {bound} | {self.verdict} | {spread} |"


def pixels() -> Iterator[Row]:
    ours, theirs = bench_augment.input_ways()
    yield Row("crop + flip of a batch of bytes, times as fast as torchvision's on PIL images", compare(ours, theirs), 8)


def loop() -> Iterator[Row]:
    yield Row("an epoch of the training loop, share of the speed of bare steps", bench_training.loop_overhead(), 0.93)


def craft() -> Iterator[Row]:
    yield from itertools.starmap(Row, itertools.islice(bench_craft.step_ratios(), 2))


def compiled() -> Iterator[Row]:
    yield from itertools.starmap(Row, itertools.islice(bench_craft.step_ratios(), 2, None))


def craft_loop() -> Iterator[Row]:
    yield from itertools.starmap(Row, bench_craft.loop_ratio())


def features() -> Iterator[Row]:
    images = data.load("digits", "train", size=32, channels=3, limit=256)
    network = training.initialise(models.load("resnet", depth=18, width=16), images, 0).to(memory_format=torch.channels_last).eval()

    @torch.no_grad()
    def one_by_one():
        return torch.cat([network.features(to_float(image[None])) for image in images.images])

    speed = compare(lambda: training.features(network, images.images, training.Numerics()), one_by_one, runs=5)
    yield Row("features of a training set, times as fast as image by image", speed, 2.2)


def nearest() -> Iterator[Row]:
    yield Row("deep k-NN, times as fast as the loop of the public code, same images kept", bench_filters.knn_ratio(), 25)
    rows = deep_knn.chunk_rows(50_000, 1000)
    yield Row("its extra memory for 50,000 images, MiB (computed)", rows * deep_knn.row_bytes(50_000, 1000) / 2**20, 512, False)


def spectral() -> Iterator[Row]:
    points = torch.randn(5000, 512, generator=stream(0))
    ours, theirs = (lambda: bench_filters.signature(points)), (lambda: bench_filters.svd_signature(points.numpy()))
    yield Row("spectral signature, times as fast as a full decomposition", compare(ours, theirs, runs=3), 4)


def mixing() -> Iterator[Row]:
    mixup, batch_mixup, cutmix, by_loop = bench_augment.mixing_ways()
    yield Row(
        "mixup with weights of each image, times as fast as torchvision's, one weight a batch", compare(mixup, batch_mixup), 0.4
    )
    yield Row("CutMix, times as fast as a loop over images", compare(cutmix, by_loop), 2)
    images = data.load("digits", "train", size=32, channels=3, limit=128)
    victim = training.initialise(models.load("resnet", depth=18, width=16), images, 0).to(memory_format=torch.channels_last)
    step = bench_craft.training_step(victim, to_float(images.images), images.labels)
    yield Row("mixup, share of a training step (per cent)", 100 / compare(mixup, step, runs=5), 2, False)


def parallel() -> Iterator[Row]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    busy = cores < 2 or os.getloadavg()[0] > 0.2 * cores
    yield Row(
        "trials of two workers, times those of one (by the clock)", bench_training.two_workers(), 1.7, unclear=busy * "busy cores"
    )


def outputs():
    """Inside the block, an empty output folder."""
    return mock.patch.dict(os.environ, POISONLIB_OUTPUTS=tempfile.mkdtemp())


def small(trials: int = 4, epochs: int = 8) -> list[experiments.Trial]:
    recipe = training.load("quick", epochs=epochs)
    return experiments.grid(
        "backdoor", "quick", attack="patch(poison_rate=1.0)", defence=["none", "cutmix"], trials=trials, recipe=recipe
    )


def same_bits() -> Iterator[Row]:
    found, table = [], small(1, epochs=2)
    for workers in (0, 1, 2):
        with outputs():
            found.append([record.measured() for record in experiments.run(table, workers=workers)])
    different = sum(one != found[0][i] for other in found[1:] for i, one in enumerate(other))
    yield Row("records that differ between this process, one worker and two", different, 0, False)


def work_plan() -> Iterator[Row]:
    """The table's eight rows for both attackers, as the papers have them."""
    rows = dict.fromkeys(claim.means["defence"] for claim in papers.load("strong_augmentation").table("table2").claims)
    both = ["gradient_matching", "gradient_matching(adaptive='surrogate')"]
    table = experiments.grid("targeted", "paper", attack=both, defence=list(rows))
    with outputs(), mock.patch.dict(os.environ, POISONLIB_DATA=tempfile.mkdtemp()):
        plan = experiments.plan(table)
    yield Row(
        "networks trained for Table 2 of strong_augmentation at profile paper, 20 of them to judge crafts",
        plan.trainings,
        460,
        False,
    )
    yield Row("crafts for it", plan.crafts, 160, False)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def resumed() -> Iterator[Row]:
    table = small()
    with outputs():
        whole = seconds(lambda: experiments.run(table, workers=0))
        again = seconds(lambda: experiments.run(table, workers=0))
    with outputs():
        parts = seconds(lambda: experiments.run(table[: len(table) // 2], workers=0)) + seconds(
            lambda: experiments.run(table, workers=0)
        )
    yield Row("a run in two parts, times as long as in one", parts / whole, 1.08, False)
    yield Row("a finished table again, share of its run", again / whole, 0.05, False)


def preset() -> Iterator[Row]:
    """Trials without a defence of the quick backdoor, all that belongs to them, over bare steps on as many images."""
    (trial,) = experiments.grid("backdoor", "quick", attack="patch(poison_rate=1.0)", trials=1)
    images = data.load(trial.data, "train")
    network = training.initialise(trial.model, images, 0).to(memory_format=torch.channels_last)
    size = trial.recipe.batch_size
    step = bench_craft.training_step(network, to_float(images.images[:size]), images.labels[:size])
    steps = trial.recipe.epochs * len(training.batch_sizes(len(images), size))

    def whole():
        with outputs():
            experiments.run([trial], workers=0)

    ratio = compare(whole, lambda: [step() for _ in range(steps)], runs=3).inverse()
    yield Row("a quick trial with all that belongs to it, times as long as its bare steps", ratio, 1.3, False)


def imports() -> Iterator[Row]:
    def alone(code: str) -> float:
        start = os.times()
        assert not os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code])
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system

    ours = "import poisonlib, poisonlib.experiments, poisonlib.attacks, poisonlib.data, poisonlib.models"
    over, under = zip(*((alone(ours), alone("import torch")) for _ in range(3)), strict=True)
    yield Row("importing the package, times as long as importing torch", Ratio.of(list(over), list(under)), 1.3, False)


def maxup() -> Iterator[Row]:
    setting = bench_maxup.Setting()
    with training.settings(training.Numerics()):
        worst = setting.ours(augment.pipeline(f"maxup(m={bench_maxup.M}, start=0)"))
        cost = compare(setting.ours(augment.pipeline("none")), worst, runs=5)
    yield Row(f"a step with the worst of {bench_maxup.M} cutouts, plain steps", cost, 2.4, False)


MEASURES = {
    "P1": pixels,
    "P2": loop,
    "P3": craft,
    "P4": craft_loop,
    "P5": features,
    "P6": nearest,
    "P7": spectral,
    "P8": mixing,
    "P9": parallel,
    "P10": same_bits,
    "P11": work_plan,
    "P12": resumed,
    "P13": preset,
    "P14": imports,
    "P15": maxup,
    "P3c": compiled,  # the last, as compiling takes minutes
}


def machine() -> str:
    """What the numbers were measured on."""
    known = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next(
        (line.partition(":")[2].strip() for line in known.splitlines() if line.startswith("model name")), platform.machine()
    )
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, torch {torch.__version__}, one thread"


def main(chosen: list[str]) -> int:
    torch.set_num_threads(1)
    lines = [machine(), "", "| | ratio | measured | limit | verdict | spread |", "|---|---|---|---|---|---|"]
    print(*lines, sep="\n", flush=True)
    missed = 0
    for number in chosen or MEASURES:
        for row in MEASURES[number]():
            lines.append(row.line(number))
            missed += row.verdict == "missed"
            print(lines[-1], flush=True)
        if "--keep" in sys.argv:
            (paths.root() / KEPT).write_text("\n".join([*TITLE, *lines, "", GPU, ""]))
    print(f"\n{GPU}")
    return missed


if __name__ == "__main__":
    sys.exit(main([each for each in sys.argv[1:] if each != "--keep"]))
