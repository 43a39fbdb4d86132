"""The training loop and the runner: ``python -m tests.benchmarks.bench_training`` from the repository's root.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit.
"""

import os
import sys
import tempfile
import time

import torch
from torch.nn import functional as F

from poisonlib import data, experiments, models, training
from poisonlib.tensors import to_float

from .bench_augment import compare

EPOCHS = 2


def loop_overhead() -> float:
    """An epoch of our loop, with crops and flips, against as many bare steps on one prepared batch."""
    train, numerics = data.load("digits", "train", size=16, channels=3, limit=1280), training.Numerics()
    recipe = training.load("quick", epochs=EPOCHS, batch_size=128, augment="flip + crop(pad=2)")
    network = training.initialise(models.load("resnet", depth=18, width=16), train, 0).to(memory_format=numerics.layout)
    x = to_float(train.images[:128]).contiguous(memory_format=numerics.layout)
    y = F.one_hot(train.labels[:128], 10).float()
    optimizer = training.make_optimizer(recipe, network.parameters())

    def bare():
        for _ in range(EPOCHS * 10):
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with training.settings(numerics):
        return compare(lambda: training.fit(network, train, recipe, seed=0), bare, runs=5)


def two_workers() -> float:
    """Trials a second with two worker processes against one, start-up included."""
    table = experiments.grid(
        "backdoor", "quick", attack="patch(poison_rate=1.0)", trials=8, recipe=training.load("quick", epochs=8)
    )
    seconds = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["POISONLIB_OUTPUTS"] = folder
            start = time.perf_counter()
            experiments.run(table, workers=workers)
            seconds.append(time.perf_counter() - start)
    return seconds[0] / seconds[1]


def main() -> int:
    torch.set_num_threads(1)
    speed = loop_overhead()
    print(f"an epoch of the loop runs at this share of the speed of bare steps: {speed:.2f} (at least 0.93)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    busy = os.getloadavg()[0] > 0.2 * cores
    gain = two_workers()
    limit = "no limit: too few or too busy cores" if busy or cores < 2 else "at least 1.7"
    print(f"two workers do this many times the trials of one: {gain:.2f} ({limit})")
    return int(speed < 0.93 or (gain < 1.7 and limit.startswith("at least")))


if __name__ == "__main__":
    sys.exit(main())
