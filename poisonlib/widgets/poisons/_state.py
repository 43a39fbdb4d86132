"""The state of the poison explorer."""

from dataclasses import dataclass

from ...experiments import Trial
from .. import _trial

VIEWS = ("poisons", "craft", "training", "features", "filters")


@dataclass(frozen=True)
class State:
    """The choices of the explorer. The trial is one of a quick profile, on scikit-learn's digits."""

    view: str = "poisons"
    attack: str = "gradient_matching"
    defence: str = "none"  # of the victim that is compared with the undefended one
    page: int = 0  # of the poisons
    seed: int = 0  # of the classes, the poisons and the victims

    def __post_init__(self):
        if self.view not in VIEWS:
            raise ValueError(f"view={self.view!r}: choose one of {', '.join(VIEWS)}")

    @property
    def trial(self) -> Trial:
        """Raises LookupError, TypeError or ValueError if attack or defence is none, or if they do not go together."""
        return _trial.trial_of("digits", self.attack, self.seed, self.defence or "none")
