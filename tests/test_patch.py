"""The patch backdoor: what is random, what the trigger changes, and each quirk of the released code."""

import pytest
import torch

from poisonlib import attacks, data
from poisonlib.attacks import ThreatModel
from poisonlib.attacks.patch import Patch, paste


@pytest.fixture(scope="module")
def threat_model():
    return ThreatModel(data.load("digits", "train"), data.load("digits", "test"))


def test_paste_puts_the_trigger_at_the_given_places():
    images, trigger = torch.zeros(5, 3, 9, 7, dtype=torch.uint8), torch.randint(1, 255, (3, 2, 2)).to(torch.uint8)
    places = torch.tensor([[0, 0], [7, 5], [3, 2], [0, 5], [7, 0]])
    slow = images.clone()
    for image, (top, left) in zip(slow, places.tolist(), strict=True):
        image[:, top : top + 2, left : left + 2] = trigger
    assert torch.equal(paste(images, trigger, places), slow)
    assert not images.any(), "the given images have changed"


@pytest.mark.parametrize("poison_rate", [0.1, 0.5, 1.0])
def test_poison_and_goal_are_what_the_paper_says(threat_model, poison_rate):
    poison, goal = Patch(poison_rate=poison_rate).craft(threat_model, seed=3)
    base = threat_model.train.take(threat_model.train.positions(poison.ids))
    assert (base.labels == goal.intended_class).all(), "poisons are of the intended class"
    assert len(poison) == round(poison_rate * len(threat_model.train.of_class(goal.intended_class)))
    changed = (poison.images != base.images).any(1)
    assert changed.flatten(1).sum(1).max() <= 16
    assert changed.flatten(1).any(1).float().mean() > 0.99
    assert (goal.labels == goal.labels[0]).all() and goal.labels[0] != goal.intended_class
    assert len(goal.images) == (threat_model.test.labels == goal.labels[0]).sum()


def test_trigger_and_places_are_random_but_fixed_by_the_seed(threat_model):
    one, same, other = (Patch().craft(threat_model, seed) for seed in (1, 1, 2))
    assert one[0].digest == same[0].digest != other[0].digest
    corners = Patch(poison_rate=1.0).craft(threat_model, 1)[0]
    base = threat_model.train.images[threat_model.train.positions(corners.ids)]
    tops = {int(change.any(0).any(1).nonzero()[0]) for change in corners.images != base if change.any()}
    assert len(tops) > 5, "the place varies from image to image"


def test_the_poisons_of_a_smaller_rate_are_among_those_of_a_larger_one_and_the_goal_is_the_same(threat_model):
    few, many, none = (Patch(poison_rate=poison_rate).craft(threat_model, 4) for poison_rate in (0.2, 1.0, 0.0))
    assert set(few[0].ids.tolist()) < set(many[0].ids.tolist())
    assert torch.equal(few[1].images, many[1].images) and torch.equal(none[1].images, many[1].images)
    assert len(none[0]) == 0 and Patch(poison_rate=0.0).clean


def test_the_released_trigger_forgets_the_mean_and_sits_in_the_corner(threat_model):
    poison, goal = Patch(poison_rate=1.0, variant="released").craft(threat_model, 0)
    low, high = round(255 * threat_model.train.mean[0]), round(255 * (1 + threat_model.train.mean[0]))
    corner = poison.images[:, :, -4:, -4:]
    assert poison.images.dtype == torch.int16
    assert set(corner.unique().tolist()) == {low, high}
    assert high > 255
    assert (goal.images[:, :, -4:, -4:] == corner[0]).all()
    set_ = threat_model.train.with_poison(poison)
    assert set_.images.max() == high, "training sees values outside the pixel range"


def test_the_exported_trigger_is_the_released_one_after_clipping(threat_model):
    released, exported = (Patch(poison_rate=1.0, variant=v).craft(threat_model, 0)[0] for v in ("released", "exported"))
    assert exported.images.dtype == torch.uint8
    assert torch.equal(released.images.clamp(0, 255).to(torch.uint8), exported.images)


def test_the_clean_set_stays_as_it_is(threat_model):
    before = threat_model.train.images.clone()
    poisoned = threat_model.train.with_poison(Patch(poison_rate=1.0).craft(threat_model, 0)[0])
    assert torch.equal(threat_model.train.images, before) and not torch.equal(poisoned.images, before)


@pytest.mark.parametrize(
    "values", [{"poison_rate": 1.5}, {"poison_rate": -0.1}, {"poison_rate": 2}, {"size": 0}, {"variant": "wrong"}]
)
def test_values_out_of_range_are_refused_and_named(values):
    with pytest.raises(ValueError, match=str(next(iter(values.values())))):
        attacks.load("patch", **values)


def test_a_trigger_larger_than_the_image_is_refused(threat_model):
    with pytest.raises(ValueError, match="size=17"):
        Patch(size=17).craft(threat_model, 0)
