"""Poisons that are the negatives of the target."""

from dataclasses import dataclass

from poisonlib.attacks import Attack
from poisonlib.data import Goal, Poison


@dataclass(frozen=True)
class Negatives(Attack):
    """The first ``count`` images of class 0 become their negatives; the first test image of class 1 is the target."""

    count: int = 5

    def craft(self, threat_model, seed):
        base = threat_model.train.of_class(0)
        base = base.take(base.ids.sort().indices[: self.count])
        aim = threat_model.test.of_class(1)
        return Poison(base.ids, 255 - base.images), Goal(aim.images[:1], aim.labels[:1], aim.ids[:1], 0)
