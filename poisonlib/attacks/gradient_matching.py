"""Gradient matching, "Witches' Brew" (Geiping et al., arXiv:2009.02276): poisons whose training gradient aligns with the target's.

A victim that descends on the poisons then also descends on the target with the intended label. Adaptive attacks: Borgnia et al.,
"Strong data augmentation", section 4.2, and DP-InstaHide, sections 2.2 and 3.2.
"""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torch.nn import functional as F

from .. import check
from ..data import Goal, Poison
from ..models import Network
from ..rng import stream
from ..tensors import project, to_bytes, to_float
from . import Surrogate, ThreatModel
from ._compiled import compiled_value_and_grad
from ._double_backward import ForPixels
from ._shown import Sample, Shown
from ._signed_adam import minimise
from ._targeted import Targeted

ADAPTIVE = ("none", "surrogate", "augmented")


def misalignment(a: Sequence[Tensor], b: Sequence[Tensor]) -> Float[Tensor, ""]:
    """1 - cos(a, b) of two gradients, given tensor by tensor (Witches' Brew, equation 3)."""
    dot = sum((x * y).sum() for x, y in zip(a, b, strict=True))
    return 1 - dot / (norm(a) * norm(b))


def norm(gradient: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The global l2 norm of a gradient."""
    return torch.stack([part.norm() for part in gradient]).norm()


def target_gradient(network: Network, images: Integer[Tensor, "t c h w"], intended_class: int) -> list[Tensor]:
    """The gradient that the poisons are to imitate: of the targets' mean loss with the intended label."""
    labels = torch.full((len(images),), intended_class, device=images.device)
    loss = F.cross_entropy(network(to_float(images)), labels)
    return list(torch.autograd.grad(loss, trained(network), materialize_grads=True))


def trained(network: Network) -> list[Tensor]:
    """The parameters that the victim trains: all, or the head's alone where the feature extractor is frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class GradientMatching(Targeted):
    """Perturbs ``poison_rate`` of the training set, all of the intended class, by at most ``eps`` a pixel; labels stay correct.

    ``adaptive``: "none" knows the victim's architecture, recipe and ordinary augmentation; "surrogate" also trains its surrogates
    under the victim's defence, the papers' adaptive attack on augmentations; "augmented" also crafts through that defence with a
    fresh sample in each step: its augmentations, and its clipping and noise, straight through, as the papers' attack on DP-SGD does
    (Strong augmentation, section 4.2). Where it mixes images, ``clean_images`` random training images, the poisons' originals among
    them, are mixed with the poisons, and the loss is that of the whole mixed batch, as in the public code: a victim sees poisons in
    mixes with clean images on either side. The papers give no details of it (DP-InstaHide, section 3.2).
    ``variant="released"`` is the public code: a normal start, cut off at ``eps`` but not at the range of pixels, the restart with
    the smallest last loss (one sample, one step stale), and steps that an ensemble of K makes K times shorter. ``poison_rate=0`` is
    the clean control.
    """

    steps: int = 250
    restarts: int = 8
    step_size: float = 0.4  # of the first steps, as a share of eps; the public code's 0.1 in normalised units is 6.3/255
    ensemble: int = 1  # surrogates
    adaptive: str = "none"
    clean_images: int = 128
    batch_size: int = 512  # poisons matched together; larger sets are matched part by part
    eval_samples: int = 8  # augmentation samples by which restarts are compared, and as many others by which the best is judged
    pretrained: bool = False  # surrogates with public weights instead of trained ones
    variant: str = "paper"

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "restarts", "ensemble", "clean_images", "batch_size", "eval_samples"):
            check.whole(name, getattr(self, name), 1)
        check.number("step_size", self.step_size, 0, above=True)
        check.one_of("adaptive", self.adaptive, ADAPTIVE)
        check.flag("pretrained", self.pretrained)
        check.variant(self.variant)
        if self.pretrained and self.adaptive == "surrogate":
            raise ValueError("adaptive='surrogate', pretrained=True: public weights know no defence; choose 'none' or 'augmented'")

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        count = 0 if self.clean else self.ensemble
        return tuple(Surrogate(number, self.adaptive != "none", self.pretrained) for number in range(count))

    def facing(self, defended: bool) -> "GradientMatching":
        """Without a defence to adapt to, the adaptive attack is the basic one."""
        return self if defended else replace(self, adaptive="none")

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where a class is too small for the poisons or targets, or a crafting batch too small to be mixed."""
        super().validate(threat_model)
        if self.clean:
            return
        base, goal = self.choose(threat_model, 0)
        try:
            Matching(self, replace(threat_model, surrogates=()), base.ids, goal).shown.sample(1, stream(0, "rehearsal"))
        except ValueError as error:
            how = f"{len(base)} poisons, batch_size={self.batch_size}, clean_images={self.clean_images}"
            raise ValueError(f"{error} (while crafting with {how})") from None

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        matching = Matching(self, threat_model, base.ids, goal)
        candidates = [self._restart(matching, base.images, seed, restart) for restart in range(self.restarts)]
        best = torch.stack([value for _, value in candidates]).nan_to_num(nan=torch.inf).argmin()
        return Poison(base.ids, candidates[int(best)][0]), goal

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """Mean misalignment of stored poisons over augmentation samples that chose nothing: 0 is perfect, 1 is chance."""
        return self._mean_misalignment(Matching(self, threat_model, poison.ids, goal), poison.images, seed, "judge").item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """The misalignment before each step of the first restart, on the CPU."""
        base, goal = self.choose(threat_model, seed)
        return self._optimise(Matching(self, threat_model, base.ids, goal), base.images, seed, 0)[1].cpu()

    def _restart(self, matching: "Matching", base: Tensor, seed: int, restart: int) -> tuple[Tensor, Tensor]:
        """The stored images that one start leads to, and the value by which restarts are compared."""
        delta, values = self._optimise(matching, base, seed, restart)
        images = to_bytes(to_float(base) + delta, base, self.eps)
        stale = self.variant == "released" or self.restarts == 1
        return images, values[-1] if stale else self._mean_misalignment(matching, images, seed, "compare")

    def _optimise(self, matching: "Matching", base: Tensor, seed: int, restart: int) -> tuple[Tensor, Tensor]:
        noise = stream(seed, "craft noise", restart, device=base.device)
        samples = matching.shown.sample(self.steps, stream(seed, "craft draws", restart))
        step_size = self.step_size * self.eps / (self.ensemble if self.variant == "released" else 1)
        start = self._start(to_float(base), stream(seed, "craft start", restart))

        def value_and_grad(x, i):
            return matching.value_and_grad(x, samples[i], noise)

        return minimise(value_and_grad, to_float(base), start, self.eps, self.steps, step_size)

    def _start(self, base: Tensor, generator: torch.Generator) -> Tensor:
        """The perturbation that crafting begins with."""
        if self.variant == "released":
            return (torch.randn(base.shape, generator=generator) * self.eps).clamp(-self.eps, self.eps).to(base.device)
        return project(((torch.rand(base.shape, generator=generator) * 2 - 1) * self.eps).to(base.device), base, self.eps)

    def _mean_misalignment(self, matching: "Matching", images: Tensor, seed: int, purpose: str) -> Tensor:
        noise = stream(seed, f"{purpose} noise", device=images.device)
        samples = matching.shown.sample(self.eval_samples, stream(seed, f"{purpose} draws"))
        return torch.stack([matching.value_and_grad(to_float(images), each, noise)[0] for each in samples]).mean()


class Matching:
    """The objective of one attack as a function of the poisons' pixels: networks and target gradients are fixed."""

    def __init__(self, attack: GradientMatching, threat_model: ThreatModel, ids: Int64[Tensor, " m"], goal: Goal):
        aware = attack.adaptive == "augmented"
        self.networks = [network.eval() for network in threat_model.surrogates]
        self.step = threat_model.step if aware else None
        self.numerics, self.smoothing = threat_model.numerics, threat_model.label_smoothing
        labels = F.one_hot(torch.full((len(ids),), goal.intended_class), len(threat_model.train.classes)).float().to(ids.device)
        self.shown = Shown(threat_model, labels, attack.batch_size, aware, attack.clean_images)
        with self._precision(ids):
            self.targets = [target_gradient(network, goal.images, goal.intended_class) for network in self.networks]

    def value_and_grad(
        self, x: Float[Tensor, "m c h w"], samples: list[Sample], noise: torch.Generator
    ) -> tuple[Tensor, Float[Tensor, "m c h w"]]:
        """The misalignment, averaged over networks and parts, and its gradient with respect to the pixels."""
        results = [self._part(*part, noise) for part in self.shown.parts(x, samples)]
        values, gradients = zip(*results, strict=True)
        return torch.stack(values).mean(), torch.cat(gradients)

    def _part(self, x, y, sample, noise) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        results = []
        for network, target in zip(self.networks, self.targets, strict=True):
            seen, labels = self.shown.view(x, y, sample, noise, functools.partial(self._per_sample_loss, network))
            value, gradient = self._matched(network, target, seen.detach(), labels, noise)
            results.append((value, *torch.autograd.grad(seen, x, gradient)))
        values, gradients = zip(*results, strict=True)
        return torch.stack(values).mean(), torch.stack(gradients).sum(0)

    def _matched(self, network, target, seen, labels, noise) -> tuple[Tensor, Tensor]:
        """(misalignment, its gradient with respect to what the network sees)."""
        if self.numerics and self.numerics.compiled and not self.step:
            with self._precision(seen):
                return compiled_value_and_grad(misalignment, network, seen, labels, target, self.smoothing)
        seen = seen.requires_grad_()
        with ForPixels(), self._precision(seen):
            loss = F.cross_entropy(network(seen), labels, label_smoothing=self.smoothing)
        gradient = torch.autograd.grad(loss, trained(network), create_graph=True, materialize_grads=True)
        value = misalignment(self.step.mechanism(gradient, noise) if self.step else gradient, target)
        return value.detach(), torch.autograd.grad(value, seen)[0]

    @torch.no_grad()
    def _per_sample_loss(self, network, x, y) -> Float[Tensor, " n"]:
        with self._precision(x):
            return F.cross_entropy(network(x), y, reduction="none", label_smoothing=self.smoothing)

    def _precision(self, x):
        return self.numerics.autocast(x.device) if self.numerics else contextlib.nullcontext()
