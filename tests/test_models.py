"""Networks: what every architecture must do, pinned parameter counts, slow oracles for single layers, and modules of one's own."""

import dataclasses
import hashlib
import pickle
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poisonlib import data, experiments, filters, models, registry, training
from poisonlib.models import alexnet, cifar_resnet, resnet18_imagenet
from poisonlib.models._resnet import projection

from . import plain

MEAN, STD = (0.49, 0.48, 0.45), (0.2, 0.19, 0.21)
CHOICES = [
    "airbench",
    "alexnet",
    "cifar_resnet",
    "cifar_resnet(depth=8, shortcut='projection')",
    "convnet",
    "convnet_gap",
    "htbd_alexnet",
    "mobilenet_v2",
    "patch_mlp",
    "resnet(depth=10)",
    "resnet(depth=18)",
    "resnet(depth=18, norm='group')",
    "resnet(depth=34)",
    "resnet18_imagenet",
    "vgg(depth=11)",
    "vgg(depth=16)",
]


def width_type(choice):
    """The type of an architecture's width; None if it has none."""
    return type(getattr(models.load(choice), "width", None))


WIDE = [choice for choice in CHOICES if width_type(choice) in (int, float)]


def small(choice, **values):
    """The architecture at a width that a test can afford."""
    width = {int: {"width": 4}, float: {"width": 0.25}}.get(width_type(choice), {})
    return dataclasses.replace(models.load(choice), **width, **values)


def build(model, classes=10, channels=3, side=None, seed=0):
    torch.manual_seed(seed)
    side = side or max(16, model.smallest)
    return model.build(classes, (channels, side, side), MEAN[:channels], STD[:channels])


def images(model, n=3, channels=3, side=None):
    side = side or max(16, model.smallest)
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1))


def outline(model, classes=10, channels=3, side=None):
    """The network without values: only its modules and shapes."""
    with torch.device("meta"):
        return build(model, classes, channels, side)


def settled(model, **shape):
    """A network in eval mode whose BatchNorm has the statistics of one batch."""
    network = build(model, **shape)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images(model, 8, **{k: v for k, v in shape.items() if k in ("channels", "side")}))
    return network.eval()


@pytest.mark.parametrize(
    ("choice", "classes", "side", "count"),
    [
        ("airbench", 10, 32, 1_972_792),
        ("airbench(width=48)", 10, 32, 1_113_336),
        ("resnet(depth=10)", 10, 32, 4_903_242),
        ("resnet(depth=18)", 10, 32, 11_173_962),
        ("resnet(depth=18, width=32)", 10, 32, 2_797_610),
        ("resnet(depth=18, norm='group')", 10, 32, 11_173_962),
        ("resnet(depth=34)", 10, 32, 21_282_122),
        ("resnet(depth=34, stem='tiny')", 200, 64, 21_387_272),
        ("cifar_resnet", 10, 32, 464_154),
        ("vgg(depth=11)", 10, 32, 9_231_114),
        ("vgg(depth=16)", 10, 32, 14_728_266),
        ("vgg(depth=16)", 200, 64, 14_825_736),
        ("mobilenet_v2", 10, 32, 2_296_922),
        ("mobilenet_v2", 200, 64, 2_540_312),
        ("alexnet", 10, 32, 1_756_426),
        ("htbd_alexnet", 10, 32, 20_126_538),
        ("resnet18_imagenet", 1000, 224, 11_689_512),
        ("convnet", 10, 32, 146_122),
    ],
)
def test_parameter_counts(choice, classes, side, count):
    assert sum(p.numel() for p in outline(models.load(choice), classes, side=side).parameters()) == count


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ("convnet", 47_530),
        ("patch_mlp", 34_026),
        ("cifar_resnet(depth=8, width=8, shortcut='projection')", 19_810),
    ],
)
def test_parameter_counts_on_small_grey_images(choice, count):
    assert sum(p.numel() for p in outline(models.load(choice), channels=1, side=16).parameters()) == count


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("choice", CHOICES)
def test_forward_is_head_of_features(choice, channels):
    model = small(choice)
    network, x = settled(model, classes=7, channels=channels), images(model, channels=channels)
    features = network.features(x)
    assert isinstance(network.head, nn.Linear)
    assert features.shape == (3, network.head.in_features)
    assert network(x).shape == (3, 7)
    assert torch.equal(network(x), network.head(features))
    assert network(x).std(0).min() > 1e-5, "images are not told apart"


@pytest.mark.parametrize("choice", CHOICES)
def test_oblong_and_larger_images(choice):
    model = small(choice)
    network = model.build(10, (3, model.smallest + 9, model.smallest + 32), MEAN, STD).eval()
    assert network(torch.rand(2, 3, model.smallest + 9, model.smallest + 32)).shape == (2, 10)


@pytest.mark.parametrize("choice", CHOICES)
def test_same_seed_same_bytes(choice):
    first, again, other = (build(small(choice), seed=seed).state_dict() for seed in (3, 3, 4))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert not {"mean", "std"} & set(first)


@pytest.mark.parametrize("choice", WIDE)
def test_width_scales_every_convolution_that_is_trained(choice):
    def channels(width):
        network = outline(dataclasses.replace(models.load(choice), width=width))
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.weight.requires_grad]
        return torch.tensor([m.out_channels for m in convolutions])

    base = 4 if width_type(choice) is int else 1.0
    assert torch.equal(channels(2 * base), 2 * channels(base))


@pytest.mark.parametrize("width", [0, -4])
@pytest.mark.parametrize("choice", WIDE)
def test_width_out_of_range(choice, width):
    width = width_type(choice)(width)
    with pytest.raises(ValueError, match=f"width={width}: choose a .*number"):
        dataclasses.replace(models.load(choice), width=width)


@pytest.mark.parametrize("choice", CHOICES)
def test_too_small_images_are_refused(choice):
    model = small(choice)
    side = model.smallest - 1
    with pytest.raises(ValueError, match=f"{registry.name_of(model)} .*not {side} x 64"):
        model.build(10, (3, side, 64), MEAN, STD)
    assert build(model, side=model.smallest).eval()(images(model, side=model.smallest)).isfinite().all()


@pytest.mark.parametrize(("mean", "std"), [(MEAN[:1], STD), (MEAN, STD[:1]), (MEAN, (0.2, 0.0, 0.2))])
def test_mean_and_deviation_fit_the_channels(mean, std):
    with pytest.raises(ValueError, match="3 channels need"):
        models.load("convnet").build(10, (3, 16, 16), mean, std)


@pytest.mark.parametrize("choice", CHOICES)
def test_logits_do_not_depend_on_the_other_images_of_the_batch(choice):
    model = small(choice)
    network, x = settled(model).double(), images(model).double()
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("choice", CHOICES)
def test_normalisation_is_inside(choice):
    inside, raw = settled(small(choice)), build(small(choice, normalise=False))
    raw.load_state_dict(inside.state_dict())
    raw.eval()
    x = images(small(choice), 2)
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(inside(x), raw((x - mean) / std))
    assert not torch.allclose(inside(x), raw(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("choice", CHOICES)
def test_two_gradients_deep(choice):
    """A weight gradient differentiated in x, as gradient matching needs it, agrees with a difference quotient."""
    model = small(choice)
    network = settled(model).double()
    x = images(model, 2).double().requires_grad_()
    weights, y = [p for p in network.parameters() if p.requires_grad], torch.tensor([1, 2])

    def slope(x):
        """How steep the loss is along all weights."""
        return sum(g.square().sum() for g in torch.autograd.grad(F.cross_entropy(network(x), y), weights, create_graph=True))

    (gradient,) = torch.autograd.grad(slope(x), x)
    assert gradient.abs().amax((1, 2, 3)).min() > 0
    step = 1e-7 * gradient / gradient.norm()
    quotient = (slope(x + step) - slope(x - step)) / 2e-7
    torch.testing.assert_close(quotient, gradient.norm(), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("depth", "stem"), [(18, "cifar"), (34, "tiny")])
def test_resnets_equal_torchvision(depth, stem):
    import torchvision

    network = settled(models.load("resnet", depth=depth, stem=stem, normalise=False))
    with torch.device("meta"):
        oracle = getattr(torchvision.models, f"resnet{depth}")(num_classes=10).eval()
        if stem == "cifar":
            oracle.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    oracle.maxpool = nn.Identity()
    ours = network.state_dict()
    oracle.load_state_dict(dict(zip(oracle.state_dict(), ours.values(), strict=True)), assign=True)
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x), oracle(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "groups"), [(64, 16), (24, 8), (4, 4)])
def test_group_norm_takes_the_place_of_batch_norm_and_nothing_else_changes(width, groups):
    plain, group = (build(models.load("resnet", depth=18, norm=norm, width=width)) for norm in ("batch", "group"))
    weights = dict(group.named_parameters())
    assert all(torch.equal(p, weights.pop(name)) for name, p in plain.named_parameters()) and not weights
    layers = [module for module in group.modules() if isinstance(module, nn.GroupNorm)]
    assert {layer.num_groups for layer in layers} == {groups}
    assert len(layers) == sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules()) == 20


def test_group_norm_resnet_equals_torchvision_and_images_are_independent():
    import torchvision

    network = build(models.load("resnet", depth=18, norm="group", normalise=False))
    for p in network.parameters():
        p.data += 0.01 * torch.randn(p.shape)
    with torch.device("meta"):
        oracle = torchvision.models.resnet18(num_classes=10, norm_layer=lambda channels: nn.GroupNorm(16, channels))
        oracle.conv1, oracle.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    oracle.load_state_dict(dict(zip(oracle.state_dict(), network.state_dict().values(), strict=True)), assign=True)
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x), oracle(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 8])
def test_a_narrow_projection_is_a_strided_convolution_also_where_onednn_overruns_its_memory(channels):
    """Without `Thinned` the process dies here, or soon after, on processors with AVX2 at most."""
    layer = projection(channels, 2 * channels, 2)[0].to(memory_format=torch.channels_last)
    plain = nn.Conv2d(channels, 2 * channels, 1, 2, bias=False).double()
    plain.weight.data = layer.weight.data.double()
    for _ in range(20):
        x = torch.rand(32, channels, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
        y = x.detach().double().contiguous().requires_grad_()
        ours, theirs = layer(x), plain(y)
        ours.square().sum().backward()
        theirs.square().sum().backward()
        torch.testing.assert_close(ours, theirs.float())
        torch.testing.assert_close(x.grad, y.grad.float())
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad.float(), rtol=1e-4, atol=1e-3)


def test_resnet_starts_from_fan_out():
    weight = build(models.load("resnet", depth=18)).body.stages[3][0].conv1.weight  # 256 -> 512, so fan in and fan out differ
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_cifar_resnet_starts_from_fan_in():
    network = build(models.load("cifar_resnet"))
    assert network.body.stages[2][0].conv1.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.03)
    assert network.head.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_shortcut_without_parameters():
    x = torch.rand(2, 4, 6, 6)
    slow = torch.zeros(2, 8, 3, 3)
    for i in range(3):
        for j in range(3):
            slow[:, 2:6, i, j] = x[:, :, 2 * i, 2 * j]
    assert torch.equal(cifar_resnet.Pad(4, 8, 2)(x), slow)


def test_local_response_norm():
    x = 30 * torch.rand(2, 12, 3, 3)
    slow = torch.empty_like(x)
    for c in range(12):
        neighbours = x[:, max(0, c - 4) : c + 5].square().sum(1)
        slow[:, c] = x[:, c] / (1 + 0.001 / 9 * neighbours) ** 0.75
    torch.testing.assert_close(alexnet.Norm()(x), slow)
    assert (slow / x).min() < 0.9, "the norm must matter here"


def test_vgg_pools_once_more_on_large_images():
    network = settled(models.load("vgg(depth=16)", width=4), side=64)
    x = images(models.load("vgg(depth=16)"), side=64)
    before = network.body[:-2]((x - network.mean) / network.std)
    assert before.shape[2:] == (2, 2)
    assert torch.equal(network.features(x), F.max_pool2d(before, 2).flatten(1))


def test_mobilenet_keeps_the_resolution_twice():
    body = build(small("mobilenet_v2"), side=32).body
    sides, x = [], torch.rand(2, 3, 32, 32)
    for layer in body[:-4]:
        x = layer(x)
        sides.append(x.shape[-1])
    assert sides == [32] * 5 + [16] * 3 + [8] * 7 + [4] * 4


def test_dropout_is_off_in_eval_mode_only():
    model = small("htbd_alexnet")
    network, x = build(model), images(model)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("cifar_resnet(depth=30)", r"depth=30: choose 8, 14, 20"),
        ("cifar_resnet(shortcut='x')", "shortcut='x': choose one of 'pad', 'projection'"),
        ("resnet(depth=20)", "depth=20: choose one of 10, 18, 34"),
        ("resnet(depth=18, stem='x')", "stem='x': choose one of 'cifar', 'tiny'"),
        ("resnet(depth=18, norm='x')", "norm='x': choose one of 'batch', 'group'"),
        ("vgg(depth=12)", "depth=12: choose one of 11, 13, 16, 19"),
        ("convnet(normalise=1)", "normalise=1: choose True or False"),
    ],
)
def test_other_values_out_of_range(choice, message):
    with pytest.raises(ValueError, match=message):
        models.load(choice)


@pytest.mark.parametrize("width", [float("nan"), float("inf")])
def test_multiplier_is_finite(width):
    with pytest.raises(ValueError, match=f"width={width}: choose a finite number"):
        models.load("mobilenet_v2", width=width)


def test_pretrained_weights(tmp_path, monkeypatch):
    import torchvision

    monkeypatch.delenv("POISONLIB_DOWNLOAD", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = models.load("resnet18_imagenet", pretrained=True)
    with pytest.raises(FileNotFoundError, match="POISONLIB_DOWNLOAD=1"):
        build(model)
    (tmp_path / "checkpoints").mkdir()
    oracle, file = torchvision.models.resnet18().eval(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    torch.save(oracle.state_dict(), file)
    monkeypatch.setattr(resnet18_imagenet, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    x = images(model, 2)
    trained = build(dataclasses.replace(model, normalise=False), 1000).eval()
    torch.testing.assert_close(trained(x), oracle(x))
    other = build(dataclasses.replace(model, normalise=False), 10).eval()
    assert torch.equal(other.features(x), trained.features(x))
    with pytest.raises(ValueError, match="3 channels, not 1"):
        build(model, channels=1)


class Planted:
    """Unpickling one of these runs code, here harmless."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_a_file_under_the_name_of_the_public_weights_is_neither_unpickled_nor_used(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("POISONLIB_DOWNLOAD", "1")  # what is there is not taken for a download that was checked
    file, trace = tmp_path / "checkpoints" / "resnet18-f37072fd.pth", tmp_path / "code was run"
    file.parent.mkdir()
    torch.save(Planted(trace), file)
    model = models.load("resnet18_imagenet", pretrained=True)
    with pytest.raises(ValueError, match=r"resnet18-f37072fd.pth is refused: its SHA-256 is .*, not f37072fd"):
        build(model)
    monkeypatch.setattr(resnet18_imagenet, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(pickle.UnpicklingError):
        build(model)
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists(), "the file does run code where it is unpickled"


# Names and descriptions


def test_every_architecture_of_the_package_is_tested_here():
    assert {registry.parse(choice)[0][0] for choice in CHOICES} == set(models.names()) - {"module"}


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_a_depth_must_be_given_and_is_always_shown(name):
    with pytest.raises(TypeError, match=rf"{name} needs a value for depth, as in {name}\(depth=\.\.\.\)"):
        models.load(name)
    depth = {"resnet": 18, "vgg": 11}[name]
    assert registry.label(models.load(name, depth=depth)) == f"{name}(depth={depth})"
    with pytest.raises(ValueError, match=r"depth='18': choose a whole number"):
        models.load(name, depth="18")


def test_only_imagenet_weights_are_public():
    assert models.load("resnet18_imagenet").with_pretrained_weights() == models.load("resnet18_imagenet", pretrained=True)
    assert models.load("resnet18_imagenet", pretrained=True).with_pretrained_weights(False) == models.load("resnet18_imagenet")
    assert models.load("convnet").with_pretrained_weights(False) == models.load("convnet")
    with pytest.raises(ValueError, match=r"no public weights for convnet\(width=4\); choose resnet18_imagenet"):
        models.load("convnet", width=4).with_pretrained_weights()


# Modules of one's own


class TwoLayers(nn.Module):
    """Two linear layers with BatchNorm between them, and an auxiliary layer that is not the last one in use."""

    def __init__(self, num_classes=10, pixels=64, width=8):
        super().__init__()
        self.first = nn.Linear(pixels, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.last(self.norm(self.first(x.flatten(1))).relu())


class Convolutional(nn.Module):
    """No linear layer: a 1 x 1 convolution gives the logits."""

    def __init__(self, classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        return self.classifier(self.body(x)).flatten(1)


def seven_logits(pixels=64):
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 7))


def no_module():
    return "not a module"


NOT_A_FACTORY = TwoLayers()


def wrapped(model, **shape):
    """A network from one's own module for grey images of 8 x 8 pixels, in eval mode with BatchNorm statistics of one batch."""
    return settled(model, channels=1, side=8, **shape)


def grey(n=5):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def normal(x):
    return (x - MEAN[0]) / STD[0]


class TestFromModule:
    def test_features_are_the_input_of_the_last_linear_layer(self):
        network, x = wrapped(models.from_module(TwoLayers)), grey()
        module = network.module
        by_hand = module.norm(module.first(normal(x).flatten(1))).relu()
        torch.testing.assert_close(network.features(x), by_hand)
        torch.testing.assert_close(network(x), module.last(by_hand))
        assert network.head is module.last
        assert not module.last._forward_pre_hooks, "no hook is left behind"

    @pytest.mark.parametrize(("layer", "module"), [("first", TwoLayers), ("norm", TwoLayers), ("classifier", Convolutional)])
    def test_features_are_the_input_of_a_named_layer(self, layer, module):
        network, x = wrapped(models.from_module(module, features=layer)), grey()
        inside = network.module
        by_hand = {
            "first": lambda x: x.flatten(1),
            "norm": lambda x: inside.first(x.flatten(1)),
            "classifier": lambda x: inside.body(x).flatten(1),
        }[layer](normal(x))
        torch.testing.assert_close(network.features(x), by_hand)
        assert network.head is inside.get_submodule(layer)

    def test_a_wrong_layer_is_named_with_the_choices(self):
        with pytest.raises(ValueError, match="features='lost': the module has no such layer; choose one of: first, norm, last"):
            wrapped(models.from_module(TwoLayers, features="lost"))

    def test_a_module_without_linear_layer_says_what_to_give(self):
        with pytest.raises(ValueError, match=r"Convolutional has no nn\.Linear; name the layer whose input are the features"):
            wrapped(models.from_module(Convolutional))

    def test_num_classes_is_passed_unless_given_or_unknown(self):
        assert wrapped(models.from_module(TwoLayers), classes=4)(grey()).shape == (5, 4)
        assert wrapped(models.from_module(TwoLayers, num_classes=6), classes=4)(grey()).shape == (5, 6)
        assert wrapped(models.from_module(seven_logits), classes=4)(grey()).shape == (5, 7)

    def test_arguments_and_normalisation(self):
        model = models.from_module(TwoLayers, width=3, normalise=False)
        network, x = wrapped(model), grey()
        assert network.features(x).shape == (5, 3)
        torch.testing.assert_close(network(x), network.module(x))
        assert registry.describe(model) == {
            "name": "module",
            "factory": f"{__name__}.TwoLayers",
            "arguments": (("width", 3),),
            "features": "",
            "normalise": False,
        }
        assert models.load(registry.describe(model)) == model

    def test_same_seed_same_bytes(self):
        first, again, other = (
            build(models.from_module(TwoLayers), channels=1, side=8, seed=seed).state_dict() for seed in (3, 3, 4)
        )
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["module.last.weight"], other["module.last.weight"])

    def test_a_factory_without_an_import_path_is_refused(self):
        class Local(nn.Module):
            pass

        for factory in (Local, lambda: nn.Flatten(), NOT_A_FACTORY):
            with pytest.raises(TypeError, match="at the top level of a module or notebook"):
                models.from_module(factory)

    def test_arguments_that_a_record_cannot_hold_are_refused(self):
        setup = "import torch; from poisonlib import models; from tests.test_models import TwoLayers"
        values = ("[1, 2]", "torch.nn.ReLU()", "torch.tensor(3)")
        for found in plain.errors(setup, [f"models.from_module(TwoLayers, width={value})" for value in values]):
            name, message = found
            assert name == "TypeError" and "arguments must be numbers, texts, True, False or None" in message

    def test_a_factory_that_returns_no_module_is_refused(self):
        with pytest.raises(TypeError, match=r"no_module returned str, not an nn\.Module"):
            wrapped(models.from_module(no_module))

    def test_it_trains_like_the_module_alone(self):
        """One epoch of plain SGD on the same batches, written out."""
        train = data.load("digits", size=8, limit=64)
        recipe = training.Recipe(epochs=1, batch_size=64, lr=0.1, milestones=(), momentum=0.0, nesterov=False, weight_decay=0.0)
        network = training.initialise(models.from_module(TwoLayers), train, 0)
        slow = training.initialise(models.from_module(TwoLayers), train, 0).module.train()
        training.fit(network, train, recipe, seed=0)
        loss = F.cross_entropy(slow((train.images / 255 - train.mean[0]) / train.std[0]), train.labels)
        loss.backward()
        for ours, theirs in zip(network.module.parameters(), slow.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad, rtol=1e-4, atol=1e-6)

    def test_frozen_training_moves_the_head_only(self):
        train = data.load("digits", size=8, limit=64)
        network = training.initialise(models.from_module(TwoLayers), train, 0)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        training.fit(network, train, training.Recipe(epochs=1, batch_size=32, milestones=(), frozen=True), seed=0)
        moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
        assert moved == {"module.last.weight", "module.last.bias"}
        assert [p.shape for p in network.below_head()] == [p.shape for name, p in network.named_parameters() if "last" not in name]


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))


def table(model, **parts):
    """Trials on a hundred digits of 8 x 8 pixels with a network of one's own."""
    recipe = training.load("quick", epochs=2, batch_size=50)
    parts = {"attack": "patch(poison_rate=1.0)", "data": "digits(size=8, limit=100)", "recipe": recipe} | parts
    return experiments.grid("backdoor", "quick", trials=1, model=model, **parts)


def test_spectral_signatures_run_on_the_features_of_a_module(outputs):
    (trial,) = table(models.from_module(TwoLayers), defence="spectral_signatures(expected=0.05)")
    (record,) = experiments.run([trial], workers=0)
    train = data.load(trial.data)
    with training.settings(trial.numerics):
        poisoned = train.with_poison(experiments.craft(trial)[0])
        victim = training.train(trial.model, poisoned, trial.recipe, seed=trial.seed)
        module = victim.module
        x = (poisoned.images / 255 - train.mean[0]) / train.std[0]
        features = module.norm(module.first(x.flatten(1))).relu()
    result = filters.load("spectral_signatures", expected=0.05).score(features.detach(), poisoned.labels)
    assert record.filter.removed == int((~result.keep).sum()) > 0
    assert "module(factory=" in registry.label(trial.model)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            lambda: models.from_module(seven_logits),
            r"the network maps 2 images to \(2, 7\); it must give logits of shape \(2, 10\)",
        ),
        (lambda: models.from_module(seven_logits, pixels=65), r"the network fails on images of shape \(2, 1, 8, 8\)"),
        (lambda: models.from_module(TwoLayers, features="lost"), "features='lost'"),
        (lambda: models.from_module(Convolutional), "name the layer"),
    ],
)
def test_a_module_that_does_not_fit_the_images_is_refused_before_any_training(outputs, monkeypatch, model, words):
    trials = table(model())
    monkeypatch.setattr(sys.modules["poisonlib.experiments.attempt"], "run_trial", None)
    with pytest.raises(ValueError, match=words):
        experiments.run(trials, workers=0)


class TwoHeads(nn.Module):
    """An auxiliary head is registered last, so the last linear layer is not the one that makes the logits."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.auxiliary = nn.Flatten(), nn.Linear(64, 10), nn.Linear(64, 2)

    def forward(self, x):
        features = self.body(x)
        self.auxiliary(features)
        return self.head(features)


def test_a_last_linear_layer_that_does_not_make_the_logits_must_be_named():
    images = torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"auxiliary, the last nn\.Linear, does not make the logits; name the layer"):
        models.Wrapped(TwoHeads(), "", (0.0,), (1.0,)).validate(images)
    models.Wrapped(TwoHeads(), "head", (0.0,), (1.0,)).validate(images)
