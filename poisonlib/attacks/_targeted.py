"""What targeted clean-label attacks share: random targets of one class, random training images of another to be the poisons."""

import math
from dataclasses import dataclass, field

import torch

from .. import check
from ..data import Goal, ImageSet, Setup, check_setups, kept_setup
from ..registry import LATER
from ..rng import stream
from ..tensors import levels
from . import Attack, ThreatModel


@dataclass(frozen=True)
class Targeted(Attack):
    """The values that all of these attacks have: how many training images change, by how much, and how many targets there are.

    With ``setups``, a trial's seed is the number of a setup: that one's target and base images take the place of drawn ones, and
    ``poison_rate`` only tells whether there are poisons at all. Where there are more targets, the setup's is the first.
    """

    eps: float = 16 / 255  # largest change of a pixel, in units of [0, 1]
    poison_rate: float = 0.01  # poisons as a share of the whole training set; 0 is the clean control
    targets: int | None = 1  # test images of one class that are all to be classified as the intended class; None: all of it
    pair: tuple[int, int] | None = field(default=None, kw_only=True, metadata=LATER)  # class of targets, of poisons; None: drawn
    setups: str = field(default="", kw_only=True, metadata=LATER | {"shown": False})  # what `data.keep_setups` returned

    def __post_init__(self):
        if not (isinstance(self.eps, float | int) and 0 < self.eps <= 1 and levels(self.eps)):
            raise ValueError(
                f"eps={self.eps!r}: choose a change of pixels from 1/255, as images are bytes, to 1 (16/255 in the papers)"
            )
        check.share("poison_rate", self.poison_rate, "the training set")
        if self.targets is not None:
            check.whole("targets", self.targets, 1)
        if self.pair is not None and not _two_classes(self.pair):
            raise ValueError(f"pair={self.pair!r}: choose two different classes, that of the targets and that of the poisons")

    @property
    def clean(self) -> bool:
        """Whether the training set stays as it is."""
        return self.poison_rate == 0

    def validate(self, threat_model: ThreatModel) -> None:
        """Raises ValueError where the smallest class is too small for the poisons or the targets, as the seed chooses the
        classes.
        """
        if len(threat_model.train.classes) < 2:
            raise ValueError("the attack needs at least two classes: the intended class and the source class")
        if self.setups:
            check_setups(self.setups, threat_model.train, threat_model.test)
            return
        if self.pair and max(self.pair) >= len(threat_model.train.classes):
            raise ValueError(f"pair={self.pair}: the data have the classes 0 to {len(threat_model.train.classes) - 1}")
        train, test = threat_model.train, threat_model.test
        smallest, fewest = train.smallest_class, test.smallest_class
        if (poisons := count(train, self.poison_rate)) > smallest:
            raise ValueError(
                f"poison_rate={self.poison_rate!r}: {poisons} poisons of one class, but the smallest class has {smallest} images; "
                f"choose at most {smallest * 10_000 // len(train) / 10_000}"
            )
        if self.poison_rate and not poisons:
            raise ValueError(
                f"poison_rate={self.poison_rate!r}: no poison among {len(train)} images; choose at least {1 / len(train):.2g}"
            )
        if (self.targets or 1) > fewest:
            raise ValueError(
                f"targets={self.targets}: all are test images of one class, but the smallest class has {fewest}; "
                f"choose {f'at most {fewest}' if fewest else 'a larger test set'}"
            )

    def choose(self, threat_model: ThreatModel, seed: int) -> tuple[ImageSet, Goal]:
        """(the clean images that become poisons, the goal): two classes, targets and poisons, each from its own CPU stream.

        Poisons are of the intended class. The poisons of a smaller rate are among those of a larger one; likewise the targets.
        """
        train, test = threat_model.train, threat_model.test
        if self.setups:
            return self._given(kept_setup(self.setups, seed), train, test, seed)
        drawn = torch.randperm(len(train.classes), generator=stream(seed, "classes"))[:2].tolist()
        intended, source = self.pair[::-1] if self.pair else drawn
        aim = test.of_class(source)
        if (self.targets or 1) > len(aim):
            raise ValueError(f"targets={self.targets}: the class {test.classes[source]!r} has {len(aim)} test images")
        aim = aim.take(torch.randperm(len(aim), generator=stream(seed, "targets"))[: self.targets].to(aim.ids.device))
        pool = train.of_class(intended)
        order = torch.randperm(len(pool), generator=stream(seed, "poison rows"))[: count(train, self.poison_rate)]
        base = pool.take(order.to(pool.ids.device))
        return base.take(base.ids.argsort()), Goal(aim.images, aim.labels, aim.ids, intended)

    def _given(self, setup: Setup, train: ImageSet, test: ImageSet, seed: int) -> tuple[ImageSet, Goal]:
        """The base images and the goal of a setup."""
        setup.check(train, test)
        ids = torch.tensor(sorted(set(setup.base_ids)) if self.poison_rate else [], dtype=torch.int64, device=train.device)
        aim = test.of_class(setup.target_class)
        others = torch.randperm(len(aim), generator=stream(seed, "targets")).to(aim.ids.device)
        first = (aim.ids[others] != setup.target_id).int().argsort(stable=True)
        aim = aim.take(others[first][: self.targets])
        return train.take(train.positions(ids)), Goal(aim.images, aim.labels, aim.ids, setup.base_class)


def _two_classes(pair) -> bool:
    whole = isinstance(pair, list | tuple) and all(type(label) is int and label >= 0 for label in pair)
    return whole and len(pair) == 2 and pair[0] != pair[1]


def count(train: ImageSet, poison_rate: float) -> int:
    """The number of poisons, rounded up as in the public code."""
    return math.ceil(poison_rate * len(train) - 1e-9)
