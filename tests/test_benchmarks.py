"""The table of the benchmarks and the script for a GPU, without their measurements."""

import torch

from poisonlib import experiments
from tests import on_cuda
from tests.benchmarks.bench_augment import Ratio
from tests.benchmarks.performance import MEASURES, Row

from .small import TINY


def test_a_ratio_is_that_of_the_best_times_and_its_spread_that_of_single_turns():
    ratio = Ratio.of([2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 1.0, 2.0, 2.0, 2.0])  # turns: 2, 4, 3, 4, 5
    assert (ratio, ratio.low, ratio.high) == (2, 3, 4)
    assert (ratio.inverse(), ratio.inverse().low, ratio.inverse().high) == (0.5, 0.25, 1 / 3)


def test_a_row_says_whether_its_limit_holds():
    assert [Row("", value, 2).verdict for value in (1.9, 2.0)] == ["missed", "holds"]
    assert [Row("", value, 2, least=False).verdict for value in (2.0, 2.1)] == ["holds", "missed"]
    assert Row("", 0, 2, unclear="busy cores").verdict == "not judged: busy cores"
    assert Row("speed", Ratio.of([3.0, 3.0], [2.0, 2.0]), 1).line("P0") == "| P0 | speed | 1.5 | at least 1 | holds | 1.5 to 1.5 |"
    assert {f"P{i}" for i in range(1, 16)} < set(MEASURES)


def test_trials_on_a_gpu_are_told_apart_from_the_cpus(tmp_path, monkeypatch, capsys):
    table = experiments.grid("backdoor", "quick", attack="patch(poison_rate=1.0)", trials=2, **TINY)
    first, second = (on_cuda.run(trial, "cpu") for trial in table)
    assert on_cuda.verdict(first, first) == "same record" and on_cuda.verdict(first, second) == "OTHER CHOICES"
    assert on_cuda.verdict(first, on_cuda.run(table[0], "xpu:7")) == "FAILED"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert on_cuda.main([]) == 0 and "no CUDA device here" in capsys.readouterr().out
