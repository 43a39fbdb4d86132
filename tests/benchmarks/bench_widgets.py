"""The explorers' pictures against a bare one: ``python -m tests.benchmarks.bench_widgets`` from the repository's root, one thread.

Prints seconds and a ratio, and exits with 1 where a time is beyond three times its goal, as machines differ: 2 s for the first
picture after the imports, 0.2 s for one after a slider has moved.
"""

import io
import sys
import time
from itertools import count

import torch
from matplotlib.figure import Figure

from poisonlib.widgets import augmentations

from .bench_augment import compare

FIRST, REDRAW, PATIENCE, MOVES = 2.0, 0.2, 3, 7


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare() -> None:
    """One image in one matplotlib figure, saved as the explorers do."""
    figure = Figure(figsize=(8.6, 3.7), dpi=90)
    figure.add_subplot().imshow(torch.rand(12, 12, 3).numpy())
    figure.savefig(io.BytesIO(), format="png")


def main() -> int:
    torch.set_num_threads(1)
    panels = []
    first = seconds(lambda: panels.append(augmentations.explorer()))
    slider, moves = panels[0].controls["noise"], count(1)

    def move() -> None:
        slider.value = next(moves) / 100

    redraw = sorted(seconds(move) for _ in range(MOVES))[MOVES // 2]
    strip = seconds(lambda: augmentations.draws(augmentations.State(), augmentations.LIVE).png())
    print(f"the augmentation explorer's first picture: {first:.2f} s (goal {FIRST} s)")
    print(f"after a slider has moved: {redraw:.3f} s (goal {REDRAW} s), {1 / compare(move, bare, MOVES):.1f} times a bare imshow")
    print(f"{augmentations.LIVE} draws counted and shown: {strip:.3f} s")
    return int(first > PATIENCE * FIRST or redraw > PATIENCE * REDRAW)


if __name__ == "__main__":
    sys.exit(main())
