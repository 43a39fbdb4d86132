"""What the records of ``make hardware`` say, for RESULTS.md: how much is equal on other processors, and where outcomes vary."""

import math
from collections.abc import Iterable

import numpy as np

from poisonlib import registry
from poisonlib.experiments import Ledger, Record
from poisonlib.papers.components import GOAL, PLACE, START, components
from poisonlib.papers.effects import SURE

from .hardware import HOME, SEEDS, STARTS
from .result_lines import markdown

NATIVE, ISA = "native", {"avx2": "the same, AVX2 at most", "plain": "the same, SSE4.1 at most, no fused multiply-adds"}
RESAMPLES = 2000

Kind = tuple[str, str]  # attack and defence
Place = dict[str, Record]  # what was recorded on a processor, by the records' keys

TEXT = """## The same trials on other processors

{count} goals of each attack on digits, {starts} victims of each goal (`make hardware`, {native}): equal trials give equal bytes
on one processor, whatever else runs. Other processors round sums in another order. *poisons*: crafts with the same bytes as
here; *outcomes*: victims that do what the attacker wants equally often; *networks*: victims that classify as many test images
of every class correctly. The profile was tuned on these seeds: the question is what differs, not how often attacks succeed.

{equal}

**Where the spread comes from**: variance components of the success rate and of the log-odds of the intended class, in per cent
of their sum, with 95 % bootstrap intervals over goals; from the processors that ran all starts. *target*: between goals;
*start*: between victims of one goal; *processor*: what the last bits alone do to one victim. So new goals tell far more than
more victims of one.

{spread}"""


def section() -> str:
    """Markdown; "" where there are no such records."""
    if not (HOME / NATIVE).exists():
        return ""
    places = {name: {r.key: r for r in Ledger.open(HOME / name / "trials")} for name in (NATIVE, *ISA) if (HOME / name).exists()}
    native = places[NATIVE]
    kinds = dict.fromkeys(map(_kind, native.values()))
    others = {ISA[name]: found for name, found in places.items() if name != NATIVE}
    others |= _by_device(record for record in Ledger.open(HOME.parent / "quick" / "trials") if record.key in native)
    rows = [_equal(name, kind, native, found) for kind in kinds for name, found in others.items() if _has(found, kind)]
    equal = markdown(["trials", "processor", "poisons", "outcomes", "networks", "success there", "here"], rows)
    header = ["trials", "of", "goals x starts x processors", GOAL, START, PLACE]
    spread = markdown(header, [_spread(kind, name, list(places.values())) for kind in kinds for name in MEASURES])
    here = next(iter(native.values())).environment.device.removeprefix("cpu: ")
    return TEXT.format(count=len(SEEDS), starts=STARTS, native=here, equal=equal, spread=spread)


def _kind(record: Record) -> Kind:
    return registry.name_of(record.trial.attack), record.trial.defence.label


def _has(place: Place, kind: Kind) -> bool:
    return any(_kind(record) == kind for record in place.values())


def _by_device(records: Iterable[Record]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for record in records:
        found.setdefault(record.environment.device.removeprefix("cpu: "), {})[record.key] = record
    return found


def _equal(name: str, kind: Kind, native: Place, found: Place) -> list[str]:
    """A row: of one attack under one defence, what is equal at another place."""
    pairs = [(record, found[key]) for key, record in native.items() if key in found and _kind(record) == kind]
    crafts = {a.seed: a.poisons.digest == b.poisons.digest for a, b in pairs}
    outcomes = sum(a.evaluation.hits == b.evaluation.hits for a, b in pairs)
    networks = sum(a.evaluation.clean == b.evaluation.clean for a, b in pairs)
    means = (f"{100 * np.mean([pair[i].success for pair in pairs]):.1f} %" for i in (1, 0))
    counts = [f"{sum(crafts.values())} of {len(crafts)}", f"{outcomes} of {len(pairs)}", f"{networks} of {len(pairs)}"]
    return [" · ".join(kind), name, *counts, *means]


def _log_odds(record: Record) -> float:
    sure = min(max(record.evaluation.confidence, SURE), 1 - SURE)
    return math.log(sure / (1 - sure))


MEASURES = {"success": lambda record: record.success, "log-odds": _log_odds}


def _spread(kind: Kind, measure: str, places: list[Place]) -> list[str]:
    """A row: the shares of the components, from the places that ran all trials of the kind."""
    mine = sorted((r for r in places[0].values() if _kind(r) == kind), key=lambda record: (record.seed, record.start))
    places = [place for place in places if all(record.key in place for record in mine)]
    outcomes = np.array([[MEASURES[measure](at[record.key]) for at in places] for record in mine]).reshape(len(SEEDS), STARTS, -1)
    rng = np.random.default_rng(0)
    drawn = [outcomes[rng.integers(len(outcomes), size=len(outcomes))] for _ in range(RESAMPLES)]
    shares = [components(each).shares for each in drawn]
    cells = []
    for name, value in components(outcomes).shares.items():
        low, high = np.nanquantile([each[name] for each in shares], (0.025, 0.975))
        cells.append(f"{100 * value:.0f} ({100 * low:.0f} to {100 * high:.0f})")
    return [" · ".join(kind), measure, " x ".join(map(str, outcomes.shape)), *cells]
