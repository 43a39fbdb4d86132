"""The training loop against a slow, obvious one; recipes; evaluation; what may change bits and what may not."""

import copy
import dataclasses
import subprocess

import pytest
import torch
from torch.nn import functional as F

from poisonlib import data, experiments, models, steps, training
from poisonlib.augment import Pipeline, pipeline
from poisonlib.rng import stream
from poisonlib.training import Numerics, Recipe

from .warm import FRESH

SHORT = Recipe(epochs=2, batch_size=32, lr=0.05, milestones=(1,), augment="flip + crop(pad=2)")
NET = models.load("cifar_resnet", depth=8, width=4, shortcut="projection")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def train():
    return data.load("digits", "train", limit=150)


PLAIN = Numerics()


def trained(train, seed=0, recipe=SHORT, augment=Pipeline(), numerics=PLAIN):
    with training.settings(numerics):
        network = training.initialise(NET, train, seed)
        losses = training.fit(network, train, recipe, seed=seed, augment=augment, numerics=numerics)
    return network, losses


def bytes_of(network):
    return b"".join(tensor.detach().cpu().contiguous().numpy().tobytes() for tensor in network.state_dict().values())


def slowly(train, seed, recipe, augment):
    """The same training, one batch at a time, sampled as it goes, with the optimizer's update written out."""
    network = training.initialise(NET, train, seed).to(memory_format=torch.channels_last)
    order, sampling = stream(seed, "order"), stream(seed, "augmentation")
    parts = pipeline(recipe.augment) + augment
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    for epoch in range(recipe.epochs):
        lr = recipe.lr * recipe.gamma ** len([m for m in recipe.milestones if epoch >= m])
        network.train()
        positions = torch.randperm(len(train), generator=order)
        batches = [b for b in positions.split(recipe.batch_size) if len(b) >= 16]
        for batch, params in [(b, parts.sample_params(len(b), train.shape, sampling)) for b in batches]:
            x, y = train.images[batch] / 255, F.one_hot(train.labels[batch], len(train.classes)).float()
            x, y = parts.apply(x, y, params)
            loss = -(y * network(x.contiguous(memory_format=torch.channels_last)).log_softmax(1)).sum(1).mean()
            grads = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for p, g, v in zip(network.parameters(), grads, velocity, strict=True):
                    g = g + recipe.weight_decay * p
                    v.mul_(recipe.momentum).add_(g)
                    p.sub_(lr * (g + recipe.momentum * v if recipe.nesterov else v))
    return network


@pytest.mark.parametrize("defence", ["none", "mixup(k=3)", "cutmix"])
def test_the_loop_is_the_slow_loop(train, defence):
    fast, _ = trained(train, 5, augment=pipeline(defence))
    with training.settings(Numerics()):
        slow = slowly(train, 5, SHORT, pipeline(defence))
    for name, tensor in fast.state_dict().items():
        torch.testing.assert_close(tensor.float(), slow.state_dict()[name].float(), rtol=2e-3, atol=2e-4, msg=name)


def test_same_seed_same_bytes_other_seed_other_bytes(train):
    first, losses = trained(train)
    torch.manual_seed(999), torch.rand(3)  # the global generator is not used
    again, same = trained(train)
    other, _ = trained(train, seed=1)
    assert bytes_of(first) == bytes_of(again) != bytes_of(other)
    assert torch.equal(losses, same)


def test_bytes_do_not_depend_on_the_threads_that_the_caller_had(train):
    one = bytes_of(trained(train)[0])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert bytes_of(trained(train)[0]) == one
        assert torch.get_num_threads() == 2, "settings are restored"
    finally:
        torch.set_num_threads(before)


def test_dropout_has_its_own_stream_whatever_was_drawn_before():
    images = data.load("digits", "train", size=32, channels=3, limit=40)
    weights = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        network = training.initialise(models.load("htbd_alexnet", width=2), images, 0)
        training.fit(network, images, dataclasses.replace(SHORT, epochs=1), seed=0)
        weights.append(bytes_of(network))
        assert torch.initial_seed() == noise, "the caller's generator is left as it was"
    assert weights[0] == weights[1]


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_training_that_diverges_raises_at_once(train, epochs):
    network = training.initialise(models.load("cifar_resnet", depth=8, width=2, shortcut="projection"), train, 0)
    with pytest.raises(FloatingPointError, match=r"diverged: the mean loss of epoch 0 .*lr=1e\+30"):
        training.fit(network, train, dataclasses.replace(SHORT, lr=1e30, epochs=epochs), seed=0)


@pytest.mark.parametrize("values", [{"momentum": 0.0}, {"momentum": 1.0}, {"weight_decay": -1e-4}])
def test_recipes_that_the_optimiser_would_refuse_are_refused_at_once(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        training.load("quick", **values)
    training.load("quick", momentum=0.0, nesterov=False)


@pytest.mark.parametrize("compiled", [False, True])
def test_settings_make_torch_deterministic_and_its_compiler_if_that_is_used(compiled, monkeypatch):
    from torch._inductor import config

    def state():
        return torch.get_deterministic_debug_mode(), config.deterministic

    if not hasattr(config, "deterministic"):
        pytest.skip("this version's compiler has no such setting")
    monkeypatch.setattr(config, "deterministic", False)
    torch.set_deterministic_debug_mode("warn")
    try:
        with training.settings(Numerics(compiled=compiled)):
            assert state() == (2, compiled)
        assert state() == (1, False), "settings are restored"
    finally:
        torch.set_deterministic_debug_mode("default")


def test_the_defence_changes_the_victim_and_the_training_set_stays_as_it_is(train):
    before = train.images.clone()
    assert bytes_of(trained(train)[0]) != bytes_of(trained(train, augment=pipeline("mixup"))[0])
    assert torch.equal(train.images, before)


def test_it_learns(train):
    network, losses = trained(train, recipe=dataclasses.replace(SHORT, epochs=20, lr=0.1, milestones=(16,), augment="none"))
    correct, total = training.count_correct(network, train).sum(0).tolist()
    assert correct / total > 0.9
    assert losses[-1] < losses[0] / 2


def test_a_small_last_batch_is_dropped_and_a_larger_one_kept(train):
    from poisonlib.training.fit import _batches

    def sizes(batch_size):
        parts = training.batch_sizes(len(train), batch_size)
        return [len(each.at) for each in _batches(train, train.ids, parts, Pipeline(), 0, stream(0), stream(1))]

    assert sizes(70) == [70, 70]  # 10 left over
    assert sizes(65) == [65, 65, 20]
    assert sizes(150) == [150]


@pytest.mark.parametrize("batch_size", [2, 10, 16, 17, 50])
def test_batch_sizes_equal_a_count_image_by_image(train, batch_size):
    """A batch is full or the last; a small last batch is dropped unless it is the only one."""
    from poisonlib.training.fit import _batches

    for n in range(1, 121):
        batches, parts = [[]], train.take(torch.arange(n))
        for image in range(n):
            batches += [[]] if len(batches[-1]) == batch_size else []
            batches[-1].append(image)
        if len(batches) > 1 and len(batches[-1]) < min(16, batch_size):
            batches.pop()
        sizes = training.batch_sizes(n, batch_size)
        assert sizes == [len(each) for each in batches]
        found = [len(each.at) for each in _batches(parts, parts.ids, sizes, Pipeline(), 0, stream(0), stream(1))]
        assert found == [len(each) for each in batches]


@pytest.mark.parametrize(
    ("name", "epochs", "lrs"),
    [
        ("dp_instahide_a1", 80, {0: 0.1, 29: 0.1, 30: 0.01, 50: 1e-3, 70: 1e-4, 79: 1e-4}),
        ("dp_instahide_a2", 40, {13: 0.1, 14: 0.01, 24: 1e-3, 35: 1e-4}),
        ("benchmark_a", 200, {31: 1e-3, 32: 5e-4, 199: 1e-3 * 0.5**6}),
        ("benchmark_b", 200, {99: 0.01, 100: 1e-3, 150: 1e-4}),
        ("benchmark_c", 200, {99: 0.1, 150: 1e-3}),
        ("benchmark_d", 400, {199: 0.1, 200: 0.01, 300: 1e-3, 350: 1e-4}),
        ("benchmark_e", 100, {39: 0.1, 40: 0.01, 60: 1e-3}),
        ("benchmark_f", 100, {74: 0.1, 75: 0.01, 90: 1e-3}),
        ("benchmark_g", 40, {29: 0.01, 30: 1e-3}),
    ],
)
def test_recipes_are_the_papers(name, epochs, lrs):
    recipe = training.load(name)
    assert recipe.epochs == epochs and recipe.batch_size == 128
    for epoch, lr in lrs.items():
        for step in (0, 390):  # the first and the last of an epoch
            assert recipe.lr * recipe.factor(epoch * 391 + step, 391) == pytest.approx(lr)
    if name.startswith("benchmark"):
        assert recipe.weight_decay == 2e-4
        assert recipe.optimizer == "adam" or not recipe.nesterov
    for part in pipeline(recipe.augment).parts:
        assert part.sample_params(4, (3, 32, 32), stream(0))


def test_milestones_may_be_given_as_a_list_and_must_be_several():
    assert training.load("quick", milestones=[3, 5]) == training.load("quick", milestones=(3, 5))
    done = subprocess.run(
        [FRESH, "-c", "from poisonlib import training; training.load('quick', milestones=5)"], stderr=-1, text=True
    )
    assert done.stderr.endswith("ValueError: milestones=5: give the epochs as a tuple, such as (14, 24, 35)\n")


def test_shorter_recipes_scale_their_milestones_as_the_released_code_does():
    assert training.load("dp_instahide_a1", epochs=20).milestones == (7, 12, 17)
    assert training.load("dp_instahide_a1", epochs=20, milestones=(5,)).milestones == (5,)


@pytest.mark.parametrize(
    "values", [{"epochs": 0}, {"lr": -1.0}, {"optimizer": "rmsprop"}, {"milestones": (3, 1)}, {"batch_size": 1}]
)
def test_bad_recipes_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        Recipe(**values)


def test_unknown_names_list_the_choices():
    with pytest.raises(LookupError, match="dp_instahide_a1"):
        training.load("dp_instahide_a3")
    with pytest.raises(ValueError, match="fp16"):
        Numerics(precision="fp16")


def test_evaluation_is_counting(train):
    network, _ = trained(train)
    counts, slow = training.count_correct(network, train), torch.zeros(10, 2, dtype=torch.long)
    network.eval()
    for image, label in zip(train.images, train.labels, strict=True):
        slow[label, 1] += 1
        slow[label, 0] += int(network(image[None] / 255).argmax() == label)
    assert torch.equal(counts, slow)
    torch.testing.assert_close(network.head(training.features(network, train.images)), training.logits(network, train.images))


def test_evaluation_of_a_goal_equals_a_loop(train):
    network, _ = trained(train)
    test = data.load("digits", "test")
    goal = data.goal(test, test.ids[test.labels == 3][:7].tolist(), 8)
    found = training.evaluate(network, test, goal)
    with torch.no_grad():
        logits = torch.cat([network(image[None] / 255) for image in goal.images])
    assert (found.hits, found.targets) == (sum(int(row.argmax()) == 8 for row in logits), 7)
    assert found.confidence == pytest.approx(logits.softmax(1)[:, 8].mean().item(), abs=1e-5)
    assert found.success == found.hits / 7
    assert found.clean == tuple(map(tuple, training.count_correct(network, test).tolist()))
    assert found.accuracy == sum(correct for correct, _ in found.clean) / len(test)


def test_adam_recipes_run(train):
    recipe = dataclasses.replace(training.load("benchmark_a"), epochs=1, batch_size=50, augment="none")
    assert torch.isfinite(trained(train, recipe=recipe)[1]).all()


def test_bf16_changes_bits_and_the_other_layout_trains(train):
    assert bytes_of(trained(train)[0]) != bytes_of(trained(train, numerics=Numerics(precision="bf16"))[0])
    assert torch.isfinite(trained(train, numerics=Numerics(channels_last=False))[1]).all()


@pytest.mark.parametrize(
    ("bf16", "amx", "allowed", "precision"),
    [
        (True, False, None, "bf16"),
        (False, True, None, "bf16"),
        (False, False, None, "fp32"),
        (True, True, "AVX2", "fp32"),
        (True, True, "avx512_core_vnni", "fp32"),
        (True, False, "AVX512_CORE_BF16", "bf16"),
        (True, True, "avx512_core_amx", "bf16"),
        (True, False, "DEFAULT", "bf16"),
        (False, False, "AVX512_CORE_BF16", "fp32"),
    ],
)
def test_a_processor_takes_the_precision_that_its_hardware_has(monkeypatch, bf16, amx, allowed, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if allowed:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert Numerics.here("auto") == Numerics(precision)
    assert Numerics.here("tf32", channels_last=False) == Numerics("tf32", channels_last=False)


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_takes_bf16_where_it_is_not_emulated(monkeypatch, supported, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not supported)
    assert Numerics.here("auto").precision == precision


@pytest.mark.parametrize("hardware", [True, False])
def test_profiles_and_trials_state_the_precision_that_was_chosen(monkeypatch, hardware):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: hardware)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    precision = "bf16" if hardware else "fp32"
    fast = experiments.profile("backdoor", "fast")
    assert fast.numerics.precision == precision and fast.recipe == training.load("airbench_muon")
    (trial,) = experiments.grid("backdoor", "fast", attack="patch", trials=1)
    assert trial.describe()["numerics"]["precision"] == precision
    assert experiments.profile("backdoor", "quick").numerics.precision == "fp32"
    with pytest.raises(ValueError, match="precision='auto': choose one of"):
        Numerics("auto")


def test_graphs_are_refused_without_cuda(train):
    with pytest.raises(ValueError, match="CUDA graphs need a CUDA device"):
        trained(train, numerics=Numerics(graph=True))


# training.train


class Plain(torch.nn.Module):
    """A module that knows nothing of poisonlib, with BatchNorm."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, 2), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4 * 49, num_classes)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("model", [NET, "cifar_resnet(depth=8, width=4, shortcut='projection')"])
def test_train_is_initialise_and_fit(train, model):
    """With names or objects for its choices, whatever settings torch had before."""
    slow, _ = trained(train, 5, augment=pipeline("cutmix"))
    before = torch.get_deterministic_debug_mode()
    torch.manual_seed(12)
    network = training.train(model, train, SHORT, seed=5, augment="cutmix")
    assert bytes_of(network) == bytes_of(slow)
    assert not network.training
    assert torch.get_deterministic_debug_mode() == before


def test_train_takes_recipes_and_steps_by_name(train):
    named = training.train(NET, train, "quick", seed=1, step="noisy_sgd(noise=0.02)")
    given = training.train(NET, train, training.load("quick"), seed=1, step=steps.load("noisy_sgd", noise=0.02))
    assert bytes_of(named) == bytes_of(given) != bytes_of(training.train(NET, train, "quick", seed=1))


def test_train_goes_on_with_a_network_in_place(train):
    network = training.train(NET, train, SHORT, seed=0)
    begun = bytes_of(network)
    other = copy.deepcopy(network)
    assert training.train(network, train, SHORT, seed=1) is network
    with training.settings(PLAIN):
        training.fit(other, train, SHORT, seed=1)
    assert begun != bytes_of(network) == bytes_of(other)


def test_train_wraps_modules_and_their_classes(train):
    by_class = training.train(Plain, train, SHORT, seed=0)
    assert by_class.features(train.images[:2] / 255).shape == (2, 4 * 49)
    assert bytes_of(by_class) == bytes_of(training.train(models.from_module(Plain), train, SHORT, seed=0))
    module = Plain()
    weights = module.layers[3].weight.clone()
    by_module = training.train(module, train, SHORT, seed=0)
    assert by_module.module is module and not torch.equal(module.layers[3].weight, weights)
    assert training.logits(by_module, train.images[:3]).shape == (3, 10)


def test_train_calls_back_after_each_epoch(train):
    seen = []
    network = training.train(NET, train, SHORT, seed=0, after_epoch=lambda network: seen.append(bytes_of(network)))
    assert len(seen) == len(set(seen)) == SHORT.epochs and seen[-1] == bytes_of(network)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "resnt"}, LookupError, "resnet"),
        ({"model": 3}, TypeError, "does not derive from"),
        ({"recipe": "quikc"}, LookupError, "quick"),
        ({"augment": "mixpu"}, LookupError, "mixup"),
        ({"step": "dp"}, LookupError, "dp_sgd"),
        ({"recipe": dataclasses.replace(SHORT, lr=1e30)}, FloatingPointError, "diverged"),
    ],
)
def test_train_refuses_unknown_choices(train, change, error, words):
    with pytest.raises(error, match=words):
        training.train(**{"model": NET, "images": train, "recipe": SHORT, "seed": 0} | change)


# On a GPU


@cuda
def test_graph_and_eager_give_the_same_bits(train):
    there = train.to("cuda")
    eager, graph = (bytes_of(trained(there, augment=pipeline("cutmix"), numerics=Numerics(graph=g))[0]) for g in (False, True))
    assert eager == graph


@cuda
def test_images_that_stay_beside_the_device_train_the_same_network(train):
    there, beside = train.to("cuda"), train.beside("cuda")
    assert beside.images.device.type == "cpu" and torch.equal(beside.take(beside.labels == 3).images, there.of_class(3).images)
    assert bytes_of(trained(beside)[0]) == bytes_of(trained(there)[0])
    graph = Numerics(graph=True)
    assert bytes_of(trained(beside, numerics=graph)[0]) == bytes_of(trained(there, numerics=graph)[0])


@cuda
def test_nothing_in_a_step_waits_for_the_host(train):
    from poisonlib.training.fit import Pixels, _batches, _update

    there = train.to("cuda")
    parts = pipeline("flip + crop(pad=2) + cutmix")
    network = training.initialise(NET, there, 0).to(memory_format=torch.channels_last)
    optimizer = training.make_optimizer(SHORT, network.parameters())
    step = _update(network, Pixels(there), SHORT, optimizer, None, Numerics(), stream(0, device="cuda"))
    batches = list(_batches(there, there.ids.cpu(), [32] * 4, parts, 0, stream(0), stream(1)))
    step(parts, batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(parts, batches[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")
