"""Augmentations against the usual ways: ``python -m tests.benchmarks.bench_augment`` from the repository's root, one thread.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit.
"""

import sys
import time

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from poisonlib import augment, rng, tensors

N, CLASSES, RUNS = 128, 10, 15


def compare(ours, theirs, runs=RUNS) -> float:
    """Processor seconds of ``theirs`` over those of ``ours``: the best of ``runs`` each, in turns so that noise meets both.

    Both must work in one thread of this process. By the clock, other work on the machine would decide.
    """
    best = [float("inf")] * 2
    for _ in range(runs):
        for i, work in enumerate((ours, theirs)):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return best[1] / best[0]


def step(pipeline, x, y, generator):
    """A function that samples parameters for a batch and applies them."""
    return lambda: pipeline.apply(x, y, pipeline.sample_params(len(x), tuple(x.shape[1:]), generator))


def cutmix_loop(x, y):
    """CutMix as one would write it first: a Python loop over images."""
    n, _, h, w = x.shape
    new_x, new_y = x.clone(), y.clone()
    for i in range(n):
        if np.random.rand() < 0.5:
            root, row, column = np.sqrt(np.random.rand()), np.random.randint(h), np.random.randint(w)
            rows = slice(max(row - int(h * root) // 2, 0), min(row + int(h * root) // 2, h))
            columns = slice(max(column - int(w * root) // 2, 0), min(column + int(w * root) // 2, w))
            j = np.random.randint(n)
            new_x[i, :, rows, columns] = x[j, :, rows, columns]
            share = (rows.stop - rows.start) * (columns.stop - columns.start) / (h * w)
            new_y[i] = (1 - share) * y[i] + share * y[j]
    return new_x, new_y


def main() -> int:
    torch.set_num_threads(1)
    g = rng.stream(0)
    pixels = torch.randint(256, (N, 3, 32, 32), generator=g, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (N,), generator=g)
    x, y = tensors.to_float(pixels), torch.eye(CLASSES)[labels]
    pictures = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pixels]
    shift, batch_mixup = augment.pipeline("crop + flip"), v2.MixUp(num_classes=CLASSES)
    one = v2.Compose([v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    ratios = {
        "mixup, weights per image, is this many times as fast as torchvision's, one weight a batch": (
            compare(step(augment.pipeline("mixup"), x, y, g), lambda: batch_mixup(x, labels)),
            0.4,
        ),
        "cutmix is this many times as fast as a loop over images": (
            compare(step(augment.pipeline("cutmix"), x, y, g), lambda: cutmix_loop(x, y)),
            2.0,
        ),
        "crop + flip from bytes is this many times as fast as torchvision on PIL images": (
            compare(lambda: step(shift, tensors.to_float(pixels), y, g)(), lambda: torch.stack([one(p) for p in pictures])),
            5.0,
        ),
    }
    for words, (ratio, least) in ratios.items():
        print(f"{words}: {ratio:.2f} (at least {least})")
    return int(any(ratio < least for ratio, least in ratios.values()))


if __name__ == "__main__":
    sys.exit(main())
