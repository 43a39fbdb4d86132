"""Gradient matching, "Witches' Brew" (Geiping et al., arXiv:2009.02276): poisons whose gradient points where the target's does.

A victim that descends on the poisons then descends on the target with the wrong label too. Adaptive attackers: Borgnia et al.,
"Strong data augmentation", section 4.2, and DP-InstaHide, sections 2.2 and 3.2.
"""

import contextlib
import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value
from torch.nn import functional as F

from ..augment import Draw
from ..data import Goal, Poison
from ..models import Network
from ..rng import stream
from ..tensors import to_bytes, to_float
from . import Scene, Surrogate, _targeted
from ._double_backward import ForPixels
from ._signed_adam import minimise

ADAPTIVE = ("none", "surrogate", "augmented")


def misalignment(a: Sequence[Tensor], b: Sequence[Tensor]) -> Float[Tensor, ""]:
    """1 - cos(a, b) over whole gradients, given tensor by tensor (Witches' Brew, equation 3)."""
    dot = sum((x * y).sum() for x, y in zip(a, b, strict=True))
    return 1 - dot / (norm(a) * norm(b))


def norm(gradient: Sequence[Tensor]) -> Float[Tensor, ""]:
    return torch.stack([part.norm() for part in gradient]).norm()


def target_gradient(network: Network, images: Integer[Tensor, "t c h w"], wanted: int) -> list[Tensor]:
    """The gradient that the attacker would like the victim to follow: of the targets' mean loss under the wanted label."""
    labels = torch.full((len(images),), wanted, device=images.device)
    return list(torch.autograd.grad(F.cross_entropy(network(to_float(images)), labels), trained(network)))


def trained(network: Network) -> list[Tensor]:
    """The parameters that a victim moves: all, or the head's alone where the body is frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class Attack:
    """``budget`` of the training set, all of the wanted class, moves by at most ``eps`` a pixel; labels stay correct.

    ``adaptive``: "none" knows the victim's network, recipe and ordinary augmentation; "surrogate" trains its surrogates under the
    victim's defence as well (the papers' adaptive attack); "augmented" also crafts through that defence, a fresh draw a step: its
    augmentations, mixed with ``companions`` random training images, and its clipping and noise, straight through.
    ``variant="released"`` is the public code: a normal start, the restart with the smallest last loss (one draw, one step stale),
    and steps that an ensemble of K makes K times shorter. ``budget=0`` is the clean control.
    """

    eps: float = 16 / 255
    budget: float = 0.01  # share of the whole training set
    steps: int = 250
    restarts: int = 8
    rate: float = 0.4  # length of the first steps, as a share of eps; the public code's 0.1 in normalised units is 6.3/255
    ensemble: int = 1  # surrogates
    targets: int = 1  # test images of one class that shall all be taken for the wanted class
    adaptive: str = "none"
    companions: int = 128
    batch: int = 512  # poisons matched together; larger sets are matched part by part
    judgements: int = 8  # fresh draws on which a restart is judged
    pretrained: bool = False  # surrogates with public weights instead of trained ones
    variant: str = "paper"

    def __post_init__(self):
        _targeted.check(self.eps, self.budget, self.targets)
        for name in ("steps", "restarts", "ensemble", "companions", "batch", "judgements"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: at least 1")
        if not self.rate > 0:
            raise ValueError(f"rate={self.rate!r}: a share of eps, above 0")
        if self.adaptive not in ADAPTIVE:
            raise ValueError(f"adaptive={self.adaptive!r}: choose one of {', '.join(ADAPTIVE)}")
        if self.pretrained and self.adaptive == "surrogate":
            raise ValueError("adaptive='surrogate', pretrained=True: public weights know no defence; choose 'none' or 'augmented'")
        if self.variant not in ("paper", "released"):
            raise ValueError(f"variant={self.variant!r}: choose one of 'paper', 'released'")

    @property
    def clean(self) -> bool:
        """Whether the training set stays as it is."""
        return self.budget == 0

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        defended = self.adaptive != "none"
        count = 0 if self.clean else self.ensemble
        return tuple(Surrogate(number, defended, self.pretrained) for number in range(count))

    def facing(self, defended: bool) -> "Attack":
        """The same attack where there is a defence to adapt to; else the basic one, which is the same with nothing to adapt to."""
        return self if defended else replace(self, adaptive="none")

    def refuse(self, scene: Scene) -> None:
        """Raises ValueError where a class is too small for the budget or the targets, or what is crafted at a time to be mixed."""
        _targeted.refuse(scene.train, scene.test, self.budget, self.targets)
        if self.clean:
            return
        base, goal = _targeted.choose(scene.train, scene.test, 0, self.budget, self.targets)
        try:
            Matching(self, scene, base.rows, goal).drawn(1, stream(0, "rehearsal"))
        except ValueError as error:
            how = f"{len(base)} poisons, batch={self.batch}, companions={self.companions}"
            raise ValueError(f"{error} (in a craft of {how})") from None

    def craft(self, scene: Scene, seed: int) -> tuple[Poison, Goal]:
        base, goal = _targeted.choose(scene.train, scene.test, seed, self.budget, self.targets)
        if self.clean:
            return Poison(base.rows, base.images), goal
        matching = Matching(self, scene, base.rows, goal)
        candidates = [self._restart(matching, base.images, seed, restart) for restart in range(self.restarts)]
        best = torch.stack([value for _, value in candidates]).argmin()
        return Poison(base.rows, candidates[int(best)][0]), goal

    def objective(self, scene: Scene, poison: Poison, goal: Goal, seed: int) -> float:
        """Mean misalignment of stored poisons over fresh draws: 0 is perfect, 1 is chance."""
        return self._judged(Matching(self, scene, poison.rows, goal), poison.images, seed).item()

    def trace(self, scene: Scene, seed: int) -> Float[Tensor, " steps"]:
        """The misalignment before each step of the first restart, on the CPU: how the attack converges."""
        base, goal = _targeted.choose(scene.train, scene.test, seed, self.budget, self.targets)
        return self._optimised(Matching(self, scene, base.rows, goal), base.images, seed, 0)[1].cpu()

    def _restart(self, matching: "Matching", base: Tensor, seed: int, restart: int) -> tuple[Tensor, Tensor]:
        """The stored images that one start leads to, and the number by which restarts are compared."""
        delta, values = self._optimised(matching, base, seed, restart)
        images = to_bytes(to_float(base) + delta, base, self.eps)
        stale = self.variant == "released" or self.restarts == 1
        return images, values[-1] if stale else self._judged(matching, images, seed)

    def _optimised(self, matching: "Matching", base: Tensor, seed: int, restart: int) -> tuple[Tensor, Tensor]:
        begin, draw = stream(seed, "craft start", restart), stream(seed, "craft draws", restart)
        noise = stream(seed, "craft noise", restart, device=base.device)
        draws = matching.drawn(self.steps, draw)
        rate = self.rate * self.eps / (self.ensemble if self.variant == "released" else 1)
        start = self._start(base.shape, begin).to(base.device)
        return minimise(lambda x, i: matching.pull(x, draws[i], noise), to_float(base), start, self.eps, self.steps, rate)

    def _start(self, shape, generator: torch.Generator) -> Tensor:
        if self.variant == "released":
            return torch.randn(shape, generator=generator) * self.eps
        return (torch.rand(shape, generator=generator) * 2 - 1) * self.eps

    def _judged(self, matching: "Matching", images: Tensor, seed: int) -> Tensor:
        noise = stream(seed, "judge noise", device=images.device)
        draws = matching.drawn(self.judgements, stream(seed, "judge draws"))
        return torch.stack([matching.pull(to_float(images), draw, noise)[0] for draw in draws]).mean()


class Matching:
    """The objective of one attack as a function of its poisons' pixels: fixed networks, fixed target gradients, drawn views."""

    def __init__(self, attack: Attack, scene: Scene, rows: Int64[Tensor, " m"], goal: Goal):
        aware = attack.adaptive == "augmented"
        self.networks = [network.eval() for network in scene.surrogates]
        self.targets = [target_gradient(network, goal.images, goal.wanted) for network in self.networks]
        self.views = scene.ordinary + scene.defence if aware else scene.ordinary
        self.step = scene.step if aware else None
        self.train, self.numerics = scene.train, scene.numerics
        self.company = min(attack.companions, len(scene.train)) if aware and scene.defence.parts else 0
        self.labels = F.one_hot(torch.full((len(rows),), goal.wanted), len(scene.train.classes)).float().to(rows.device)
        self.batch = attack.batch

    def drawn(self, steps: int, generator: torch.Generator) -> list[list[tuple[Tensor, list[Draw]]]]:
        """For every step and part: positions of the companions in the training set, and the draws of the views."""
        device, n = self.labels.device, len(self.train)
        parts = [len(part) for part in self.labels.split(self.batch)]
        company = [torch.randperm(n, generator=generator)[: self.company].clone() for _ in range(steps * len(parts))]
        sizes = [size + self.company for size in parts] * steps
        views = self.views.drawn(sizes, self.train.shape, generator, device)
        pairs = list(zip(torch.stack(company).to(device), views, strict=True))
        return [pairs[i : i + len(parts)] for i in range(0, len(pairs), len(parts))]

    def pull(self, x: Float[Tensor, "m c h w"], drawn, noise: torch.Generator) -> tuple[Tensor, Float[Tensor, "m c h w"]]:
        """The misalignment, averaged over networks and parts, and its gradient with respect to the pixels."""
        parts = zip(x.split(self.batch), self.labels.split(self.batch), drawn, strict=True)
        results = [self._part(part, labels, *draw, noise) for part, labels, draw in parts]
        values, gradients = zip(*results, strict=True)
        return torch.stack(values).mean(), torch.cat(gradients)

    def _part(self, x, y, company, draws, noise) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        pulls = []
        for network, target in zip(self.networks, self.targets, strict=True):
            seen, labels = self._seen(network, x, y, company, draws, noise)
            value, gradient = self._matched(network, target, seen.detach(), labels, noise)
            pulls.append((value, *torch.autograd.grad(seen, x, gradient)))
        values, gradients = zip(*pulls, strict=True)
        return torch.stack(values).mean(), torch.stack(gradients).sum(0)

    def _seen(self, network, x, y, company, draws, noise) -> tuple[Tensor, Tensor]:
        """What the network gets to see of the poisons: they come first in the batch, then clean images to be mixed with."""
        if self.company:
            others = F.one_hot(self.train.labels[company], y.shape[1]).float()
            joint, labels = torch.cat([x, to_float(self.train.pixels(company))]), torch.cat([y, others])
        else:
            joint, labels = x, y
        seen, labels = self.views.apply(joint, labels, draws, noise, lambda x, y: self._judged(network, x, y))
        return seen[: len(x)], labels[: len(x)]

    def _matched(self, network, target, seen, labels, noise) -> tuple[Tensor, Tensor]:
        """(misalignment, its gradient with respect to what the network sees)."""
        if self.numerics and self.numerics.compiled and not self.step:
            moved = {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}
            every = itertools.chain(network.named_parameters(), network.named_buffers())
            fixed = {name: tensor.detach() for name, tensor in every if name not in moved}
            with self._precision():
                return compiled(network)(seen, labels, moved, fixed, target)[::-1]
        seen = seen.requires_grad_()
        with ForPixels(), self._precision():
            loss = F.cross_entropy(network(seen), labels)
        gradient = torch.autograd.grad(loss, trained(network), create_graph=True)
        value = misalignment(self.step.release(gradient, noise) if self.step else gradient, target)
        return value.detach(), torch.autograd.grad(value, seen)[0]

    @torch.no_grad()
    def _judged(self, network, x, y) -> Float[Tensor, " n"]:
        with self._precision():
            return F.cross_entropy(network(x), y, reduction="none")

    def _precision(self):
        return self.numerics.autocast(self.labels.device) if self.numerics else contextlib.nullcontext()


def nested(skeleton: Network):
    """``(seen, labels, moved, fixed, target) -> (gradient, misalignment)``: nested derivatives, the form that compiles.

    ``moved`` are the parameters that a victim trains, ``fixed`` the others and the buffers, both by name. The skeleton gives the
    network's form only, so one compiled function serves all networks of that form.
    """

    def misaligned(seen, labels, moved, fixed, target):
        def loss(moved):
            return F.cross_entropy(functional_call(skeleton, {**fixed, **moved}, (seen,)), labels)

        return misalignment(list(grad(loss)(moved).values()), target)

    return grad_and_value(misaligned)


_COMPILED: dict[str, Callable] = {}  # by the form of the network: compiling takes a minute or two, a process serves many trials


def compiled(network: Network) -> Callable:
    """`nested` for the network's form, compiled once a process."""
    if repr(network) not in _COMPILED:
        _COMPILED[repr(network)] = torch.compile(nested(copy.deepcopy(network)))
    return _COMPILED[repr(network)]
