"""Deep k-NN against a loop over images, against examples made by hand, and within its memory."""

import collections
import math

import numpy as np
import pytest
import torch

from poisonlib import filters
from poisonlib.filters import deep_knn


def knn(k, n, **values):
    """The filter with exactly k neighbours for n images."""
    return filters.load("deep_knn", expected=k / n, multiple=1.0, **values)


def blobs(n=120, classes=4, d=6, spread=1.5, seed=0):
    """Gaussian features (n, d), float32, one blob a class, close enough to overlap, and labels (n,) with gaps between them."""
    g = np.random.default_rng(seed)
    labels = g.integers(classes, size=n)
    features = g.normal(size=(n, d)) + spread * g.normal(size=(classes, d))[labels]
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels * 3 + 1)


def loop(features, labels, k, variant):
    """(kept, score) of each image, the slow way: all differences, a full sort, votes one by one."""
    values, labels, result = features.double().numpy(), labels.tolist(), []
    for i, own in enumerate(labels):
        others = sorted((math.dist(values[i], values[j]), j) for j in range(len(labels)) if j != i)
        votes = collections.Counter(labels[j] for _, j in others[:k])
        same = votes.pop(own, 0)
        against = sum(votes.values()) if variant == "released" else max(votes.values(), default=0)
        score = 0.0 if labels.count(own) == 1 else (against - same) / k
        result.append((score <= 0, score))
    return result


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize(
    ("k", "values"),
    [
        (1, {}),
        (5, {"seed": 1}),
        (8, {"classes": 3, "spread": 0.7, "seed": 2}),
        (12, {"n": 60, "d": 200, "spread": 0.3, "seed": 3}),
        (30, {"classes": 2, "d": 1, "seed": 4}),
        (40, {"n": 41, "classes": 2, "seed": 5}),
        (6, {"n": 50, "classes": 40, "seed": 6}),
    ],
)
def test_it_agrees_with_a_loop_over_images(k, values, variant):
    features, labels = blobs(**values)
    result = knn(k, len(labels), variant=variant).score(features, labels)
    kept, scores = zip(*loop(features, labels, k, variant), strict=True)
    assert tuple(result.keep.tolist()) == kept
    assert result.scores.dtype == torch.float64
    torch.testing.assert_close(result.scores, torch.tensor(scores, dtype=torch.float64), atol=1e-15, rtol=1e-15)
    assert 0 < sum(kept) < len(kept)  # both outcomes


@pytest.mark.parametrize(
    ("neighbours", "paper", "released"),
    [
        ((0, 0, 1, 2, 3), -1 / 5, 1 / 5),  # the most votes, but not half of them
        ((0, 0, 1, 1, 2), 0, 1 / 5),  # a tie for the most votes
        ((0, 0, 1, 2), -1 / 4, 0),  # just half
        ((0, 0, 1, 1), 0, 0),
        ((0, 1, 1, 2), 1 / 4, 2 / 4),
        ((0, 0, 0), -1, -1),
        ((1, 1, 1), 1, 1),
    ],
)
def test_the_vote_on_an_example_made_by_hand(neighbours, paper, released):
    """The image at 0 with its neighbours to its left and right, further and further away, and the rest of all classes far off."""
    k = len(neighbours)
    places = [0.0] + [(i + 1.0) * (-1) ** i for i in range(k)] + [100.0 + i for i in range(4)]
    labels = torch.tensor([0, *neighbours, 0, 1, 2, 3])
    for variant, score in (("paper", paper), ("released", released)):
        result = knn(k, len(labels), variant=variant).score(torch.tensor(places)[:, None], labels)
        assert result.scores[0] == score
        assert bool(result.keep[0]) == (score <= 0)


def test_released_removes_all_that_paper_removes_and_more():
    features, labels = blobs(400, classes=6)
    paper, released = (knn(15, 400, variant=variant).score(features, labels).keep for variant in ("paper", "released"))
    assert not (released & ~paper).any()
    assert (paper & ~released).any()


def test_it_removes_poisons_that_sit_in_another_class_and_nothing_else():
    features, labels = blobs(600, classes=3, d=16, spread=6.0)
    poisoned = (labels == 1) & ((labels == 1).cumsum(0) <= 6)
    features[poisoned] += features[labels == 4].mean(0) - features[labels == 1].mean(0)
    for variant in ("paper", "released"):
        assert torch.equal(~filters.load("deep_knn", variant=variant).score(features, labels).keep, poisoned)


def test_released_removes_every_image_of_classes_of_half_k():
    """However well they are apart: 2 % of 1000 images are 20 neighbours, of which 9 can be of one's own class."""
    labels = torch.arange(1000) % 100
    features = torch.eye(100)[labels] * 9 + 0.01 * torch.randn(1000, 100, generator=torch.Generator().manual_seed(0))
    assert not filters.load("deep_knn", variant="released").score(features, labels).keep.any()


@pytest.mark.parametrize(("expected", "multiple", "k"), [(0.01, 2.0, 2), (0.29, 1.0, 29), (0.001, 1.0, 1), (0.0, 2.0, 1)])
def test_k_is_rounded_down_to_at_least_one(expected, multiple, k):
    features, labels = blobs(100)
    result = filters.load("deep_knn", expected=expected, multiple=multiple).score(features, labels)
    assert result.keep.tolist() == [kept for kept, _ in loop(features, labels, k, "paper")]
    votes = result.scores * k
    torch.testing.assert_close(votes, votes.round())


def test_images_alone_in_their_class_stay():
    features, labels = blobs(100, classes=2, d=3)
    labels[7], labels[9] = 50, 60
    for variant in ("paper", "released"):
        result = knn(4, 100, variant=variant).score(features, labels)
        assert result.scores[[7, 9]].tolist() == [0, 0]
        assert result.keep[[7, 9]].all()


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_shift_of_all_features_changes_nothing(variant):
    features, labels = blobs()
    features = features.double()
    choice = knn(7, 120, variant=variant)
    here, there = choice.score(features, labels), choice.score(features + 1e7, labels)
    assert torch.equal(here.scores, there.scores)
    assert torch.equal(here.keep, there.keep)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_order_and_the_names_of_the_classes_do_not_matter(variant):
    features, labels = blobs()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    choice = knn(7, 120, variant=variant)
    first, second = choice.score(features, labels), choice.score(features[order], 100 - labels[order])
    assert torch.equal(first.scores[order], second.scores)
    assert torch.equal(first.keep[order], second.keep)


@pytest.mark.parametrize("rows", [1, 7, 119, 120])
def test_chunks_change_nothing(rows, monkeypatch):
    features, labels = blobs()
    choice = knn(7, 120)
    assert deep_knn.chunk_rows(120, 7) > 120  # in one go
    whole = choice.score(features, labels)
    monkeypatch.setattr(deep_knn, "CHUNK_BYTES", rows * deep_knn.row_bytes(120, 7))
    assert deep_knn.chunk_rows(120, 7) == rows
    parts = choice.score(features, labels)
    assert torch.equal(whole.scores, parts.scores)
    assert torch.equal(whole.keep, parts.keep)


def test_a_chunk_and_the_centred_copy_take_less_than_512_mb():
    n, d, copy = 50_000, 512, 8
    for k in (1, 1000, 5000, n - 1):
        rows = deep_knn.chunk_rows(n, k)
        assert rows * deep_knn.row_bytes(n, k) + copy * n * d < 512e6
        assert rows >= 100  # or the products would be slow
    assert deep_knn.chunk_rows(10**9, 1) == 1


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_duplicates_get_the_same_scores_every_time(variant):
    features, labels = blobs(40)
    features, labels = features.repeat(5, 1), torch.cat([labels, labels, labels, labels.flip(0), labels])
    first, second = (knn(9, 200, variant=variant).score(features, labels) for _ in range(2))
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.keep, second.keep)
    assert first.scores.abs().max() <= 1


@pytest.mark.parametrize(("n", "values"), [(1, {}), (10, {"expected": 1.0}), (10, {"expected": 0.5, "multiple": 2.0})])
def test_more_neighbours_than_images_are_refused(n, values):
    with pytest.raises(ValueError, match=f"neighbours of each of {n} images: choose"):
        filters.load("deep_knn", **values).score(torch.randn(n, 3), torch.arange(n) % 2)


@pytest.mark.parametrize("values", [{"expected": -0.1}, {"expected": 1.1}, {"multiple": math.nan}, {"variant": "fast"}])
def test_a_wrong_value_is_named_with_what_is_allowed(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=.*choose"):
        filters.load("deep_knn", **values)
