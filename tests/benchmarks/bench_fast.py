"""Training of the profile ``backdoor.fast``: ``python -m tests.benchmarks.bench_fast`` from the repository's root, one thread.

Our loop against a bare one that does the same arithmetic, and against the speed of the network's own convolutions when nothing
else runs, all in one process, in seconds of the processor, best of several turns. Exits with 1 where a ratio is beyond its limit.
"""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poisonlib import experiments, training
from poisonlib.data import ImageSet
from poisonlib.experiments.workers import MALLOC
from poisonlib.rng import stream
from tests.flops import Flops

IMAGES, RUNS = 4000, 3
LOOP, SHARE = 0.96, 0.75


def seconds(*works: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Processor seconds of each, the best of several turns, in which all come one after the other."""
    best = [float("inf")] * len(works)
    for _ in range(runs):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return best


class Bare:
    """An epoch of airbench's training as one writes it for this one purpose, with Muon and SGD in place."""

    def __init__(self, network, train: ImageSet, recipe, numerics):
        self.network, self.train, self.recipe, self.numerics = network, train, recipe, numerics
        parameters = [p for p in network.parameters() if p.requires_grad]
        self.filters = [p for p in parameters if p.ndim == 4]
        biases = {"params": [p for p in parameters if p.ndim == 1], "lr": recipe.lr_bias}
        head = {"params": [network.head.weight], "lr": recipe.lr_head}
        self.sgd = torch.optim.SGD([biases, head], momentum=recipe.momentum, nesterov=True, weight_decay=1e-5)
        self.momentum = [torch.zeros_like(p) for p in self.filters]

    def epoch(self) -> None:
        self.network.train()
        for at in torch.randperm(len(self.train)).split(self.recipe.batch_size):
            x, y = self.views(self.train.images[at].float() / 255), self.train.labels[at]
            self.network.zero_grad()
            for part, labels in zip(x.split(self.recipe.ghost_batch), y.split(self.recipe.ghost_batch), strict=True):
                with self.numerics.autocast(part.device):
                    logits = self.network(part.contiguous(memory_format=torch.channels_last))
                    loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
                (loss * len(part) / len(x)).backward()
            self.sgd.step()
            self.muon()

    def views(self, x: Tensor) -> Tensor:
        """Half of the images flipped, and each moved by up to two pixels."""
        x = torch.where((torch.rand(len(x)) < 0.5)[:, None, None, None], x.flip(-1), x)
        windows = F.pad(x, (2,) * 4, "reflect").unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
        rows, columns = torch.randint(5, (2, len(x)))
        return windows[torch.arange(len(x)), :, rows, columns]

    @torch.no_grad()
    def muon(self) -> None:
        for p, kept in zip(self.filters, self.momentum, strict=True):
            p.mul_(len(p) ** 0.5 / p.norm())
            kept.mul_(0.6).add_(p.grad)
            m = p.grad.add(kept, alpha=0.6).flatten(1)
            tall = len(m) > m.shape[1]
            m = (m.T if tall else m) / m.norm()
            for _ in range(3):
                square = m @ m.T
                m = 3.4445 * m + (2.0315 * square @ square - 4.7750 * square) @ m
            p.sub_((m.T if tall else m).view_as(p), alpha=self.recipe.lr)


def convolutions(network, x: Tensor, numerics) -> list[Callable[[], object]]:
    """Forward and backward of each convolution alone, on inputs of the shape, layout and precision that it has in training."""
    seen = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda layer, inputs, out: seen.append((layer, inputs[0], out))) for layer in layers]
    with torch.no_grad(), numerics.autocast(x.device):
        network(x)
    for hook in hooks:
        hook.remove()
    return [convolution(layer, inputs.to(output.dtype), torch.randn_like(output)) for layer, inputs, output in seen]


def convolution(layer: nn.Conv2d, x: Tensor, gradient: Tensor) -> Callable[[], object]:
    """The layer forward, and backward to what training needs: a frozen one is the first and needs its bias only."""
    weight, trains = layer.weight.detach().to(x.dtype), layer.weight.requires_grad

    def work():
        F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        form = weight.shape[:1], layer.stride, layer.padding, layer.dilation, False, (0, 0), layer.groups
        torch.ops.aten.convolution_backward(gradient, x, weight, *form, [trains, trains, layer.bias is not None])

    return work


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products."""
    with Flops() as counted:
        work()
    return counted.count


def measure() -> int:
    """Print the three numbers; returns 1 where one is below its limit."""
    torch.set_num_threads(1)
    profile = experiments.profile("backdoor", "fast")
    recipe, numerics = training.load(profile.recipe, epochs=1), profile.numerics
    pixels = torch.randint(256, (IMAGES, 3, 32, 32), generator=stream(0, "pixels"), dtype=torch.uint8)
    labels = torch.randint(10, (IMAGES,), generator=stream(0, "labels"))
    train = ImageSet(pixels, labels, torch.arange(IMAGES), tuple("0123456789"), (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
    with training.settings(numerics):
        start = training.initialise(profile.model, train, 0).to(memory_format=numerics.layout)
        x = (pixels[: recipe.ghost_batch] / 255).contiguous(memory_format=numerics.layout)
        alone = convolutions(copy.deepcopy(start), x, numerics)

        def ours():
            training.fit(copy.deepcopy(start), train, recipe, seed=0, numerics=numerics)

        def bare():
            Bare(copy.deepcopy(start), train, recipe, numerics).epoch()

        work, convolved = operations(ours), sum(map(operations, alone))
        mine, theirs = seconds(ours, bare)
        apart = sum(seconds(*alone, runs=3 * RUNS))
    return report(numerics.precision, mine, theirs, work / mine, convolved / apart)


def report(precision: str, mine: float, theirs: float, speed: float, most: float) -> int:
    print(f"images a second of the processor, {precision}: {IMAGES / mine:.0f} ({speed / 1e9:.0f} GFLOP/s)")
    print(f"the loop runs at this share of the speed of a bare one: {theirs / mine:.3f} (at least {LOOP})")
    print(
        f"and at this share of what its convolutions reach alone, {most / 1e9:.0f} GFLOP/s: {speed / most:.2f} (at least {SHARE})"
    )
    return int(theirs / mine < LOOP or speed / most < SHARE)


def main() -> int:
    """Measure in a process that keeps its memory between batches, as the workers of a run do."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_fast", "measure"]
    return subprocess.run(command, env={**MALLOC, **os.environ}).returncode


if __name__ == "__main__":
    sys.exit(measure() if sys.argv[1:] == ["measure"] else main())
