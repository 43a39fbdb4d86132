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
from poisonlib.attacks import Surrogate, ThreatModel, _compiled, _targeted
from poisonlib.attacks import gradient_matching as gm
from poisonlib.attacks._compiled import nested
from poisonlib.attacks._signed_adam import minimise
from poisonlib.attacks.gradient_matching import GradientMatching, Matching, misalignment, target_gradient
from poisonlib.augment import pipeline
from poisonlib.data import ImageSet
from poisonlib.experiments import crafting
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.provenance import craft, surrogate, unpoisoned
from poisonlib.experiments.record import CraftReport
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


def random_threat_model(ensemble=1, frozen=False, **parts):
    networks = tuple(smooth(i) for i in range(ensemble))
    for network in networks:
        network.body.requires_grad_(not frozen)
    return ThreatModel(random_set(0), random_set(1), networks, **parts)


@pytest.fixture(scope="module")
def digits():
    """A threat_model in which the attack takes hold: a trained network on small digits."""
    train, test = (data.load("digits", split, size=8, limit=200) for split in ("train", "test"))
    network = training.initialise(models.load("patch_mlp", side=2, width=32), train, 0)
    training.fit(network, train, training.load("quick_targeted"), seed=0)
    return ThreatModel(train, test, (network.eval(),), pipeline("bilinear_crop(pad=1)"))


QUICK = GradientMatching(eps=64 / 255, poison_rate=0.05, steps=20, restarts=1, eval_samples=2)


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
def test_the_target_gradient_is_that_of_the_mean_loss_with_the_intended_label(count):
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


def viewed(part, x, y, params, noise, network):
    """One augmentation image by image, in float64; only bulk noise is sampled by the part itself, on zeros."""
    name, many = registry.name_of(part), range(len(x))
    if name == "flip":
        return torch.stack([x[i].flip(2) if params["flip"][i] else x[i] for i in many]), y
    if name == "bilinear_crop":
        return torch.stack([moved(x[i], params["shift"][i].double()) for i in many]), y
    if name == "mixup":
        mixes = [list(zip(params["weight"][i].double(), params["partner"][i], strict=True)) for i in many]
        return tuple(torch.stack([sum(w * values[j] for w, j in mix) for mix in mixes]) for values in (x, y))
    if name == "cutmix":
        box, j = params["box"], params["partner"]
        share = [float((b[2] - b[0]) * (b[3] - b[1])) / x[0, 0].numel() for b in box]
        mixed = torch.stack([painted(x[i], box[i], x[j[i]]) for i in many])
        return mixed, torch.stack([(1 - share[i]) * y[i] + share[i] * y[j[i]] for i in many])
    if name == "cutout":
        return torch.stack([painted(x[i], params["box"][i], torch.zeros_like(x[i])) for i in many]), y
    if name == "maxup":
        boxes = [params[f"{candidate}/0/box"] for candidate in range(part.m)]
        tried = [torch.stack([painted(x[i], box[i], torch.zeros_like(x[i])) for i in many]) for box in boxes]
        losses = torch.stack([-(y * network(views).log_softmax(1)).sum(1) for views in tried]).detach()
        return torch.stack([tried[int(losses[:, i].argmax())][i] for i in many]), y
    assert name == "laplace"
    return x + part.apply(torch.zeros(x.shape), y.float(), {}, noise)[0].double(), y


def changed(gradients, step, noise):
    """What a victim with this step makes of a gradient."""
    length = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
    scale = min(1, step.clip / length) if step.variant == "paper" else 1
    return [scale * g + step.clip * step.noise * torch.randn(g.shape, generator=noise).double() for g in gradients]


def inner(a, b):
    return sum(float((p * q).sum()) for p, q in zip(a, b, strict=True))


def misalignments(attack, threat_model, x, goal, sampled, noise):
    """What `Matching.value_and_grad` averages, in float64: one value for each part of the poisons and each network."""
    aware, values, rest = attack.adaptive == "augmented", [], x
    parts = threat_model.augment.parts + (threat_model.defence.parts if aware else ())
    mixing = any(registry.name_of(part) in ("mixup", "cutmix") for part in parts)
    one_hot = torch.eye(len(threat_model.train.classes)).double()
    for clean, classes, views in sampled:
        assert torch.equal(classes, threat_model.train.labels[clean])
        mine, rest = rest[: attack.batch_size], rest[attack.batch_size :]
        for trained in threat_model.surrogates:
            network = copy.deepcopy(trained).double().eval()
            view = torch.cat([mine, threat_model.train.images[clean].double() / 255])
            labels = torch.cat([one_hot[[goal.intended_class] * len(mine)], one_hot[threat_model.train.labels[clean]]])
            for part, params in zip(parts, views, strict=True):
                view, labels = viewed(part, view, labels, params, noise, network)
            rows = len(view) if mixing else len(mine)
            scores, smoothing = network(view[:rows]).log_softmax(1), threat_model.label_smoothing
            labels = (1 - smoothing) * labels + smoothing / labels.shape[1]
            weights = [weight for weight in network.parameters() if weight.requires_grad]
            gradient = torch.autograd.grad(-(labels[:rows] * scores).sum(1).mean(), weights)
            gradient = changed(gradient, threat_model.step, noise) if aware and threat_model.step else gradient
            target = torch.autograd.grad(
                -network(goal.images.double() / 255).log_softmax(1)[:, goal.intended_class].mean(), weights
            )
            values.append(1 - inner(gradient, target) / math.sqrt(inner(gradient, gradient) * inner(target, target)))
    assert not len(rest)
    return values


AWARE = GradientMatching(adaptive="augmented", clean_images=10, poison_rate=0.1)
CASES = {
    "no augmentation": (GradientMatching(poison_rate=0.1), {}),
    "ordinary augmentation": (GradientMatching(poison_rate=0.1), {"augment": ORDINARY}),
    "several targets": (GradientMatching(poison_rate=0.1, targets=3), {"augment": ORDINARY}),
    "label smoothing": (GradientMatching(poison_rate=0.1), {"augment": ORDINARY, "label_smoothing": 0.2}),
    "label smoothing of mixed labels": (AWARE, {"defence": pipeline("mixup(k=3)"), "label_smoothing": 0.3}),
    "ensemble": (GradientMatching(poison_rate=0.1, ensemble=2), {"augment": ORDINARY, "ensemble": 2}),
    "parts": (GradientMatching(poison_rate=0.1, batch_size=2), {"augment": ORDINARY}),
    "frozen body": (GradientMatching(poison_rate=0.1), {"augment": ORDINARY, "frozen": True}),
    "ensemble and noise, in parts": (
        replace(AWARE, ensemble=2, batch_size=3),
        {"defence": pipeline("laplace"), "step": steps.load("noisy_sgd", noise=0.02, clip=0.1), "ensemble": 2},
    ),
    "clip active": (AWARE, {"step": steps.load("noisy_sgd", noise=0.02, clip=0.05)}),
    "clip inactive": (AWARE, {"step": steps.load("noisy_sgd", noise=1e-4, clip=100.0)}),
    "clip forgotten": (AWARE, {"step": steps.load("noisy_sgd", noise=0.02, clip=0.05, variant="released")}),
    **{
        text: (AWARE, {"augment": ORDINARY, "defence": pipeline(text)})
        for text in ("mixup(k=3)", "cutmix(probability=1.0)", "cutout", "maxup", "laplace", "mixup(k=4) + laplace")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_value_and_grad_are_the_float64_objective_and_its_derivative(case):
    attack, parts = CASES[case]
    threat_model = random_threat_model(**parts)
    base, goal = attack.choose(threat_model, 3)
    matching, g = Matching(attack, threat_model, base.ids, goal), stream(0, case)
    (sampled,) = matching.shown.sample(1, g)
    x = to_float(base.images) + EPS * (torch.rand(base.images.shape, generator=g) * 2 - 1)
    value, gradient = matching.value_and_grad(x, sampled, stream(5))

    def total(x):
        return sum(misalignments(attack, threat_model, x, goal, sampled, stream(5)))

    places = stream(1, case)
    pixels = F.one_hot(torch.randint(x.numel(), (8,), generator=places), x.numel()).view(8, *x.shape)
    several = torch.randn(2, *x.shape, generator=places)
    number = len(threat_model.surrogates) * len(sampled)
    assert value.item() == pytest.approx(total(x.double()) / number, abs=2e-6)
    for direction in [*pixels.double(), *several.double()]:
        slope = (total(x.double() + 1e-5 * direction) - total(x.double() - 1e-5 * direction)) / 2e-5
        most = gradient.abs().max() * direction.norm()
        assert (gradient * direction).sum().item() == pytest.approx(slope, abs=2e-4 * most.item())
    assert gradient.count_nonzero() > x.numel() / 3


def test_a_noisy_step_makes_the_objective_random():
    threat_model = random_threat_model(step=steps.load("noisy_sgd", noise=0.02, clip=0.05))
    base, goal = AWARE.choose(threat_model, 3)
    matching, noise = Matching(AWARE, threat_model, base.ids, goal), stream(0)
    (sampled,) = matching.shown.sample(1, stream(0))
    first, second = (matching.value_and_grad(to_float(base.images), sampled, noise)[0] for _ in range(2))
    assert (first - second).abs() > 1e-4


@pytest.mark.parametrize(
    ("model", "frozen"),
    [
        ("patch_mlp(side=2, width=4)", False),
        ("cifar_resnet(depth=8, width=2, shortcut='projection')", False),
        ("cifar_resnet(depth=8, width=2, shortcut='projection')", True),
    ],
)
def test_the_form_that_compiles_is_the_same_function(model, frozen, monkeypatch):
    train = random_set(0)
    networks = tuple(training.initialise(models.load(model), train, seed) for seed in (1, 2))
    for network in networks:
        network.body.requires_grad_(not frozen)
    attack = GradientMatching(poison_rate=0.1, ensemble=2)
    threat_model = ThreatModel(train, random_set(1), networks, ORDINARY, label_smoothing=0.2)
    base, goal = attack.choose(threat_model, 3)
    made = []
    monkeypatch.setattr(_compiled, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", lambda function: made.append(function) or function)
    threat_models = [replace(threat_model, numerics=training.Numerics(compiled=compiled)) for compiled in (False, True)]
    eager, other = (Matching(attack, each, base.ids, goal) for each in threat_models)
    (sampled,) = eager.shown.sample(1, stream(0))
    (value, gradient), (same, alike) = (
        matching.value_and_grad(to_float(base.images), sampled, stream(1)) for matching in (eager, other)
    )
    assert len(made) == 1, "networks of one form share one function"
    assert same.item() == pytest.approx(value.item(), abs=1e-5) and same.requires_grad is False
    torch.testing.assert_close(alike, gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item())
    large = gradient.abs() > 1e-5 * gradient.abs().max()
    assert torch.equal(alike.sign()[large], gradient.sign()[large])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("defence", ["none", "maxup"])
def test_half_precision_gives_nearly_the_same_gradient(compiled, defence, monkeypatch):
    monkeypatch.setattr(_compiled, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", lambda function: function)
    train = random_set(0)
    network = training.initialise(models.load("cifar_resnet(depth=8, width=8, shortcut='projection')"), train, 1)
    attack = replace(AWARE, clean_images=4)
    threat_model = ThreatModel(train, random_set(1), (network,), ORDINARY, pipeline(defence))
    base, goal = attack.choose(threat_model, 3)
    results, losses = {}, []
    for precision in ("fp32", "bf16"):
        numerics = training.Numerics(precision=precision, compiled=compiled)
        matching = Matching(attack, replace(threat_model, numerics=numerics), base.ids, goal)
        (sampled,) = matching.shown.sample(1, stream(0))
        results[precision] = matching.value_and_grad(to_float(base.images), sampled, stream(1))
        losses.append(matching._per_sample_loss(network, to_float(base.images), matching.shown.labels))
    (value, exact), (near, rounded) = results["fp32"], results["bf16"]
    assert rounded.dtype == torch.float32 and not torch.equal(exact, rounded), "bf16 must be at work"
    assert near.item() == pytest.approx(value.item(), abs=0.02)
    assert F.cosine_similarity(exact.flatten(), rounded.flatten(), 0) > 0.95
    assert not torch.equal(*losses) and torch.allclose(*losses, atol=0.1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_target_gradient_has_the_precision_of_the_poisons(precision):
    train = random_set(0)
    network = training.initialise(models.load("cifar_resnet(depth=8, width=8, shortcut='projection')"), train, 1)
    numerics = training.Numerics(precision=precision)
    threat_model, attack = ThreatModel(train, random_set(1), (network,), numerics=numerics), GradientMatching(poison_rate=0.1)
    base, goal = attack.choose(threat_model, 3)
    (found,) = Matching(attack, threat_model, base.ids, goal).targets
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = F.cross_entropy(network.eval()(to_float(goal.images)), torch.tensor([goal.intended_class]))
    expected = torch.autograd.grad(loss, list(network.parameters()))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    exact = target_gradient(network, goal.images, goal.intended_class)
    assert all(torch.equal(*pair) for pair in zip(found, exact, strict=True)) == (precision == "fp32")


def test_the_form_that_compiles_takes_its_weights_as_arguments():
    skeleton, network, train = smooth(0).eval(), smooth(1).eval(), random_set(0)
    labels, x = F.one_hot(train.labels[:5], 4).float(), to_float(train.images[:5])
    target = target_gradient(network, train.images[5:6], 1)
    _, value = nested(misalignment, skeleton)(x, labels, dict(network.named_parameters()), dict(network.named_buffers()), target)
    gradient = torch.autograd.grad(F.cross_entropy(network(x), labels), list(network.parameters()))
    assert value.item() == pytest.approx(misalignment(gradient, target).item(), abs=1e-6)


def test_the_gradient_takes_no_second_derivative_of_weights():
    train = data.load("digits", "train", size=16, channels=3, limit=40)
    network = training.initialise(models.load("resnet", depth=18, width=4), train, 0)
    threat_model = ThreatModel(train, train, (network,))
    attack = GradientMatching(poison_rate=0.1)
    base, goal = attack.choose(threat_model, 0)
    matching, x = Matching(attack, threat_model, base.ids, goal), to_float(base.images)
    (sampled,) = matching.shown.sample(1, stream(0))
    with Flops() as forward:
        network(x)
    with Flops() as craft:
        matching.value_and_grad(x, sampled, stream(1))
    assert craft.count < 7.05 * forward.count


def test_crafting_leaves_the_networks_as_they_are_and_in_eval_mode():
    threat_model = random_threat_model()
    before = copy.deepcopy(threat_model.surrogates[0].state_dict())
    replace(QUICK, steps=2).craft(threat_model, 0)
    after = threat_model.surrogates[0]
    assert not any(module.training for module in after.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.state_dict().items())
    assert all(parameter.grad is None for parameter in after.parameters())


# The loop


def by_hand(gradients, base, start, eps, step_size, milestones):
    """Adam on signs, written out in numpy."""
    delta = start
    mean, square, seen = np.zeros_like(delta), np.zeros_like(delta), []
    for i, gradient in enumerate(gradients):
        seen.append((base + delta).sum())
        sign = np.sign(gradient)
        mean, square = 0.9 * mean + 0.1 * sign, 0.999 * square + 0.001 * sign**2
        move = (mean / (1 - 0.9 ** (i + 1))) / (np.sqrt(square / (1 - 0.999 ** (i + 1))) + 1e-8)
        delta = delta - step_size * 0.1 ** len([each for each in milestones if i >= each]) * move
        delta = np.clip(base + np.clip(delta, -eps, eps), 0, 1) - base
    return delta, seen


@pytest.mark.parametrize(
    ("count", "milestones"), [(250, (93, 156, 218)), (100, (37, 62, 87)), (10, (3, 6, 8)), (2, (1, 1, 1)), (1, (1, 1, 1))]
)
def test_the_loop_is_adam_on_signs_with_three_milestones_and_a_projection(count, milestones):
    g, shape = stream(0), (3, 1, 4, 4)
    gradients = torch.randn(count, *shape, generator=g) + torch.randn(shape, generator=g) / 2
    gradients[:, 0, 0, 0, 0] = 0
    base, start = torch.rand(shape, generator=g), 2 * EPS * torch.randn(shape, generator=g)
    before = base.clone(), start.clone()
    delta, values = minimise(lambda x, i: (x.sum(), gradients[i]), base, start, EPS, count, 0.01)
    expected, seen = by_hand(*(t.double().numpy() for t in (gradients, base, start)), EPS, 0.01, milestones)
    np.testing.assert_allclose(delta.double().numpy(), expected, atol=2e-6)
    np.testing.assert_allclose(values.double().numpy(), seen, rtol=1e-5)
    assert delta.abs().max() <= EPS + 1e-7 and (base + delta).min() >= -1e-7 and (base + delta).max() <= 1 + 1e-7
    assert torch.equal(base, before[0]) and torch.equal(start, before[1])


def test_the_loop_finds_the_minimum_within_the_ball():
    base, best = torch.rand(2, 1, 3, 3, generator=stream(0)), torch.rand(2, 1, 3, 3, generator=stream(1))
    delta, _ = minimise(lambda x, i: (((x - best) ** 2).sum(), 2 * (x - best)), base, torch.zeros_like(base), 0.3, 250, 0.1)
    torch.testing.assert_close(delta, project(best - base, base, 0.3), atol=2e-3, rtol=0)


def recorded(monkeypatch, answers=None):
    """Calls of the loop; ``answers(call)`` replaces what it gives."""
    calls = []

    def spy(value_and_grad, base, start, eps, steps, step_size):
        calls.append({"base": base, "start": start, "eps": eps, "steps": steps, "step_size": step_size})
        return answers(len(calls) - 1, base) if answers else minimise(value_and_grad, base, start, eps, steps, step_size)

    monkeypatch.setattr(gm, "minimise", spy)
    return calls


def starts(monkeypatch, attack, level):
    """What crafting begins with, one restart a row, as a share of eps, where all pixels are of one level."""
    threat_model = random_threat_model()
    train = replace(threat_model.train, images=torch.full_like(threat_model.train.images, level))
    with monkeypatch.context() as within:
        calls = recorded(within, lambda i, base: (torch.zeros_like(base), torch.zeros(1)))
        attack.craft(replace(threat_model, train=train), 0)
    return torch.stack([call["start"].flatten().double() / attack.eps for call in calls])


def test_a_restart_whose_misalignment_is_no_number_is_not_the_best(monkeypatch):
    attack, threat_model = replace(QUICK, restarts=3), random_threat_model(augment=ORDINARY)
    values = iter([0.7, float("nan"), 0.4])
    monkeypatch.setattr(GradientMatching, "_mean_misalignment", lambda self, *_: torch.tensor(next(values)))
    calls = recorded(monkeypatch, lambda i, base: (torch.full_like(base, (i + 1) * 16 / 255), torch.zeros(1)))
    poison, _ = attack.craft(threat_model, 3)
    base, _ = attack.choose(threat_model, 3)
    assert len(calls) == 3 and int((poison.images.int() - base.images.int()).abs().amax()) == 48


def test_networks_that_differ_in_a_plain_value_of_a_layer_are_compiled_apart(monkeypatch):
    monkeypatch.setattr(_compiled, "_COMPILED", {})
    monkeypatch.setattr(torch, "compile", lambda function: function)
    one, same, other = (training.initialise(models.load("patch_mlp"), random_set(0), seed) for seed in range(3))
    for network, scale in ((one, 1.0), (same, 1.0), (other, 9.0)):
        next(network.body.children()).scale = scale
    made = [_compiled.compiled(misalignment, network) for network in (one, same, other)]
    assert made[0] is made[1] is not made[2]


def test_the_papers_start_is_uniform_in_the_ball_and_another_one_each_restart(monkeypatch):
    attack = replace(QUICK, restarts=3, poison_rate=0.1)
    found = starts(monkeypatch, attack, 128)
    assert len(found) == 3 and len({tuple(start[:5].tolist()) for start in found}) == 3
    for start in found:
        assert start.abs().max() <= 1 and stats.kstest(start, stats.uniform(-1, 2).cdf).pvalue > 0.01
    black = starts(monkeypatch, attack, 0)
    torch.testing.assert_close(black, found.clamp(min=0), atol=1e-6, rtol=0)


def test_the_released_start_is_normal_a_third_of_it_on_the_boundary_and_not_kept_in_the_range_of_pixels(monkeypatch):
    attack = replace(QUICK, variant="released", poison_rate=0.2, eps=EPS)
    (start,) = starts(monkeypatch, attack, 128)
    assert (start.abs() > 1 - 1e-5).double().mean().item() == pytest.approx(2 * stats.norm.cdf(-1), abs=0.03)
    assert start.abs().max() < 1 + 1e-5
    assert stats.kstest(start[start.abs() < 1 - 1e-5], stats.truncnorm(-1, 1).cdf).pvalue > 0.01
    for level in (0, 255):
        assert torch.equal(starts(monkeypatch, attack, level)[0], start)


@pytest.mark.parametrize(("variant", "share"), [("paper", 1), ("released", 3)])
def test_the_released_step_is_divided_by_the_size_of_the_ensemble(variant, share, monkeypatch):
    calls = recorded(monkeypatch, lambda i, base: (torch.zeros_like(base), torch.zeros(1)))
    replace(QUICK, ensemble=3, step_size=0.3, variant=variant).craft(random_threat_model(3), 0)
    assert calls[0]["step_size"] == pytest.approx(0.3 * QUICK.eps / share)
    assert (calls[0]["eps"], calls[0]["steps"]) == (QUICK.eps, QUICK.steps)


class TestRestarts:
    """Eight restarts that differ by one level of one pixel: different fresh samples could not tell which is best."""

    attack, threat_model = replace(QUICK, restarts=8), random_threat_model(augment=ORDINARY)
    stale = torch.tensor([5.0, 4, 3, 2, 6, 7, 8, 9])  # the fourth has the smallest last loss

    def crafted(self, monkeypatch, seed, **changes):
        attack = replace(self.attack, **changes)

        def answers(i, base):
            delta = torch.zeros_like(base)
            delta[0, 0, i // 2, 3] = (-1) ** i / 255
            return delta, torch.stack([torch.tensor(9.0 - i), self.stale[i]])

        with monkeypatch.context() as within:
            calls = recorded(within, answers)
            poison, goal = attack.craft(self.threat_model, seed)
        images = [calls[0]["base"] + answers(i, calls[0]["base"])[0] for i in range(8)]
        return attack, poison, goal, [(image * 255).round().clamp(0, 255).byte() for image in images]

    def test_the_paper_compares_the_stored_bytes_on_fresh_samples_that_all_restarts_share(self, monkeypatch):
        chosen = []
        for seed in range(2):
            attack, poison, goal, candidates = self.crafted(monkeypatch, seed)
            matching = Matching(attack, self.threat_model, poison.ids, goal)
            means = [attack._mean_misalignment(matching, images, seed, "compare").item() for images in candidates]
            chosen.append(int(np.argmin(means)))
            assert torch.equal(poison.images, candidates[chosen[-1]])
        assert chosen != [3, 3]

    def test_what_is_recorded_is_judged_on_samples_that_chose_nothing(self, monkeypatch):
        drawn, streams = [], gm.stream
        monkeypatch.setattr(gm, "stream", lambda *name, **where: drawn.append(name) or streams(*name, **where))
        attack, poison, goal, _ = self.crafted(monkeypatch, 0)
        crafting = set(drawn)
        drawn.clear()
        attack.objective(self.threat_model, poison, goal, 0)
        assert len(crafting) > 2 and len(drawn) == 2 and crafting.isdisjoint(drawn)

    def test_the_released_code_takes_the_smallest_last_loss(self, monkeypatch):
        for seed in range(2):
            _, poison, _, candidates = self.crafted(monkeypatch, seed, variant="released")
            assert torch.equal(poison.images, candidates[3])

    def test_one_restart_needs_no_comparison(self, monkeypatch):
        monkeypatch.setattr(GradientMatching, "_mean_misalignment", None)
        assert len(self.crafted(monkeypatch, 0, restarts=1)[1])


def test_the_last_loss_is_one_step_stale(digits):
    attack, seed = replace(QUICK, steps=3, eval_samples=1), 0
    base, goal = attack.choose(digits, seed)
    seen, matching = [], Matching(attack, digits, base.ids, goal)

    def spy(x, sampled, noise):
        seen.append((x, Matching.value_and_grad(matching, x, sampled, noise)[0], sampled[0][2][0]["shift"]))
        return Matching.value_and_grad(matching, x, sampled, noise)

    matching.value_and_grad = spy
    images, last = attack._restart(matching, base.images, seed, 0)
    assert len(seen) == 3 and last == seen[-1][1]
    assert not torch.equal((seen[-1][0] * 255).round().byte(), images), "a step follows the last evaluation"
    assert torch.equal(attack.trace(digits, seed), torch.stack([value for _, value, _ in seen]))
    assert not torch.equal(seen[0][2], seen[1][2]) and not torch.equal(seen[1][2], seen[2][2]), "a fresh sample in each step"


# Poisons


def changes(train, poison):
    return poison.images.int() - train.images[train.positions(poison.ids)].int()


@pytest.mark.parametrize("eps", [16 / 255, 0.05, 1 / 255, 0.2])
@pytest.mark.parametrize("name", ["gradient_matching", "noise", "watermark"])
def test_bytes_stay_within_the_ball(digits, name, eps):
    values = {"steps": 5, "restarts": 1} if name == "gradient_matching" else {}
    poison, _ = attacks.load(name, eps=eps, poison_rate=0.05, **values).craft(digits, 1)
    assert changes(digits.train, poison).abs().max() == {16 / 255: 16, 0.05: 12, 1 / 255: 1, 0.2: 51}[eps]
    assert poison.images.dtype == torch.uint8


@pytest.mark.parametrize("name", ["gradient_matching(steps=2, restarts=1)", "noise", "watermark"])
def test_poisons_are_images_of_the_intended_class_and_nothing_else_changes(digits, name):
    before = [tensor.clone() for set_ in (digits.train, digits.test) for tensor in (set_.images, set_.labels, set_.ids)]
    poison, goal = attacks.load(name, poison_rate=0.04, targets=2).craft(digits, 5)
    assert len(poison) == 8 and torch.equal(poison.ids, poison.ids.unique()), "ids ascend and are distinct"
    assert (digits.train.labels[digits.train.positions(poison.ids)] == goal.intended_class).all()
    assert len(goal.ids) == 2 and len(goal.labels.unique()) == 1 and goal.labels[0] != goal.intended_class
    assert torch.equal(goal.images, digits.test.images[digits.test.positions(goal.ids)])
    poisoned = digits.train.with_poison(poison)
    assert torch.equal(poisoned.labels, digits.train.labels) and torch.equal(poisoned.ids, digits.train.ids)
    assert (poisoned.images != digits.train.images).flatten(1).any(1).sum() <= 8
    after = [tensor for set_ in (digits.train, digits.test) for tensor in (set_.images, set_.labels, set_.ids)]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("n", "poison_rate", "count"), [(150, 0.0301, 5), (150, 0.02, 3), (100, 0.07, 7), (200, 1e-6, 1), (200, 0.0, 0)]
)
def test_the_number_of_poisons_is_rounded_up(digits, n, poison_rate, count):
    train = digits.train.take(torch.arange(n))
    assert len(attacks.load("noise", poison_rate=poison_rate).craft(replace(digits, train=train), 0)[0]) == count


@pytest.mark.parametrize("seed", range(3))
def test_poisons_of_a_smaller_rate_are_among_those_of_a_larger_one_and_fewer_targets_among_more(digits, seed):
    (few, one), (many, several) = (
        attacks.load("noise", poison_rate=b, targets=t).craft(digits, seed) for b, t in ((0.02, 1), (0.06, 3))
    )
    assert set(few.ids.tolist()) < set(many.ids.tolist())
    assert one.intended_class == several.intended_class and torch.equal(one.ids, several.ids[:1])


def test_every_attack_has_the_same_goal_and_ids_with_the_same_seed(digits):
    names = [
        "gradient_matching(poison_rate=0.05, steps=1)",
        "noise(poison_rate=0.05)",
        "watermark(poison_rate=0.05)",
        "gradient_matching(poison_rate=0)",
    ]
    made = [attacks.load(name).craft(digits, 2) for name in names]
    assert len({goal.intended_class for _, goal in made}) == 1
    assert all(torch.equal(goal.images, made[0][1].images) and torch.equal(goal.ids, made[0][1].ids) for _, goal in made)
    assert all(torch.equal(poison.ids, made[0][0].ids) for poison, _ in made[:3]) and len(made[3][0]) == 0
    other = attacks.load("noise", poison_rate=0.05).craft(digits, 3)
    assert not torch.equal(other[1].ids, made[0][1].ids) and not torch.equal(other[0].ids, made[0][0].ids)


@pytest.mark.parametrize("seed", range(3))
def test_crafted_poisons_are_far_better_aligned_than_noise_and_than_their_start(digits, seed):
    attack, threat_model = replace(QUICK, steps=60, step_size=0.125), replace(digits, augment=pipeline("none"))
    poison, goal = attack.craft(threat_model, seed)
    noise, _ = attacks.load("noise", eps=attack.eps, poison_rate=attack.poison_rate).craft(threat_model, seed)
    reached, by_chance = (attack.objective(threat_model, p, goal, seed) for p in (poison, noise))
    trace = attack.trace(threat_model, seed)
    assert torch.equal(poison.ids, noise.ids) and len(trace) == 60
    assert reached < 0.6 * by_chance and reached < 0.6 * trace[0]
    assert reached == pytest.approx(trace[-1].item(), abs=0.01), "bytes are as good as floats"


# What the attacker knows


def test_an_attacker_who_does_not_know_the_defence_crafts_as_without_one(digits):
    defended = replace(digits, defence=pipeline("mixup + laplace"), step=steps.load("noisy_sgd", noise=0.1))
    for adaptive in ("none", "surrogate"):
        attack = replace(QUICK, adaptive=adaptive, steps=3)
        assert attack.craft(digits, 0)[0].digest == attack.craft(defended, 0)[0].digest
    aware = replace(QUICK, adaptive="augmented", steps=3, clean_images=20)
    digests = [aware.craft(threat_model, 0)[0].digest for threat_model in (digits, defended, replace(defended, step=None))]
    assert len(set(digests)) == 3
    assert digests[0] == replace(QUICK, steps=3).craft(digits, 0)[0].digest


def test_adaptive_attacks_need_defended_surrogates():
    assert GradientMatching(ensemble=2).surrogates == (Surrogate(0), Surrogate(1))
    assert GradientMatching(pretrained=True).surrogates == (Surrogate(0, False, True),)
    for adaptive in ("surrogate", "augmented"):
        assert GradientMatching(adaptive=adaptive).surrogates == (Surrogate(0, defended=True),)
        assert GradientMatching(adaptive=adaptive).facing(True) == GradientMatching(adaptive=adaptive)
        assert GradientMatching(adaptive=adaptive).facing(False) == GradientMatching()
    assert GradientMatching(poison_rate=0.0, adaptive="surrogate").surrogates == () and GradientMatching(poison_rate=0.0).clean


@pytest.mark.parametrize(("asked", "get"), [(10, 10), (128, 48)])
def test_clean_images_are_distinct_and_others_in_each_step(asked, get):
    threat_model = random_threat_model(defence=pipeline("mixup"))
    attack = replace(AWARE, clean_images=asked, batch_size=3)
    base, goal = attack.choose(threat_model, 0)
    sampled = Matching(attack, threat_model, base.ids, goal).shown.sample(4, stream(0))
    assert [len(parts) for parts in sampled] == [2] * 4
    batches = [clean for parts in sampled for clean, *_ in parts]
    assert all(len(clean.unique()) == get and clean.min() >= 0 and clean.max() < 48 for clean in batches)
    assert len({tuple(clean.tolist()) for clean in batches}) == 8
    sizes = [len(params["partner"]) for parts in sampled for *_, (params,) in parts]
    assert sizes == [3 + get, 2 + get] * 4
    for other in (replace(attack, adaptive="surrogate"), replace(attack, adaptive="none")):
        assert Matching(other, threat_model, base.ids, goal).shown.clean_images == 0
    assert Matching(attack, replace(threat_model, defence=pipeline("none")), base.ids, goal).shown.clean_images == 0


# The controls


@pytest.mark.parametrize("eps", [16 / 255, 0.05])
def test_noise_changes_every_pixel_by_eps_up_or_down(digits, eps):
    poison, _ = attacks.load("noise", eps=eps, poison_rate=0.1).craft(digits, 0)
    base = digits.train.images[digits.train.positions(poison.ids)].int()
    up, down = ((base + sign * levels(eps)).clamp(0, 255) for sign in (1, -1))
    is_up, is_down = poison.images == up, poison.images == down
    assert (is_up | is_down).all()
    free = up != down
    assert is_up[free].double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert attacks.load("noise", eps=eps, poison_rate=0.1).craft(digits, 1)[0].digest != poison.digest


@pytest.mark.parametrize("tenths", [1, 3, 10])
def test_a_watermark_is_the_first_target_blended_in_and_cut_off(digits, tenths):
    poison, goal = attacks.load("watermark", opacity=tenths / 10, poison_rate=0.1, targets=3).craft(digits, 0)
    base = digits.train.images[digits.train.positions(poison.ids)].numpy().astype(int)
    change = (goal.images[:1].numpy().astype(int) - base) * tenths
    expected = base + np.clip((change + 5) // 10, -16, 16)  # in whole numbers, halves up
    tie = (change % 10 == 5) & (abs(change) < 165)
    assert (tie | (poison.images.numpy() == expected)).all() and tie.mean() < 0.1


# What is refused


@pytest.mark.parametrize("name", ["gradient_matching", "noise", "watermark"])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"eps": 0}, "eps=0"),
        ({"eps": 0.0039}, "eps=0.0039.*from 1/255, as images are bytes"),
        ({"eps": -1}, "eps=-1"),
        ({"eps": 16}, "eps=16"),
        ({"poison_rate": 2}, "poison_rate=2"),
        ({"targets": 0}, "targets=0"),
    ],
)
def test_values_out_of_range_are_refused_and_named(name, values, says):
    with pytest.raises(ValueError, match=says):
        attacks.load(name, **values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"adaptive": "x"}, "adaptive='x': choose one of 'none', 'surrogate', 'augmented'"),
        ({"adaptive": "surrogate", "pretrained": True}, "know no defence; choose 'none' or 'augmented'"),
        ({"variant": "x"}, "variant='x'"),
        ({"step_size": 0}, "step_size=0"),
        *(({name: 0}, f"{name}=0") for name in ("steps", "restarts", "ensemble", "clean_images", "batch_size", "eval_samples")),
    ],
)
def test_values_of_one_attack_are_refused_too(values, says):
    with pytest.raises(ValueError, match=says):
        attacks.load("gradient_matching", **values)
    for pair in ((1, 1), (1, -1)):
        with pytest.raises(ValueError, match=r"pair=.*choose two different classes"):
            attacks.load("noise", pair=pair)
    assert not any(map(_targeted._two_classes, [(0, 0.5), (True, 0), (1,), (0, 1, 2), 3, "01"])) and _targeted._two_classes([1, 0])
    for opacity in (0, 1.1):
        with pytest.raises(ValueError, match=f"opacity={opacity}"):
            attacks.load("watermark", opacity=opacity)


@pytest.mark.parametrize("n", [200, 197, 90])
def test_a_rate_above_a_class_is_refused_and_the_largest_possible_one_is_named(digits, n):
    threat_model = replace(digits, train=digits.train.take(torch.arange(n)), surrogates=())
    smallest = int(threat_model.train.labels.bincount().min())
    for name in ("gradient_matching", "noise", "watermark"):
        with pytest.raises(ValueError, match=f"smallest class has {smallest} images") as error:
            attacks.load(name, poison_rate=0.5).validate(threat_model)
        possible = float(str(error.value).rpartition(" ")[2])
        attacks.load(name, poison_rate=possible).validate(threat_model)
        with pytest.raises(ValueError, match="choose at most"):
            attacks.load(name, poison_rate=possible + 1 / n).validate(threat_model)


def test_more_targets_than_there_are_test_images_are_refused(digits):
    with pytest.raises(ValueError, match="targets=1000: the class"):
        attacks.load("noise", targets=1000).craft(digits, 0)


# Trials

TINY = dict(
    data=data.source("digits", size=8, limit=100),
    model=models.load("patch_mlp", side=2, width=8),
    recipe=training.load("quick_targeted", epochs=8, batch_size=20),
)
MATCHING = "gradient_matching(poison_rate=0.05, eps=0.2, steps=4, restarts=2, eval_samples=2"
BASIC, ADAPTIVE = MATCHING + ")", MATCHING + ', adaptive="surrogate")'


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    return tmp_path


def tiny(attack=(BASIC, ADAPTIVE), defence=("none", "mixup"), trials=1, first_seed=0, **more):
    how = dict(attack=list(attack), defence=list(defence), trials=trials, first_seed=first_seed)
    return experiments.grid("targeted", "quick", **how, **(TINY | more))


def kept(folder):
    return sorted(path.name for path in (folder / "models").glob("*.safetensors"))


def named(*identities):
    return sorted(digest(identity) + ".safetensors" for identity in identities)


def test_an_adaptive_attack_without_a_defence_is_the_basic_one():
    basic, defended, adapted = tiny()  # the adaptive attack on the undefended victim is not there a second time
    assert tiny([ADAPTIVE], ["none"]) == [basic] and basic.attack.adaptive == "none"
    assert adapted.attack.adaptive == "surrogate" and defended.attack.adaptive == "none"
    filtered = tiny([ADAPTIVE], ["spectral_signatures"])[0]
    assert filtered.attack.adaptive == "none", "a filter is nothing to train surrogates under"
    assert craft(basic) == craft(defended) == craft(filtered) != craft(adapted)
    assert surrogate(basic, Surrogate()) == surrogate(adapted, Surrogate()) != surrogate(adapted, Surrogate(defended=True))
    stepped = tiny([ADAPTIVE], ["noisy_sgd", "noisy_sgd(noise=0.05)"])
    assert craft(stepped[0]) != craft(stepped[1]) and stepped[0].attack.adaptive == "surrogate"


def test_surrogates_and_crafts_are_made_once_and_recorded(outputs, monkeypatch):
    table = tiny()
    basic, _, adapted = table
    plan = experiments.plan(table)
    assert (plan.trials, plan.trainings, plan.crafts) == (3, 3 + 2 + 1, 2), "victims, surrogates, and one to judge both crafts by"
    records = experiments.run(table, workers=0)
    made = [surrogate(basic, Surrogate()), surrogate(adapted, Surrogate(defended=True)), craft(basic), craft(adapted)]
    assert kept(outputs) == named(*made, unpoisoned(basic)) and unpoisoned(basic) == unpoisoned(adapted)
    digests = [record.poisons.digest for record in records]
    assert digests[0] == digests[1] != digests[2]
    for record in records:
        assert record.craft.targets_correct in ((0, 1), (1, 1)) and 0 < record.craft.objective < 2
        assert 0 <= record.evaluation.confidence <= 1
        assert (record.poisons.count, record.poisons.largest_change) == (5, 51)
    assert "3 trials" in experiments.check(records, table)
    assert experiments.craft(adapted)[0].digest == digests[2]
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "alone"))
    assert experiments.craft(table[1])[0].digest == digests[0], "made in a defended cell or not, it is the same"
    row = experiments.frame(records).iloc[2]
    assert row["objective"] == records[2].craft.objective and row["attack.adaptive"] == "surrogate"


def test_the_recorded_objective_and_targets_are_those_of_the_first_surrogate(outputs):
    (trial,) = tiny([BASIC], ["none"])
    (record,) = experiments.run([trial], workers=0)
    train, test = (data.load(trial.data, split) for split in ("train", "test"))
    threat_model = crafting.with_surrogates(trial, torch.device("cpu"), Cache.open())
    poison, goal = experiments.craft(trial)
    with training.settings(trial.numerics):
        again = trial.attack.objective(threat_model, poison, goal, trial.seed)
        correct = threat_model.surrogates[0](to_float(goal.images)).argmax(1) == goal.labels
    assert replace(record.craft, held_out=None) == CraftReport((int(correct.sum()), 1), round(again, 6))
    assert torch.equal(threat_model.train.images, train.images) and torch.equal(threat_model.test.images, test.images)
    assert record.intended_class == goal.intended_class


def test_the_attacker_descends_on_the_loss_of_the_recipe():
    for smoothing in (0.0, 0.2):
        (trial,) = tiny([BASIC], ["none"], recipe=replace(TINY["recipe"], label_smoothing=smoothing))
        assert crafting.threat_model(trial, torch.device("cpu")).label_smoothing == smoothing


def test_the_bytes_of_records_depend_neither_on_the_cache_nor_on_workers(outputs, monkeypatch):
    table = tiny(model=models.load("cifar_resnet", depth=8, width=2, shortcut="projection"))
    cold = [record.measured() for record in experiments.run(table, workers=0)]

    def again(*stale):
        for path in [*(outputs / "trials").rglob("*.json"), *(outputs / "models" / name for name in stale)]:
            path.unlink()
        return [record.measured() for record in experiments.run(table, workers=0)]

    assert again() == cold, "crafts from the cache"
    assert again(*named(*(craft(trial) for trial in {trial.key: trial for trial in table}.values() if trial.seed == 0))[:1]) == cold
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(outputs / "workers"))
    assert [record.measured() for record in experiments.run(table, workers=2)] == cold


@pytest.mark.exact
def test_table_2_of_both_papers_is_480_trainings_and_160_crafts(tmp_path, monkeypatch):
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
    assert (plan.trials, plan.trainings, plan.crafts, plan.operations) == (300, 480, 160, None)
    rows, second = table("dp_instahide")
    assert len(rows) == 5 and experiments.plan(first + second) == plan, "the second paper's rows add nothing"


FROZEN = training.load("quick_targeted", frozen=True)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"recipe": FROZEN}, "feature extractor of .* has random weights"),
        ({"recipe": FROZEN, "model": models.load("resnet18_imagenet")}, "feature extractor of .* has random weights"),
        ({"attack": [MATCHING + ", pretrained=True)"]}, "no public weights"),
        ({"attack": [MATCHING + ", clean_images=0)"]}, "clean_images=0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_before_anything_runs(how, says):
    with pytest.raises(ValueError, match=says):
        tiny(**how)


def test_parts_that_do_go_together_are_not_refused():
    tiny(recipe=FROZEN, model=models.load("resnet18_imagenet", pretrained=True), attack=[MATCHING + ", pretrained=True)"])
    tiny(recipe=FROZEN, model=models.load("resnet18_imagenet", pretrained=True), defence=["deep_knn"])
    tiny(defence=["mixup", "deep_knn"])


def test_a_rate_above_a_class_is_refused_before_any_training(outputs, monkeypatch):
    monkeypatch.setattr(sys.modules["poisonlib.experiments.attempt"], "run_trial", None)
    with pytest.raises(ValueError, match=r"poison_rate=0\.5: 50 poisons of one class"):
        experiments.run(tiny() + tiny(["noise(poison_rate=0.5)"]), workers=0)
    assert [path for path in outputs.rglob("*") if path.is_file()] == []
