"""What recipes for fast training ask for, each against a slow computation: rates, Muon, lookahead, smoothing, ghost batches."""

import copy
import dataclasses
import json
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LinearLR, MultiStepLR, SequentialLR

from poisonlib import data, models, paths, steps, training
from poisonlib.augment import pipeline
from poisonlib.experiments.spec import Trial
from poisonlib.rng import stream
from poisonlib.training import Numerics, Recipe
from poisonlib.training.batches import Batch
from poisonlib.training.fit import Pixels, _update
from poisonlib.training.lookahead import Lookahead
from poisonlib.training.muon import COEFFICIENTS, Muon, orthogonal
from poisonlib.training.optimizer import set_rates

NET = models.load("airbench", width=4)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def train():
    return colourful(150)


def colourful(n):
    """Digits with noise of all colours: BatchNorm without a floor would blow up the rounding errors of patches that never vary."""
    images = data.load("digits", "train", size=16, channels=3, limit=n)
    noise = torch.randint(64, images.images.shape, generator=stream(0, "colours"), dtype=torch.uint8)
    return dataclasses.replace(images, images=images.images // 2 + noise)


@pytest.fixture
def double():
    """Training in float64, in which two ways of computing the same agree far beyond any mistake."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# The whole training, written out


def smoothed(logits, labels, smoothing):
    """The mean cross-entropy with labels of which a share is spread over all classes."""
    spread = (1 - smoothing) * labels + smoothing / labels.shape[1]
    return -(spread * logits.log_softmax(1)).sum(1).mean()


def kind(name, parameter):
    if name.startswith("head") and parameter.ndim > 1:
        return "head"
    return "bias" if parameter.ndim == 1 else "filters"


def by_singular_values(matrix):
    """What three Newton-Schulz steps do to a matrix: a polynomial of each singular value, singular vectors stay."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s, (a, b, c) = s / (matrix.norm() + 1e-7), COEFFICIENTS
    for _ in range(3):
        s = a * s + b * s**3 + c * s**5
    return u @ s.diag() @ v


class Slow:
    """The training of a recipe, one parameter and one image part at a time."""

    def __init__(self, network, recipe, steps_per_epoch):
        self.network, self.recipe, self.whole = network, recipe, steps_per_epoch * recipe.epochs
        self.named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.velocity = {name: torch.zeros_like(p) for name, p in self.named.items()}
        self.slow = {name: t.clone() for name, t in network.state_dict().items() if t.is_floating_point()}
        self.done = 0

    def factor(self):
        recipe, rise = self.recipe, self.recipe.warmup * self.whole
        if self.done < rise:
            return recipe.start_factor + (1 - recipe.start_factor) * self.done / rise
        return 1 + (recipe.end_factor - 1) * (self.done - rise) / (self.whole - rise)

    def step(self, x, y):
        recipe, gradient = self.recipe, dict.fromkeys(self.named, 0)
        count = -(-len(x) // (recipe.ghost_batch or len(x)))
        for part, labels in zip(x.tensor_split(count), y.tensor_split(count), strict=True):
            loss = smoothed(self.network(part), labels, recipe.label_smoothing) * len(part) / len(x)
            for name, own in zip(self.named, torch.autograd.grad(loss, list(self.named.values())), strict=True):
                gradient[name] = gradient[name] + own
        with torch.no_grad():
            for name, p in self.named.items():
                self.update(kind(name, p), p, gradient[name], self.velocity[name])
            self.done += 1
            self.meet()

    def update(self, group, p, g, v):
        recipe = self.recipe
        if recipe.optimizer == "muon" and group == "filters":
            p.mul_(len(p) ** 0.5 / p.norm())
            v.mul_(recipe.filter_momentum).add_(g)
            step = by_singular_values((g + recipe.filter_momentum * v).flatten(1)).reshape(p.shape)
            p.sub_(recipe.lr * self.factor() * step)
            return
        peak = {"filters": recipe.lr, "bias": recipe.lr_bias or recipe.lr, "head": recipe.lr_head or recipe.lr}[group]
        g = g + recipe.weight_decay * recipe.lr / peak * p
        v.mul_(recipe.momentum).add_(g)
        p.sub_(peak * self.factor() * (g + recipe.momentum * v))

    def meet(self):
        if not self.recipe.lookahead:
            return
        now, last = self.network.state_dict(), self.done == self.whole
        if self.done % self.recipe.lookahead == 0:
            keep = 0.95**5 * (self.done / self.whole) ** 3
            self.slow = {name: keep * t + (1 - keep) * now[name] for name, t in self.slow.items()}
        if last or self.done % self.recipe.lookahead == 0:
            for name, tensor in self.slow.items():
                now[name].copy_(tensor)


FAST = {
    "airbench_muon": dict(epochs=3, batch_size=60, ghost_batch=20, lr_bias=3.0, lr_head=40.0),
    "airbench_sgd": dict(epochs=3, batch_size=60, ghost_batch=20, lr=0.2, lr_bias=4.0, lr_head=20.0, lookahead=2),
}


@pytest.mark.parametrize("defence", ["none", "mixup"])
@pytest.mark.parametrize("name", FAST)
def test_fast_training_is_the_public_recipe_written_out(train, double, name, defence):
    """Two batches of 60 and one of 30 an epoch, in float64: biases, head, filters and batch statistics after nine steps."""
    recipe = training.load(name, **FAST[name])
    fast = training.initialise(NET, train, 3).double()
    slow, parts = copy.deepcopy(fast).train(), pipeline(recipe.augment) + pipeline(defence)
    written_out, order, sampling = Slow(slow, recipe, 3), stream(7, "order"), stream(7, "augmentation")
    with training.settings(Numerics()):
        training.fit(fast, train, recipe, seed=7, augment=pipeline(defence))
        for epoch in range(recipe.epochs):
            for at in torch.randperm(len(train), generator=order).split(60):
                params = parts.sample_params(len(at), train.shape, sampling, train.ids[at], epoch)
                x, y = parts.apply(train.images[at].float() / 255, torch.eye(10)[train.labels[at]], params)
                written_out.step(x, y)
    for key, tensor in slow.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[key].double(), tensor.double(), rtol=1e-8, atol=1e-9, msg=key)


# Muon


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6), (1, 5), (5, 1)])
def test_orthogonal_is_a_polynomial_of_the_singular_values(shape):
    matrix = torch.randn(shape, generator=stream(0), dtype=torch.float64)
    torch.testing.assert_close(orthogonal(matrix), by_singular_values(matrix), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(orthogonal(matrix.float()), by_singular_values(matrix).float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(orthogonal(1e4 * matrix), by_singular_values(matrix), rtol=1e-5, atol=1e-5)
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


def test_singular_values_end_between_07_and_12_unless_they_were_tiny():
    u, _, v = torch.linalg.svd(torch.randn(40, 60, generator=stream(1), dtype=torch.float64), full_matrices=False)
    before = torch.logspace(0, -4, 40, dtype=torch.float64)
    shares = before / before.norm()
    after = torch.linalg.svdvals(orthogonal(u @ before.diag() @ v))
    each = torch.linalg.svdvals(orthogonal(v[:1]))
    assert 0.65 < each.item() < 1.25, "a single direction"
    large = int((shares > 0.035).sum())
    assert large > 10 and after[:large].min() > 0.65 and after.max() < 1.25
    assert after.min() < 3.4445**3 * 1.01 * shares.min(), "what is tiny grows by the slope at zero in each step"


def test_orthogonal_stays_in_float32_inside_autocast():
    matrix = torch.randn(8, 12, generator=stream(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(orthogonal(matrix), orthogonal(matrix.clone()))
        assert orthogonal(matrix).dtype == torch.float32
        inside = orthogonal(matrix)
    assert torch.equal(inside, orthogonal(matrix))


class Small(nn.Module):
    """A convolution, a layer without gradient, a bias and a head."""

    def __init__(self):
        super().__init__()
        self.convolution, self.unused, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 4, 3, bias=False), nn.Linear(6, 5)


def randomly(module, number, but=()):
    """Random gradients for all parameters but some."""
    for i, (name, p) in enumerate(module.named_parameters()):
        p.grad = None if name in but else torch.randn(p.shape, generator=stream(number, i), dtype=p.dtype)


@pytest.mark.parametrize("nesterov", [True, False])
def test_biases_and_the_head_under_muon_are_bit_for_bit_torchs_sgd(nesterov):
    recipe = training.load("airbench_muon", nesterov=nesterov)
    ours, theirs = Small(), Small()
    theirs.load_state_dict(ours.state_dict())
    optimizer = training.make_optimizer(recipe, ours.parameters(), ours.head.parameters())
    decay = recipe.weight_decay * recipe.lr
    sgd = torch.optim.SGD(
        [
            {"params": [theirs.convolution.bias, theirs.head.bias], "lr": 106.0, "weight_decay": decay / 106.0},
            {"params": [theirs.head.weight], "lr": 1340.0, "weight_decay": decay / 1340.0},
        ],
        momentum=0.85,
        nesterov=nesterov,
    )
    for number in range(4):
        for each in (ours, theirs):
            randomly(each, number)
        set_rates(optimizer, 1 - number / 4)
        for group, peak in zip(sgd.param_groups, (106.0, 1340.0), strict=True):
            group["lr"] = peak * (1 - number / 4)
        optimizer.step(), sgd.step()
    for name in ("convolution.bias", "head.bias", "head.weight"):
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name)), name
    assert not torch.equal(ours.convolution.weight, theirs.convolution.weight)


def test_a_direction_that_is_written_into_the_gradients_layout_gives_the_bits_of_one_that_replaces_the_gradient(monkeypatch):
    """As it was until 2026-11; on CUDA, torch's fused step refused that gradient. See `rewritten.toml`."""

    class Replacing(Muon):
        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for filters in group["params"] if "filter_momentum" in group else ():
                    filters.mul_(len(filters) ** 0.5 / filters.norm())
                    filters.grad = orthogonal(self._momentum(filters, group["filter_momentum"]).flatten(1)).view_as(filters)
            return torch.optim.SGD.step(self)

    recipe, results = training.load("airbench_muon", lr_bias=0.5, lr_head=0.01), []
    for kind in (Muon, Replacing):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(16, 5))
        module = module.to(memory_format=torch.channels_last)
        monkeypatch.setattr(sys.modules["poisonlib.training.optimizer"], "Muon", kind)
        optimizer = training.make_optimizer(recipe, module.parameters(), module[3].parameters())
        for number in range(4):
            optimizer.zero_grad()
            module(torch.randn(6, 3, 5, 5, generator=stream(number))).square().sum().backward()
            optimizer.step()
            assert all(p.grad.stride() == p.stride() for p in module.parameters()) or kind is Replacing
        results.append(module.state_dict())
    assert all(torch.equal(results[1][name], tensor) and tensor.isfinite().all() for name, tensor in results[0].items())


def test_filters_without_a_gradient_stay_and_others_have_the_norm_that_they_are_given():
    module = Small()
    optimizer = training.make_optimizer(training.load("airbench_muon"), module.parameters(), module.head.parameters())
    before = module.unused.weight.clone()
    randomly(module, 0, but=("unused.weight",))
    set_rates(optimizer, 1e-12)
    optimizer.step()
    assert torch.equal(module.unused.weight, before)
    assert module.convolution.weight.norm().item() == pytest.approx(6**0.5, rel=1e-6)


def test_muon_moves_filters_by_its_rate_whatever_the_scale_of_gradients():
    steps_made = []
    for scale in (1e-3, 1.0, 1e5):
        torch.manual_seed(0)
        module = Small()
        optimizer = training.make_optimizer(training.load("airbench_muon"), module.parameters(), module.head.parameters())
        for number in range(2):
            randomly(module, number)
            module.convolution.weight.grad.mul_(scale)
            optimizer.step()
        steps_made.append(module.convolution.weight.detach())
    torch.testing.assert_close(steps_made[0], steps_made[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(steps_made[1], steps_made[2], rtol=1e-4, atol=1e-5)


# Groups


def grouped(optimizer, network):
    names = {id(p): name for name, p in network.named_parameters()}
    return [{names[id(p)] for p in group["params"]} for group in optimizer.param_groups]


@pytest.mark.parametrize("name", ["airbench_muon", "airbench_sgd"])
def test_groups_hold_every_trained_parameter_once_and_decay_alike(train, name):
    recipe, network = training.load(name), training.initialise(NET, train, 0)
    optimizer = training.make_optimizer(recipe, network.parameters(), network.head.parameters())
    filters, biases, heads = grouped(optimizer, network)
    trained = {key: p for key, p in network.named_parameters() if p.requires_grad}
    assert filters | biases | heads == set(trained) and len(filters) + len(biases) + len(heads) == len(trained)
    assert heads == {"head.weight"}
    assert [{trained[key].ndim for key in group} for group in (filters, biases)] == [{4}, {1}]
    assert [group["peak"] for group in optimizer.param_groups] == [recipe.lr, recipe.lr_bias, recipe.lr_head]
    decays = [group["peak"] * group["weight_decay"] for group in optimizer.param_groups]
    whole = recipe.lr * recipe.weight_decay
    assert decays == pytest.approx([0.0 if name == "airbench_muon" else whole, whole, whole])
    assert isinstance(optimizer, Muon) == (name == "airbench_muon")


def test_other_recipes_have_one_group_with_the_recipes_own_numbers():
    module = Small()
    for recipe in (Recipe(), training.load("benchmark_a")):
        (group,) = training.make_optimizer(recipe, module.parameters(), module.head.parameters()).param_groups
        assert (group["lr"], group["weight_decay"], len(group["params"])) == (recipe.lr, recipe.weight_decay, 5)


def test_one_rate_of_its_own_leaves_the_others_at_lr():
    module = Small()
    optimizer = training.make_optimizer(Recipe(lr_bias=3.0), module.parameters(), module.head.parameters())
    assert [group["peak"] for group in optimizer.param_groups] == [0.1, 3.0, 0.1]


def test_a_parameter_without_dimensions_is_trained():
    module = Small()
    module.scale = nn.Parameter(torch.tensor(1.0))
    optimizer = training.make_optimizer(training.load("airbench_muon"), module.parameters(), module.head.parameters())
    assert "scale" in set().union(*grouped(optimizer, module))


def test_a_network_with_nothing_to_train_is_refused():
    module = Small().requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        training.make_optimizer(training.load("quick"), module.parameters())


# Rates


def torchs(scheduler_of, recipe, steps_per_epoch):
    """The rate of each step by torch's own scheduler."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = scheduler_of(optimizer), []
    for _ in range(recipe.epochs * steps_per_epoch):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step(), scheduler.step()
    return rates


@pytest.mark.parametrize(("warmup", "start", "end"), [(0.25, 0.2, 0.07), (0.0, 1.0, 0.0), (0.5, 0.0, 1.0)])
def test_linear_rates_are_torchs(warmup, start, end):
    recipe = Recipe(epochs=4, schedule="linear", warmup=warmup, start_factor=start, end_factor=end)
    rise, whole = int(warmup * 40), 40

    def scheduler(optimizer):
        fall = LinearLR(optimizer, 1.0, end, whole - rise)
        if not rise:
            return fall
        return SequentialLR(optimizer, [LinearLR(optimizer, start or 1e-12, 1.0, rise), fall], [rise])

    assert [recipe.factor(step, 10) for step in range(whole)] == pytest.approx(torchs(scheduler, recipe, 10), abs=1e-9)


def test_a_warm_up_of_a_part_of_a_step_has_its_peak_between_two_steps():
    recipe = Recipe(epochs=1, schedule="linear", warmup=0.23, start_factor=0.2, end_factor=0.07)
    found = [recipe.factor(step, 10) for step in range(11)]
    assert found[0] == 0.2 and found[10] == pytest.approx(0.07) and max(found) < 1
    assert found[2] == pytest.approx(0.2 + 0.8 * 2 / 2.3) and found[3] == pytest.approx(1 - 0.93 * 0.7 / 7.7)


def test_rates_by_milestones_are_torchs():
    recipe = Recipe(epochs=9, milestones=(2, 5, 5, 8), gamma=0.3)
    steps_per_epoch = 4

    def scheduler(optimizer):
        return MultiStepLR(optimizer, [milestone * steps_per_epoch for milestone in recipe.milestones], 0.3)

    found = [recipe.factor(step, steps_per_epoch) for step in range(36)]
    assert found == pytest.approx(torchs(scheduler, recipe, steps_per_epoch))


def test_rates_that_are_tensors_are_filled_in_place_and_train_alike():
    """A captured step reads the very tensors; here they are on the CPU, with torch's fused SGD."""
    recipe, results = training.load("airbench_muon", lr_bias=0.5, lr_head=2.0), []
    for tensors in (False, True):
        torch.manual_seed(0)
        module = Small()
        optimizer = training.make_optimizer(recipe, module.parameters(), module.head.parameters())
        if tensors:
            groups = [{**group, "lr": torch.tensor(group["lr"])} for group in optimizer.param_groups]
            optimizer = Muon(groups, momentum=recipe.momentum, nesterov=True, fused=True)
        rates = [group["lr"] for group in optimizer.param_groups]
        for number in range(3):
            randomly(module, number)
            set_rates(optimizer, 1 - number / 3)
            optimizer.step()
        assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True)) == tensors
        assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.08, 0.5 / 3, 2 / 3])
        results.append(module.state_dict())
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=1e-5, atol=1e-6, msg=name)


# Lookahead


def test_lookahead_is_the_public_rule_on_every_floating_tensor():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    names = [name for name, t in network.state_dict().items() if t.is_floating_point()]
    slow = {name: network.state_dict()[name].clone().double() for name in names}
    lookahead, moves = Lookahead(network, 3, 8), 0
    for step in range(8):
        with torch.no_grad():
            for i, name in enumerate(names):
                network.state_dict()[name].add_(torch.randn(slow[name].shape, generator=stream(step, i)))
            network[1].num_batches_tracked += 1
        before = {name: network.state_dict()[name].clone() for name in names}
        lookahead.after(step)
        if step in (2, 5):
            keep = 0.95**5 * ((step + 1) / 8) ** 3
            slow = {name: keep * t + (1 - keep) * before[name].double() for name, t in slow.items()}
        expected = slow if step in (2, 5, 7) else {name: t.double() for name, t in before.items()}
        moves += step in (2, 5, 7)
        for name in names:
            torch.testing.assert_close(network.state_dict()[name].double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)
    assert moves == 3 and network[1].num_batches_tracked == 8


def test_without_lookahead_nothing_is_kept_and_nothing_changes():
    network = nn.Linear(2, 2)
    lookahead, before = Lookahead(network, 0, 1), network.weight.clone()
    lookahead.after(0)
    assert torch.equal(network.weight, before) and not lookahead.slow


# Label smoothing and ghost batches


def gradients(network):
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def one_update(train, network, recipe, at):
    """The loss of one batch; gradients stay in ``network``, whose weights do not move as rates are zero."""
    optimizer = training.make_optimizer(recipe, network.parameters(), network.head.parameters())
    set_rates(optimizer, 0.0)
    update = _update(network, Pixels(train), recipe, optimizer, None, Numerics(), stream(0))
    parts = pipeline("none")
    return update(parts, Batch(at, parts.sample_params(len(at), train.shape, stream(0))))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("n", "sizes"), [(60, [20, 20, 20]), (30, [15, 15]), (50, [17, 17, 16]), (18, [18])])
def test_ghost_batches_have_statistics_of_their_own_and_the_gradient_of_their_mean(train, double, smoothing, n, sizes):
    network = training.initialise(NET, train, 0).double().train()
    slow, at = copy.deepcopy(network), torch.randperm(len(train), generator=stream(0))[:n]
    recipe = Recipe(batch_size=60, ghost_batch=20, label_smoothing=smoothing, nesterov=False)
    loss = one_update(train, network, recipe, at)
    losses = []
    for part in at.split(sizes):
        labels = torch.eye(10)[train.labels[part]]
        losses.append(smoothed(slow(train.images[part].float() / 255), labels, smoothing) * len(part) / n)
    sum(losses).backward()
    assert loss.item() == pytest.approx(sum(losses).item(), abs=1e-12)
    expected = gradients(slow)
    assert gradients(network).keys() == expected.keys()
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12, msg=name)
    for name, tensor in slow.named_buffers():
        torch.testing.assert_close(dict(network.named_buffers())[name], tensor, rtol=1e-12, atol=1e-12, msg=name)
    if len(sizes) > 1:
        whole = copy.deepcopy(slow)
        whole.zero_grad()
        F.cross_entropy(whole(train.images[at].float() / 255), train.labels[at]).backward()
        assert not torch.allclose(gradients(whole)["head.weight"], expected["head.weight"], rtol=1e-3, atol=1e-6)


def test_steps_that_need_a_whole_batch_are_refused_with_ghosts(train):
    recipe = dataclasses.replace(training.load("airbench_sgd"), epochs=1, batch_size=60, ghost_batch=20)
    with pytest.raises(ValueError, match="ghost_batch=20: noisy_sgd needs the gradient of a whole batch"):
        training.fit(training.initialise(NET, train, 0), train, recipe, seed=0, step=steps.load("noisy_sgd"))


# Descriptions


LATER = {
    "schedule": "linear",
    "warmup": 0.1,
    "start_factor": 0.5,
    "end_factor": 0.5,
    "lr_bias": 1.0,
    "lr_head": 1.0,
    "filter_momentum": 0.5,
    "label_smoothing": 0.1,
    "ghost_batch": 32,
    "lookahead": 5,
    "frozen_statistics": False,
}


def committed():
    """One committed record of each data set, network and attack."""
    found = {}
    for path in sorted((paths.root() / "outputs" / "reference" / "quick").rglob("*.json")):
        content = json.loads(path.read_text())
        if "spec" in content:
            found.setdefault(json.dumps({**content["spec"], "seed": 0, "defence": None}), (path, content))
    return list(found.values())


def test_values_that_came_later_leave_the_names_of_older_records():
    records = committed()
    assert len(records) > 2
    for path, content in records:
        trial = Trial.read(content["spec"])
        assert trial.key == content["key"] == path.stem
        assert not LATER.keys() & trial.describe()["recipe"].keys()
        for name, value in LATER.items():
            recipe = dataclasses.replace(Recipe(frozen=name == "frozen_statistics"), **{name: value})
            changed = dataclasses.replace(trial, recipe=recipe)
            assert changed.describe()["recipe"][name] == value and changed.key != content["key"]
            assert Trial.read(json.loads(json.dumps(changed.describe()))) == changed
    assert {field.name for field in dataclasses.fields(Recipe) if field.metadata.get("later")} == LATER.keys()


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "cosine"},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"label_smoothing": 1.0},
        {"start_factor": 1.5},
        {"end_factor": -1.0},
        {"lr_bias": 0.0},
        {"lr_head": -1.0},
        {"lookahead": -1},
        {"ghost_batch": 1},
        {"ghost_batch": 50},
    ],
)
def test_values_out_of_range_are_refused(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        Recipe(**values)


def test_a_filter_momentum_of_one_is_refused():
    with pytest.raises(ValueError, match="filter_momentum=1"):
        Recipe(filter_momentum=1.0)


# On a GPU


@cuda
@pytest.mark.parametrize("name", FAST)
def test_a_captured_step_follows_the_rates_of_each_step_bit_for_bit(train, name):
    there, bits = train.to("cuda"), []
    for graph in (False, True):
        numerics = Numerics(graph=graph)
        network = training.train(NET, there, training.load(name, **FAST[name]), seed=1, numerics=numerics)
        bits.append([tensor.cpu() for tensor in network.state_dict().values()])
    assert all(torch.equal(*pair) for pair in zip(*bits, strict=True))
