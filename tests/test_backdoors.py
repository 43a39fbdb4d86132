"""Backdoors with crafted poisons, clean-label and hidden-trigger, and adversarial training: each against a slow, obvious oracle."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from poisonlib import attacks, data, experiments, steps, training
from poisonlib.attacks import ThreatModel
from poisonlib.attacks.clean_label_backdoor import CleanLabelBackdoor
from poisonlib.attacks.hidden_trigger import Collision, HiddenTrigger, Overwriting, assign
from poisonlib.rng import stream
from poisonlib.steps.adversarial_training import AdversarialTraining, pgd
from poisonlib.tensors import levels, to_float

EPS = 32 / 255


@pytest.fixture(scope="module")
def threat_model():
    train, test = data.load("digits", "train", limit=200), data.load("digits", "test")
    networks = [
        training.train("patch_mlp", train, training.load("quick_targeted", epochs=12, batch_size=20), seed=seed) for seed in (1, 2)
    ]
    return ThreatModel(train, test, tuple(networks))


def changed(threat_model, poison):
    """Which pixels of the poisons differ from the training set's, and by how many steps of 1/255."""
    base = threat_model.train.pixels(threat_model.train.positions(poison.ids)).int()
    return (poison.images.int() - base).abs()


# adversarial training and its ascent


def one_at_a_time(network, x, y, eps, count, step_size, start):
    """Projected gradient ascent, image by image and pixel by pixel."""
    found = []
    for image, label, delta in zip(x, y, start, strict=True):
        now = (image + delta).clamp(0, 1)
        for _ in range(count):
            seen = now.clone().requires_grad_()
            F.cross_entropy(network(seen[None]), label[None]).backward()
            moved = []
            for pixel, gradient, clean in zip(
                now.flatten().tolist(), seen.grad.flatten().tolist(), image.flatten().tolist(), strict=True
            ):
                pixel += step_size * ((gradient > 0) - (gradient < 0))
                moved.append(min(max(pixel, clean - eps, 0), clean + eps, 1))
            now = torch.tensor(moved).view_as(image)
        found.append(now)
    return torch.stack(found)


@pytest.mark.parametrize(("count", "size"), [(5, 0.25), (1, 1.25)])
def test_ascent_is_that_of_one_image_at_a_time(threat_model, count, size):
    network, some = threat_model.surrogates[0], threat_model.train.take(torch.arange(6))
    x, y = to_float(some.images), some.labels
    fast, losses = pgd(lambda x: F.cross_entropy(network(x), y), x, EPS, count, size * EPS, stream(3, "noise"))
    start = (torch.rand(x.shape, generator=stream(3, "noise")) * 2 - 1) * EPS
    slow = one_at_a_time(network, x, y, EPS, count, size * EPS, start)
    assert ((fast - slow).abs() < 1e-5).float().mean() > 0.98, "but where a gradient is too near to zero to have a sign"
    assert ((x + start < 0) | (x + start > 1)).any() and ((x - EPS > 0) & (x + EPS < 1)).any(), "both bounds are met"
    assert (
        F.cross_entropy(network(fast), y) > losses[0]
        and fast.min() >= 0
        and fast.max() <= 1
        and (fast - x).abs().max() <= EPS + 1e-6
    )


def test_the_step_leaves_the_gradient_of_the_perturbed_batch(threat_model):
    network = training.initialise("convnet_gap", threat_model.train, 0)
    x, y = to_float(threat_model.train.images[:8]), F.one_hot(threat_model.train.labels[:8], 10).float()

    def loss(x, y):
        return F.cross_entropy(network(x), y)

    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.eval()
    worst, _ = pgd(lambda x: loss(x, y), x, 0.1, 3, 0.05, stream(5, "noise"))
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers()), "the ascent left the statistics"
    network.train()
    step = AdversarialTraining(eps=0.1, steps=3, step_size=0.5)
    value = step.backward(network, loss, x, y, stream(5, "noise"))
    wanted = torch.autograd.grad(loss(worst, y), list(network.parameters()))
    assert network.training and value.item() == pytest.approx(loss(worst, y).item(), abs=1e-5)
    for parameter, gradient in zip(network.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-3)


def attacked(network, some):
    return pgd(lambda x: F.cross_entropy(network(x), some.labels), to_float(some.images), EPS, 10, EPS / 4, stream(0, "n"))[0]


def test_an_adversarially_trained_network_withstands_perturbations_that_fool_an_ordinary_one(threat_model):
    step = AdversarialTraining(eps=EPS, steps=3)
    recipe = training.load("quick_targeted", epochs=12, batch_size=20)
    robust, plain = (training.train("patch_mlp", threat_model.train, recipe, seed=1, step=each) for each in (step, None))
    some = threat_model.test
    rates = []
    for network in (robust, plain):
        worst = attacked(network, some)
        rates.append((network(worst).argmax(1) == some.labels).float().mean().item())
    assert rates[0] > rates[1] + 0.1


@pytest.mark.parametrize("values", [{"eps": 0}, {"eps": 1.5}, {"steps": 0}, {"step_size": 0}])
def test_the_step_refuses_values_out_of_range(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}="):
        steps.load("adversarial_training", **values)


# the clean-label backdoor


def test_clean_label_poisons_are_hard_images_with_the_trigger_in_the_corner(threat_model):
    attack = CleanLabelBackdoor(eps=EPS, poison_rate=0.05, ensemble=2)
    poison, goal = attacks.craft(attack, threat_model, seed=4)
    trigger = attack.trigger(threat_model.train, 4)
    assert (poison.images[:, :, -5:, -5:] == trigger).all() and (goal.images[:, :, -5:, -5:] == trigger).all()
    outside = changed(threat_model, poison)
    outside[:, :, -5:, -5:] = 0
    assert outside.max() == levels(EPS) and changed(threat_model, poison).max() > levels(EPS)
    labels = threat_model.train.labels[threat_model.train.positions(poison.ids)]
    assert (labels == goal.intended_class).all() and len(poison) == 10
    assert len(goal.images) == (threat_model.test.labels == goal.source_class).sum(), "all of the class"
    clean = replace(poison, images=threat_model.train.pixels(threat_model.train.positions(poison.ids)))
    hard, easy = (attack.objective(threat_model, each, goal, 4) for each in (poison, clean))
    assert hard < easy - 1, "their loss is higher by far"


def test_the_clean_label_perturbation_is_the_ascent_of_one_image_at_a_time(threat_model):
    known = replace(threat_model, surrogates=threat_model.surrogates[:1])
    poison, goal = CleanLabelBackdoor(eps=EPS, poison_rate=0.03, steps=4).craft(known, 4)
    base = to_float(known.train.pixels(known.train.positions(poison.ids)))
    start = (torch.rand(base.shape, generator=stream(4, "craft start")) * 2 - 1) * EPS
    labels = torch.full((len(base),), goal.intended_class)
    slow = one_at_a_time(known.surrogates[0], base, labels, EPS, 4, EPS / 4, start)
    ours = to_float(poison.images)
    outside = torch.ones_like(base, dtype=torch.bool)
    outside[:, :, -5:, -5:] = False
    assert ((ours - slow).abs()[outside] <= 1 / 255).float().mean() > 0.98


def test_the_released_trigger_is_clipped_with_the_rest_but_whole_on_test_images(threat_model):
    whole, shade = (CleanLabelBackdoor(eps=8 / 255, poison_rate=0.05, variant=v) for v in ("paper", "released"))
    (full, goal), (clipped, same_goal) = (attacks.craft(each, threat_model, seed=4) for each in (whole, shade))
    assert (whole.bound, shade.bound) == (None, 8 / 255) and changed(threat_model, clipped).max() == 8
    base = threat_model.train.pixels(threat_model.train.positions(full.ids)).int()
    assert torch.equal(clipped.images.int(), base + (full.images.int() - base).clamp(-8, 8))
    assert torch.equal(goal.images, same_goal.images)


def test_the_surrogates_of_the_clean_label_backdoor_are_trained_adversarially_and_shared():
    attack = "clean_label_backdoor(eps=64/255, poison_rate=0.05, ensemble=2)"
    (trial,) = experiments.grid("targeted", "quick", attack=attack, trials=1)
    wanted = trial.attack.surrogates
    assert [each.number for each in wanted] == [0, 1] and {each.step for each in wanted} == {AdversarialTraining()}
    identity = experiments.provenance.surrogate(trial, wanted[0])
    assert identity["step"]["name"] == "adversarial_training" and identity["defence"] == []
    (plain,) = experiments.grid("targeted", "quick", attack="hidden_trigger", trials=1)
    assert experiments.provenance.surrogate(plain, plain.attack.surrogates[0])["step"] is None
    (defended,) = experiments.grid("targeted", "quick", attack=attack, defence="cutmix", trials=1)
    assert experiments.provenance.surrogate(defended, wanted[0]) == identity, "the attacker does not know the defence"


# the hidden trigger


def test_hidden_trigger_poisons_hide_it_and_collide_with_sources_that_show_it(threat_model):
    attack = HiddenTrigger(eps=EPS, poison_rate=0.05, steps=40, ensemble=2)
    poison, goal = attacks.craft(attack, threat_model, seed=4)
    assert changed(threat_model, poison).max() == levels(EPS) == levels(attack.bound)
    trigger = attack.trigger(threat_model.train, 4)
    assert not (poison.images[:, :, -5:, -5:] == trigger).flatten(1).all(1).any()
    assert (goal.images[:, :, -5:, -5:] == trigger).all() and (goal.labels == goal.source_class).all()
    clean = replace(poison, images=threat_model.train.pixels(threat_model.train.positions(poison.ids)))
    near, far = (attack.objective(threat_model, each, goal, 4) for each in (poison, clean))
    assert near < 0.7 * far


def test_sources_are_distinct_training_images_of_the_source_class_with_the_trigger(threat_model):
    attack = HiddenTrigger(poison_rate=0.05)
    _, goal = attack.choose(threat_model, 4)
    sources = attack.sources(threat_model, 10, goal, 4)
    pool = attack.stamp(threat_model.train.of_class(goal.source_class).images, attack.trigger(threat_model.train, 4))
    at = (sources[:, None] == pool).flatten(2).all(2)
    assert at.any(1).all() and len(at.int().argmax(1).unique()) == 10
    assert len(attack.sources(threat_model, 3 * len(pool), goal, 4)) == 3 * len(pool), "of a small class all are used again"


@pytest.mark.parametrize("seed", range(4))
def test_the_pairing_is_the_best_of_all_permutations(seed):
    cost = torch.rand(5, 5, generator=stream(seed, "costs"))
    best = min(
        itertools.permutations(range(5)), key=lambda columns: sum(float(cost[row, column]) for row, column in enumerate(columns))
    )
    assert assign(cost).tolist() == list(best)


def released_pairing(poisons, sources):
    """What the benchmark's code does with features of poisons and sources, which it changes in place."""
    before, distance = sources.clone(), torch.cdist(sources, poisons)
    for _ in range(len(poisons)):
        source, poison = divmod(int(distance.argmin()), len(poisons))
        sources[poison] = before[source]
        distance[source, poison] = 1e5
    return sources


def test_the_released_pairing_is_the_loop_of_the_code_and_loses_sources():
    generator = stream(0, "features")
    sources = torch.randn(40, 8, generator=generator)
    pairing, held = Overwriting(), sources.clone()
    for _ in range(5):
        poisons = torch.randn(40, 8, generator=generator)
        partner = pairing(torch.cdist(poisons, sources).square())
        held = released_pairing(poisons, held)
        assert torch.equal(sources[partner], held)
    assert len(partner.unique()) < 30, "sources are lost for good"
    assert len(assign(torch.cdist(poisons, sources)).unique()) == 40


def test_the_collisions_gradient_is_that_of_pairs_one_by_one(threat_model):
    attack = HiddenTrigger(poison_rate=0.03)
    base, goal = attack.choose(threat_model, 1)
    sources = attack.sources(threat_model, len(base), goal, 1)
    x = to_float(base.images)
    value, gradient = Collision(threat_model, sources, assign).value_and_grad(x, 0)
    features = [
        [network.features(to_float(images)).detach() for network in threat_model.surrogates] for images in (base.images, sources)
    ]
    cost = sum(torch.cdist(f, g).square() for f, g in zip(*features, strict=True))
    total = 0.0
    for row, column in enumerate(assign(cost).tolist()):
        image = x[row : row + 1].clone().requires_grad_()
        loss = sum(
            ((network.features(image) - aim[column]) ** 2).sum()
            for network, aim in zip(threat_model.surrogates, features[1], strict=True)
        )
        loss.backward()
        total += loss.item() / len(x)
        torch.testing.assert_close(gradient[row : row + 1], image.grad / len(x), atol=1e-4, rtol=1e-3)
    assert value.item() == pytest.approx(total, rel=1e-4)


def test_the_released_trigger_lies_five_pixels_off_the_corner():
    assert HiddenTrigger(variant="released").corner(32, 32) == (22, 22), "as in the benchmark's files"
    assert HiddenTrigger().corner(32, 32) == (27, 27)


# both


@pytest.mark.parametrize("name", ["clean_label_backdoor", "hidden_trigger"])
def test_classes_rows_and_trigger_are_those_of_the_other_attacks_with_the_same_seed(threat_model, name):
    attack = attacks.load(name, poison_rate=0.05)
    base, goal = attack.choose(threat_model, 9)
    other, _ = attacks.load("noise", poison_rate=0.05).choose(threat_model, 9)
    assert torch.equal(base.ids, other.ids)
    few = attacks.load(name, poison_rate=0.05, targets=3).choose(threat_model, 9)[1]
    assert torch.equal(few.images, goal.images[:3])
    clean = attacks.load(name, poison_rate=0.0)
    assert clean.clean and not clean.surrogates and torch.equal(clean.craft(threat_model, 9)[1].images, goal.images)


@pytest.mark.parametrize("name", ["clean_label_backdoor", "hidden_trigger"])
@pytest.mark.parametrize(
    "values", [{"size": 0}, {"steps": 0}, {"step_size": 0}, {"ensemble": 0}, {"variant": "wrong"}, {"targets": 0}]
)
def test_values_out_of_range_are_refused_and_named(name, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}|wrong"):
        attacks.load(name, **values)


@pytest.mark.parametrize("name", ["clean_label_backdoor", "hidden_trigger"])
def test_a_trigger_larger_than_the_images_is_refused(threat_model, name):
    with pytest.raises(ValueError, match=r"size=17: the trigger is larger than the images, 16 x 16"):
        attacks.load(name, size=17).validate(threat_model)


def test_a_recipe_that_adversarial_training_cannot_follow_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match=r"ghost_batch=500: adversarial_training"):
        experiments.grid("backdoor", "fast", attack="clean_label_backdoor", trials=1)
