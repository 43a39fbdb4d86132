"""The patch backdoor: what is drawn, what is stamped, and each quirk of the released code."""

import dataclasses

import pytest
import torch

from poisonlib import attacks, data, models, training
from poisonlib.attacks import Scene
from poisonlib.attacks.patch import Attack, paste
from poisonlib.tensors import levels


@pytest.fixture(scope="module")
def scene():
    return Scene(data.load("digits", "train"), data.load("digits", "test"))


def test_paste_puts_the_trigger_where_it_is_told():
    images, trigger = torch.zeros(5, 3, 9, 7, dtype=torch.uint8), torch.randint(1, 255, (3, 2, 2)).to(torch.uint8)
    places = torch.tensor([[0, 0], [7, 5], [3, 2], [0, 5], [7, 0]])
    slow = images.clone()
    for image, (top, left) in zip(slow, places.tolist(), strict=True):
        image[:, top : top + 2, left : left + 2] = trigger
    assert torch.equal(paste(images, trigger, places), slow)
    assert not images.any(), "the given images were written into"


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_poison_and_goal_are_what_the_paper_says(scene, share):
    poison, goal = Attack(share=share).craft(scene, seed=3)
    base = scene.train.take(scene.train.positions(poison.rows))
    assert (base.labels == goal.wanted).all(), "poisons lie in the target class"
    assert len(poison) == round(share * len(scene.train.of_class(goal.wanted)))
    changed = (poison.images != base.images).any(1)
    assert changed.flatten(1).sum(1).max() <= 16
    assert changed.flatten(1).any(1).float().mean() > 0.99
    assert (goal.labels == goal.labels[0]).all() and goal.labels[0] != goal.wanted
    assert len(goal.images) == (scene.test.labels == goal.labels[0]).sum()


def test_trigger_and_places_are_random_but_fixed_by_the_seed(scene):
    one, same, other = (Attack().craft(scene, seed) for seed in (1, 1, 2))
    assert one[0].digest == same[0].digest != other[0].digest
    corners = Attack(share=1.0).craft(scene, 1)[0]
    base = scene.train.images[scene.train.positions(corners.rows)]
    tops = {int(change.any(0).any(1).nonzero()[0]) for change in corners.images != base if change.any()}
    assert len(tops) > 5, "the place varies from image to image"


def test_a_smaller_share_is_part_of_a_larger_one_and_the_goal_is_the_same(scene):
    few, many, none = (Attack(share=share).craft(scene, 4) for share in (0.2, 1.0, 0.0))
    assert set(few[0].rows.tolist()) < set(many[0].rows.tolist())
    assert torch.equal(few[1].images, many[1].images) and torch.equal(none[1].images, many[1].images)
    assert len(none[0]) == 0 and Attack(share=0.0).clean


def test_the_released_trigger_forgets_the_mean_and_sits_in_the_corner(scene):
    poison, goal = Attack(share=1.0, variant="released").craft(scene, 0)
    low, high = round(255 * scene.train.mean[0]), round(255 * (1 + scene.train.mean[0]))
    corner = poison.images[:, :, -4:, -4:]
    assert poison.images.dtype == torch.int16
    assert set(corner.unique().tolist()) == {low, high}
    assert high > 255
    assert (goal.images[:, :, -4:, -4:] == corner[0]).all()
    set_ = scene.train.with_poison(poison)
    assert set_.images.max() == high, "training sees values outside the pixel range"


def test_the_exported_trigger_is_the_released_one_after_clipping(scene):
    released, exported = (Attack(share=1.0, variant=v).craft(scene, 0)[0] for v in ("released", "exported"))
    assert exported.images.dtype == torch.uint8
    assert torch.equal(released.images.clamp(0, 255).to(torch.uint8), exported.images)


def test_the_clean_set_is_never_written_into(scene):
    before = scene.train.images.clone()
    poisoned = scene.train.with_poison(Attack(share=1.0).craft(scene, 0)[0])
    assert torch.equal(scene.train.images, before) and not torch.equal(poisoned.images, before)


@pytest.mark.parametrize("numbers", [{"share": 1.5}, {"share": -0.1}, {"share": 2}, {"size": 0}, {"variant": "wrong"}])
def test_bad_numbers_are_refused_with_the_value(numbers):
    with pytest.raises(ValueError, match=str(next(iter(numbers.values())))):
        attacks.load("patch", **numbers)


def test_a_trigger_larger_than_the_image_is_refused(scene):
    with pytest.raises(ValueError, match="size=17"):
        Attack(size=17).craft(scene, 0)


def small(name):
    """The attack with as little work as it can be told to do."""
    fields = {field.name for field in dataclasses.fields(attacks.load(name))}
    return attacks.load(name, **{key: value for key, value in {"steps": 10, "restarts": 2}.items() if key in fields})


def equipped(scene, attack):
    """The scene with the networks that the attack asks for, untrained: what they know does not matter here."""
    wanted = getattr(attack, "surrogates", ())
    networks = [training.initialise(models.load("patches"), scene.train, each.number) for each in wanted]
    return dataclasses.replace(scene, surrogates=tuple(networks))


@pytest.mark.parametrize("name", attacks.names())
class TestEveryAttack:
    """What a new file in the folder inherits."""

    def test_same_seed_same_bytes_and_nothing_touched(self, name, scene):
        before, attack = scene.train.images.clone(), small(name)
        scene = equipped(scene, attack)
        (poison, goal), (again, goal_again) = (attack.craft(scene, 7) for _ in range(2))
        assert poison.digest == again.digest and torch.equal(goal.images, goal_again.images)
        assert torch.equal(scene.train.images, before)
        assert torch.equal(poison.rows, poison.rows.unique()), "rows ascend and are distinct"
        assert (goal.labels != goal.wanted).all()

    def test_it_keeps_its_budget_and_beats_noise_of_the_same_size_at_its_own_objective(self, name, scene):
        attack = small(name)
        if not hasattr(attack, "eps"):
            pytest.skip("the attack has no budget for pixels")
        scene = equipped(scene, attack)
        poison, goal = attack.craft(scene, 7)
        noise, _ = attacks.load("noise", eps=attack.eps, budget=attack.budget).craft(scene, 7)
        base = scene.train.images[scene.train.positions(poison.rows)].int()
        assert (poison.images.int() - base).abs().max() <= levels(attack.eps)
        if hasattr(attack, "objective"):
            assert torch.equal(poison.rows, noise.rows)
            assert attack.objective(scene, poison, goal, 7) < attack.objective(scene, noise, goal, 7)
