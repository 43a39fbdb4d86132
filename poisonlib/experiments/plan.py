"""What a grid will cost, before it is run."""

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..data import ImageSet
from .crafted import images
from .ledger import Ledger
from .models import Cache
from .place import choose, place
from .spec import Trial, canonical, digest

ASSUMED = 1e14  # floating-point operations a second that a data-centre GPU sustains on such networks


@dataclass(frozen=True)
class Plan:
    """Work that the ledger and the model cache lack. One multiply-add counts as two floating-point operations."""

    trials: int
    recorded: int
    trainings: int
    crafts: int
    operations: float | None  # of the trainings; None where the data set is not here
    hours: float | None  # one worker on this device, from records of the same set-up; None without any

    def __str__(self):
        text = f"{self.trials} trials, {self.recorded} recorded; to do: {self.trainings} trainings, {self.crafts} crafts"
        if self.operations is not None:
            hours = self.operations / ASSUMED / 3600
            text += f", {self.operations / 1e15:.3g} PFLOP ({hours:.2g} h at {ASSUMED / 1e12:.0f} TFLOP/s)"
        if self.hours is not None:
            text += f"; {self.hours:.2g} h for one worker on this device, going by the ledger"
        return text


def plan(trials: Sequence[Trial], ledger: Ledger | None = None, device: str = "auto") -> Plan:
    """Count what `run` would do: each victim and each craft once, however many cells share it."""
    ledger, cache = ledger or Ledger.open(), Cache.open()
    distinct = list({trial.key: trial for trial in trials}.values())
    missing = [trial for trial in distinct if trial not in ledger]
    networks = [(identity, trial) for trial in missing for identity in _networks(trial, cache)]
    fresh = {digest(identity): trial for identity, trial in networks if not cache.path(identity).exists()}
    work = [*fresh.values(), *(trial for trial in missing if trial.defence.filter)]
    crafts = {digest(trial.craft()) for trial in missing if _to_craft(trial, cache)}
    hours = _hours(missing, ledger, device)
    return Plan(len(distinct), len(distinct) - len(missing), len(work), len(crafts), _operations(work), hours)


def _to_craft(trial: Trial, cache: Cache) -> bool:
    return bool(getattr(trial.attack, "surrogates", ())) and not cache.path(trial.craft()).exists()


def _networks(trial: Trial, cache: Cache) -> list[dict]:
    """Of what `run` will train for a trial: its victim, and its surrogates unless the craft is here."""
    wanted = trial.attack.surrogates if _to_craft(trial, cache) else ()
    return [trial.victim(), *(trial.surrogate(each) for each in wanted if not each.pretrained)]


def _operations(work: Sequence[Trial]) -> float | None:
    """Operations of all trainings: backward costs twice the forward pass."""
    try:
        return float(sum(3 * _forward(trial.model, trial.data) * trial.recipe.epochs * len(_train(trial.data)) for trial in work))
    except FileNotFoundError:
        return None


def _train(source) -> ImageSet:
    return images(source, "train", torch.device("cpu"))


@functools.lru_cache(maxsize=64)
def _forward(model, source) -> int:
    """Operations of one image's forward pass, counted on shapes alone."""
    train = _train(source)
    with torch.device("meta"):
        network = model.build(len(train.classes), train.shape, train.mean, train.std)
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.empty(1, *train.shape))
    return counter.get_total_flops()


def _hours(missing: Sequence[Trial], ledger: Ledger, device: str) -> float | None:
    """Mean time of the recorded trials of the same data, network, recipe and numerics on this device, times the missing ones."""
    here = place(choose(device))["device"]
    alike = [canonical({**trial.describe(), "seed": 0, "attack": 0, "defence": 0}) for trial in missing]
    seconds = {}
    for record in ledger:
        if record["place"]["device"] == here:
            setting = canonical({**record["spec"], "seed": 0, "attack": 0, "defence": 0})
            seconds.setdefault(setting, []).append(record["cost"]["seconds"])
    if not missing or not set(alike) <= set(seconds):
        return None
    return sum(statistics.mean(seconds[setting]) for setting in alike) / 3600
