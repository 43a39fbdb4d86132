"""Filters: what each must do, and each against a slow implementation and planted poisons."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score, silhouette_score

from poisonlib import filters, registry
from poisonlib.filters import _roc
from poisonlib.filters.activation_clustering import whitened
from poisonlib.filters.spectral_signatures import signature


def planted(sizes=(100, 80, 60), share=0.15, d=24, distance=8.0, seed=0, beside=None, flat=False):
    """Gaussian features, one blob a class, and in class 1 a ``share`` of poisons that stand ``distance`` off; in random order.

    ``beside``: a class among whose images the poisons stand instead, as those of a targeted attack do. ``flat``: uniform features,
    each of its own width.
    """
    g = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    poisoned = (labels == 1) & (np.cumsum(labels == 1) <= share * (labels == 1).sum())
    shape = len(labels), d
    noise = g.uniform(-2, 2, size=shape) * np.geomspace(2, 0.5, d) if flat else g.normal(size=shape)
    features = noise + g.normal(size=(len(sizes), d))[labels] * 3
    direction = g.normal(size=d)
    features[poisoned] += distance * direction / np.linalg.norm(direction)
    if beside is not None:
        features[poisoned] += features[labels == beside].mean(0) - features[poisoned].mean(0)
    order = g.permutation(len(labels))
    return (
        torch.tensor(features[order], dtype=torch.float32),
        torch.tensor(labels[order]),
        torch.tensor(poisoned[order]),
    )


def removed(result, labels, label):
    return int((~result.keep & (labels == label)).sum())


# What every filter must do

ALL = [filters.load(name) for name in filters.names()]
ALL += [filters.load(name, variant="released") for name in filters.names() if hasattr(filters.load(name), "variant")]
JUDGES = [choice for choice in ALL if registry.name_of(choice) != "random_removal"]  # the rest looks at no image


@pytest.mark.parametrize("choice", ALL, ids=registry.label)
class TestContract:
    def test_it_scores_each_image_and_changes_nothing_that_it_was_given(self, choice):
        features, labels, _ = planted(beside=0)
        before = features.clone(), labels.clone()
        result = choice.score(features, labels)
        assert result.keep.shape == result.scores.shape == labels.shape
        assert result.scores.isfinite().all()
        assert torch.equal(features, before[0])
        assert torch.equal(labels, before[1])

    def test_it_is_deterministic(self, choice):
        features, labels, _ = planted()
        first, second = (choice.score(features, labels) for _ in range(2))
        assert torch.equal(first.keep, second.keep)
        assert torch.equal(first.scores, second.scores)

    def test_classes_of_one_and_two_and_labels_with_gaps(self, choice):
        features, labels, _ = planted((40, 30, 2, 1))
        result = choice.score(features, labels * 7)
        for label, size in ((2, 2), (3, 1)):
            assert removed(result, labels, label) < size

    def test_no_images_at_all(self, choice):
        assert choice.score(torch.ones(0, 6), torch.ones(0, dtype=torch.long)).keep.shape == (0,)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_features_that_are_nan_or_infinite_are_refused(self, choice, bad):
        features, labels, _ = planted()
        features[3, 2] = bad
        with pytest.raises(ValueError, match="1 of 240 images"):
            choice.score(features, labels)

    def test_it_loads_again_from_its_description(self, choice):
        assert filters.load(registry.describe(choice)) == choice


@pytest.mark.parametrize("choice", JUDGES, ids=registry.label)
class TestJudgement:
    def test_it_ranks_planted_poisons_high(self, choice):
        features, labels, poisoned = planted(beside=0)
        attacked = labels == 1
        assert _roc.roc(choice.score(features, labels).scores[attacked], poisoned[attacked])[2] > 0.99

    def test_the_order_of_the_images_does_not_matter(self, choice):
        features, labels, _ = planted((0, 400), d=14, distance=16, flat=True)
        order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
        first, second = choice.score(features, labels), choice.score(features[order], labels[order])
        assert torch.equal(first.keep[order], second.keep)
        torch.testing.assert_close(first.scores[order], second.scores, atol=1e-6, rtol=1e-6)

    def test_constant_features_do_not_fail(self, choice):
        result = choice.score(torch.ones(20, 6), torch.arange(20) % 2)
        assert result.scores.abs().max() < 1e-9
        assert result.keep.any()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("spectral_signatures", {"expected": -0.1}),
        ("spectral_signatures", {"expected": 1.1}),
        ("spectral_signatures", {"multiple": math.inf}),
        ("activation_clustering", {"components": 0}),
        ("activation_clustering", {"size_threshold": math.nan}),
        ("activation_clustering", {"silhouette_threshold": 2.0}),
        ("activation_clustering", {"variant": "fast"}),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=.*choose"):
        filters.load(name, **values)


# Spectral signatures


@pytest.mark.parametrize("shape", [(200, 30), (30, 200), (50, 50), (2, 9), (1, 9), (9, 1)])
def test_signature_is_that_of_a_full_singular_value_decomposition(shape):
    features = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    centred = features - features.mean(0)
    slow = (centred @ np.linalg.svd(centred)[2][0]) ** 2
    torch.testing.assert_close(signature(torch.tensor(features)), torch.tensor(slow), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("expected", "multiple", "sizes"), [(0.05, 1.5, (90, 70, 40)), (0.03, 1.0, (150, 40, 4))])
def test_spectral_removes_what_loops_over_full_decompositions_remove(expected, multiple, sizes):
    features, labels, _ = planted(sizes)
    result = filters.load("spectral_signatures", expected=expected, multiple=multiple).score(features, labels)
    quota = int(multiple * expected * len(labels))
    gone = set()
    for label in range(len(sizes)):
        rows = [i for i in range(len(labels)) if labels[i] == label]
        values = features[rows].double().numpy()
        values = values - values.mean(0)
        direction = np.linalg.svd(values)[2][0]
        ranked = sorted(((float(np.dot(v, direction)) ** 2, i) for v, i in zip(values, rows, strict=True)), reverse=True)
        gone |= {i for _, i in ranked[: min(quota, len(rows) - 1)]}
    assert set((~result.keep).nonzero()[:, 0].tolist()) == gone
    assert all(removed(result, labels, label) == min(quota, size - 1) for label, size in enumerate(sizes))


def test_spectral_finds_planted_poisons_and_without_them_chance():
    values = {"expected": 0.05, "multiple": 1.5}  # 12 poisons of 240, 18 go in each class
    for distance, least, most in ((8.0, 12, 12), (0.0, 0, 8)):
        features, labels, poisoned = planted(distance=distance)
        result = filters.load("spectral_signatures", **values).score(features, labels)
        assert least <= int((~result.keep & poisoned).sum()) <= most


def test_spectral_takes_its_quota_in_every_class_as_the_public_code_does():
    """1.5 % of the whole set goes from each class: 15 % of a set of ten equal classes."""
    features = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2000) % 10
    result = filters.load("spectral_signatures").score(features, labels)
    assert [removed(result, labels, label) for label in range(10)] == [30] * 10


def test_spectral_breaks_ties_by_position():
    result = filters.load("spectral_signatures", expected=0.2, multiple=1.0).score(torch.ones(10, 3), torch.zeros(10).long())
    assert result.keep.tolist() == [False] * 2 + [True] * 8


# Activation clustering


def by_hand(values, variant):
    """(smaller cluster (n,), its share, silhouette) of one class, from scikit-learn's own pieces."""
    if variant == "paper":
        values = FastICA(10, whiten="unit-variance", max_iter=1000, tol=0.005, random_state=0).fit_transform(values)
    clusters = KMeans(2, n_init=100 if variant == "paper" else 10, random_state=0).fit_predict(values)
    small = clusters == np.bincount(clusters).argmin()
    return small, small.mean(), silhouette_score(values, clusters)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_clustering_agrees_with_its_pieces_called_by_hand(variant):
    features, labels, _ = planted((200, 160), distance=16, flat=True)
    result = filters.load("activation_clustering", variant=variant).score(features, labels)
    flagged = []
    for label in (0, 1):
        rows = labels == label
        small, share, silhouette = by_hand(features[rows].double().numpy(), variant)
        flagged.append(variant == "released" or (share < 0.35 and silhouette >= 0.1))
        assert (~result.keep[rows]).tolist() == (small & flagged[-1]).tolist()
        scores = result.scores[rows].numpy()
        if flagged[-1]:  # where there are no two clusters, it is chance which images are set apart
            assert roc_auc_score(small, scores) == 1.0
            assert (scores[small] > 0).all()
            assert (scores[~small] <= 0).all()
    assert flagged == [variant == "released", True]  # both branches of the decision
    assert len(result.rounds) == (0 if variant == "released" else 5) and set(result.rounds) <= {0, 24}


@pytest.mark.parametrize("steps", [1, 1000])
@pytest.mark.parametrize("start", [0, 1])
def test_independent_components_are_as_far_apart_as_whitened_ones_converged_or_not(start, steps):
    """So what 2-means and silhouettes make of FastICA's components is what they make of the whitened ones."""
    values = planted((60,), share=0, d=24)[0].double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = FastICA(10, whiten="unit-variance", max_iter=steps, tol=0.005, random_state=start).fit_transform(values)
    np.testing.assert_allclose(pdist(whitened(values, 10)), pdist(found), rtol=1e-6)
    assert not np.allclose(pdist(PCA(10).fit_transform(values)), pdist(found), rtol=0.1)


def test_of_several_rounds_the_one_with_the_least_inertia_counts_and_each_is_reported():
    features, labels, _ = planted((90, 80, 70), distance=0.0)  # without two clusters: rounds agree on nothing
    values = {"silhouette_threshold": -1.0, "size_threshold": 0.5}
    few, many = (filters.load("activation_clustering", **values, rounds=n).score(features, labels) for n in (1, 4))
    assert len(set(many.rounds)) > 1 and many.rounds[:1] == few.rounds == (int((~few.keep).sum()),)
    inertia = []
    for result in (few, many):
        parts = [(whitened(features[labels == i].double().numpy(), 10), (result.scores[labels == i] > 0).numpy()) for i in range(3)]
        inertia.append([sum(x[side].var(0).sum() * side.sum() for side in (small, ~small)) for x, small in parts])
    assert all(best <= first + 1e-9 for first, best in zip(*inertia, strict=True)) and inertia[0] != inertia[1]


def test_clustering_removes_the_planted_poisons_and_nothing_else():
    features, labels, poisoned = planted((600, 500))
    result = filters.load("activation_clustering").score(features, labels)
    assert torch.equal(~result.keep, poisoned)
    clean, labels, _ = planted((600, 500), distance=0.0)
    assert filters.load("activation_clustering").score(clean, labels).keep.all()


@pytest.mark.parametrize("values", [{"size_threshold": 0.1}, {"silhouette_threshold": 0.9}])
def test_clustering_wants_both_a_small_cluster_and_a_real_split(values):
    features, labels, _ = planted((600, 500))
    assert filters.load("activation_clustering", **values).score(features, labels).keep.all()


def test_released_clustering_drops_a_cluster_of_every_class_poisoned_or_not():
    features, labels, _ = planted((200, 160, 120), distance=0.0)
    result = filters.load("activation_clustering", variant="released").score(features, labels)
    for label, size in enumerate((200, 160, 120)):
        assert 0 < removed(result, labels, label) <= size / 2
    assert (~result.keep).float().mean() > 0.2


@pytest.mark.parametrize(("shape", "k"), [((50, 24), 10), ((50, 6), 6), ((12, 40), 10), ((9, 40), 8)])
def test_whitening_gives_principal_components_of_variance_one_and_no_more_than_there_are(shape, k):
    values = np.random.default_rng(0).normal(size=shape)
    space = whitened(values, 10)
    assert space.shape == (len(values), k)
    np.testing.assert_allclose(space.T @ space / len(values), np.eye(k), atol=1e-9)
    np.testing.assert_allclose(
        np.abs(space), np.abs(PCA(k, whiten=True).fit_transform(values)) * (1 + 1 / (len(values) - 1)) ** 0.5
    )


def test_a_class_of_too_few_images_for_the_components_is_kept():
    """Whitened, n images in n - 1 dimensions are the corners of a simplex."""
    features, labels, _ = planted((11, 12), share=0, d=30)
    result = filters.load("activation_clustering", silhouette_threshold=-1.0, size_threshold=1.0).score(features, labels)
    assert result.scores[labels == 0].eq(0).all() and not result.scores[labels == 1].eq(0).any()
    corners = pdist(whitened(features[labels == 0].double().numpy(), 10))
    np.testing.assert_allclose(corners, corners[0])


# The curve


@pytest.mark.parametrize("n", [3, 40, 2000])
def test_roc_is_thin_monotone_and_its_area_exact(n):
    g = torch.Generator().manual_seed(0)
    poisoned = torch.arange(n) % 3 == 0
    scores = torch.randn(n, generator=g) + poisoned
    fpr, tpr, auc = _roc.roc(scores, poisoned)
    assert len(fpr) == len(tpr) <= 50
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert fpr == sorted(fpr)
    assert tpr == sorted(tpr)
    wins = [float(a > b) + 0.5 * float(a == b) for a in scores[poisoned][:200] for b in scores[~poisoned][:200]]
    if n <= 40:
        assert auc == pytest.approx(sum(wins) / len(wins))
    assert auc == pytest.approx(np.trapezoid(tpr, fpr), abs=0.02)


@pytest.mark.parametrize("value", [True, False])
def test_roc_of_one_kind_alone_is_none(value):
    assert _roc.roc(torch.randn(5), torch.full((5,), value)) is None


@pytest.mark.parametrize(
    "keep", [torch.tensor([1, 0]), torch.tensor([1, 0], dtype=torch.uint8), torch.tensor([True]), torch.tensor(True)]
)
def test_a_decision_that_is_no_bool_for_each_image_is_refused(keep):
    with pytest.raises((ValueError, TypeError), match="keep"):
        filters.FilterResult(keep, torch.zeros(2))
