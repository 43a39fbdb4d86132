"""Records with invented outcomes, for tests of what is read from records."""

from poisonlib.experiments import Record, Trial
from poisonlib.experiments.environment import Environment
from poisonlib.experiments.record import Cost, FilterReport, Poisons
from poisonlib.training import Evaluation


def record(
    trial: Trial,
    hits: int,
    targets: int = 1,
    clean: tuple[tuple[int, int], ...] = ((900, 1000),),
    *,
    confidence: float | None = None,
    poisons: int = 9,
    filtered: FilterReport | None = None,
    seconds: float = 1.0,
    device: str = "cpu: test",
    code: str | None = None,
    data: dict[str, str] | None = None,
) -> Record:
    """A record of the trial; a clean control has no poisons, whatever ``poisons`` says."""
    return Record(
        trial.describe(),
        Evaluation(hits, targets, confidence, clean),
        intended_class=1,
        source_class=2,
        poisons=Poisons(0 if trial.attack.clean else poisons, "", 255),
        craft=None,
        filter=filtered,
        cost=Cost(seconds, {}, 1),
        environment=Environment(device, "2", "3", "0", "abc"),
        code=code,
        data=data,
    )
