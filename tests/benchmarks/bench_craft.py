"""Gradient matching against the usual ways: ``python -m tests.benchmarks.bench_craft`` from the repository's root, one thread.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit. Compiling takes minutes.
"""

import itertools
import sys
import time
from dataclasses import replace

import torch
from torch.nn import functional as F

from poisonlib import data, models, training
from poisonlib.attacks import ThreatModel
from poisonlib.attacks._signed_adam import minimise
from poisonlib.attacks.gradient_matching import GradientMatching, Matching
from poisonlib.rng import stream
from poisonlib.tensors import to_float

from .bench_augment import compare

STEPS, LAYOUT = 250, torch.channels_last


def threat_model(model, size: int, limit: int = 1000) -> ThreatModel:
    """Colour digits and one fresh network: how long a step takes does not depend on the weights."""
    train, test = (data.load("digits", split, size=size, channels=3, limit=limit) for split in ("train", "test"))
    return ThreatModel(train, test, (training.initialise(model, train, 0).to(memory_format=LAYOUT),))


def matched(attack: GradientMatching, known: ThreatModel):
    """(the matching of that attack, its poisons' pixels, the sampled parameters of one step, a noise stream)."""
    base, goal = attack.choose(known, 0)
    matching = Matching(attack, known, base.ids, goal)
    return matching, to_float(base.images), matching.shown.sample(1, stream(0))[0], stream(1)


def training_step(network, x, y):
    """One bare step of a victim on one batch."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9, momentum=0.9, nesterov=True, weight_decay=5e-4)
    x = x.contiguous(memory_format=LAYOUT)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def backward_form(matching, x):
    """As in the public code: ``backward`` from the objective, which makes the second derivatives of all parameters too."""
    (network,), (target,), y = matching.networks, matching.targets, matching.labels
    pixels, parameters = x.clone().requires_grad_(), list(network.parameters())

    def step():
        network.zero_grad()
        pixels.grad = None
        gradient = torch.autograd.grad(F.cross_entropy(network(pixels), y), parameters, retain_graph=True, create_graph=True)
        dot, ours, theirs = 0, 0, 0
        for ours_part, part in zip(gradient, target, strict=True):
            dot, ours, theirs = dot - (ours_part * part).sum(), ours + ours_part.pow(2).sum(), theirs + part.pow(2).sum()
        (1 + dot / theirs.sqrt() / ours.sqrt()).backward()
        return pixels.grad

    return step


def step_ratios():
    """One iteration on 64 poisons of 32 x 32 pixels, ResNet-18 at a quarter of its width: (words, ratio, limit, at least?)."""
    model, attack = models.load("resnet", depth=18, width=16), GradientMatching(poison_rate=0.064)
    known = threat_model(model, 32)
    matching, x, params, noise = matched(attack, known)
    assert len(x) == 64
    victim = training.initialise(model, known.train, 0).to(memory_format=LAYOUT)
    step, theirs = training_step(victim, x, matching.labels), backward_form(matching, x)

    def ours():
        return matching.value_and_grad(x, params, noise)[1]

    yield "a craft iteration costs this many training steps on the same batch", compare(ours, step, runs=5).inverse(), 4.2, False
    yield "it is this many times as fast as with the usual backward()", compare(ours, theirs, runs=5), 1.12, True
    compiling, *_ = matched(attack, replace(known, numerics=training.Numerics(compiled=True)))
    start = time.perf_counter()
    same = (compiling.value_and_grad(x, params, noise)[1].sign() == theirs().sign()).float().mean().item()
    print(f"compiled in {time.perf_counter() - start:.0f} s", flush=True)
    yield "share of pixels whose sign is the same, compiled or not", same, 0.9999, True
    speed = compare(lambda: compiling.value_and_grad(x, params, noise), theirs, runs=5)
    yield "compiled, it is this many times as fast as with the usual backward()", speed, 1.7, True


def loop_ratio():
    """250 iterations of the loop over as many bare gradients, on 8 poisons of 16 x 16 pixels."""
    matching, x, params, noise = matched(
        GradientMatching(poison_rate=0.008), threat_model(models.load("cifar_resnet", depth=8, width=8, shortcut="projection"), 16)
    )
    assert len(x) == 8

    def loop():
        minimise(lambda x, i: matching.value_and_grad(x, params, noise), x, torch.zeros_like(x), 16 / 255, STEPS, 0.01)

    def bare():
        for _ in range(STEPS):
            matching.value_and_grad(x, params, noise)

    words = f"{STEPS} iterations of the loop take this many times as long as {STEPS} bare gradients"
    yield words, compare(loop, bare, runs=3).inverse(), 1.05, False


def main() -> int:
    torch.set_num_threads(1)
    beyond = 0
    for words, ratio, limit, least in itertools.chain(loop_ratio(), step_ratios()):
        print(f"{words}: {ratio:.5g} (at {'least' if least else 'most'} {limit})", flush=True)
        beyond += ratio < limit if least else ratio > limit
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
