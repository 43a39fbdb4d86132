"""MetaPoison: the meta-gradient against a loop over steps in float64 and finite differences, and the trainings it goes through."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from poisonlib import attacks, data, experiments, models, training
from poisonlib.attacks import Surrogate, ThreatModel, _unrolled
from poisonlib.attacks._unrolled import Form, State, ahead
from poisonlib.attacks.metapoison import Learner, Metapoison, Untrained, carlini_wagner, cross_entropy
from poisonlib.augment import pipeline
from poisonlib.data import ImageSet
from poisonlib.experiments import crafting
from poisonlib.experiments.cache import Cache
from poisonlib.experiments.networks import images, initial
from poisonlib.models import Network
from poisonlib.rng import derive, seeded, stream
from poisonlib.tensors import to_float

from .rehearsal.trials import SLOW, network

ATTACK = Metapoison(poison_rate=0.1, batch_size=10, dose=0.3, unrolled=3, lr=0.3)


def smooth(seed, frozen=False):
    """A network with BatchNorm and without kinks, so that finite differences are clean."""
    with seeded(seed, "smooth network"):
        norm = nn.BatchNorm2d(4)
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        body = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), norm, nn.Softplus(), nn.Flatten(), nn.Linear(64, 6), nn.Tanh())
        network = Network(body, nn.Linear(6, 4), (0.4, 0.5), (0.2, 0.3))
    network.body.requires_grad_(not frozen)
    return network.eval()


def random_set(seed, n=48):
    g = stream(seed, "random images")
    pixels = torch.randint(256, (n, 2, 8, 8), generator=g, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(n) % 4, torch.arange(n) * 3 + 5, tuple("abcd"), (0.4, 0.5), (0.2, 0.3))


def learner(attack=ATTACK, frozen=False, **known):
    threat_model = ThreatModel(random_set(0), random_set(1), (smooth(0), smooth(1, frozen)), **known)
    base, goal = attack.choose(threat_model, 3)
    made = Learner(attack, threat_model, threat_model.surrogates[1], base.ids, goal, stream(3, "test"), attack.lr)
    return made, to_float(base.images)


# The meta-gradient


def answers(weights, statistics, x, batch_mode):
    """(logits, statistics of the batch) of `smooth`, layer by layer."""
    x = (x - torch.tensor([0.4, 0.5]).view(1, 2, 1, 1)) / torch.tensor([0.2, 0.3]).view(1, 2, 1, 1)
    x = F.conv2d(x, weights["body.0.weight"], weights["body.0.bias"], 2, 1)
    seen = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    mean, variance = (each.view(1, 4, 1, 1) for each in (seen if batch_mode else statistics))
    scale, shift = (weights[f"body.1.{name}"].view(1, 4, 1, 1) for name in ("weight", "bias"))
    x = F.softplus((x - mean) / (variance + 1e-5).sqrt() * scale + shift).flatten(1)
    x = torch.tanh(x @ weights["body.4.weight"].T + weights["body.4.bias"])
    count = seen[1].new_tensor(len(x) * 16.0)
    seen = seen[0].detach(), seen[1].detach() * count / (count - 1)
    return x @ weights["head.weight"].T + weights["head.bias"], seen


def slowly_ahead(trained, goal, windows, poisons, frozen, known, held):
    """The mean of the margin by which another class wins after K steps of SGD, in float64.

    ``held``: the batches' statistics, which are constants to the attack; they are written there at the first call.
    """
    values, train, smoothing = [], known.train, known.label_smoothing
    for number, window in enumerate(windows):
        weights = {name: each.detach().double().requires_grad_() for name, each in trained.named_parameters()}
        moving = [name for name in weights if not frozen or name.startswith("head")]
        statistics = [getattr(trained.body[1], name).double() for name in ("running_mean", "running_var")]
        for k, batch in enumerate(window):
            x = [poisons[i] for i in batch.poisons.tolist()] + [train.images[i].double() / 255 for i in batch.others.tolist()]
            for i in range(len(x) if known.augment.parts else 0):
                x[i] = x[i].flip(2) if batch.params[0]["flip"][i] else x[i]
            logits, seen = answers(weights, statistics, torch.stack(x), not frozen)
            labels = (1 - smoothing) * batch.labels.double() + smoothing / 4
            loss = -(labels * (logits - logits.logsumexp(1, keepdim=True))).sum(1).mean()
            gradients = torch.autograd.grad(loss, [weights[name] for name in moving], create_graph=True)
            weights = weights | {n: weights[n] - ATTACK.lr * each for n, each in zip(moving, gradients, strict=True)}
            if not frozen:
                seen = held.setdefault((number, k), seen)
                statistics = [0.9 * old + 0.1 * new for old, new in zip(statistics, seen, strict=True)]
        logits = answers(weights, statistics, goal.images.double() / 255, False)[0]
        margins = [max(row[j] for j in range(4) if j != goal.intended_class) - row[goal.intended_class] for row in logits]
        values.append(sum(margins) / len(margins))
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("frozen", "known", "targets"),
    [(False, {}, 1), (True, {}, 1), (False, {"augment": pipeline("flip"), "label_smoothing": 0.2}, 3)],
)
def test_the_meta_gradient_is_that_of_a_loop_over_steps_and_of_finite_differences(frozen, known, targets):
    made, base = learner(replace(ATTACK, targets=targets), frozen, **known)
    windows, held = made.windows(), {}
    x = (base + 0.1 * torch.rand(base.shape, generator=stream(0)) - 0.05).clamp(0, 1)

    def total(x):
        return slowly_ahead(made.form.network, made.goal, windows, x, frozen, made.known, held)

    value, gradient = made.look(windows, x)
    double = x.double().requires_grad_()
    expected = total(double)
    (slow,) = torch.autograd.grad(expected, double)
    assert value.item() == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(gradient / len(windows), slow.float(), rtol=1e-3, atol=1e-4 * slow.abs().max().item())
    for direction in torch.randn(3, *x.shape, generator=stream(1)).double():
        up, down = (total(double.detach() + step * direction).item() for step in (1e-5, -1e-5))
        assert (slow * direction).sum().item() == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", sorted({*models.names()} - {"module", *SLOW}))
def test_every_network_has_a_meta_gradient_which_changes_nothing_else(name):
    choice = network(name)
    size = max(16, getattr(choice, "smallest", 16))
    train, test = (data.load("digits", split, size=size, channels=3, limit=4) for split in ("train", "test"))
    trained = training.initialise(choice, train, 0)
    before, started = copy.deepcopy(trained.state_dict()), State.of(trained)
    form, x = Form(trained, 0.01, ThreatModel(train, test)), to_float(train.images).requires_grad_()
    state = ahead(form, started.leaf(), [(x, F.one_hot(train.labels, 10).float())] * 2)
    (gradient,) = torch.autograd.grad(cross_entropy(form.logits(state, to_float(test.images)), 3), x)
    assert gradient.isfinite().all() and (gradient.flatten(1).norm(dim=1) > 0).all()
    assert all(torch.equal(each, before[key]) for key, each in trained.state_dict().items())
    moved = {key for key, each in state.fixed.items() if not torch.equal(each, started.fixed[key])}
    assert moved == {key for key in before if "running" in key or "num_batches" in key}


def test_steps_that_are_computed_again_give_the_same_bits_and_take_the_memory_of_a_few(monkeypatch):
    made, x = learner()
    x.requires_grad_()
    batches, held = [made._seen(batch, x) for batch in made.epoch() * 2], []
    keep = torch.autograd.graph.saved_tensors_hooks(lambda each: held.append(each.nbytes) or each, lambda each: each)

    def found(kept):
        monkeypatch.setattr(_unrolled, "KEPT", kept)
        held.clear()
        with keep:
            state = ahead(made.form, made.state.leaf(), batches)
        value = carlini_wagner(made.form.logits(state, made.known.test.images / 255), 1)
        return torch.autograd.grad(value, x, retain_graph=True)[0], sum(held)

    (again, few), (at_once, all_of_them) = found(1), found(len(batches))
    assert torch.equal(again, at_once) and few < all_of_them / 2


def test_the_losses_are_those_of_a_loop():
    logits = torch.randn(5, 4, generator=stream(0))
    rows = logits.tolist()
    assert carlini_wagner(logits, 2).item() == pytest.approx(sum(max(r[0], r[1], r[3]) - r[2] for r in rows) / 5, abs=1e-6)
    assert cross_entropy(logits, 2).item() == pytest.approx(-logits.log_softmax(1)[:, 2].mean().item())


# The trainings


def test_a_network_trains_as_under_torchs_sgd_and_begins_anew():
    made, base = learner(replace(ATTACK, epochs=2))
    other, (batch, *rest) = copy.deepcopy(made.form.network).train(), made.epoch()
    sgd = torch.optim.SGD(other.parameters(), lr=ATTACK.lr)
    for each in (batch, *rest):
        pixels = torch.cat([base[each.poisons], made.known.train.images[each.others] / 255])
        sgd.zero_grad()
        F.cross_entropy(other(pixels), each.labels.argmax(1)).backward()
        sgd.step()
    made.train([batch, *rest], base)
    reached = {**made.state.fixed, **made.state.weights}
    assert made.age == 1
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(reached[name].to(tensor.dtype), tensor, rtol=1e-4, atol=1e-5)
    for _ in range(2):
        made.train(made.epoch(), base)
    assert made.age == 0 and made.state is made.initial


def positions(made, batch):
    return torch.cat([made.places[batch.poisons], batch.others])


def test_every_poison_has_one_window_of_batches_with_ever_other_clean_images():
    made, _ = learner()
    orders = set()
    for _ in range(3):
        windows = made.windows()
        assert [[len(each.poisons) for each in window] for window in windows] == [[3] * 3, [2] * 3]
        for window in windows:
            assert all(torch.equal(each.poisons, window[0].poisons) for each in window)
        assert sorted(i for window in windows for i in window[0].poisons.tolist()) == list(range(5))
        others = [each.others.tolist() for window in windows for each in window]
        seen = {i for each in others for i in each}
        assert not seen & set(made.places.tolist()) and len(seen) == 43
        orders.add(str(others))
        for batch in (*windows[0], *windows[1], *made.epoch()):
            at = positions(made, batch)
            assert len(at.unique()) == 10 and torch.equal(batch.labels.argmax(1), made.known.train.labels[at])
    assert len(orders) == 3


def test_an_epoch_shows_every_image_once_but_for_a_rest():
    made, _ = learner()
    first, second = (torch.cat([positions(made, batch) for batch in made.epoch()]) for _ in range(2))
    assert len(first.unique()) == len(second.unique()) == 40 and not torch.equal(first, second)


def test_networks_are_of_all_ages_and_each_crafting_step_makes_them_older(monkeypatch):
    ages = []
    monkeypatch.setattr(Learner, "look", lambda self, windows, x: ages.append(self.age) or (x.sum(), torch.zeros_like(x)))
    attack = replace(ATTACK, ensemble=4, epochs=10, steps=2, batch_size=40)
    threat_model = ThreatModel(random_set(0), random_set(1), (smooth(0),) * 5)
    attack.craft(threat_model, 0)
    assert ages == [0, 2, 5, 7, 1, 3, 6, 8]
    assert Metapoison().surrogates == (Surrogate(0), *(Surrogate(i, step=Untrained()) for i in range(1, 25)))
    assert replace(attack, poison_rate=0.0).surrogates == ()


def test_what_a_network_trains_on_is_the_trajectory(monkeypatch):
    threat_model, seen = ThreatModel(random_set(0), random_set(1), (smooth(0), smooth(1))), []
    monkeypatch.setattr(Learner, "train", lambda self, batches, poisons: seen.append(poisons))
    for trajectory in ("clean", "poisoned"):
        replace(ATTACK, steps=2, ensemble=1, trajectory=trajectory).craft(threat_model, 0)
    base, _ = ATTACK.choose(threat_model, 0)
    clean, again, poisoned, _ = ((each - to_float(base.images)).abs().max().item() for each in seen)
    assert clean == again == 0 and 0 < poisoned <= ATTACK.eps + 1e-6 and not torch.equal(seen[2], seen[3])


def test_a_training_that_diverges_is_an_error_that_names_the_rate():
    threat_model = ThreatModel(random_set(0), random_set(1), (smooth(0), smooth(1)))
    with pytest.raises(FloatingPointError, match="lr=1e\\+30: a network that MetaPoison trains along diverged"):
        replace(ATTACK, lr=1e30, ensemble=1, steps=2).craft(threat_model, 0)


TINY = "metapoison(eps=0.2, poison_rate=0.05, steps=2, ensemble=1, epochs=1, batch_size=40)"


@pytest.mark.parametrize(("scenario", "frozen"), [("targeted", False), ("transfer", True), ("transfer", False)])
def test_crafting_begins_where_the_victims_training_does(scenario, frozen, tmp_path, monkeypatch):
    """From the same layers of an extractor, below a fresh head, or from initial weights."""
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    how = dict(data="digits(size=8, limit=100)", model="patch_mlp(side=2, width=8)", attack=TINY, trials=1)
    (trial,) = experiments.grid(scenario, "quick", recipe=training.load("quick_targeted", epochs=2, frozen=frozen), **how)
    if trial.extractor:
        short = training.load("quick_targeted", epochs=1)
        trial = replace(trial, extractor=replace(trial.extractor, data=trial.data, recipe=short))
    device, cache = torch.device("cpu"), Cache.open()
    train = images(trial.source, "train", device)
    _, untrained = crafting.with_surrogates(trial, device, cache).surrogates
    start = initial(trial.origin, train, trial.numerics, derive(trial.seed, "surrogate", 1), cache)
    assert all(torch.equal(each, start.state_dict()[name]) for name, each in untrained.state_dict().items())
    assert untrained.body[1].weight.requires_grad != frozen and untrained.head.weight.requires_grad
    assert crafting.fetch_craft(trial, device, cache).poison.images.shape == (5, 1, 8, 8)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"loss": "hinge"}, "loss='hinge': choose one of 'carlini_wagner', 'cross_entropy'"),
        ({"trajectory": "x"}, "trajectory='x': choose one of 'clean', 'poisoned'"),
        ({"batch_size": 1}, "batch_size=1"),
        *(({name: 0}, f"{name}=0") for name in ("steps", "ensemble", "unrolled", "epochs", "lr", "step_size")),
    ],
)
def test_values_out_of_range_are_refused_and_named(values, says):
    with pytest.raises(ValueError, match=says):
        attacks.load("metapoison", **values)
