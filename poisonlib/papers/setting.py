"""In which setting records were made: in full for the report, in a line for the lower edge of a figure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ..experiments import Record, provenance
from . import cells


def setting(records: Sequence[Record]) -> dict[str, str]:
    """What every figure of these records must be labelled with: data, network, schedule, trials, devices, versions, cost, and
    whether the code and data that made them are those of today.
    """
    words = [cells.setting(record.setting) for record in records]
    return {
        "data": _distinct(each.data for each in words),
        "network": _distinct(each.model for each in words),
        "epochs": _distinct(str(record.spec["recipe"]["epochs"]) for record in records),
        "precision": _distinct(record.spec["numerics"]["precision"] for record in records),
        "trials": str(len({record.key for record in records})),
        "device": _distinct(record.environment.device for record in records),
        "torch": _distinct(record.environment.torch for record in records),
        "commit": _distinct(str(record.environment.commit) for record in records),
        "provenance": recorded_with(records),
        "work": f"{sum(record.cost.seconds for record in records) / 60:.1f} minutes, one worker",
    }


def recorded_with(records: Sequence[Record]) -> str:
    """``"all 108 recorded with this code"``, or ``"96 of 108 recorded with other code"`` and so on, for distinct records."""
    distinct = {record.key: record for record in records}.values()
    same = {(r.setting, r.code, _frozen(r.data)): r for r in distinct}  # what decides the answer: it is found once for each
    answers = {identity: _staleness(record) for identity, record in same.items()}
    counts = Counter(answers[r.setting, r.code, _frozen(r.data)] for r in distinct)
    if set(counts) <= {""}:
        return f"all {len(distinct)} recorded with this code" if distinct else ""
    return "; ".join(f"{count} of {len(distinct)} {said}" for said, count in counts.items() if said)


def _frozen(data: dict[str, str] | None) -> tuple | None:
    return data and tuple(sorted(data.items()))


def _staleness(record: Record) -> str:
    try:
        trial = record.trial
    except LookupError:
        return "of classes that cannot be imported here"
    unknown = record.code == provenance.code(trial) and provenance.content(trial) is None
    return "recorded with this code; the data are not here to compare" if unknown else provenance.staleness(record, trial)


def caption(records: Sequence[Record]) -> str:
    """``"digits(limit=400) · patch_mlp · n = 12 · cpu"``: data, network, trials a cell and kind of device; "" without a record."""
    if not records:
        return ""
    words = [cells.setting(text) for text in dict.fromkeys(record.setting for record in records)]
    places = (_distinct(getattr(each, part) for each in words) for part in ("data", "model"))
    devices = _distinct(record.environment.device.split(":")[0] for record in records)
    seeds = {(record.setting, record.seed) for record in records}
    return " · ".join([*places, counted(Counter(text for text, _ in seeds).values()), devices])


def counted(trials: Iterable[int]) -> str:
    """``"n = 12"``, or ``"n = 4 to 16"`` where the cells differ."""
    least, most = min(trials := list(trials)), max(trials)
    return f"n = {least}" if least == most else f"n = {least} to {most}"


def _distinct(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
