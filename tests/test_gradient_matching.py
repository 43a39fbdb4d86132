"""Gradient matching, its controls, and the trials around them: every gradient against float64, every released quirk pinned."""

import copy
import math
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from poisonlib import attacks, data, experiments, models, papers, registry, steps, training
from poisonlib.attacks import Scene, Surrogate, _targeted
from poisonlib.attacks import gradient_matching as gm
from poisonlib.attacks._signed_adam import minimise
from poisonlib.attacks.gradient_matching import Attack, Matching, misalignment, nested, target_gradient
from poisonlib.augment import pipeline
from poisonlib.data import ImageSet
from poisonlib.experiments.ledger import measured
from poisonlib.experiments.spec import digest
from poisonlib.models import Network
from poisonlib.rng import seeded, stream
from poisonlib.tensors import levels, project, to_float

from .flops import Flops

EPS = 16 / 255
ORDINARY = pipeline("flip + bilinear_crop(pad=1)")


def smooth(seed, shape=(2, 8, 8), classes=4):
    """A network without kinks, so that finite differences are clean; BatchNorm waits in training mode for those who forget."""
    with seeded(seed, "smooth network"):
        norm = nn.BatchNorm2d(4)
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        first, last = nn.Conv2d(shape[0], 4, 3, 2, 1), nn.Linear(4 * 16, 6)
        body = nn.Sequential(first, norm, nn.Softplus(), nn.Flatten(), last, nn.Tanh())
        return Network(body, nn.Linear(6, classes), (0.4, 0.5), (0.2, 0.3)).train()


def random_set(seed, n=48, shape=(2, 8, 8)):
    g = stream(seed, "random images")
    pixels = torch.randint(256, (n, *shape), generator=g, dtype=torch.uint8)
    labels = torch.randint(4, (n,), generator=g)
    return ImageSet(pixels, labels, torch.arange(n) * 3 + 5, tuple("abcd"), (0.4, 0.5), (0.2, 0.3))


def random_scene(ensemble=1, frozen=False, **parts):
    networks = tuple(smooth(i) for i in range(ensemble))
    for network in networks:
        network.body.requires_grad_(not frozen)
    return Scene(random_set(0), random_set(1), networks, **parts)


@pytest.fixture(scope="module")
def digits():
    """A scene in which the attack takes hold: a trained network on small digits."""
    train, test = (data.load("digits", split, size=8, limit=200) for split in ("train", "test"))
    network = training.initialise(models.load("patches", side=2, width=32), train, 0)
    training.fit(network, train, training.load("quick_targeted"), seed=0)
    return Scene(train, test, (network.eval(),), pipeline("bilinear_crop(pad=1)"))


QUICK = Attack(eps=64 / 255, budget=0.05, steps=20, restarts=1, judgements=2)


# The objective


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).double()


def test_misalignment_is_one_minus_the_cosine_of_the_whole_vectors():
    a, b = ([torch.randn(shape, generator=stream(seed)) for shape in ((3, 2), (4,), ())] for seed in (0, 1))
    expected = 1 - flat(a) @ flat(b) / math.sqrt((flat(a) ** 2).sum() * (flat(b) ** 2).sum())
    assert misalignment(a, b).item() == pytest.approx(expected.item(), abs=1e-6)
    assert misalignment([1e-3 * x for x in a], [50 * x for x in b]).item() == pytest.approx(expected.item(), abs=1e-6)
    assert misalignment(a, [3 * x for x in a]).item() == pytest.approx(0, abs=1e-6)
    assert misalignment(a, [-x for x in a]).item() == pytest.approx(2, abs=1e-6)
    with pytest.raises(ValueError, match="shorter"):
        misalignment(a, b[:2])


@pytest.mark.parametrize("count", [1, 3])
def test_the_target_gradient_is_that_of_the_mean_loss_under_the_wanted_label(count):
    network, images = smooth(0).eval(), random_set(1).images[:count]
    found, double = flat(target_gradient(network, images, 2)), copy.deepcopy(network).double()

    def loss():
        return -sum(double(image[None].double() / 255).log_softmax(1)[0, 2] for image in images) / count

    vector = nn.utils.parameters_to_vector(double.parameters()).detach()
    for direction in torch.randn(5, len(vector), generator=stream(0)).double():
        slope = []
        for sign in (1, -1):
            nn.utils.vector_to_parameters(vector + sign * 1e-5 * direction, double.parameters())
            slope.append(sign * loss().item() / 2e-5)
        assert (found @ direction).item() == pytest.approx(sum(slope), rel=1e-4, abs=1e-4)


def painted(image, box, inside):
    top, left, bottom, right = box.tolist()
    image = image.clone()
    image[:, top:bottom, left:right] = inside[:, top:bottom, left:right]
    return image


def moved(image, shift):
    """A shift by fractions of a pixel, as the public code does it."""
    h, w = image.shape[1:]
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, h).double(), torch.linspace(-1, 1, w).double(), indexing="ij")
    grid = torch.stack([xs + 2 * shift[0] / (w - 1), ys + 2 * shift[1] / (h - 1)], -1)
    return F.grid_sample(image[None], grid[None], align_corners=True)[0]


def viewed(part, x, y, draw, noise, network):
    """One augmentation image by image, in float64; only bulk noise is drawn by the part itself, on zeros."""
    name, many = registry.name_of(part), range(len(x))
    if name == "flip":
        return torch.stack([x[i].flip(2) if draw["flip"][i] else x[i] for i in many]), y
    if name == "bilinear_crop":
        return torch.stack([moved(x[i], draw["shift"][i].double()) for i in many]), y
    if name == "mixup":
        mixes = [list(zip(draw["weight"][i].double(), draw["partner"][i], strict=True)) for i in many]
        return tuple(torch.stack([sum(w * values[j] for w, j in mix) for mix in mixes]) for values in (x, y))
    if name == "cutmix":
        box, j = draw["box"], draw["partner"]
        share = [float((b[2] - b[0]) * (b[3] - b[1])) / x[0, 0].numel() for b in box]
        mixed = torch.stack([painted(x[i], box[i], x[j[i]]) for i in many])
        return mixed, torch.stack([(1 - share[i]) * y[i] + share[i] * y[j[i]] for i in many])
    if name == "cutout":
        return torch.stack([painted(x[i], draw["box"][i], torch.zeros_like(x[i])) for i in many]), y
    if name == "maxup":
        boxes = [draw[f"{trial}/0/box"] for trial in range(part.m)]
        tried = [torch.stack([painted(x[i], box[i], torch.zeros_like(x[i])) for i in many]) for box in boxes]
        losses = torch.stack([-(y * network(views).log_softmax(1)).sum(1) for views in tried]).detach()
        return torch.stack([tried[int(losses[:, i].argmax())][i] for i in many]), y
    assert name == "laplace"
    return x + part.apply(torch.zeros(x.shape), y.float(), {}, noise)[0].double(), y


def released(gradients, step, noise):
    """What a victim with this step would take of a gradient."""
    length = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
    scale = min(1, step.clip / length) if step.variant == "paper" else 1
    return [scale * g + step.clip * step.noise * torch.randn(g.shape, generator=noise).double() for g in gradients]


def inner(a, b):
    return sum(float((p * q).sum()) for p, q in zip(a, b, strict=True))


def misalignments(attack, scene, x, goal, drawn, noise):
    """What `Matching.pull` averages, written once more in float64: a number for every part of the poisons and every network."""
    aware, values, rest = attack.adaptive == "augmented", [], x
    parts = scene.ordinary.parts + (scene.defence.parts if aware else ())
    one_hot = torch.eye(len(scene.train.classes)).double()
    for company, draws in drawn:
        mine, rest = rest[: attack.batch], rest[attack.batch :]
        for surrogate in scene.surrogates:
            network = copy.deepcopy(surrogate).double().eval()
            view = torch.cat([mine, scene.train.images[company].double() / 255])
            labels = torch.cat([one_hot[[goal.wanted] * len(mine)], one_hot[scene.train.labels[company]]])
            for part, draw in zip(parts, draws, strict=True):
                view, labels = viewed(part, view, labels, draw, noise, network)
            scores = network(view[: len(mine)]).log_softmax(1)
            weights = [weight for weight in network.parameters() if weight.requires_grad]
            pull = torch.autograd.grad(-(labels[: len(mine)] * scores).sum(1).mean(), weights)
            pull = released(pull, scene.step, noise) if aware and scene.step else pull
            wish = torch.autograd.grad(-network(goal.images.double() / 255).log_softmax(1)[:, goal.wanted].mean(), weights)
            values.append(1 - inner(pull, wish) / math.sqrt(inner(pull, pull) * inner(wish, wish)))
    assert not len(rest)
    return values


AWARE = Attack(adaptive="augmented", companions=10, budget=0.1)
CASES = {
    "no augmentation": (Attack(budget=0.1), {}),
    "ordinary augmentation": (Attack(budget=0.1), {"ordinary": ORDINARY}),
    "several targets": (Attack(budget=0.1, targets=3), {"ordinary": ORDINARY}),
    "ensemble": (Attack(budget=0.1, ensemble=2), {"ordinary": ORDINARY, "ensemble": 2}),
    "parts": (Attack(budget=0.1, batch=2), {"ordinary": ORDINARY}),
    "frozen body": (Attack(budget=0.1), {"ordinary": ORDINARY, "frozen": True}),
    "ensemble and noise, in parts": (
        replace(AWARE, ensemble=2, batch=3),
        {"defence": pipeline("laplace"), "step": steps.load("noisy_sgd", noise=0.02, clip=0.1), "ensemble": 2},
    ),
    "clip active": (AWARE, {"step": steps.load("noisy_sgd", noise=0.02, clip=0.05)}),
    "clip inactive": (AWARE, {"step": steps.load("noisy_sgd", noise=1e-4, clip=100.0)}),
    "clip forgotten": (AWARE, {"step": steps.load("noisy_sgd", noise=0.02, clip=0.05, variant="released")}),
    **{
        text: (AWARE, {"ordinary": ORDINARY, "defence": pipeline(text)})
        for text in ("mixup(k=3)", "cutmix(probability=1.0)", "cutout", "maxup", "laplace", "mixup(k=4) + laplace")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_pull_is_the_float64_objective_and_its_derivative(case):
    attack, parts = CASES[case]
    scene = random_scene(**parts)
    base, goal = _targeted.choose(scene.train, scene.test, 3, attack.budget, attack.targets)
    matching, g = Matching(attack, scene, base.rows, goal), stream(0, case)
    (drawn,) = matching.drawn(1, g)
    x = to_float(base.images) + EPS * (torch.rand(base.images.shape, generator=g) * 2 - 1)
    value, gradient = matching.pull(x, drawn, stream(5))

    def total(x):
        return sum(misalignments(attack, scene, x, goal, drawn, stream(5)))

    places = stream(1, case)
    pixels = F.one_hot(torch.randint(x.numel(), (8,), generator=places), x.numel()).view(8, *x.shape)
    several = torch.randn(2, *x.shape, generator=places)
    number = len(scene.surrogates) * len(drawn)
    assert value.item() == pytest.approx(total(x.double()) / number, abs=2e-6)
    for direction in [*pixels.double(), *several.double()]:
        slope = (total(x.double() + 1e-5 * direction) - total(x.double() - 1e-5 * direction)) / 2e-5
        most = gradient.abs().max() * direction.norm()
        assert (gradient * direction).sum().item() == pytest.approx(slope, abs=2e-4 * most.item())
    assert gradient.count_nonzero() > x.numel() / 3


def test_a_step_of_the_victims_makes_the_objective_another_one_each_time():
    scene = random_scene(step=steps.load("noisy_sgd", noise=0.02, clip=0.05))
    base, goal = _targeted.choose(scene.train, scene.test, 3, 0.1, 1)
    matching, noise = Matching(AWARE, scene, base.rows, goal), stream(0)
    (drawn,) = matching.drawn(1, stream(0))
    first, second = (matching.pull(to_float(base.images), drawn, noise)[0] for _ in range(2))
    assert (first - second).abs() > 1e-4


@pytest.mark.parametrize(
    ("model", "frozen"), [("patches(side=2, width=4)", False), ("resnet8(width=2)", False), ("resnet8(width=2)", True)]
)
def test_the_form_that_compiles_is_the_same_function(model, frozen, monkeypatch):
    train = random_set(0)
    networks = tuple(training.initialise(models.load(model), train, seed) for seed in (1, 2))
    for network in networks:
        network.body.requires_grad_(not frozen)
    scene, attack = Scene(train, random_set(1), networks, ORDINARY), Attack(budget=0.1, ensemble=2)
    base, goal = _targeted.choose(scene.train, scene.test, 3, 0.1, 1)
    made = []
    monkeypatch.setattr(gm, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", lambda function: made.append(function) or function)
    scenes = [replace(scene, numerics=training.Numerics(compiled=compiled)) for compiled in (False, True)]
    eager, other = (Matching(attack, each, base.rows, goal) for each in scenes)
    (drawn,) = eager.drawn(1, stream(0))
    (value, gradient), (same, alike) = (matching.pull(to_float(base.images), drawn, stream(1)) for matching in (eager, other))
    assert len(made) == 1, "networks of one form share one function"
    assert same.item() == pytest.approx(value.item(), abs=1e-5) and same.requires_grad is False
    torch.testing.assert_close(alike, gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item())
    large = gradient.abs() > 1e-5 * gradient.abs().max()
    assert torch.equal(alike.sign()[large], gradient.sign()[large])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("defence", ["none", "maxup"])
def test_half_precision_pulls_in_nearly_the_same_direction(compiled, defence, monkeypatch):
    monkeypatch.setattr(gm, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", lambda function: function)
    train = random_set(0)
    network = training.initialise(models.load("resnet8(width=8)"), train, 1)
    attack = replace(AWARE, companions=4)
    scene = Scene(train, random_set(1), (network,), ORDINARY, pipeline(defence))
    base, goal = _targeted.choose(scene.train, scene.test, 3, attack.budget, 1)
    pulls, judgements = {}, []
    for precision in ("fp32", "bf16"):
        numerics = training.Numerics(precision=precision, compiled=compiled)
        matching = Matching(attack, replace(scene, numerics=numerics), base.rows, goal)
        (drawn,) = matching.drawn(1, stream(0))
        pulls[precision] = matching.pull(to_float(base.images), drawn, stream(1))
        judgements.append(matching._judged(network, to_float(base.images), matching.labels))
    (value, exact), (near, rounded) = pulls["fp32"], pulls["bf16"]
    assert rounded.dtype == torch.float32 and not torch.equal(exact, rounded), "bf16 must be at work"
    assert near.item() == pytest.approx(value.item(), abs=0.02)
    assert F.cosine_similarity(exact.flatten(), rounded.flatten(), 0) > 0.95
    assert not torch.equal(*judgements) and torch.allclose(*judgements, atol=0.1)


def test_the_form_that_compiles_takes_its_weights_as_arguments():
    skeleton, network, train = smooth(0).eval(), smooth(1).eval(), random_set(0)
    labels, x = F.one_hot(train.labels[:5], 4).float(), to_float(train.images[:5])
    wish = target_gradient(network, train.images[5:6], 1)
    _, value = nested(skeleton)(x, labels, dict(network.named_parameters()), dict(network.named_buffers()), wish)
    pull = torch.autograd.grad(F.cross_entropy(network(x), labels), list(network.parameters()))
    assert value.item() == pytest.approx(misalignment(pull, wish).item(), abs=1e-6)


def test_a_pull_takes_no_second_derivative_of_weights():
    train = data.load("digits", "train", size=16, channels=3, limit=40)
    network = training.initialise(models.load("resnet18", width=4), train, 0)
    scene = Scene(train, train, (network,))
    base, goal = _targeted.choose(train, train, 0, 0.1, 1)
    matching, x = Matching(Attack(budget=0.1), scene, base.rows, goal), to_float(base.images)
    (drawn,) = matching.drawn(1, stream(0))
    with Flops() as forward:
        network(x)
    with Flops() as pull:
        matching.pull(x, drawn, stream(1))
    assert pull.count < 7.05 * forward.count


def test_crafting_leaves_the_networks_as_they_are_and_in_eval_mode():
    scene = random_scene()
    before = copy.deepcopy(scene.surrogates[0].state_dict())
    replace(QUICK, steps=2).craft(scene, 0)
    after = scene.surrogates[0]
    assert not any(module.training for module in after.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.state_dict().items())
    assert all(parameter.grad is None for parameter in after.parameters())


# The loop


def by_hand(gradients, base, start, eps, rate, drops):
    """Adam on signs, written out in numpy."""
    delta = np.clip(base + np.clip(start, -eps, eps), 0, 1) - base
    mean, square, seen = np.zeros_like(delta), np.zeros_like(delta), []
    for i, gradient in enumerate(gradients):
        seen.append((base + delta).sum())
        sign = np.sign(gradient)
        mean, square = 0.9 * mean + 0.1 * sign, 0.999 * square + 0.001 * sign**2
        move = (mean / (1 - 0.9 ** (i + 1))) / (np.sqrt(square / (1 - 0.999 ** (i + 1))) + 1e-8)
        delta = delta - rate * 0.1 ** len([drop for drop in drops if i >= drop]) * move
        delta = np.clip(base + np.clip(delta, -eps, eps), 0, 1) - base
    return delta, seen


@pytest.mark.parametrize(
    ("count", "drops"), [(250, (93, 156, 218)), (100, (37, 62, 87)), (10, (3, 6, 8)), (2, (1, 1, 1)), (1, (1, 1, 1))]
)
def test_the_loop_is_adam_on_signs_with_three_drops_and_a_projection(count, drops):
    g, shape = stream(0), (3, 1, 4, 4)
    gradients = torch.randn(count, *shape, generator=g) + torch.randn(shape, generator=g) / 2
    gradients[:, 0, 0, 0, 0] = 0
    base, start = torch.rand(shape, generator=g), 2 * EPS * torch.randn(shape, generator=g)
    before = base.clone(), start.clone()
    delta, values = minimise(lambda x, i: (x.sum(), gradients[i]), base, start, EPS, count, 0.01)
    expected, seen = by_hand(*(t.double().numpy() for t in (gradients, base, start)), EPS, 0.01, drops)
    np.testing.assert_allclose(delta.double().numpy(), expected, atol=2e-6)
    np.testing.assert_allclose(values.double().numpy(), seen, rtol=1e-5)
    assert delta.abs().max() <= EPS + 1e-7 and (base + delta).min() >= -1e-7 and (base + delta).max() <= 1 + 1e-7
    assert torch.equal(base, before[0]) and torch.equal(start, before[1])


def test_the_loop_finds_the_minimum_within_the_ball():
    base, wish = torch.rand(2, 1, 3, 3, generator=stream(0)), torch.rand(2, 1, 3, 3, generator=stream(1))
    delta, _ = minimise(lambda x, i: (((x - wish) ** 2).sum(), 2 * (x - wish)), base, torch.zeros_like(base), 0.3, 250, 0.1)
    torch.testing.assert_close(delta, project(wish - base, base, 0.3), atol=2e-3, rtol=0)


def recorded(monkeypatch, answers=None):
    """Calls of the loop; ``answers(call)`` replaces what it gives."""
    calls = []

    def spy(pull, base, start, eps, steps, rate):
        calls.append({"base": base, "start": start, "eps": eps, "steps": steps, "rate": rate})
        return answers(len(calls) - 1, base) if answers else minimise(pull, base, start, eps, steps, rate)

    monkeypatch.setattr(gm, "minimise", spy)
    return calls


def test_the_papers_start_is_uniform_in_the_ball_and_another_one_each_restart(monkeypatch):
    calls = recorded(monkeypatch, lambda i, base: (torch.zeros_like(base), torch.zeros(1)))
    replace(QUICK, restarts=3, budget=0.1).craft(random_scene(), 0)
    starts = [call["start"].flatten().double() / QUICK.eps for call in calls]
    assert len(starts) == 3 and len({tuple(start[:5].tolist()) for start in starts}) == 3
    for start in starts:
        assert start.abs().max() <= 1 and stats.kstest(start, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_the_released_start_is_normal_and_a_third_of_it_lies_on_the_boundary(monkeypatch):
    scene = random_scene()
    grey = replace(scene.train, images=torch.full_like(scene.train.images, 128))
    calls = recorded(monkeypatch, lambda i, base: (torch.zeros_like(base), torch.zeros(1)))
    replace(QUICK, variant="released", budget=0.2, eps=EPS).craft(replace(scene, train=grey), 0)
    (start,) = (call["start"] for call in calls)
    assert stats.kstest(start.flatten().double() / EPS, stats.norm.cdf).pvalue > 0.01
    first = []
    minimise(lambda x, i: (first.append(x) or x.sum(), x), calls[0]["base"], start, EPS, 1, 1e-9)
    on_it = (first[0] - calls[0]["base"]).abs() > EPS * (1 - 1e-5)
    assert on_it.double().mean().item() == pytest.approx(2 * stats.norm.cdf(-1), abs=0.03)


@pytest.mark.parametrize(("variant", "share"), [("paper", 1), ("released", 3)])
def test_the_released_step_is_divided_by_the_size_of_the_ensemble(variant, share, monkeypatch):
    calls = recorded(monkeypatch, lambda i, base: (torch.zeros_like(base), torch.zeros(1)))
    replace(QUICK, ensemble=3, rate=0.3, variant=variant).craft(random_scene(3), 0)
    assert calls[0]["rate"] == pytest.approx(0.3 * QUICK.eps / share)
    assert (calls[0]["eps"], calls[0]["steps"]) == (QUICK.eps, QUICK.steps)


class TestRestarts:
    """Eight restarts that differ by one level of one pixel: fresh but different draws could not tell which is best."""

    attack, scene = replace(QUICK, restarts=8), random_scene(ordinary=ORDINARY)
    stale = torch.tensor([5.0, 4, 3, 2, 6, 7, 8, 9])  # the fourth has the smallest last loss

    def crafted(self, monkeypatch, seed, **changes):
        attack = replace(self.attack, **changes)

        def answers(i, base):
            delta = torch.zeros_like(base)
            delta[0, 0, i // 2, 3] = (-1) ** i / 255
            return delta, torch.stack([torch.tensor(9.0 - i), self.stale[i]])

        with monkeypatch.context() as within:
            calls = recorded(within, answers)
            poison, goal = attack.craft(self.scene, seed)
        images = [calls[0]["base"] + answers(i, calls[0]["base"])[0] for i in range(8)]
        return attack, poison, goal, [(image * 255).round().clamp(0, 255).byte() for image in images]

    def test_the_paper_judges_the_stored_bytes_afresh_on_draws_that_all_restarts_share(self, monkeypatch):
        chosen = []
        for seed in range(2):
            attack, poison, goal, candidates = self.crafted(monkeypatch, seed)
            judged = [attack.objective(self.scene, replace(poison, images=c), goal, seed) for c in candidates]
            assert attack.objective(self.scene, poison, goal, seed) == min(judged)
            chosen.append(int(np.argmin(judged)))
            assert torch.equal(poison.images, candidates[chosen[-1]])
        assert chosen != [3, 3]

    def test_the_released_code_takes_the_smallest_last_loss(self, monkeypatch):
        for seed in range(2):
            _, poison, _, candidates = self.crafted(monkeypatch, seed, variant="released")
            assert torch.equal(poison.images, candidates[3])

    def test_one_restart_needs_no_judgement(self, monkeypatch):
        monkeypatch.setattr(Attack, "_judged", None)
        assert len(self.crafted(monkeypatch, 0, restarts=1)[1])


def test_the_last_loss_is_one_step_stale(digits):
    attack, seed = replace(QUICK, steps=3, judgements=1), 0
    base, goal = _targeted.choose(digits.train, digits.test, seed, attack.budget, 1)
    seen, matching = [], Matching(attack, digits, base.rows, goal)

    def pull(x, drawn, noise):
        seen.append((x, Matching.pull(matching, x, drawn, noise)[0], drawn[0][1][0]["shift"]))
        return Matching.pull(matching, x, drawn, noise)

    matching.pull = pull
    images, last = attack._restart(matching, base.images, seed, 0)
    assert len(seen) == 3 and last == seen[-1][1]
    assert not torch.equal((seen[-1][0] * 255).round().byte(), images), "a step follows the last evaluation"
    assert torch.equal(attack.trace(digits, seed), torch.stack([value for _, value, _ in seen]))
    assert not torch.equal(seen[0][2], seen[1][2]) and not torch.equal(seen[1][2], seen[2][2]), "a fresh draw a step"


# Poisons


def changes(train, poison):
    return poison.images.int() - train.images[train.positions(poison.rows)].int()


@pytest.mark.parametrize("eps", [16 / 255, 0.05, 1 / 255, 0.2])
@pytest.mark.parametrize("name", ["gradient_matching", "noise", "watermark"])
def test_bytes_stay_within_the_ball(digits, name, eps):
    numbers = {"steps": 5, "restarts": 1} if name == "gradient_matching" else {}
    poison, _ = attacks.load(name, eps=eps, budget=0.05, **numbers).craft(digits, 1)
    assert changes(digits.train, poison).abs().max() == {16 / 255: 16, 0.05: 12, 1 / 255: 1, 0.2: 51}[eps]
    assert poison.images.dtype == torch.uint8


@pytest.mark.parametrize("name", ["gradient_matching(steps=2, restarts=1)", "noise", "watermark"])
def test_poisons_are_some_images_of_the_wanted_class_and_nothing_else_is_touched(digits, name):
    before = [tensor.clone() for set_ in (digits.train, digits.test) for tensor in (set_.images, set_.labels, set_.rows)]
    poison, goal = attacks.load(name, budget=0.04, targets=2).craft(digits, 5)
    assert len(poison) == 8 and torch.equal(poison.rows, poison.rows.unique()), "rows ascend and are distinct"
    assert (digits.train.labels[digits.train.positions(poison.rows)] == goal.wanted).all()
    assert len(goal.rows) == 2 and len(goal.labels.unique()) == 1 and goal.labels[0] != goal.wanted
    assert torch.equal(goal.images, digits.test.images[digits.test.positions(goal.rows)])
    poisoned = digits.train.with_poison(poison)
    assert torch.equal(poisoned.labels, digits.train.labels) and torch.equal(poisoned.rows, digits.train.rows)
    assert (poisoned.images != digits.train.images).flatten(1).any(1).sum() <= 8
    after = [tensor for set_ in (digits.train, digits.test) for tensor in (set_.images, set_.labels, set_.rows)]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("n", "budget", "count"), [(150, 0.0301, 5), (150, 0.02, 3), (100, 0.07, 7), (200, 1e-6, 1), (200, 0.0, 0)]
)
def test_the_number_of_poisons_is_the_budget_rounded_up(digits, n, budget, count):
    train = digits.train.take(torch.arange(n))
    assert len(attacks.load("noise", budget=budget).craft(replace(digits, train=train), 0)[0]) == count


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_budget_is_part_of_a_larger_one_and_fewer_targets_of_more(digits, seed):
    (few, one), (many, several) = (
        attacks.load("noise", budget=b, targets=t).craft(digits, seed) for b, t in ((0.02, 1), (0.06, 3))
    )
    assert set(few.rows.tolist()) < set(many.rows.tolist())
    assert one.wanted == several.wanted and torch.equal(one.rows, several.rows[:1])


def test_every_attack_has_the_same_goal_and_rows_with_the_same_seed(digits):
    names = [
        "gradient_matching(budget=0.05, steps=1)",
        "noise(budget=0.05)",
        "watermark(budget=0.05)",
        "gradient_matching(budget=0)",
    ]
    made = [attacks.load(name).craft(digits, 2) for name in names]
    assert len({goal.wanted for _, goal in made}) == 1
    assert all(torch.equal(goal.images, made[0][1].images) and torch.equal(goal.rows, made[0][1].rows) for _, goal in made)
    assert all(torch.equal(poison.rows, made[0][0].rows) for poison, _ in made[:3]) and len(made[3][0]) == 0
    other = attacks.load("noise", budget=0.05).craft(digits, 3)
    assert not torch.equal(other[1].rows, made[0][1].rows) and not torch.equal(other[0].rows, made[0][0].rows)


@pytest.mark.parametrize("seed", range(3))
def test_crafted_poisons_are_far_better_aligned_than_noise_and_than_their_start(digits, seed):
    attack, scene = replace(QUICK, steps=60, rate=0.125), replace(digits, ordinary=pipeline("none"))
    poison, goal = attack.craft(scene, seed)
    noise, _ = attacks.load("noise", eps=attack.eps, budget=attack.budget).craft(scene, seed)
    reached, by_chance = (attack.objective(scene, p, goal, seed) for p in (poison, noise))
    trace = attack.trace(scene, seed)
    assert torch.equal(poison.rows, noise.rows) and len(trace) == 60
    assert reached < 0.6 * by_chance and reached < 0.6 * trace[0]
    assert reached == pytest.approx(trace[-1].item(), abs=0.01), "bytes are as good as floats"


# What the attacker knows


def test_who_knows_nothing_of_the_defence_crafts_as_if_there_were_none(digits):
    defended = replace(digits, defence=pipeline("mixup + laplace"), step=steps.load("noisy_sgd", noise=0.1))
    for adaptive in ("none", "surrogate"):
        attack = replace(QUICK, adaptive=adaptive, steps=3)
        assert attack.craft(digits, 0)[0].digest == attack.craft(defended, 0)[0].digest
    aware = replace(QUICK, adaptive="augmented", steps=3, companions=20)
    digests = [aware.craft(scene, 0)[0].digest for scene in (digits, defended, replace(defended, step=None))]
    assert len(set(digests)) == 3
    assert digests[0] == replace(QUICK, steps=3).craft(digits, 0)[0].digest


def test_adaptive_attackers_ask_for_defended_surrogates():
    assert Attack(ensemble=2).surrogates == (Surrogate(0), Surrogate(1))
    assert Attack(pretrained=True).surrogates == (Surrogate(0, False, True),)
    for adaptive in ("surrogate", "augmented"):
        assert Attack(adaptive=adaptive).surrogates == (Surrogate(0, defended=True),)
        assert Attack(adaptive=adaptive).facing(True) == Attack(adaptive=adaptive)
        assert Attack(adaptive=adaptive).facing(False) == Attack()
    assert Attack(budget=0.0, adaptive="surrogate").surrogates == () and Attack(budget=0.0).clean


@pytest.mark.parametrize(("asked", "get"), [(10, 10), (128, 48)])
def test_companions_are_distinct_training_images_and_others_each_step(asked, get):
    scene = random_scene(defence=pipeline("mixup"))
    base, goal = _targeted.choose(scene.train, scene.test, 0, 0.1, 1)
    attack = replace(AWARE, companions=asked, batch=3)
    drawn = Matching(attack, scene, base.rows, goal).drawn(4, stream(0))
    assert [len(parts) for parts in drawn] == [2] * 4
    companies = [company for parts in drawn for company, _ in parts]
    assert all(len(company.unique()) == get and company.min() >= 0 and company.max() < 48 for company in companies)
    assert len({tuple(company.tolist()) for company in companies}) == 8
    sizes = [len(draw["partner"]) for parts in drawn for _, (draw,) in parts]
    assert sizes == [3 + get, 2 + get] * 4
    for other in (replace(attack, adaptive="surrogate"), replace(attack, adaptive="none")):
        assert Matching(other, scene, base.rows, goal).company == 0
    assert Matching(attack, replace(scene, defence=pipeline("none")), base.rows, goal).company == 0


# The controls


@pytest.mark.parametrize("eps", [16 / 255, 0.05])
def test_noise_moves_every_pixel_as_far_as_it_may_up_or_down(digits, eps):
    poison, _ = attacks.load("noise", eps=eps, budget=0.1).craft(digits, 0)
    base = digits.train.images[digits.train.positions(poison.rows)].int()
    up, down = ((base + sign * levels(eps)).clamp(0, 255) for sign in (1, -1))
    is_up, is_down = poison.images == up, poison.images == down
    assert (is_up | is_down).all()
    free = up != down
    assert is_up[free].double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert attacks.load("noise", eps=eps, budget=0.1).craft(digits, 1)[0].digest != poison.digest


@pytest.mark.parametrize("tenths", [1, 3, 10])
def test_a_watermark_is_the_first_target_blended_in_and_cut_off(digits, tenths):
    poison, goal = attacks.load("watermark", opacity=tenths / 10, budget=0.1, targets=3).craft(digits, 0)
    base = digits.train.images[digits.train.positions(poison.rows)].numpy().astype(int)
    change = (goal.images[:1].numpy().astype(int) - base) * tenths
    expected = base + np.clip((change + 5) // 10, -16, 16)  # in whole numbers, halves up
    tie = (change % 10 == 5) & (abs(change) < 165)
    assert (tie | (poison.images.numpy() == expected)).all() and tie.mean() < 0.1


# What is refused


@pytest.mark.parametrize("name", ["gradient_matching", "noise", "watermark"])
@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"eps": 0}, "eps=0"),
        ({"eps": 0.0039}, "eps=0.0039.*from 1/255, as images are bytes"),
        ({"eps": -1}, "eps=-1"),
        ({"eps": 16}, "eps=16"),
        ({"budget": 2}, "budget=2"),
        ({"targets": 0}, "targets=0"),
    ],
)
def test_numbers_out_of_range_are_refused_with_the_value(name, numbers, says):
    with pytest.raises(ValueError, match=says):
        attacks.load(name, **numbers)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"adaptive": "x"}, "'x': choose one of none, surrogate, augmented"),
        ({"adaptive": "surrogate", "pretrained": True}, "know no defence; choose 'none' or 'augmented'"),
        ({"variant": "x"}, "variant='x'"),
        ({"rate": 0}, "rate=0"),
        *(({name: 0}, f"{name}=0") for name in ("steps", "restarts", "ensemble", "companions", "batch", "judgements")),
    ],
)
def test_the_attacks_own_numbers_are_refused_too(numbers, says):
    with pytest.raises(ValueError, match=says):
        attacks.load("gradient_matching", **numbers)
    for opacity in (0, 1.1):
        with pytest.raises(ValueError, match=f"opacity={opacity}"):
            attacks.load("watermark", opacity=opacity)


@pytest.mark.parametrize("n", [200, 197, 90])
def test_a_budget_above_a_class_is_refused_and_the_largest_possible_one_is_named(digits, n):
    scene = replace(digits, train=digits.train.take(torch.arange(n)), surrogates=())
    smallest = int(scene.train.labels.bincount().min())
    for name in ("gradient_matching", "noise", "watermark"):
        with pytest.raises(ValueError, match=f"smallest class has {smallest} images") as error:
            attacks.load(name, budget=0.5).refuse(scene)
        possible = float(str(error.value).rpartition(" ")[2])
        attacks.load(name, budget=possible).refuse(scene)
        with pytest.raises(ValueError, match="choose at most"):
            attacks.load(name, budget=possible + 1 / n).refuse(scene)


def test_more_targets_than_there_are_test_images_are_refused(digits):
    with pytest.raises(ValueError, match="targets=1000: the class"):
        attacks.load("noise", targets=1000).craft(digits, 0)


# Trials

TINY = dict(
    data=data.source("digits", size=8, limit=100),
    model=models.load("patches", side=2, width=8),
    recipe=training.load("quick_targeted", epochs=8, batch=20),
)
MATCHING = "gradient_matching(budget=0.05, eps=0.2, steps=4, restarts=2, judgements=2"
BASIC, ADAPTIVE = MATCHING + ")", MATCHING + ', adaptive="surrogate")'


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack=(BASIC, ADAPTIVE), defence=("none", "mixup"), trials=1, **more):
    return experiments.grid("targeted", "quick", attack=list(attack), defence=list(defence), trials=trials, **(TINY | more))


def kept(folder):
    return sorted(path.name for path in (folder / "models").glob("*.safetensors"))


def named(*identities):
    return sorted(digest(identity) + ".safetensors" for identity in identities)


def test_an_adaptive_attack_with_nothing_to_adapt_to_is_the_basic_one():
    basic, defended, attuned = tiny()  # the adaptive attack on the undefended victim is not there a second time
    assert tiny([ADAPTIVE], ["none"]) == [basic] and basic.attack.adaptive == "none"
    assert attuned.attack.adaptive == "surrogate" and defended.attack.adaptive == "none"
    filtered = tiny([ADAPTIVE], ["spectral_signatures"])[0]
    assert filtered.attack.adaptive == "none", "a filter is nothing to train surrogates under"
    assert basic.craft() == defended.craft() == filtered.craft() != attuned.craft()
    assert basic.surrogate(Surrogate()) == attuned.surrogate(Surrogate()) != attuned.surrogate(Surrogate(defended=True))
    stepped = tiny([ADAPTIVE], ["noisy_sgd", "noisy_sgd(noise=0.05)"])
    assert stepped[0].craft() != stepped[1].craft() and stepped[0].attack.adaptive == "surrogate"


def test_surrogates_and_crafts_are_made_once_and_told_in_the_record(outputs, monkeypatch):
    table = tiny()
    basic, _, attuned = table
    plan = experiments.plan(table)
    assert (plan.trials, plan.trainings, plan.crafts) == (3, 3 + 2, 2)
    records = experiments.run(table, workers=0)
    made = [basic.surrogate(Surrogate()), attuned.surrogate(Surrogate(defended=True)), basic.craft(), attuned.craft()]
    assert kept(outputs) == named(*made)
    digests = [record["result"]["poisons"]["digest"] for record in records]
    assert digests[0] == digests[1] != digests[2]
    for record in records:
        result = record["result"]
        assert result["craft"]["targets right"] in ([0, 1], [1, 1]) and 0 < result["craft"]["objective"] < 2
        assert 0 <= result["wanted probability"] <= 1 and result["poisons"] | {"digest": 0} == {
            "count": 5,
            "digest": 0,
            "largest change": 51,
        }
    assert "3 trials" in experiments.check(records, table)
    assert experiments.craft(attuned)[0].digest == digests[2]
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "alone"))
    assert experiments.craft(table[1])[0].digest == digests[0], "made in a defended cell or not, it is the same"
    row = experiments.frame(records).iloc[2]
    assert row["objective"] == records[2]["result"]["craft"]["objective"] and row["attack.adaptive"] == "surrogate"


def test_the_recorded_objective_and_targets_are_those_of_the_first_surrogate(outputs):
    (trial,) = tiny([BASIC], ["none"])
    (record,) = experiments.run([trial], workers=0)
    train, test = (data.load(trial.data, split) for split in ("train", "test"))
    from poisonlib.experiments import crafted
    from poisonlib.experiments.models import Cache

    scene = crafted.scene(trial, torch.device("cpu"), Cache.open())
    poison, goal = experiments.craft(trial)
    with training.settings(trial.numerics):
        again = trial.attack.objective(scene, poison, goal, trial.seed)
        right = scene.surrogates[0](to_float(goal.images)).argmax(1) == goal.labels
    assert record["result"]["craft"] == {"objective": round(again, 6), "targets right": [int(right.sum()), 1]}
    assert torch.equal(scene.train.images, train.images) and torch.equal(scene.test.images, test.images)
    assert record["result"]["wanted"] == goal.wanted


def test_the_bytes_of_records_depend_neither_on_the_cache_nor_on_workers(outputs, monkeypatch):
    table = tiny(model=models.load("resnet8", width=2))
    cold = [measured(record) for record in experiments.run(table, workers=0)]

    def again(*stale):
        for path in [*(outputs / "trials").rglob("*.json"), *(outputs / "models" / name for name in stale)]:
            path.unlink()
        return [measured(record) for record in experiments.run(table, workers=0)]

    assert again() == cold, "crafts from the cache"
    assert (
        again(*named(*(trial.craft() for trial in {trial.key: trial for trial in table}.values() if trial.seed == 0))[:1]) == cold
    )
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "workers"))
    assert [measured(record) for record in experiments.run(table, workers=2)] == cold


def test_table_2_of_both_papers_is_460_trainings_and_160_crafts(tmp_path, monkeypatch):
    for name in ("OUTPUTS", "DATA", "CACHE"):
        monkeypatch.setenv(f"POISONLIB_{name}", str(tmp_path / name))
    monkeypatch.setenv("POISONLIB_DOWNLOAD", "0")
    both = ["gradient_matching", 'gradient_matching(adaptive="surrogate")']

    def table(paper):
        text = (Path(papers.__file__).parent / f"{paper}.toml").read_text()
        rows = [means["defence"] for means in tomllib.loads(text)["table2"]["row_means"].values()]
        return rows, experiments.grid("targeted", "paper", attack=both, defence=rows)

    rows, first = table("strong_augmentation")
    noisy = ["noisy_sgd(noise=0.01)", "noisy_sgd(noise=0.05)"]
    assert sorted(rows) == sorted(["none", *noisy, "mixup", "mixup(k=4)", "cutmix", "cutout", "maxup"])
    plan = experiments.plan(first)
    assert (plan.trials, plan.trainings, plan.crafts, plan.operations) == (300, 460, 160, None)
    rows, second = table("dp_instahide")
    assert len(rows) == 5 and experiments.plan(first + second) == plan, "the second paper's rows add nothing"


FROZEN = training.load("quick_targeted", frozen=True)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"recipe": FROZEN, "defence": ["deep_knn"], "model": models.load("resnet18_imagenet", pretrained=True)}, "filter"),
        ({"recipe": FROZEN}, "body of .* is random"),
        ({"recipe": FROZEN, "model": models.load("resnet18_imagenet")}, "body of .* is random"),
        ({"attack": [MATCHING + ", pretrained=True)"]}, "no public weights"),
        ({"attack": [MATCHING + ", companions=0)"]}, "companions=0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_before_anything_runs(how, says):
    with pytest.raises(ValueError, match=says):
        tiny(**how)


def test_parts_that_do_go_together_are_not_refused():
    tiny(recipe=FROZEN, model=models.load("resnet18_imagenet", pretrained=True), attack=[MATCHING + ", pretrained=True)"])
    tiny(defence=["mixup", "deep_knn"])


def test_a_budget_above_a_class_is_refused_before_any_training(outputs, monkeypatch):
    monkeypatch.setattr(sys.modules["poisonlib.experiments.run"], "run_trial", None)
    with pytest.raises(ValueError, match=r"budget=0\.5: 50 poisons of one class"):
        experiments.run(tiny() + tiny(["noise(budget=0.5)"]), workers=0)
    assert [path for path in outputs.rglob("*") if path.is_file()] == []
