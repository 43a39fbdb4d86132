"""MaxUp against a plain step and the usual way: ``python -m tests.benchmarks.bench_maxup`` from the repository's root, one thread.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit.
"""

import sys

import torch
from torch.nn import functional as F

from poisonlib import data, models, training
from poisonlib.augment import pipeline
from poisonlib.rng import stream
from poisonlib.tensors import to_float

from .bench_augment import compare

M, BATCH = 4, 128


class Setting:
    """ResNet-18 of width 16 and one batch of 32 x 32 pixels, for repeated training."""

    def __init__(self):
        self.train = data.load("digits", "train", size=32, channels=3, limit=BATCH)
        self.network = training.initialise(models.load("resnet", depth=18, width=16), self.train, 0)
        self.recipe = training.Recipe(epochs=1, batch_size=BATCH, milestones=())
        self.cutout, self.sampling = pipeline("cutout"), stream(0)
        self.optimizer = training.make_optimizer(self.recipe, self.network.parameters())

    def ours(self, defence):
        """One step of our loop under a defence."""
        return lambda: training.fit(self.network, self.train, self.recipe, seed=0, augment=defence)

    def graph_through_all(self):
        """As one would write it first: all candidates in training mode with their graph, then the largest loss of each image."""
        x = to_float(self.train.images).contiguous(memory_format=torch.channels_last)
        y = F.one_hot(self.train.labels, 10).float()
        views = [self.cutout.apply(x, y, self.cutout.sample_params(BATCH, self.train.shape, self.sampling))[0] for _ in range(M)]
        losses = F.cross_entropy(self.network(torch.cat(views)), y.repeat(M, 1), reduction="none")
        self.optimizer.zero_grad()
        losses.view(M, BATCH).amax(0).mean().backward()
        self.optimizer.step()


def main() -> int:
    torch.set_num_threads(1)
    setting = Setting()
    with training.settings(training.Numerics()):
        maxup = setting.ours(pipeline(f"maxup(m={M}, start=0)"))
        cost = compare(setting.ours(pipeline("none")), maxup, runs=5)
        gain = compare(maxup, setting.graph_through_all, runs=5)
    print(f"a step with the worst of {M} cutouts costs this many plain steps: {cost:.2f} (at most 2.4)")
    print(f"it is this many times as fast as a graph through all candidates: {gain:.2f} (at least 1.4)")
    return int(cost > 2.4 or gain < 1.4)


if __name__ == "__main__":
    sys.exit(main())
