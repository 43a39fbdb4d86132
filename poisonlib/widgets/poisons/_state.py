"""The state of the poison explorer."""

from dataclasses import dataclass

from ...experiments import Trial
from .. import _trial

EPOCHS = 40  # of the longest quick recipe
VIEWS = ("poisons", "craft", "training", "features", "filters")


@dataclass(frozen=True)
class State:
    """The choices of the explorer. The trial is one of a quick profile, on scikit-learn's digits."""

    view: str = "poisons"
    attack: str = "gradient_matching"
    defence: str = "none"  # of the victim that is compared with the undefended one
    page: int = 0  # of the poisons
    seed: int = 0  # of the classes, the poisons and the victims
    epoch: int = EPOCHS  # of the victims, to which the training view goes; never beyond the last

    def __post_init__(self):
        if self.view not in VIEWS:
            raise ValueError(f"view={self.view!r}: choose one of {', '.join(VIEWS)}")

    @property
    def trial(self) -> Trial:
        """Raises LookupError, TypeError or ValueError if attack or defence is none, or if they do not go together."""
        return _trial.trial_of(_trial.DIGITS, self.attack, self.seed, self.defence or "none")


def useful(state: State) -> set[str]:
    """The fields that have an effect in a state. An attacker who adapts crafts for the defence, whatever is shown."""
    fields = {"poisons": {"page"}, "training": {"defence", "epoch"}, "filters": {"defence"}}.get(state.view, set())
    adapts = {"defence"} if state.trial.attack.adaptive != "none" else set()
    return {"view", "attack", "seed"} | fields | adapts
