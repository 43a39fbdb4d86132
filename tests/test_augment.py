"""Augmentations: what each must do, and each against a slow loop over single images and pixels."""

import dataclasses
import io
import math
import re
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import stats
from torchvision.transforms.v2 import functional as TF

from poisonlib import augment, data, registry, rng, training
from poisonlib.augment import Augment, _box, _random
from poisonlib.tensors import quantise

from .warm import FRESH

N, SHAPE, CLASSES = 7, (3, 12, 10), 4
NOISY = ("laplace", "gaussian")
VARIED = [name for name in augment.names() if hasattr(augment.load(name), "variant")]


def batch(n=N, shape=SHAPE, dtype=torch.float32, seed=0):
    g = rng.stream(seed, "images")
    x = torch.rand(n, *shape, generator=g, dtype=dtype)
    y = F.one_hot(torch.randint(CLASSES, (n,), generator=g), CLASSES).to(dtype)
    return x, y


class Deterministic(Augment):
    """Draws nothing."""

    def sample_params(self, n, shape, generator):
        return {}


@dataclass(frozen=True)
class Grey(Deterministic):
    def apply(self, x, y, params, generator=None):
        return x.mean(1, keepdim=True).expand_as(x), y


@dataclass(frozen=True)
class Pixelate(Deterministic):
    def apply(self, x, y, params, generator=None):
        return F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), x.shape[-2:]), y


@dataclass(frozen=True)
class Jpeg(Deterministic):
    """Has no gradient: the encoder takes bytes."""

    quality: int = 50

    def apply(self, x, y, params, generator=None):
        return torch.stack([self._stored(image) for image in quantise(x.detach()).cpu()]).to(x) / 255, y

    def _stored(self, image):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "jpeg", quality=self.quality)
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


OWN = [Grey(), Pixelate(), Jpeg()]  # such as users write, which draw nothing


def choices():
    plain = [augment.load(name) for name in augment.names()] + [augment.load("maxup(inner='cutmix')")] + OWN
    return plain + [augment.load(name, variant="released") for name in VARIED]


def draws_nothing(choice):
    """Whether neither the parameters nor the noise of an augmentation are random."""
    before = rng.stream(0, "noise")
    choice.apply(*batch(), params := choice.sample_params(N, SHAPE, rng.stream(0, "draw")), noise := rng.stream(0, "noise"))
    return not params and torch.equal(before.get_state(), noise.get_state())


def run(choice, x, y, seed=0):
    params = choice.sample_params(len(x), tuple(x.shape[1:]), rng.stream(seed, "draw"))
    return choice.apply(x, y, params, rng.stream(seed, "noise"))


# What every augmentation must do


@pytest.mark.parametrize("choice", choices(), ids=registry.label)
class TestContract:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_shape_type_range_and_label_mass(self, choice, dtype):
        x, y = batch(dtype=dtype)
        for seed in range(10):
            new_x, new_y = run(choice, x, y, seed)
            assert (new_x.shape, new_x.dtype, new_y.shape, new_y.dtype) == (x.shape, dtype, y.shape, dtype)
            assert new_y.min() >= 0
            torch.testing.assert_close(new_y.sum(1), torch.ones(N, dtype=dtype), atol=1e-6, rtol=0)
            if registry.name_of(choice) not in NOISY:
                assert new_x.min() >= -1e-6
                assert new_x.max() <= 1 + 1e-6

    def test_inputs_are_untouched(self, choice):
        x, y = batch()
        params = choice.sample_params(N, SHAPE, rng.stream(0, "draw"))
        before = x.clone(), y.clone(), {k: v.clone() for k, v in params.items()}
        choice.apply(x, y, params, rng.stream(0, "noise"))
        assert torch.equal(x, before[0])
        assert torch.equal(y, before[1])
        assert all(torch.equal(params[k], before[2][k]) for k in params)

    def test_params_are_on_the_cpu_and_can_be_joined_and_split(self, choice):
        g = rng.stream(0, "draw")
        samples = [choice.sample_params(n, SHAPE, g) for n in (N, 5)]
        assert all(
            v.device.type == "cpu" and len(v) == n for params, n in zip(samples, (N, 5), strict=True) for v in params.values()
        )
        joined = {k: torch.cat([params[k] for params in samples]) for k in samples[0]}
        for i, n in enumerate((N, 5)):
            x, y = batch(n)
            part = {k: v.split((N, 5))[i] for k, v in joined.items()}
            results = [choice.apply(x, y, params, rng.stream(0, "noise")) for params in (samples[i], part)]
            assert torch.equal(results[0][0], results[1][0])
            assert torch.equal(results[0][1], results[1][1])

    def test_same_seed_same_bytes_and_another_seed_others_unless_it_draws_nothing(self, choice):
        x, y = batch()
        first = run(choice, x, y, 1)
        torch.rand(3)  # the global generator is not used
        again = run(choice, x, y, 1)
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        others = [run(choice, x, y, seed) for seed in range(2, 12)]
        assert any(not torch.equal(first[0], other[0]) for other in others) != draws_nothing(choice)

    def test_gradient_with_respect_to_the_images_is_the_true_one(self, choice):
        x, y = batch(4, (3, 3, 3), torch.float64)
        params = choice.sample_params(4, (3, 3, 3), rng.stream(3, "draw"))
        if not choice.apply(x.requires_grad_(), y, params, rng.stream(0, "noise"))[0].requires_grad:
            assert choice in OWN
            pytest.skip("it has no gradient; attacks that craft through it are refused by autograd")
        assert torch.autograd.gradcheck(lambda x: choice.apply(x, y, params, rng.stream(0, "noise"))[0], x.requires_grad_())

    def test_it_says_whether_images_are_made_of_others(self, choice):
        (x, y), reached = batch(), []
        other = torch.cat([torch.full_like(x[:1], 2.0), x[1:]])
        for seed in range(10):
            one, two = (run(choice, images, y, seed)[0] for images in (x, other))
            reached.append(bool((one != two)[1:].any()))
        assert any(reached) == choice.mixes

    def test_is_frozen_and_loads_again_from_its_description(self, choice):
        assert augment.load(registry.describe(choice)) == choice
        with pytest.raises(dataclasses.FrozenInstanceError):
            choice.anything = 1

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu_the_host_never_waits_and_the_result_is_that_of_the_cpu(self, choice):
        x, y = (t.cuda() for t in batch())
        x.requires_grad_()
        params = {k: v.cuda() for k, v in choice.sample_params(N, SHAPE, rng.stream(0, "draw")).items()}
        noise = rng.stream(0, "noise", device="cuda")
        choice.apply(x, y, params, noise)
        torch.cuda.synchronize()
        torch.use_deterministic_algorithms(True)
        torch.cuda.set_sync_debug_mode("error")
        try:
            new_x, new_y = choice.apply(x, y, params, noise)
            new_x.square().sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            torch.use_deterministic_algorithms(False)
        if registry.name_of(choice) not in NOISY:
            cpu_x, cpu_y = run(choice, *batch())
            torch.testing.assert_close(new_x.detach().cpu(), cpu_x, atol=1e-6, rtol=0)
            torch.testing.assert_close(new_y.cpu(), cpu_y, atol=1e-6, rtol=0)


WRONG = {
    "flip": {"probability": 1.5},
    "crop": {"pad": -1},
    "bilinear_crop": {"fill": (2.0,)},
    "mixup": {"alpha": 0.0},
    "cutmix": {"probability": -0.5},
    "cutout": {"share": float("nan")},
    "laplace": {"scale": -1.0},
    "gaussian": {"scale": float("nan")},
    "maxup": {"m": 0},
}


@pytest.mark.parametrize(("name", "values"), WRONG.items())
def test_a_wrong_value_is_named_with_what_is_allowed(name, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=.*choose"):
        augment.load(name, **values)


@pytest.mark.parametrize("name", VARIED)
def test_an_unknown_variant_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match=r"variant='fast'.*'paper', 'released'"):
        augment.load(name, variant="fast")


@pytest.mark.parametrize("name", ["bilinear_crop", "cutout"])
def test_a_colour_of_the_wrong_length_is_refused_when_the_image_is_known(name):
    with pytest.raises(ValueError, match="choose 1 level, or 3"):
        augment.load(name, fill=(0.1, 0.2)).sample_params(2, SHAPE, rng.stream(0))
    with pytest.raises(ValueError, match=r"fill=\(\): give a tuple with one level"):
        augment.load(name, fill=())


@pytest.mark.parametrize("call", ["cutout(fill=0.5)", "bilinear_crop(fill=0.0)", "crop(pad=1.5)"])
def test_a_value_of_the_wrong_kind_is_named(call):
    code = f"from poisonlib import augment; augment.load({call!r})"
    said = subprocess.run([FRESH, "-c", code], stderr=-1, text=True).stderr.splitlines()[-1]
    assert re.fullmatch(r"ValueError: (fill=0\.[05]: give a tuple with one level, .*|pad=1\.5: choose a whole number.*)", said), (
        said
    )


def test_a_shift_by_fractions_of_a_pixel_may_have_a_fraction_as_its_bound():
    crop = augment.load("bilinear_crop(pad=1.5)")
    shift = crop.sample_params(2000, SHAPE, rng.stream(0))["shift"]
    assert 1.4 < shift.abs().max() <= 1.5


# Flip and crops


def test_flip_is_torchvisions():
    x, y = batch()
    flip = augment.load("flip")
    params = flip.sample_params(N, SHAPE, rng.stream(1))
    assert params["flip"].any()
    assert not params["flip"].all()
    new_x, new_y = flip.apply(x, y, params)
    assert torch.equal(new_x, torch.stack([TF.horizontal_flip(i) if f else i for i, f in zip(x, params["flip"], strict=True)]))
    assert new_y is y


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, 0), (1.0, 1000), (0.5, 500)])
def test_flip_has_its_probability(probability, flipped):
    count = augment.load("flip", probability=probability).sample_params(1000, SHAPE, rng.stream(0))["flip"].sum()
    assert abs(count - flipped) <= 60 * (0 < probability < 1)


@pytest.mark.parametrize("pad", [0, 1, 4])
def test_crop_is_torchvisions(pad):
    x, y = batch(60)
    crop = augment.load("crop", pad=pad)
    params = crop.sample_params(60, SHAPE, rng.stream(0))
    assert params["corner"].amin(0).tolist() == [0, 0]
    assert params["corner"].amax(0).tolist() == [2 * pad, 2 * pad]
    slow = torch.stack([TF.crop(TF.pad(i, [pad]), *c, *SHAPE[1:]) for i, c in zip(x, params["corner"].tolist(), strict=True)])
    assert torch.equal(crop.apply(x, y, params)[0], slow)


def test_crop_differentiates_twice_and_within_vmap():
    x, y = batch(3, (1, 4, 4), torch.float64)
    crop = augment.load("crop", pad=1)
    params = crop.sample_params(3, (1, 4, 4), rng.stream(0))
    assert torch.autograd.gradgradcheck(lambda x: crop.apply(x, y, params)[0] ** 2, x.requires_grad_())
    many = torch.stack([x.detach(), 2 * x.detach()])
    grad = torch.func.vmap(torch.func.grad(lambda x: (crop.apply(x, y, params)[0] ** 2).sum()))(many)
    torch.testing.assert_close(grad[1], 2 * grad[0])


@pytest.mark.parametrize(("shape", "pad"), [((2, 7, 5), 2), ((3, 6, 6), 5), ((1, 4, 9), 3), ((3, 5, 5), 0)])
def test_a_crop_of_reflected_borders_is_that_of_torchs_padding(shape, pad):
    x, y = batch(40, shape, torch.float64)
    crop = augment.load("crop", pad=pad, border="reflect")
    params = crop.sample_params(40, shape, rng.stream(0))
    assert torch.equal(params["corner"], augment.load("crop", pad=pad).sample_params(40, shape, rng.stream(0))["corner"])

    def slowly(x):
        padded = F.pad(x, (pad,) * 4, "reflect") if pad else x
        return torch.stack([TF.crop(i, *c, *shape[1:]) for i, c in zip(padded, params["corner"].tolist(), strict=True)])

    x.requires_grad_()
    new_x, new_y = crop.apply(x, y, params)
    assert torch.equal(new_x, slowly(x)) and new_y is y
    weight = torch.rand(x.shape, generator=rng.stream(1), dtype=x.dtype)
    ours, theirs = (torch.autograd.grad((view * weight).sum(), x)[0] for view in (new_x, slowly(x)))
    torch.testing.assert_close(ours, theirs)


def test_a_crop_of_reflected_borders_differentiates_twice_and_within_vmap():
    x, y = batch(3, (1, 4, 5), torch.float64)
    crop = augment.load("crop", pad=3, border="reflect")
    params = crop.sample_params(3, (1, 4, 5), rng.stream(0))
    assert torch.autograd.gradgradcheck(lambda x: crop.apply(x, y, params)[0] ** 3, x.requires_grad_())
    many = torch.stack([x.detach(), 2 * x.detach()])
    grad = torch.func.vmap(torch.func.grad(lambda x: (crop.apply(x, y, params)[0] ** 2).sum()))(many)
    torch.testing.assert_close(grad[1], 2 * grad[0])


def test_a_border_wider_than_the_image_cannot_be_reflected():
    crop = augment.load("crop", pad=4, border="reflect")
    with pytest.raises(ValueError, match="pad=4: images of 9 x 4 pixels can be reflected by at most 3"):
        crop.sample_params(2, (3, 9, 4), rng.stream(0))
    crop.sample_params(2, (3, 9, 5), rng.stream(0))
    with pytest.raises(ValueError, match="border='mirror': choose one of 'black', 'reflect'"):
        augment.load("crop", border="mirror")


def test_a_black_border_is_not_named_so_that_older_records_keep_their_names():
    assert registry.describe(augment.load("crop", pad=2)) == {"name": "crop", "pad": 2}
    assert registry.describe(augment.load("crop", pad=2, border="reflect")) == {"name": "crop", "pad": 2, "border": "reflect"}


# Alternating flip


def flips(ids, epoch, seed=0, draws=0):
    generator = rng.stream(seed, "augmentation")
    torch.rand(draws, generator=generator)  # how far the stream is
    return augment.load("alternating_flip").sample_params(len(ids), SHAPE, generator, ids, epoch)["flip"]


def test_every_image_is_flipped_in_every_other_epoch_and_half_of_them_in_each():
    ids = torch.arange(4000) * 3 + 1
    first = flips(ids, 0)
    assert abs(first.float().mean() - 0.5) < 0.04
    for epoch in range(1, 5):
        assert torch.equal(flips(ids, epoch, draws=100 * epoch), first ^ bool(epoch % 2))


def test_a_coin_belongs_to_an_image_whatever_the_order_the_batch_and_the_subset():
    ids, coins = torch.arange(1000), flips(torch.arange(1000), 0)
    order = torch.randperm(1000, generator=rng.stream(1))
    assert torch.equal(flips(ids[order], 0), coins[order])
    for size in (1, 3, 15, 16, 17, 300):
        for part in order.split(size)[:5]:
            assert torch.equal(flips(part, 0, draws=size), coins[part])
    several = [flips(ids, 0, seed) for seed in range(4)]
    assert all(0.4 < (a ^ b).float().mean() < 0.6 for i, a in enumerate(several) for b in several[:i]), "another seed, other coins"


def test_a_coin_is_drawn_again_where_images_or_epochs_are_not_known():
    flip, generator = augment.load("alternating_flip"), rng.stream(0)
    drawn = [flip.sample_params(1000, SHAPE, generator)["flip"] for _ in range(2)]
    assert all(abs(each.float().mean() - 0.5) < 0.06 for each in drawn)
    assert 0.4 < (drawn[0] ^ drawn[1]).float().mean() < 0.6
    plain = augment.load("flip").sample_params(1000, SHAPE, rng.stream(0))["flip"]
    assert torch.equal(plain, drawn[0]), "the very draws of the random flip"


def test_alternating_flip_mirrors_like_flip():
    x, y = batch()
    params = {"flip": torch.arange(N) % 2 == 0}
    mine, plain = (augment.load(name).apply(x, y, params) for name in ("alternating_flip", "flip"))
    assert torch.equal(mine[0], plain[0]) and mine[1] is y


def test_a_pipeline_tells_ids_and_epoch_to_those_who_ask():
    """Batch by batch as in training, beside an augmentation that does not ask; without ids as in crafting."""
    ids, parts = torch.randperm(30, generator=rng.stream(2)), augment.pipeline("crop(pad=1) + alternating_flip")
    for epoch in range(2):
        batches = parts.sample_batches([12, 12, 6], SHAPE, rng.stream(0, "augmentation"), "cpu", ids, epoch)
        found = torch.cat([flip["flip"] for _, flip in batches])
        assert torch.equal(found, flips(ids, epoch))
    generator = rng.stream(0)
    (only,) = parts.sample_batches([30], SHAPE, rng.stream(0), "cpu")
    corner = augment.load("crop", pad=1).sample_params(30, SHAPE, generator)["corner"]
    assert torch.equal(only[0]["corner"], corner)
    assert torch.equal(only[1]["flip"], torch.rand(30, generator=generator) < 0.5)


def test_in_training_two_epochs_show_both_directions_of_each_image(monkeypatch):
    """Also where a filter has removed some, the others keep their coins."""
    images = data.load("digits", "train", limit=60)
    seen = {}

    def spy(self, x, y, params, generator=None):
        seen.setdefault(len(seen), (x, params["flip"]))
        return x, y

    monkeypatch.setattr(type(augment.load("alternating_flip")), "apply", spy)
    recipe = training.Recipe(epochs=2, batch_size=15, milestones=(), augment="alternating_flip")
    kept = torch.arange(60) % 4 != 0
    directions = []
    for train in (images, images.take(kept)):
        seen.clear()
        training.train("patch_mlp(side=2, width=4)", train, recipe, seed=0)
        by_image = [{}, {}]
        for number, (x, flip) in seen.items():
            epoch = 2 * number // len(seen)
            by_image[epoch] |= {image.numpy().tobytes(): bool(each) for image, each in zip(x, flip, strict=True)}
        assert by_image[0].keys() == by_image[1].keys() and len(by_image[0]) == len(train)
        assert all(by_image[0][image] != by_image[1][image] for image in by_image[0])
        directions.append(by_image[0])
    assert all(directions[0][image] == flip for image, flip in directions[1].items())


def grid_sample(x, shift, fill):
    """The shift as the public code makes it: a base grid of linspace(-1, 1), moved, sampled in the space where ``fill`` is zero."""
    _, _, h, w = x.shape
    across, down = torch.linspace(-1, 1, w, dtype=x.dtype), torch.linspace(-1, 1, h, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), 2).repeat(len(x), 1, 1, 1)
    grid = grid + (shift.to(x.dtype) * 2 / torch.tensor([w - 1, h - 1], dtype=x.dtype))[:, None, None]
    zero = torch.tensor(fill, dtype=x.dtype)[:, None, None]
    return F.grid_sample(x - zero, grid, mode="bilinear", padding_mode="zeros", align_corners=True) + zero


@pytest.mark.parametrize("fill", [(0.0,), (0.3,), (0.49, 0.48, 0.45)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_bilinear_crop_is_grid_sample(fill, dtype, tolerance):
    x, y = batch(dtype=dtype)
    crop = augment.load("bilinear_crop", fill=fill)
    params = crop.sample_params(N, SHAPE, rng.stream(0))
    new_x, new_y = crop.apply(x, y, params)
    torch.testing.assert_close(new_x, grid_sample(x, params["shift"], fill), atol=tolerance, rtol=0)
    assert new_y is y


def test_bilinear_crop_moves_as_far_as_the_public_code():
    """Its offsets are u * 2 * d, u ~ U(-.5, .5), d = linspace(0, 1, 32)[8], in units of half the distance between outer pixels."""
    shift = augment.load("bilinear_crop").sample_params(20_000, (3, 32, 32), rng.stream(0))["shift"]
    reach = torch.linspace(0, 1, 32)[8] * 31 / 2
    assert shift.abs().max() <= reach
    assert reach == 4
    assert stats.kstest(shift[:, 0] / reach, stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert stats.kstest(shift[:, 1] / reach, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_bilinear_crop_by_whole_pixels_is_the_crop():
    x, y = batch()
    corner = augment.load("crop").sample_params(N, SHAPE, rng.stream(0))["corner"]
    shift = (corner - 4).flip(1).float()
    whole = augment.load("bilinear_crop").apply(x, y, {"shift": shift})[0]
    torch.testing.assert_close(whole, augment.load("crop").apply(x, y, {"corner": corner})[0], atol=0, rtol=0)


# Mixup


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("alpha", [1.0, 0.2, None])
@pytest.mark.parametrize("k", [1, 2, 4, 7])
def test_mixup_is_the_mean_image_by_image(k, alpha, variant):
    x, y = batch()
    mixup = augment.load("mixup", k=k, alpha=alpha, variant=variant)
    params = mixup.sample_params(N, SHAPE, rng.stream(0))
    torch.testing.assert_close(params["weight"].sum(1), torch.ones(N), atol=1e-6, rtol=0)
    new_x, new_y = mixup.apply(x, y, params)
    for i in range(N):
        mix = list(zip(params["weight"][i], params["partner"][i], strict=True))
        torch.testing.assert_close(new_x[i], sum(w * x[j] for w, j in mix), atol=1e-6, rtol=0)
        torch.testing.assert_close(new_y[i], sum(w * y[j] for w, j in mix), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (7, 4), (7, 7), (128, 16)])
def test_mixup_partners_are_distinct_and_the_image_comes_first(n, k):
    partner = augment.load("mixup", k=k).sample_params(n, SHAPE, rng.stream(0))["partner"]
    assert torch.equal(partner[:, 0], torch.arange(n))
    assert all(len(set(row)) == k for row in partner.tolist())
    assert (partner.flatten().bincount(minlength=n) == k).all()  # every image is used equally often


def test_mixup_partners_are_a_uniform_ordered_sample_without_replacement():
    g = rng.stream(0)
    samples = torch.stack([_random.partners(5, 3, g) for _ in range(2000)])
    pair = samples[:, 2, 1] * 5 + samples[:, 2, 2]  # the two partners of image 2: 4 * 3 ordered pairs
    counts = pair.bincount(minlength=25)
    assert (counts > 0).sum() == 12
    assert stats.chisquare(counts[counts > 0]).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 3.0])
def test_mixup_weights_are_dirichlet(alpha):
    """Each weight of three is Beta(alpha, 2 alpha); weights of two images are independent."""
    weight = augment.load("mixup", k=3, alpha=alpha).sample_params(5000, SHAPE, rng.stream(0))["weight"]
    for column in weight.T:
        assert stats.kstest(column.double(), stats.beta(alpha, 2 * alpha).cdf).pvalue > 0.005
    assert abs(torch.corrcoef(weight[:, 0].view(2, -1))[0, 1]) < 0.06


def test_mixup_without_alpha_weighs_equally():
    assert (augment.load("mixup", k=4, alpha=None).sample_params(N, SHAPE, rng.stream(0))["weight"] == 0.25).all()


def test_mixup_refuses_more_partners_than_the_batch_holds():
    with pytest.raises(ValueError, match=r"k=8.*n=7"):
        augment.load("mixup", k=8).sample_params(N, SHAPE, rng.stream(0))


def test_released_mixup_has_one_weight_vector_and_independent_permutations():
    mixup = augment.load("mixup", k=3, variant="released")
    samples = [mixup.sample_params(N, SHAPE, rng.stream(seed)) for seed in range(50)]
    assert all((params["weight"] == params["weight"][0]).all() for params in samples)
    assert all(sorted(column) == list(range(N)) for params in samples for column in params["partner"].T.tolist())
    assert any(len(set(row)) < 3 for params in samples for row in params["partner"].tolist())  # an image mixed with itself
    assert len({tuple(params["weight"][0].tolist()) for params in samples}) == 50


# Boxes


def test_boxes_are_the_clipped_squares_of_a_loop_over_pixels():
    sides = torch.randint(0, 11, (300, 2), generator=rng.stream(1))
    boxes = _box.random_boxes(sides, 12, 10, rng.stream(0))
    masks = _box.inside(boxes, 12, 10)[:, 0]
    assert torch.equal(masks.sum((1, 2)), _box.area(boxes)[:, 0])
    clipped = 0
    for mask, (top, left, bottom, right), (height, width) in zip(masks, boxes.tolist(), sides.tolist(), strict=True):
        assert mask.tolist() == [[top <= r < bottom and left <= c < right for c in range(10)] for r in range(12)]
        assert 0 <= top <= bottom <= 12
        assert 0 <= left <= right <= 10
        assert bottom - top == height or top == 0 or bottom == 12
        assert right - left == width or left == 0 or right == 10
        clipped += bottom - top < height or right - left < width
    assert 50 < clipped < 290


def test_box_centres_are_uniform_over_the_pixels():
    boxes = _box.random_boxes(torch.ones(6000, 2, dtype=torch.long), 4, 3, rng.stream(0))  # a box of one pixel is its centre
    assert stats.chisquare((boxes[:, 0] * 3 + boxes[:, 1]).bincount(minlength=12)).pvalue > 0.01


# CutMix and Cutout


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("seed", range(8))
def test_cutmix_pixel_by_pixel_and_its_label_is_the_counted_share(seed, variant):
    n, (c, h, w) = 6, (2, 6, 5)
    x, y = torch.rand(n, c, h, w), torch.eye(n)  # each image has a label of its own, so labels tell pixels' owners
    cutmix = augment.load("cutmix", variant=variant)
    params = cutmix.sample_params(n, (c, h, w), rng.stream(seed))
    new_x, new_y = cutmix.apply(x, y, params)
    for i, (j, (top, left, bottom, right)) in enumerate(zip(params["partner"].tolist(), params["box"].tolist(), strict=True)):
        owned = [0.0] * n
        for row in range(h):
            for column in range(w):
                owner = j if top <= row < bottom and left <= column < right else i
                assert torch.equal(new_x[i, :, row, column], x[owner, :, row, column])
                owned[owner] += 1 / (h * w)
        torch.testing.assert_close(new_y[i], torch.tensor(owned), atol=1e-6, rtol=0)


def test_cutmix_partners_are_others_and_uniform():
    cutmix, g = augment.load("cutmix"), rng.stream(0)
    partner = torch.stack([cutmix.sample_params(5, SHAPE, g)["partner"] for _ in range(500)])
    assert (partner != torch.arange(5)).all()
    for i in range(5):
        counts = partner[:, i].bincount(minlength=5)
        assert stats.chisquare(counts[counts > 0]).pvalue > 0.002
    with pytest.raises(ValueError, match=r"n=1"):
        cutmix.sample_params(1, SHAPE, g)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_cutmix_is_active_with_its_probability_image_by_image(probability):
    """With alpha large lambda is nearly 1/2, so that no active box is empty."""
    box = augment.load("cutmix", probability=probability, alpha=100.0).sample_params(2000, (3, 32, 32), rng.stream(0))["box"]
    assert abs((_box.area(box) > 0).float().mean() - probability) < 0.04


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_cutmix_area_before_clipping_is_beta(alpha):
    """Where a box is not clipped its sides are sqrt(1 - lambda) of the image's; seen on the boxes that touch no border."""
    n, side = 5000, 1000
    g, same = rng.stream(0), rng.stream(0)
    box = augment.load("cutmix", alpha=alpha, probability=1.0).sample_params(n, (1, side, side), g)["box"]
    share = _random.dirichlet(n, 2, alpha, same)[:, 1]
    assert stats.kstest(share.double(), stats.beta(alpha, alpha).cdf).pvalue > 0.01
    whole = ((box[:, :2] > 0) & (box[:, 2:] < side)).all(1)
    assert whole.sum() > 500
    torch.testing.assert_close(_box.area(box)[whole, 0] / side**2, share[whole], atol=2e-3, rtol=0)


def test_released_cutmix_has_one_box_and_one_activation_a_batch():
    samples = [augment.load("cutmix", variant="released").sample_params(N, (3, 32, 32), rng.stream(seed)) for seed in range(200)]
    assert all((params["box"] == params["box"][0]).all() for params in samples)
    active = [params for params in samples if _box.area(params["box"])[0] > 0]
    assert 70 <= len(active) <= 125
    assert any((params["partner"] == torch.arange(N)).any() for params in samples)  # an image may meet itself
    inner = [d["box"][0] for d in active if d["box"][0, :2].min() > 0 and d["box"][0, 2:].max() < 32]
    assert inner
    assert all(((box[2:] - box[:2]) % 2 == 0).all() for box in inner)


@pytest.mark.parametrize("fill", [(0.0,), (0.49, 0.48, 0.45)])
def test_cutout_pixel_by_pixel(fill):
    x, y = batch(30)
    cutout = augment.load("cutout", fill=fill)
    params = cutout.sample_params(30, SHAPE, rng.stream(0))
    new_x, new_y = cutout.apply(x, y, params)
    slow = x.clone()
    for i, (top, left, bottom, right) in enumerate(params["box"].tolist()):
        for channel in range(3):
            slow[i, channel, top:bottom, left:right] = fill[channel % len(fill)]
    assert torch.equal(new_x, slow)
    assert new_y is y
    assert len({tuple(box) for box in params["box"].tolist()}) > 20


@pytest.mark.parametrize(("shape", "side"), [((3, 32, 32), 16), ((1, 16, 16), 8), ((3, 12, 10), 5)])
def test_cutout_paints_half_a_side(shape, side):
    box = augment.load("cutout").sample_params(500, shape, rng.stream(0))["box"]
    assert (box[:, 2:] - box[:, :2]).amax(0).tolist() == [side, side]


def test_released_cutout_is_one_square_of_18_pixels_a_batch():
    samples = [
        augment.load("cutout", variant="released").sample_params(N, (3, 32, 32), rng.stream(seed))["box"] for seed in range(50)
    ]
    assert all((box == box[0]).all() for box in samples)
    assert max((box[0, 2] - box[0, 0]).item() for box in samples) == 18


# Noise


def noise_of(choice):
    x, y = torch.full((4, 3, 64, 64), 0.5), torch.ones(4, 1)
    return (choice.apply(x, y, {}, rng.stream(0, "noise"))[0] - x).flatten().double()


@pytest.mark.parametrize("scale", [2 / 255, 32 / 255])
def test_noise_has_its_distribution(scale):
    assert stats.kstest(noise_of(augment.load("laplace", scale=scale)), stats.laplace(scale=scale).cdf).pvalue > 0.01
    assert stats.kstest(noise_of(augment.load("gaussian", scale=scale)), stats.norm(scale=scale).cdf).pvalue > 0.01


def test_released_laplace_clips_the_noise_at_one_scale():
    """A share exp(-1) = 36.8 % of the pixels saturates, and the standard deviation is nearly half of that in the paper."""
    scale = 16 / 255
    noise = noise_of(augment.load("laplace", variant="released"))
    assert noise.abs().max() <= scale + 1e-6
    assert (noise.abs() > scale - 1e-6).double().mean() == pytest.approx(math.exp(-1), abs=0.01)
    assert noise.std() * 255 == pytest.approx(11.6, abs=0.1)
    assert noise_of(augment.load("laplace")).std() * 255 == pytest.approx(22.6, abs=0.3)
    assert noise_of(augment.load("laplace")).abs().max() > 5 * scale


@pytest.mark.parametrize("name", NOISY)
def test_noise_leaves_the_pixel_range_unless_clipped_and_needs_its_generator(name):
    x, y = batch()
    free, clipped = (augment.load(name, clip=clip).apply(x, y, {}, rng.stream(0))[0] for clip in (False, True))
    assert free.min() < 0
    assert free.max() > 1
    assert torch.equal(clipped, free.clamp(0, 1))
    with pytest.raises(ValueError, match="generator=None"):
        augment.load(name).apply(x, y, {})


# Together


def test_a_pipeline_applies_its_parts_in_order():
    x, y = batch()
    pipe = augment.pipeline("flip + crop(pad=2) + mixup(k=3) + laplace(scale=0.01)")
    samples = pipe.sample_params(N, SHAPE, rng.stream(0))
    slow_x, slow_y, noise = x, y, rng.stream(0, "noise")
    for part, params in zip(pipe.parts, samples, strict=True):
        slow_x, slow_y = part.apply(slow_x, slow_y, params, noise)
    new_x, new_y = pipe.apply(x, y, samples, rng.stream(0, "noise"))
    assert torch.equal(new_x, slow_x)
    assert torch.equal(new_y, slow_y)
