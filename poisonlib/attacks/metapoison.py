"""MetaPoison (Huang et al., arXiv:2004.00225): poisons that pull a training under way towards the attacker's goal.

Which poisons X_p leave a network trained on them with a low adversarial loss L_adv, that of the targets with the intended label? As
nobody can differentiate through a whole training, the paper looks K steps ahead, from many moments of it (Algorithm 1):

    theta_(k+1) = theta_k - lr * gradient of L_train(X_c and X_p, Y; theta_k),   k = 0, ..., K - 1,
    X_p descends on L_adv(theta_K), averaged over networks of all ages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from .. import check
from ..augment import Params
from ..data import Goal, ImageSet, Poison
from ..models import Network
from ..rng import stream
from ..steps import Step
from ..tensors import project, to_bytes, to_float
from . import Surrogate, ThreatModel
from ._signed_adam import minimise
from ._targeted import Targeted
from ._unrolled import Form, State, ahead

JUDGED = 0.01  # the rate of a trained network's steps, as a share of lr: trainings end at about a hundredth of their first rate


def carlini_wagner(logits: Float[Tensor, "t k"], intended_class: int) -> Float[Tensor, ""]:
    """By how much the largest logit of another class exceeds that of the intended one, on average over images."""
    others = torch.cat([logits[:, :intended_class], logits[:, intended_class + 1 :]], 1)
    return (others.amax(1) - logits[:, intended_class]).mean()


def cross_entropy(logits: Float[Tensor, "t k"], intended_class: int) -> Float[Tensor, ""]:
    """The cross-entropy with the intended class, on average over images."""
    return F.cross_entropy(logits, torch.full((len(logits),), intended_class, device=logits.device))


LOSSES = {"carlini_wagner": carlini_wagner, "cross_entropy": cross_entropy}


@dataclass(frozen=True)
class Untrained(Step):
    """Leaves a network as it starts: with initial weights or, in transfer learning, an extractor's layers below a fresh head."""

    on_images: ClassVar[bool] = False

    def backward(self, network: nn.Module, loss: Callable, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return torch.zeros((), device=x.device)


@dataclass(frozen=True)
class Metapoison(Targeted):
    """Perturbs ``poison_rate`` of the training set, all of the intended class, by at most ``eps`` a pixel; labels stay correct.

    In each crafting step the attack looks ``unrolled`` steps of SGD ahead of every network of the ensemble, through batches with a
    ``dose`` of poisons, until each poison had its turn; the gradients of the adversarial losses with respect to the pixels add up.
    Then every network trains for an epoch. ``trajectory``: it does so on "clean" images or on those "poisoned" so far; the paper
    does the first, and its public code offers both. Ages are spread evenly over ``epochs``, and a network that is older begins
    anew, from the weights that it began with. Batches are shown in the victim's ordinary augmentation.

    Not taken over: the paper's second budget, a smooth change of colours (ReColorAdv); and what only the public code does: the mean
    of the losses after each of the K steps, whose gradient flows through the first batch alone, and a warm-up of ``lr``; there Adam
    descends on the gradient, here on its sign, with its drops at other steps, and there networks begin anew with other weights.
    """

    eps: float = 8 / 255  # largest change of a pixel, in units of [0, 1]
    steps: int = 60
    step_size: float = 0.4  # of the first steps, as a share of eps; the public code's is 25, from bound to bound
    ensemble: int = 24  # networks
    unrolled: int = 2  # K
    dose: float = 0.04  # poisons, as a share of each batch of the steps ahead; 200 in 5,000 images in the public code
    epochs: int = 24  # the last age of a network, after which it begins anew
    batch_size: int = 125
    lr: float = 0.1
    loss: str = "carlini_wagner"
    trajectory: str = "clean"

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "ensemble", "unrolled", "epochs"):
            check.whole(name, getattr(self, name), 1)
        check.whole("batch_size", self.batch_size, 2)
        for name in ("step_size", "lr"):
            check.number(name, getattr(self, name), 0, above=True)
        check.number("dose", self.dose, 0, 1, above=True)
        check.one_of("loss", self.loss, LOSSES)
        check.one_of("trajectory", self.trajectory, ("clean", "poisoned"))

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        """A trained network, by which poisons are judged, and those of the ensemble as they start: crafting is their training."""
        if self.clean:
            return ()
        return Surrogate(), *(Surrogate(1 + number, step=Untrained()) for number in range(self.ensemble))

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        delta, values = self._descend(threat_model, base, goal, seed)
        if not values.isfinite().all():
            raise FloatingPointError(f"lr={self.lr}: a network that MetaPoison trains along diverged; choose a smaller rate")
        return Poison(base.ids, to_bytes(to_float(base.images) + delta, base.images, self.eps)), goal

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """The mean adversarial loss of the trained surrogate K short steps ahead."""
        judge = Learner(self, threat_model, threat_model.surrogates[0], poison.ids, goal, stream(seed, "judge"), self.lr * JUDGED)
        return judge.look(judge.windows(), to_float(poison.images))[0].item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """The ensemble's mean adversarial loss K steps ahead, before each step of crafting, on the CPU."""
        return self._descend(threat_model, *self.choose(threat_model, seed), seed)[1].cpu()

    def _descend(self, threat_model: ThreatModel, base: ImageSet, goal: Goal, seed: int) -> tuple[Tensor, Tensor]:
        clean = to_float(base.images)
        learners = list(self._staggered(threat_model, base, goal, seed))

        def value_and_grad(x, i):
            results = [learner.look(learner.windows(), x) for learner in learners]
            for learner in learners:
                learner.train(learner.epoch(), clean if self.trajectory == "clean" else x)
            return tuple(torch.stack(each).mean(0) for each in zip(*results, strict=True))

        noise = torch.rand(clean.shape, generator=stream(seed, "craft start")).to(clean.device) * 2 - 1
        start = project(noise * self.eps, clean, self.eps)
        return minimise(value_and_grad, clean, start, self.eps, self.steps, self.step_size * self.eps)

    def _staggered(self, threat_model: ThreatModel, base: ImageSet, goal: Goal, seed: int):
        """The networks of the ensemble, trained on clean images up to their ages."""
        for number, network in enumerate(threat_model.surrogates[1:]):
            draws = stream(seed, "craft", number)
            learner = Learner(self, threat_model, network, base.ids, goal, draws, self.lr)
            for _ in range(number * self.epochs // self.ensemble):
                learner.train(learner.epoch(), to_float(base.images))
            yield learner


class Batch(NamedTuple):
    """A batch of the training set. The poisons come first."""

    poisons: Int64[Tensor, " p"]  # which of the poisons
    others: Int64[Tensor, " q"]  # positions of clean images, on the device of the images
    labels: Float[Tensor, "n k"]
    params: list[Params]


class Learner:
    """A network that the attacker trains, and the batches on which it does."""

    def __init__(self, attack, threat_model, network: Network, ids, goal: Goal, draws: torch.Generator, lr: float):
        self.attack, self.known, self.goal, self.draws = attack, threat_model, goal, draws
        self.form, self.initial = Form(network, lr, threat_model), State.of(network)
        self.state, self.age, train = self.initial, 0, threat_model.train
        self.noise = torch.Generator(train.device).manual_seed(draws.initial_seed())
        self.places = train.positions(ids).cpu()
        self.number = torch.full((len(train),), -1)  # of the poison at each position
        self.number[self.places] = torch.arange(len(ids))
        self.size = min(attack.batch_size, len(train))

    def epoch(self) -> list[Batch]:
        """The batches of an epoch in random order; images beyond whole batches are left out."""
        n = len(self.number)
        return self._batches(torch.randperm(n, generator=self.draws)[: n - n % self.size].view(-1, self.size))

    def windows(self) -> list[list[Batch]]:
        """For each part of the poisons, in random order, K batches that all hold it among ever other clean images."""
        k, dose = self.attack.unrolled, max(1, round(self.attack.dose * self.size))
        parts = [part for part in self.places[torch.randperm(len(self.places), generator=self.draws)].split(dose) for _ in range(k)]
        clean = (self.number < 0).nonzero()[:, 0]
        room = [self.size - len(part) for part in parts]
        clean = clean[torch.randperm(len(clean), generator=self.draws)].repeat(1 + sum(room) // len(clean))[: sum(room)]
        batches = self._batches(torch.stack([torch.cat(pair) for pair in zip(parts, clean.split(room), strict=True)]))
        return [batches[first : first + k] for first in range(0, len(batches), k)]

    def _batches(self, rows: Int64[Tensor, "b n"]) -> list[Batch]:
        """Batches of these positions, with augmentations sampled on the CPU, moved to the device at once."""
        train, number = self.known.train, self.number
        rows = rows.gather(1, (number[rows] < 0).int().argsort(dim=1, stable=True))
        counts = (number[rows] >= 0).sum(1).tolist()
        poisons = number[rows][number[rows] >= 0].to(train.device).split(counts)
        labels = F.one_hot(train.labels[rows.to(train.device)], len(train.classes)).float()
        params = self.known.augment.sample_batches([rows.shape[1]] * len(rows), train.shape, self.draws, train.device)
        parts = zip(poisons, counts, rows.to(train.images.device), labels, params, strict=True)
        return [Batch(mine, row[count:], y, own) for mine, count, row, y, own in parts]

    def look(self, windows: list[list[Batch]], x: Float[Tensor, "m c h w"]) -> tuple[Tensor, Tensor]:
        """The mean adversarial loss at the end of each window, at poisons x, and the sum of the gradients with respect to x."""
        x, values, total = x.detach().requires_grad_(), [], torch.zeros_like(x)
        for window in windows:
            state = ahead(self.form, self.state.leaf(), [self._seen(batch, x) for batch in window])
            value = LOSSES[self.attack.loss](self.form.logits(state, to_float(self.goal.images)), self.goal.intended_class)
            values.append(value.detach())
            total += torch.autograd.grad(value, x)[0]
        return torch.stack(values).mean(), total

    def train(self, batches: list[Batch], poisons: Float[Tensor, "m c h w"]) -> None:
        """Train for an epoch, and begin anew where the network is old enough."""
        for batch in batches:
            self.state = self.form.step(self.state.leaf(), *self._seen(batch, poisons.detach()), create_graph=False)
        self.age += 1
        if self.age > self.attack.epochs:
            self.state, self.age = self.initial, 0

    def _seen(self, batch: Batch, poisons: Float[Tensor, "m c h w"]) -> tuple[Tensor, Tensor]:
        """Images and labels of a batch with these poisons, as the network is shown them."""
        x = torch.cat([poisons[batch.poisons], to_float(self.known.train.pixels(batch.others))])
        return self.known.augment.apply(x, batch.labels, batch.params, self.noise, self._per_sample_loss)

    @torch.no_grad()
    def _per_sample_loss(self, x, y) -> Float[Tensor, " n"]:
        return F.cross_entropy(self.form.logits(self.state, x), y, reduction="none")
