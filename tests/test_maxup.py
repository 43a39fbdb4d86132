"""MaxUp against a loop over images and samples; the loss that it asks for leaves the network as it is; when it begins."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from poisonlib import augment, data, models, rng, training
from poisonlib.augment import Pipeline, pipeline
from poisonlib.training import Numerics, Recipe

N, SHAPE, CLASSES = 7, (1, 8, 8), 10
INNER = ["cutout", "cutmix", "mixup(k=3)", "cutout + laplace(scale=0.05)"]
NET = models.load("cifar_resnet", depth=8, width=4, shortcut="projection")


def network():
    torch.manual_seed(0)
    return NET.build(CLASSES, SHAPE, (0.4,), (0.3,)).double().eval()


def batch(n=N):
    g = rng.stream(0, "images")
    x = torch.rand(n, *SHAPE, generator=g, dtype=torch.float64)
    return x, F.one_hot(torch.randint(CLASSES, (n,), generator=g), CLASSES).double()


def losses_of(net):
    """The loss of each image, all at once, as in training."""
    return lambda x, y: F.cross_entropy(net(x), y, reduction="none").detach()


def never(x, y):
    raise AssertionError("the loss must not be asked for")


def slowly(net, inner, m, x, y, choice, noise):
    """(images, labels, which sample): image by image and sample by sample, the one with the largest loss."""
    parts, shape = pipeline(inner), tuple(x.shape[1:])
    samples = [parts.sample_params(len(x), shape, choice) for _ in range(m)]
    views = [parts.apply(x, y, params, noise) for params in samples]
    chosen = []
    for i in range(len(x)):
        losses = [-(view_y[i] * net(view_x[i : i + 1])[0].log_softmax(0)).sum().item() for view_x, view_y in views]
        chosen.append(max(range(m), key=losses.__getitem__))
    new_x, new_y = (torch.stack([views[t][part][i] for i, t in enumerate(chosen)]) for part in (0, 1))
    return new_x, new_y, chosen


@pytest.mark.parametrize("inner", INNER)
def test_maxup_takes_the_worst_sample_of_each_image(inner):
    net, (x, y) = network(), batch()
    maxup = augment.load("maxup", inner=inner, m=4)
    params = maxup.sample_params(N, SHAPE, rng.stream(1))
    new_x, new_y = maxup.apply(x, y, params, rng.stream(1, "noise"), losses_of(net))
    slow_x, slow_y, chosen = slowly(net, inner, 4, x, y, rng.stream(1), rng.stream(1, "noise"))
    assert len(set(chosen)) > 2
    assert torch.equal(new_x, slow_x)
    assert torch.equal(new_y, slow_y)


@pytest.mark.parametrize("inner", INNER)
def test_without_a_loss_each_image_gets_its_first_sample(inner):
    x, y = batch()
    maxup, parts = augment.load("maxup", inner=inner, m=3), pipeline(inner)
    result = maxup.apply(x, y, maxup.sample_params(N, SHAPE, rng.stream(1)), rng.stream(1, "noise"))
    first = parts.apply(x, y, parts.sample_params(N, SHAPE, rng.stream(1)), rng.stream(1, "noise"))
    assert torch.equal(result[0], first[0])
    assert torch.equal(result[1], first[1])


def test_the_gradient_is_that_of_the_chosen_samples():
    """What an adaptive attacker needs: the choice is a constant."""
    net, (x, y) = network(), batch(3)
    maxup = augment.load("maxup", inner="cutout + mixup(k=2)", m=3)
    params = maxup.sample_params(3, SHAPE, rng.stream(1))
    slow_x, _, _ = slowly(net, "cutout + mixup(k=2)", 3, x, y, rng.stream(1), None)
    assert torch.equal(maxup.apply(x, y, params, None, losses_of(net))[0], slow_x)
    assert torch.autograd.gradcheck(lambda x: maxup.apply(x, y, params, None, losses_of(net))[0], x.requires_grad_())


def test_released_maxup_is_m_cutouts_one_upon_the_other_and_needs_no_loss():
    x, y = batch()
    inner = augment.load("cutout", variant="released")
    maxup = augment.load("maxup", inner="cutout(variant='released')", m=4, start=6, variant="released")
    new_x, new_y = maxup.apply(x, y, maxup.sample_params(N, SHAPE, rng.stream(1)), None, never)
    slow, g = x.clone(), rng.stream(1)
    for _ in range(4):
        for i, (top, left, bottom, right) in enumerate(inner.sample_params(N, SHAPE, g)["box"].tolist()):
            slow[i, :, top:bottom, left:right] = 0
    assert torch.equal(new_x, slow)
    assert torch.equal(new_y, y)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_samples_of_many_batches_are_those_of_each_batch(variant):
    """Joined, moved and split, as in the training loop."""
    net, parts = network(), pipeline(f"flip + maxup(m=3, inner='cutout + mixup(k=2)', variant={variant!r})")
    together = parts.sample_batches([N, 5], SHAPE, rng.stream(1), "cpu")
    g = rng.stream(1)
    for n, samples in zip((N, 5), together, strict=True):
        x, y = batch(n)
        results = [parts.apply(x, y, made, None, losses_of(net)) for made in (samples, parts.sample_params(n, SHAPE, g))]
        assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"m": 0}, "m=0: choose"),
        ({"start": -1}, "start=-1: choose an epoch, a whole number of at least 0, or a share of the epochs between 0 and 1"),
        ({"start": 1.5}, "start=1.5: choose an epoch"),
        ({"start": 0.0}, "start=0.0: choose an epoch"),
        ({"start": True}, "start=True: choose"),
        ({"variant": "fast"}, "variant='fast'.*'paper', 'released'"),
        ({"inner": "maxup"}, "inner='maxup': choose"),
        ({"inner": "cutout + maxup(m=2)"}, "other than maxup"),
        ({"inner": "none"}, "inner='none': choose one or more"),
        ({"inner": ""}, "choose one or more"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        augment.load("maxup", **values)


def test_an_unknown_inner_augmentation_is_refused_at_once():
    with pytest.raises(LookupError, match="no 'cut'"):
        augment.load("maxup", inner="cut")


# In training


@pytest.fixture(scope="module")
def train():
    return data.load("digits", "train", limit=96)


def recipe(epochs, **values):
    return Recipe(epochs=epochs, batch_size=32, lr=0.05, milestones=(), augment="flip", **values)


def bytes_of(net):
    return b"".join(tensor.contiguous().numpy().tobytes() for tensor in net.state_dict().values())


def test_training_uses_the_worst_samples_and_nothing_else(train):
    """Two epochs the slow way: losses in eval mode image by image, then one plain step on the chosen samples."""
    fast, slow = (training.initialise(NET, train, 0) for _ in range(2))
    with training.settings(Numerics()):
        training.fit(fast, train, recipe(2), seed=4, augment=pipeline("maxup(m=3, inner='cutout + laplace(scale=0.05)', start=0)"))
        order, choice, noise = (rng.stream(4, purpose) for purpose in ("order", "augmentation", "noise"))
        optimizer, flip = training.make_optimizer(recipe(2), slow.parameters()), augment.load("flip")
        for _ in range(2):
            for at in torch.randperm(96, generator=order).split(32):
                x, y = train.images[at] / 255, F.one_hot(train.labels[at], 10).float()
                x, y = flip.apply(x, y, flip.sample_params(32, SHAPE, choice))
                x, y, _ = slowly(slow.eval(), "cutout + laplace(scale=0.05)", 3, x, y, choice, noise)
                optimizer.zero_grad()
                F.cross_entropy(slow.train()(x), y).backward()
                optimizer.step()
    for name, tensor in fast.state_dict().items():
        torch.testing.assert_close(tensor.float(), slow.state_dict()[name].float(), rtol=1e-3, atol=1e-4, msg=name)


@dataclass(frozen=True)
class Spy(augment.Augment):
    """Changes nothing, and checks what ``per_sample_loss`` does to a network, part of which may be in eval mode."""

    net: torch.nn.Module
    still: bool
    seen: list
    adversarial: ClassVar[bool] = True

    def sample_params(self, n, shape, generator):
        return {"nothing": torch.zeros(n)}

    def apply(self, x, y, params, generator=None, per_sample_loss=None):
        if self.still:
            self.net.body.stem.eval()
        before = self.state()
        losses = per_sample_loss(x, y)
        assert self.state() == before
        assert not losses.requires_grad
        modes = [module.training for module in self.net.modules()]
        with torch.no_grad():
            torch.testing.assert_close(losses, F.cross_entropy(self.net.eval()(x), y, reduction="none"))
        for module, mode in zip(self.net.modules(), modes, strict=True):
            module.training = mode
        self.seen.append(set(modes))
        return x, y

    def state(self):
        gradients = [None if p.grad is None else p.grad.clone().numpy().tobytes() for p in self.net.parameters()]
        return bytes_of(self.net), gradients, [module.training for module in self.net.modules()]


@pytest.mark.parametrize(
    ("still", "frozen", "modes"), [(False, False, {True}), (True, False, {True, False}), (False, True, {True, False})]
)
def test_asking_for_the_loss_leaves_the_network_as_it_is(train, still, frozen, modes):
    net, seen = training.initialise(NET, train, 0), []
    training.fit(net, train, recipe(2, frozen=frozen), seed=0, augment=Pipeline((Spy(net, still, seen),)))
    assert seen == [modes] * 6


def test_nothing_of_it_is_active_before_its_start(train):
    plain, late = (training.initialise(NET, train, 0) for _ in range(2))
    runs = [
        training.epochs(net, train, recipe(3), seed=0, augment=pipeline(defence))
        for net, defence in ((plain, "mixup"), (late, "mixup + maxup(start=2)"))
    ]
    for epoch in range(3):
        losses = [next(run) for run in runs]
        assert torch.equal(*losses) == (epoch < 2)
        assert (bytes_of(plain) == bytes_of(late)) == (epoch < 2)
    parts = pipeline("mixup + maxup(start=2)")
    assert [len(parts.at(epoch, 4).parts) for epoch in range(4)] == [1, 1, 2, 2]


@pytest.mark.parametrize(("start", "epochs", "first"), [(0.125, 40, 5), (0.125, 8, 1), (0.125, 7, 0), (0.5, 3, 1), (0.99, 4, 3)])
def test_a_start_below_one_is_the_share_of_the_epochs_before_it(start, epochs, first):
    parts = pipeline(f"mixup + maxup(start={start})")
    active = [len(parts.at(epoch, epochs).parts) for epoch in range(epochs)]
    assert active == [1] * first + [2] * (epochs - first)


def test_training_begins_at_the_share(train):
    by_share, by_epoch = (training.initialise(NET, train, 0) for _ in range(2))
    for net, start in ((by_share, 0.5), (by_epoch, 2)):
        training.fit(net, train, recipe(4), seed=0, augment=pipeline(f"maxup(m=2, start={start})"))
    assert bytes_of(by_share) == bytes_of(by_epoch)


def test_a_share_of_the_epochs_is_exact():
    assert all(augment.first_epoch(augment.load("maxup", start=s / 100), 100) == s for s in range(1, 100))
