"""How much of the spread of outcomes comes from the goal, from the victim's start, and from the processor's last bits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

GOAL, START, PLACE = "target", "start", "processor"


@dataclass(frozen=True)
class Components:
    """Variances of one outcome: between goals, between victims of one goal, and between repetitions of one victim elsewhere."""

    target: float
    start: float
    processor: float

    @property
    def shares(self) -> dict[str, float]:
        """The components as shares of their sum; an estimate below zero counts as zero. NaN where nothing varies."""
        kept = {name: max(getattr(self, name), 0.0) for name in (GOAL, START, PLACE)}
        total = sum(kept.values())
        return {name: value / total if total else float("nan") for name, value in kept.items()}


def components(outcomes: Float[np.ndarray, "goals starts places"]) -> Components:
    """Unbiased estimates from a balanced nested design: every goal has the same number of starts, each repeated at every place.

    Mean squares are set equal to their expectations (Searle, Casella & McCulloch, Variance Components, 1992, section 3.3). Raises
    ValueError where a factor has fewer than two levels.
    """
    if min(outcomes.shape) < 2:
        raise ValueError(f"outcomes of {outcomes.shape} goals, starts and places: two of each are needed")
    goals, starts, places = outcomes.shape
    of_start, of_goal = outcomes.mean(2), outcomes.mean((1, 2))
    within = ((outcomes - of_start[:, :, None]) ** 2).sum() / (goals * starts * (places - 1))
    between_starts = places * ((of_start - of_goal[:, None]) ** 2).sum() / (goals * (starts - 1))
    between_goals = starts * places * ((of_goal - of_goal.mean()) ** 2).sum() / (goals - 1)
    return Components(
        float((between_goals - between_starts) / (starts * places)), float((between_starts - within) / places), float(within)
    )
