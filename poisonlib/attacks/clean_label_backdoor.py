"""Clean-label backdoor, CLBD (Turner et al. 2018): images that became hard to learn, so that the victim learns their trigger."""

import contextlib
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from .. import check
from ..data import Goal, Poison
from ..registry import LATER
from ..rng import stream
from ..steps.adversarial_training import AdversarialTraining, pgd
from ..tensors import to_bytes, to_float
from . import Surrogate, ThreatModel
from ._backdoor import Backdoor


@dataclass(frozen=True)
class CleanLabelBackdoor(Backdoor):
    """Moves ``poison_rate`` of the training set, all of the intended class, away from their own class by at most ``eps`` a pixel,
    then puts the trigger on them; labels stay correct.

    The perturbation is projected gradient ascent of the images' loss on adversarially trained surrogates (equation 3 of "Just How
    Toxic"). Variants: ``paper`` (Turner et al.) puts on the whole trigger, which leaves the ball; ``released`` is the benchmark's
    code, and the sentence below that equation: the trigger is clipped with the rest, so in training it is but a shade of ``eps``.
    On test images it is whole in both.

    In transfer learning, the surrogates' heads are trained adversarially on an ordinary extractor, or, with ``robust_extractor``,
    ordinarily on an extractor that was pretrained adversarially: once, for all trials. One step of a little more than
    ``surrogate_eps`` is enough for that (Wong et al., "Fast is better than free", arXiv:2001.03994, use 1.25 of it).
    """

    steps: int = 20
    step_size: float = 0.25  # as a share of eps; 2/255 of 8/255
    ensemble: int = 1  # surrogates
    surrogate_eps: float = 8 / 255  # of their adversarial training
    variant: str = "paper"
    surrogate_steps: int = field(default=7, kw_only=True, metadata=LATER)  # of the ascent in their adversarial training
    surrogate_step_size: float = field(default=0.25, kw_only=True, metadata=LATER)  # as a share of surrogate_eps
    robust_extractor: bool = field(default=False, kw_only=True, metadata=LATER)

    def __post_init__(self):
        super().__post_init__()
        for name in ("steps", "ensemble", "surrogate_steps"):
            check.whole(name, getattr(self, name), 1)
        for name in ("step_size", "surrogate_step_size"):
            check.number(name, getattr(self, name), 0, above=True)
        check.flag("robust_extractor", self.robust_extractor)
        check.number("surrogate_eps", self.surrogate_eps, 0, 1, above=True)
        check.variant(self.variant)

    @property
    def bound(self) -> float | None:
        """``eps`` where the trigger is clipped, too."""
        return self.eps if self.variant == "released" else None

    @property
    def surrogates(self) -> tuple[Surrogate, ...]:
        training = AdversarialTraining(self.surrogate_eps, self.surrogate_steps, self.surrogate_step_size)
        how = {"pretraining" if self.robust_extractor else "step": training}
        return tuple(Surrogate(number, **how) for number in range(0 if self.clean else self.ensemble))

    def craft(self, threat_model: ThreatModel, seed: int) -> tuple[Poison, Goal]:
        base, goal = self.choose(threat_model, seed)
        if self.clean:
            return Poison(base.ids, base.images), goal
        hard, _ = self._ascend(threat_model, base.images, goal.intended_class, seed)
        images = self.stamp(to_bytes(hard, base.images, self.eps), self.trigger(threat_model.train, seed))
        return Poison(base.ids, images if self.bound is None else to_bytes(to_float(images), base.images, self.eps)), goal

    def objective(self, threat_model: ThreatModel, poison: Poison, goal: Goal, seed: int) -> float:
        """Minus the mean loss that the poisons have on the surrogates with their own label, the trigger's pixels as they were."""
        base = threat_model.train.pixels(threat_model.train.positions(poison.ids))
        corner = torch.ones(base.shape[1], self.size, self.size).to(torch.uint8)
        trigger = self.stamp(torch.zeros_like(base), corner).bool()
        without = torch.where(trigger, base, poison.images)
        with torch.no_grad():
            return -mean_loss(threat_model, to_float(without), goal.intended_class).item()

    def trace(self, threat_model: ThreatModel, seed: int) -> Float[Tensor, " steps"]:
        """Minus the loss before each step, on the CPU."""
        base, goal = self.choose(threat_model, seed)
        return -self._ascend(threat_model, base.images, goal.intended_class, seed)[1].cpu()

    def _ascend(self, threat_model: ThreatModel, base: Integer[Tensor, "m c h w"], label: int, seed: int) -> tuple[Tensor, Tensor]:
        noise = stream(seed, "craft start", device=base.device)
        how = self.eps, self.steps, self.step_size * self.eps, noise
        return pgd(lambda x: mean_loss(threat_model, x, label), to_float(base), *how)


def mean_loss(threat_model: ThreatModel, x: Float[Tensor, "m c h w"], label: int) -> Float[Tensor, ""]:
    """The cross-entropy of images with one label, averaged over them and over the surrogates."""
    labels, numerics = torch.full((len(x),), label, device=x.device), threat_model.numerics
    with numerics.autocast(x.device) if numerics else contextlib.nullcontext():
        return torch.stack([F.cross_entropy(network.eval()(x), labels) for network in threat_model.surrogates]).mean()
