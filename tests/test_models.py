"""Every file of the room keeps the same promises; pinned parameter counts and slow oracles hold the single nets."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poisonlib import models
from poisonlib.models import alexnet, narrow_resnet

MEAN, STD = (0.49, 0.48, 0.45), (0.2, 0.19, 0.21)
NAMES = models.names()


def width_field(name):
    return next((f for f in dataclasses.fields(models.load(name)) if f.name == "width"), None)


def small(name, **numbers):
    """The architecture at a width that a test can afford."""
    field = width_field(name)
    return models.load(
        name, **({"width": type(field.default)(4) if type(field.default) is int else 0.25} if field else {}), **numbers
    )


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
    """A network in eval mode whose BatchNorm holds the statistics of one batch, as training would leave it."""
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
        ("resnet18", 10, 32, 11_173_962),
        ("resnet18(width=32)", 10, 32, 2_797_610),
        ("resnet18_group", 10, 32, 11_173_962),
        ("resnet34", 10, 32, 21_282_122),
        ("resnet34(stem='tiny')", 200, 64, 21_387_272),
        ("narrow_resnet", 10, 32, 464_154),
        ("vgg11", 10, 32, 9_231_114),
        ("vgg16", 10, 32, 14_728_266),
        ("vgg16", 200, 64, 14_825_736),
        ("mobilenet_v2", 10, 32, 2_296_922),
        ("mobilenet_v2", 200, 64, 2_540_312),
        ("alexnet", 10, 32, 1_756_426),
        ("htbd_alexnet", 10, 32, 20_126_538),
        ("resnet18_imagenet", 1000, 224, 11_689_512),
        ("conv16", 10, 32, 146_122),
    ],
)
def test_parameter_counts(choice, classes, side, count):
    assert sum(p.numel() for p in outline(models.load(choice), classes, side=side).parameters()) == count


@pytest.mark.parametrize(("choice", "count"), [("conv16", 47_530), ("resnet8", 19_810)])
def test_parameter_counts_on_small_grey_images(choice, count):
    assert sum(p.numel() for p in outline(models.load(choice), channels=1, side=16).parameters()) == count


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_forward_is_head_of_features(name, channels):
    model = small(name)
    network, x = settled(model, classes=7, channels=channels), images(model, channels=channels)
    features = network.features(x)
    assert isinstance(network.head, nn.Linear)
    assert features.shape == (3, network.head.in_features)
    assert network(x).shape == (3, 7)
    assert torch.equal(network(x), network.head(features))
    assert network(x).std(0).min() > 1e-5, "images are not told apart"


@pytest.mark.parametrize("name", NAMES)
def test_oblong_and_larger_images(name):
    model = small(name)
    network = model.build(10, (3, model.smallest + 9, model.smallest + 32), MEAN, STD).eval()
    assert network(torch.rand(2, 3, model.smallest + 9, model.smallest + 32)).shape == (2, 10)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes(name):
    first, again, other = (build(small(name), seed=seed).state_dict() for seed in (3, 3, 4))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert not {"mean", "std"} & set(first)


@pytest.mark.parametrize("name", [n for n in NAMES if width_field(n)])
def test_width_scales_every_convolution(name):
    def channels(width):
        convolutions = [m for m in outline(models.load(name, width=width)).modules() if isinstance(m, nn.Conv2d)]
        return torch.tensor([m.out_channels for m in convolutions])

    base = 4 if type(width_field(name).default) is int else 1.0
    assert torch.equal(channels(2 * base), 2 * channels(base))


@pytest.mark.parametrize("width", [0, -4])
@pytest.mark.parametrize("name", [n for n in NAMES if width_field(n)])
def test_width_out_of_range(name, width):
    width = type(width_field(name).default)(width)
    with pytest.raises(ValueError, match=f"width.*not {width}"):
        models.load(name, width=width)


@pytest.mark.parametrize("name", NAMES)
def test_too_small_images_are_refused(name):
    model = small(name)
    side = model.smallest - 1
    with pytest.raises(ValueError, match=f"{name} .*not {side} x 64"):
        model.build(10, (3, side, 64), MEAN, STD)
    assert build(model, side=model.smallest).eval()(images(model, side=model.smallest)).isfinite().all()


@pytest.mark.parametrize(("mean", "std"), [(MEAN[:1], STD), (MEAN, STD[:1]), (MEAN, (0.2, 0.0, 0.2))])
def test_mean_and_deviation_fit_the_channels(mean, std):
    with pytest.raises(ValueError, match="3 channels need"):
        models.load("conv16").build(10, (3, 16, 16), mean, std)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_see_its_batch_mates(name):
    model = small(name)
    network, x = settled(model).double(), images(model).double()
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_is_inside(name):
    inside, raw = settled(small(name)), build(small(name, normalise=False))
    raw.load_state_dict(inside.state_dict())
    raw.eval()
    x = images(small(name), 2)
    mean, std = (torch.tensor(numbers)[None, :, None, None] for numbers in (MEAN, STD))
    torch.testing.assert_close(inside(x), raw((x - mean) / std))
    assert not torch.allclose(inside(x), raw(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_two_gradients_deep(name):
    """A weight gradient differentiated in x, as gradient matching needs it, agrees with a difference quotient."""
    model = small(name)
    network = settled(model).double()
    x = images(model, 2).double().requires_grad_()
    weights, y = list(network.parameters()), torch.tensor([1, 2])

    def slope(x):
        """How steep the loss is along all weights."""
        return sum(g.square().sum() for g in torch.autograd.grad(F.cross_entropy(network(x), y), weights, create_graph=True))

    (gradient,) = torch.autograd.grad(slope(x), x)
    assert gradient.abs().amax((1, 2, 3)).min() > 0
    step = 1e-7 * gradient / gradient.norm()
    quotient = (slope(x + step) - slope(x - step)) / 2e-7
    torch.testing.assert_close(quotient, gradient.norm(), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("name", "stem"), [("resnet18", "cifar"), ("resnet34", "tiny")])
def test_resnets_equal_torchvision(name, stem):
    import torchvision

    network = settled(models.load(name, stem=stem, normalise=False))
    with torch.device("meta"):
        oracle = getattr(torchvision.models, name)(num_classes=10).eval()
        if stem == "cifar":
            oracle.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    oracle.maxpool = nn.Identity()
    ours = network.state_dict()
    oracle.load_state_dict(dict(zip(oracle.state_dict(), ours.values(), strict=True)), assign=True)
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x), oracle(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "groups"), [(64, 16), (24, 8), (4, 4)])
def test_group_norm_takes_the_place_of_batch_norm_and_nothing_else_changes(width, groups):
    plain, group = (build(models.load(name, width=width)) for name in ("resnet18", "resnet18_group"))
    weights = dict(group.named_parameters())
    assert all(torch.equal(p, weights.pop(name)) for name, p in plain.named_parameters()) and not weights
    layers = [module for module in group.modules() if isinstance(module, nn.GroupNorm)]
    assert {layer.num_groups for layer in layers} == {groups}
    assert len(layers) == sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules()) == 20


def test_group_norm_resnet_equals_torchvision_and_no_image_sees_another():
    import torchvision

    network = build(models.load("resnet18_group", normalise=False))
    for p in network.parameters():
        p.data += 0.01 * torch.randn(p.shape)
    with torch.device("meta"):
        oracle = torchvision.models.resnet18(num_classes=10, norm_layer=lambda channels: nn.GroupNorm(16, channels))
        oracle.conv1, oracle.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    oracle.load_state_dict(dict(zip(oracle.state_dict(), network.state_dict().values(), strict=True)), assign=True)
    x = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(x), oracle(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


def test_resnet_starts_from_fan_out():
    weight = build(models.load("resnet18")).body.stages[3][0].conv1.weight  # 256 -> 512, so fan in and fan out differ
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_narrow_resnet_starts_from_fan_in():
    network = build(models.load("narrow_resnet"))
    assert network.body.stages[2][0].conv1.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.03)
    assert network.head.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_shortcut_without_parameters():
    x = torch.rand(2, 4, 6, 6)
    slow = torch.zeros(2, 8, 3, 3)
    for i in range(3):
        for j in range(3):
            slow[:, 2:6, i, j] = x[:, :, 2 * i, 2 * j]
    assert torch.equal(narrow_resnet.Pad(4, 8, 2)(x), slow)


def test_local_response_norm():
    x = 30 * torch.rand(2, 12, 3, 3)
    slow = torch.empty_like(x)
    for c in range(12):
        neighbours = x[:, max(0, c - 4) : c + 5].square().sum(1)
        slow[:, c] = x[:, c] / (1 + 0.001 / 9 * neighbours) ** 0.75
    torch.testing.assert_close(alexnet.Norm()(x), slow)
    assert (slow / x).min() < 0.9, "the norm must matter here"


def test_vgg_pools_once_more_on_large_images():
    network = settled(models.load("vgg16", width=4), side=64)
    x = images(models.load("vgg16"), side=64)
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


def test_dropout_is_silent_in_eval_mode_only():
    model = small("htbd_alexnet")
    network, x = build(model), images(model)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize(("choice", "message"), [("narrow_resnet(depth=30)", "not 30"), ("resnet18(stem='x')", "cifar, tiny")])
def test_other_numbers_out_of_range(choice, message):
    with pytest.raises(ValueError, match=message):
        models.load(choice)


@pytest.mark.parametrize("width", [float("nan"), float("inf")])
def test_multiplier_is_finite(width):
    with pytest.raises(ValueError, match=f"not {width}"):
        models.load("mobilenet_v2", width=width)


def test_trained_weights(tmp_path, monkeypatch):
    import torchvision

    monkeypatch.delenv("POISONLIB_DOWNLOAD", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = models.load("resnet18_imagenet", pretrained=True)
    with pytest.raises(FileNotFoundError, match="POISONLIB_DOWNLOAD=1"):
        build(model)
    (tmp_path / "checkpoints").mkdir()
    oracle = torchvision.models.resnet18().eval()
    torch.save(oracle.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    x = images(model, 2)
    trained = build(dataclasses.replace(model, normalise=False), 1000).eval()
    torch.testing.assert_close(trained(x), oracle(x))
    other = build(dataclasses.replace(model, normalise=False), 10).eval()
    assert torch.equal(other.features(x), trained.features(x))
    with pytest.raises(ValueError, match="3 channels, not 1"):
        build(model, channels=1)
