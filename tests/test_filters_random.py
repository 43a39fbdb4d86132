"""Random removal: as many images as another filter removes, class by class, and any of them alike."""

import collections
import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from poisonlib import experiments, filters, training
from poisonlib.experiments import defence, provenance
from poisonlib.filters.spectral_signatures import SpectralSignatures
from poisonlib.papers.belonging import alike

INNER = [
    "spectral_signatures(expected=0.05)",
    "spectral_signatures(expected=0.4)",  # all but one image of the smallest class
    "activation_clustering",
    "activation_clustering(variant='released')",
    "deep_knn(expected=0.05)",
]


def blobs(sizes=(90, 70, 40), d=12, spread=1.0, seed=0):
    """Gaussian features, one blob a class, and labels, in random order."""
    g = np.random.default_rng(seed)
    labels = g.permutation(np.repeat(np.arange(len(sizes)), sizes))
    features = g.normal(size=(len(labels), d)) + spread * g.normal(size=(len(sizes), d))[labels]
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels)


def beside(inner, draw=0):
    return filters.load("random_removal", inner=inner, draw=draw)


def removals(inner, features, labels, draws):
    """Which images each draw removes, (draws, n)."""
    return np.array([(~beside(inner, draw).score(features, labels).keep).numpy() for draw in range(draws)])


@pytest.mark.parametrize("inner", INNER)
def test_each_class_loses_as_many_images_as_to_the_inner_filter_and_those_with_the_largest_scores(inner):
    features, labels = blobs()
    features[(labels == 0) & ((labels == 0).cumsum(0) <= 15)] += 20  # a cluster that activation clustering takes for poisons
    wanted = collections.Counter(labels[~filters.load(inner).score(features, labels).keep].tolist())
    result = beside(inner).score(features, labels)
    gone = set()
    for label, count in wanted.items():
        ranked = sorted(((result.scores[i].item(), i) for i in range(len(labels)) if labels[i] == label), reverse=True)
        gone |= {i for _, i in ranked[:count]}
    assert set((~result.keep).nonzero()[:, 0].tolist()) == gone
    assert 0 < len(gone) < len(labels)
    assert result.scores.dtype == torch.float64 and result.scores.min() >= 0 and result.scores.max() < 1


def test_every_image_of_a_class_is_removed_as_often_as_any_other():
    features, labels = blobs((30, 20), d=3)
    often = removals("spectral_signatures(expected=0.1)", features, labels, 1000)  # 7 of 30 and 7 of 20
    assert (often[:, labels == 0].sum(1) == 7).all() and (often[:, labels == 1].sum(1) == 7).all()
    for label, size in ((0, 30), (1, 20)):
        counts, share = often[:, labels == label].sum(0), 7 / size
        spread = ((counts - 1000 * share) ** 2).sum() / (1000 * share * (1 - share)) * (size - 1) / size
        assert 1e-3 < stats.chi2.sf(spread, size - 1) < 1 - 1e-3


def test_how_many_of_some_images_are_removed_is_hypergeometric():
    """Also where these stand far off, so that the inner filter removes all of them."""
    features, labels = blobs((40, 30), d=3)
    poisoned = ((labels == 0) & ((labels == 0).cumsum(0) <= 6)).numpy()
    features[poisoned] += 50
    inner = "spectral_signatures(expected=0.15)"  # 15 of 40, of which 6 are poisons
    assert not filters.load(inner).score(features, labels).keep[poisoned].any()
    counts = np.bincount(removals(inner, features, labels, 1000)[:, poisoned].sum(1), minlength=7)
    expected = 1000 * stats.hypergeom(40, 6, 15).pmf(range(7))
    assert 1e-3 < stats.chisquare(counts, expected).pvalue < 1 - 1e-3


def test_the_features_decide_how_many_go_but_not_which():
    features, labels = blobs()
    first = beside(INNER[0]).score(features, labels)
    for other in (features.flip(0), -3 * features, blobs(d=40, seed=1)[0]):
        again = beside(INNER[0]).score(other, labels)
        assert torch.equal(again.keep, first.keep) and torch.equal(again.scores, first.scores)


def test_a_draw_is_always_the_same_and_another_one_is_another():
    features, labels = blobs()
    state = torch.random.get_rng_state()
    first, same, other = (beside(INNER[0], draw).score(features, labels) for draw in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator is left alone"
    assert torch.equal(first.keep, same.keep) and not torch.equal(first.keep, other.keep)
    assert (~first.keep).sum() == (~other.keep).sum()


def test_the_rows_of_one_draw_are_those_of_every_machine():
    """The stream is one of the CPU: the rows are written down here so that a change is seen."""
    keep = beside("spectral_signatures(expected=0.1)").score(torch.randn(20, 4), torch.arange(20) % 2).keep
    assert (~keep).nonzero()[:, 0].tolist() == [0, 3, 6, 7, 8, 15]


def test_the_assumed_share_of_poisons_is_the_inner_filters():
    assert beside("spectral_signatures").assuming(0.025) == beside("spectral_signatures(expected=0.025)")
    assert beside("activation_clustering").assuming(0.025) == beside("activation_clustering")
    assert alike(defence("random_removal"), defence("random_removal(inner='spectral_signatures(expected=0.3)')"))
    assert not alike(defence("random_removal"), defence("random_removal(inner='deep_knn')"))


def test_what_the_inner_filter_refuses_is_refused():
    features, labels = blobs()
    features[3, 2] = float("nan")
    with pytest.raises(ValueError, match="1 of 200 images"):
        beside(INNER[0]).score(features, labels)
    with pytest.raises(ValueError, match="neighbours of each of 200 images"):
        beside("deep_knn(expected=1.0)").score(*blobs())


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"inner": "random_removal"}, ValueError, "inner='random_removal': choose a filter other than random_removal"),
        ({"inner": "mixup"}, LookupError, "has no 'mixup'; choose one of"),
        ({"inner": "spectral_signatures(expected=2.0)"}, ValueError, "expected=2.0"),
        ({"draw": -1}, ValueError, "draw=-1: choose a whole number"),
    ],
)
def test_a_wrong_value_is_named(values, error, words):
    with pytest.raises(error, match=words):
        filters.load("random_removal", **values)


class TestTrial:
    INNER = "spectral_signatures(expected=0.05)"

    @pytest.fixture
    def table(self):
        small = dict(data="digits(limit=300)", recipe=training.load("quick", epochs=2), trials=2)
        control = f'random_removal(inner="{self.INNER}")'
        return experiments.grid("backdoor", "quick", attack="patch(poison_rate=0.5)", defence=[self.INNER, control], **small)

    def test_it_removes_what_the_filter_beside_it_removes_from_the_same_victims(self, table, tmp_path, monkeypatch):
        monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
        records = {(r.trial.defence.filter.__class__, r.seed): r for r in experiments.run(table, workers=0)}
        for (kind, seed), record in records.items():
            assert record.filter.removed == records[SpectralSignatures, seed].filter.removed > 0
            assert kind is SpectralSignatures or 0.2 < record.filter.auc < 0.8
        assert len(list((tmp_path / "models").iterdir())) == 2, "a victim a seed, for both"

    def test_the_inner_filters_code_counts(self, table):
        inner, control = table[0], table[-1]
        other = dataclasses.replace(control, defence=defence('random_removal(inner="deep_knn")'))
        assert len({provenance.code(trial) for trial in (inner, control, other)}) == 3
