"""Attacks in feature space: each objective and each solver against a slow, obvious one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from poisonlib import attacks, data, models, training
from poisonlib.attacks import ThreatModel
from poisonlib.attacks._feature_space import FeatureSpace, distances
from poisonlib.attacks.bullseye_polytope import BullseyePolytope, bullseye
from poisonlib.attacks.convex_polytope import ConvexPolytope, nearest, polytope, to_simplex
from poisonlib.attacks.feature_collision import FeatureCollision, split, stalling
from poisonlib.tensors import project, to_float

ATTACKS = [FeatureCollision(steps=20), ConvexPolytope(steps=20), BullseyePolytope(steps=20)]
ATTACKS = [replace(attack, poison_rate=0.04, eps=24 / 255) for attack in ATTACKS]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def network(train, seed):
    return training.initialise(models.load("patch_mlp", side=2, width=8, units=12), train, seed).requires_grad_(False)


@pytest.fixture(scope="module")
def threat_model():
    train, test = (data.load("digits", split, size=8, limit=150) for split in ("train", "test"))
    return ThreatModel(train, test, tuple(network(train, seed) for seed in (0, 1)))


# the weights of the nearest convex combination


def slowly_nearest(features, aim):
    """The same by a general solver (SLSQP), from several starts."""
    m, distance = len(features), lambda c: float(np.square(c @ features - aim).sum())
    slope = lambda c: 2 * features @ (c @ features - aim)  # noqa: E731
    simplex = dict(bounds=[(0, 1)] * m, constraints={"type": "eq", "fun": lambda c: c.sum() - 1, "jac": lambda c: np.ones(m)})
    starts = [np.full(m, 1 / m), *np.eye(m)[:2]]
    how = dict(method="SLSQP", jac=slope, options={"maxiter": 500, "ftol": 1e-13})
    return min((minimize(distance, start, **how, **simplex) for start in starts), key=lambda found: found.fun).fun


@pytest.mark.parametrize("m", [1, 2, 7, 25])
@pytest.mark.parametrize("inside", [True, False])
def test_the_weights_are_those_of_a_general_solver(m, inside):
    """Of a target within the polytope, and of one outside, where some of the weights are zero."""
    features = torch.randn(m, 5, generator=rng(m), dtype=torch.float64)
    aim = features.mean(0) if inside else torch.full((5,), 2.0, dtype=torch.float64)
    weights = nearest(features, aim)
    assert (weights >= 0).all() and float(weights.sum()) == pytest.approx(1, abs=1e-12)
    reached = float((weights @ features - aim).square().sum())
    assert reached == pytest.approx(slowly_nearest(features.numpy(), aim.numpy()), abs=1e-6)
    if m > 5 and not inside:
        assert (weights == 0).any()


def test_a_solve_that_begins_near_its_end_needs_few_steps():
    features, aim = torch.randn(20, 8, generator=rng(), dtype=torch.float64), torch.ones(8, dtype=torch.float64)
    moved = features + 0.01 * torch.randn(20, 8, generator=rng(1), dtype=torch.float64)
    weights = nearest(features, aim)
    best, warm, cold = (
        float((w @ moved - aim).square().sum())
        for w in (nearest(moved, aim, steps=3000), nearest(moved, aim, weights, 20), nearest(moved, aim, steps=20))
    )
    assert warm - best < 1e-3 * (cold - best) + 1e-9


@pytest.mark.parametrize("m", [1, 3, 30])
def test_the_simplex_projection_is_that_of_a_search_for_the_threshold(m):
    x = 3 * torch.randn(m, generator=rng(m), dtype=torch.float64)
    low, high = x.min() - 1, x.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (x - middle).clamp(min=0).sum() > 1 else (low, middle)
    torch.testing.assert_close(to_simplex(x), (x - low).clamp(min=0))


# objectives


def test_the_objectives_are_the_papers_equations(threat_model):
    networks = threat_model.surrogates
    attack = replace(ATTACKS[1], ensemble=2)
    base, goal = attack.choose(threat_model, 3)
    x, t = to_float(base.images), to_float(goal.images)
    space = FeatureSpace(threat_model, goal)
    features = [each.features(x) for each in networks]
    aims = [each.features(t)[0] for each in networks]
    centre = sum(0.5 * ((f.mean(0) - a).norm() / a.norm()) ** 2 for f, a in zip(features, aims, strict=True)) / 2
    torch.testing.assert_close(bullseye(space(x), space.aims), centre)
    ratio = sum((f.mean(0) - a).norm() / a.norm() for f, a in zip(features, aims, strict=True)) / 2
    torch.testing.assert_close(bullseye(space(x), space.aims, squared=False), ratio, rtol=1e-4, atol=1e-5)
    pairs = [(f.double().numpy(), a.double().numpy()) for f, a in zip(features, aims, strict=True)]
    least = sum(0.5 * slowly_nearest(f, a) / np.square(a).sum() for f, a in pairs)
    assert attack.loss(space)(x).item() == pytest.approx(least, rel=1e-3, abs=1e-5)
    torch.testing.assert_close(distances(features[0], aims[0])[2], (features[0][2] - aims[0]).norm() ** 2 / aims[0].norm() ** 2)


def test_the_gradient_of_the_polytope_is_that_of_the_least_distance():
    """Danskin: the weights may be held fixed. Against finite differences of the whole minimum."""
    features = torch.randn(6, 4, generator=rng(), dtype=torch.float64).requires_grad_()
    aim = torch.full((4,), 1.5, dtype=torch.float64)

    def least(f):
        return polytope([f], [aim], [nearest(f, aim, steps=1000)])

    (gradient,) = torch.autograd.grad(least(features), features)
    with torch.no_grad():
        for i, j in ((0, 0), (2, 3), (5, 1)):
            step = torch.zeros_like(features)
            step[i, j] = 1e-4
            numeric = (least(features + step) - least(features - step)) / 2e-4
            assert float(numeric) == pytest.approx(float(gradient[i, j]), abs=1e-6)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
class TestEachAttack:
    def test_it_descends_within_its_bound_and_beats_its_start(self, attack, threat_model):
        poison, goal = attacks.craft(attack, threat_model, seed=5)
        base = threat_model.train.pixels(threat_model.train.positions(poison.ids))
        assert 0 < (poison.images.int() - base.int()).abs().max() <= 24
        assert (threat_model.train.labels[threat_model.train.positions(poison.ids)] == goal.intended_class).all()
        reached = attack.objective(threat_model, poison, goal, 5)
        assert reached < 0.8 * attack.objective(threat_model, replace(poison, images=base), goal, 5)
        trace = attack.trace(threat_model, 5)
        assert len(trace) == 20 and trace[-1] < trace[0]

    def test_an_ensemble_moves_towards_the_target_in_every_network(self, attack, threat_model):
        both = replace(attack, ensemble=2)
        assert [each.number for each in both.surrogates] == [0, 1]
        poison, goal = attacks.craft(both, threat_model, seed=5)
        base = replace(poison, images=threat_model.train.pixels(threat_model.train.positions(poison.ids)))
        for each in threat_model.surrogates:
            alone = replace(threat_model, surrogates=(each,))
            assert attack.objective(alone, poison, goal, 5) < attack.objective(alone, base, goal, 5)

    def test_a_clean_control_changes_nothing_and_several_targets_are_refused(self, attack, threat_model):
        clean = replace(attack, poison_rate=0.0)
        assert clean.surrogates == () and len(attacks.craft(clean, threat_model, seed=5)[0]) == 0
        with pytest.raises(ValueError, match="targets=2: the attack moves features towards those of one image; choose 1"):
            replace(attack, targets=2)


# feature collision


def one_by_one(smooth, rest, backward, x, steps, first):
    """Forward-backward splitting of one image at a time, as the algorithm is written down."""
    found = []
    for k in range(len(x)):
        own, rate = x[k : k + 1], None
        for _ in range(steps):
            at = own.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(smooth(at, k).sum(), at)
            rate = first / gradient.abs().max() if rate is None else rate
            candidate = backward(own - rate * gradient, rate, k)
            lower = (smooth(candidate, k) + rest(candidate, k)).item() < (smooth(own, k) + rest(own, k)).item()
            own, rate = (candidate, rate * 1.2) if lower else (own, rate * 0.3)
        found.append(own)
    return torch.cat(found)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_all_images_at_once_go_where_each_goes_alone(norm):
    base = torch.rand(4, 1, 3, 3, generator=rng(), dtype=torch.float64)
    mix = 3 * torch.randn(9, 5, generator=rng(1), dtype=torch.float64)
    aim, beta, eps = torch.randn(5, generator=rng(2), dtype=torch.float64), 0.7, 0.2

    def smooth(x, k=None):
        return ((x.flatten(1) @ mix).tanh() - aim).square().sum(1)

    def rest(x, k=None):
        change = (x - (base if k is None else base[k : k + 1])).square().flatten(1).sum(1)
        return beta / 2 * change if norm == "l2" else 0 * change

    def backward(x, rate, k=None):
        own = base if k is None else base[k : k + 1]
        return own + project(x - own, own, eps) if norm == "linf" else ((x + rate * beta * own) / (1 + rate * beta)).clamp(0, 1)

    together, values = split(smooth, rest, backward, base, 25, 0.3)
    torch.testing.assert_close(together, one_by_one(smooth, rest, backward, base, 25, 0.3))
    assert (values[1:] <= values[:-1]).all() and values[-1] < 0.9 * values[0]


def test_the_backward_step_is_the_proximal_point():
    """It minimises beta/2 |z - b|^2 + |z - x|^2 / (2 rate), as at the attack's own values."""
    attack = FeatureCollision(norm="l2", penalty=0.4)
    x, b, rate = 0.9, 0.2, 0.5
    z = torch.linspace(0, 1, 100_001)
    least = z[(attack.penalty / 2 * (z - b) ** 2 + (z - x) ** 2 / (2 * rate)).argmin()]
    assert float(least) == pytest.approx((x + rate * attack.penalty * b) / (1 + rate * attack.penalty), abs=1e-4)


def test_the_penalty_keeps_poisons_near_their_bases_and_there_is_no_ball(threat_model):
    changes = []
    for penalty in (0.0, 2.0):
        attack = replace(ATTACKS[0], norm="l2", penalty=penalty)
        assert attack.bound is None
        poison, _ = attacks.craft(attack, threat_model, seed=5)
        base = threat_model.train.pixels(threat_model.train.positions(poison.ids))
        changes.append((poison.images.float() - base).norm())
    assert changes[1] < 0.7 * changes[0]
    assert (poison.images.int() - base.int()).abs().max() > 0


def test_the_released_loop_stops_for_good_once_a_loss_rises():
    """After its first step this image's loss is above that of its start, so nothing that follows moves it; the other goes on."""
    start = torch.tensor([[[[0.0]]], [[[0.5]]]])
    smooth = lambda x: (x.flatten() - torch.tensor([0.0, 0.9])).square()  # noqa: E731
    backward = lambda x, rate: torch.stack([torch.full_like(x[0], 0.3), x[1]])  # noqa: E731
    (one, _), (many, _) = (stalling(smooth, backward, start, steps) for steps in (1, 200))
    assert float(one[0]) == float(many[0]) == pytest.approx(0.3)
    assert abs(float(many[1]) - 0.9) < 0.9 * abs(float(one[1]) - 0.9)


def test_released_poisons_are_often_a_clipped_watermark_and_a_single_step(threat_model):
    attack = replace(ATTACKS[0], variant="released", eps=8 / 255)
    poison, goal = attacks.craft(attack, threat_model, seed=5)
    watermark, _ = attacks.craft(f"watermark(eps={8 / 255}, poison_rate=0.04)", threat_model, seed=5)
    assert (poison.images.int() - watermark.images.int()).abs().float().mean() < 2
    correct, _ = attacks.craft(replace(attack, variant="paper"), threat_model, seed=5)
    assert attack.objective(threat_model, correct, goal, 5) < attack.objective(threat_model, poison, goal, 5)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"norm": "l1"}, "norm='l1': choose one of 'linf', 'l2'"),
        ({"norm": "l2", "variant": "released"}, "norm='l2', variant='released': .*choose norm='linf'"),
        ({"opacity": 1.5}, "opacity=1.5"),
        ({"penalty": -1.0}, "penalty=-1.0"),
        ({"steps": 0}, "steps=0"),
        ({"variant": "fast"}, "variant='fast'"),
    ],
)
def test_values_out_of_range_are_refused(values, says):
    with pytest.raises(ValueError, match=says):
        FeatureCollision(**values)
