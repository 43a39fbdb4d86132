"""Filters against the usual ways: ``python -m tests.benchmarks.bench_filters`` from the repository's root, one thread.

Prints one ratio a line, from interleaved best-of-n runs, and exits with 1 where one is beyond its limit.
"""

import sys

import numpy as np
import torch

from poisonlib import filters
from poisonlib.filters.spectral_signatures import signature

from .bench_augment import compare


def svd_signature(features):
    """As in the public code: a full singular value decomposition of the centred features of one class."""
    centred = features - features.mean(0)
    return (centred @ np.linalg.svd(centred, full_matrices=True)[2][0]) ** 2


def knn_loop(features, labels, k, rows):
    """Which of the first ``rows`` images stay, as in the public code: image by image, all distances, a sort and k votes."""
    keep, labels = [], labels.tolist()
    for i in range(rows):
        nearest = torch.norm(features - features[i], dim=1).argsort()
        keep.append(sum(1 if labels[nearest[j]] == labels[i] else -1 for j in range(1, k + 1)) >= 0)
    return keep


def knn_ratio(n=2000, d=128, rows=100) -> float:
    """Deep k-NN against `knn_loop`, of which ``rows`` rows are timed, at k = n / 2: the 1000 that 2 % of CIFAR-10 are."""
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (n,), generator=g)
    features = torch.randn(n, d, generator=g) + labels[:, None] * 0.1
    choice = filters.load("deep_knn", expected=0.25, multiple=2.0, variant="released")
    keep = choice.score(features, labels).keep[:rows].tolist()
    assert keep == knn_loop(features, labels, n // 2, rows) and 0 < sum(keep) < rows
    return compare(lambda: choice.score(features, labels), lambda: knn_loop(features, labels, n // 2, rows), runs=3) * n / rows


def main() -> int:
    torch.set_num_threads(1)
    features = torch.randn(5000, 512, generator=torch.Generator().manual_seed(0))
    ratios = {
        "spectral signature of 5000 x 512 features is this many times as fast as a full decomposition": (
            compare(lambda: signature(features), lambda: svd_signature(features.numpy()), runs=2),
            4.0,
        ),
        "deep k-NN of 2000 x 128 features, k = 1000, is this many times as fast as a loop (timed on 100 images, scaled up)": (
            knn_ratio(),
            25.0,
        ),
    }
    for words, (ratio, least) in ratios.items():
        print(f"{words}: {ratio:.1f} (at least {least:.0f})")
    return int(any(ratio < least for ratio, least in ratios.values()))


if __name__ == "__main__":
    sys.exit(main())
