"""In which setting records were made: in full for the report, in a line for the lower edge of a figure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from .. import registry
from ..experiments import Trial
from ..experiments.spec import canonical


def setting(records: Sequence[dict]) -> dict[str, str]:
    """What every figure of these records must be labelled with: data, network, schedule, trials, devices, versions, cost."""
    trials = [Trial.read(record["spec"]) for record in records]
    return {
        "data": _distinct(registry.label(trial.data) for trial in trials),
        "network": _distinct(registry.label(trial.model) for trial in trials),
        "epochs": _distinct(str(trial.recipe.epochs) for trial in trials),
        "precision": _distinct(trial.numerics.precision for trial in trials),
        "trials": str(len({record["key"] for record in records})),
        "device": _distinct(_place("device", records)),
        "torch": _distinct(_place("torch", records)),
        "commit": _distinct(_place("commit", records)),
        "work": f"{sum(record['cost']['seconds'] for record in records) / 60:.1f} minutes, one worker",
    }


def caption(records: Sequence[dict]) -> str:
    """``"digits(limit=400) · patches · n = 12 · cpu"``: data, network, trials a cell and kind of device; "" without a record."""
    if not records:
        return ""
    read = {canonical(record["spec"] | {"seed": 0}): Trial.read(record["spec"]) for record in records}.values()
    places = (_distinct(registry.label(getattr(trial, part)) for trial in read) for part in ("data", "model"))
    devices = _distinct(device.split(":")[0] for device in _place("device", records))
    seeds = {(canonical(record["spec"] | {"seed": 0}), record["spec"]["seed"]) for record in records}
    return " · ".join([*places, counted(Counter(cell for cell, _ in seeds).values()), devices])


def counted(trials: Iterable[int]) -> str:
    """``"n = 12"``, or ``"n = 4 to 16"`` where the cells differ."""
    least, most = min(trials := list(trials)), max(trials)
    return f"n = {least}" if least == most else f"n = {least} to {most}"


def _place(field: str, records: Sequence[dict]) -> Iterable[str]:
    return (str(record["place"][field]) for record in records)


def _distinct(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
