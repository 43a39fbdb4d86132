"""Augmentations against the usual ways: ``python -m tests.benchmarks.bench_augment`` from the repository's root, one thread.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit.
"""

import sys
import time
from statistics import quantiles

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from poisonlib import augment, rng, tensors

N, CLASSES, RUNS = 128, 10, 15


class Ratio(float):
    """The ratio of two best times; ``low`` to ``high`` is the middle half of single turns' ratios, which other work scatters."""

    low: float
    high: float

    @classmethod
    def of(cls, over: list[float], under: list[float]) -> "Ratio":
        made = cls(min(over) / min(under))
        made.low, _, made.high = quantiles([a / b for a, b in zip(over, under, strict=True)], n=4, method="inclusive")
        return made

    def inverse(self) -> "Ratio":
        made = Ratio(1 / self)
        made.low, made.high = 1 / self.high, 1 / self.low
        return made


def compare(ours, theirs, runs=RUNS) -> Ratio:
    """Processor seconds of ``theirs`` over those of ``ours``: the best of ``runs`` each, in turns so that noise meets both.

    Both must work in one thread of this process. By the clock, other work on the machine would decide.
    """
    taken = [], []
    for _ in range(runs):
        for seconds, work in zip(taken, (ours, theirs), strict=True):
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
    return Ratio.of(taken[1], taken[0])


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


def batch():
    """(bytes (n c h w), labels (n,), images in [0, 1], soft labels, a generator)."""
    g = rng.stream(0)
    pixels = torch.randint(256, (N, 3, 32, 32), generator=g, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (N,), generator=g)
    return pixels, labels, tensors.to_float(pixels), torch.eye(CLASSES)[labels], g


def input_ways():
    """A batch of bytes cropped and flipped: ours, and torchvision's way from PIL images."""
    pixels, _, _, y, g = batch()
    pictures, shift = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pixels], augment.pipeline("crop + flip")
    one = v2.Compose([v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    return (lambda: step(shift, tensors.to_float(pixels), y, g)()), (lambda: torch.stack([one(p) for p in pictures]))


def mixing_ways():
    """Our mixup, torchvision's, our CutMix, and a loop over images."""
    _, labels, x, y, g = batch()
    batch_mixup = v2.MixUp(num_classes=CLASSES)
    ours = (step(augment.pipeline(name), x, y, g) for name in ("mixup", "cutmix"))
    return next(ours), lambda: batch_mixup(x, labels), next(ours), lambda: cutmix_loop(x, y)


def main() -> int:
    torch.set_num_threads(1)
    mixup, batch_mixup, cutmix, loop = mixing_ways()
    ratios = {
        "mixup, weights per image, is this many times as fast as torchvision's, one weight a batch": (
            compare(mixup, batch_mixup),
            0.4,
        ),
        "cutmix is this many times as fast as a loop over images": (compare(cutmix, loop), 2.0),
        "crop + flip from bytes is this many times as fast as torchvision on PIL images": (compare(*input_ways()), 8.0),
    }
    for words, (ratio, least) in ratios.items():
        print(f"{words}: {ratio:.2f} (at least {least})")
    return int(any(ratio < least for ratio, least in ratios.values()))


if __name__ == "__main__":
    sys.exit(main())
