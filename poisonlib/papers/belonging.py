"""Which trials belong to which cell of a paper's table."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from .. import attacks, models, registry
from ..experiments import Defence, Extractor, Trial, defence, profile, profiles, scenarios
from ..experiments.profiles import Profile
from ..models import Model
from . import designs
from .cells import Cell, trial_of
from .claims import Claim, Table, load, names
from .designs import MEASURES

PLACE = ("attack", "data", "model", "defence", "transfer", "white_box")  # what ``means`` name; the rest are values of the attack
BENCHMARKED = ("cifar", "tinyimagenet")  # data sets of the unified benchmark
NETWORKS = ("resnet", "vgg", "mobilenet_v2")  # and its networks


def comparable(claim: Claim) -> bool:
    """Whether the claim is a rate that trials can measure: of a defence, or of none, that this package has a name for."""
    return bool(_defence(claim)) and claim.measure in MEASURES and claim.value is not None


def _defence(claim: Claim) -> str | Defence | None:
    """The claim's defence; the victims of the benchmark, of whose claims each says whether it is about transfer, have none, and
    those of a design none unless the claim says so."""
    undefended = designs.designed(claim) or {"attack", "transfer"} <= claim.means.keys()
    return claim.means.get("defence") or ("none" if undefended else None)


def belongs(trial: Trial, claim: Claim) -> bool:
    """Whether a trial measures a claim: its defence is the claim's, and it is `attacked_as` the claim says, or of its design."""
    if "design" in claim.means:
        return designs.designed(claim) and designs.measures(trial, claim)
    wanted = _defence(claim)
    return bool(wanted) and attacked_as(trial, claim) and alike(trial.defence, defence(wanted))


def attacked_as(trial: Trial, claim: Claim) -> bool:
    """Whether the attack is the claim's, with every value that the claim names, whatever the defence. Clean controls never are."""
    if trial.attack.clean:
        return False
    attack = registry.describe(trial.attack)
    wanted = {"variant": "paper"} if "variant" in attack else {}
    wanted |= {name: value for name, value in claim.means.items() if name not in PLACE}
    if "adaptive" in wanted and not trial.defence.changes_training:
        wanted["adaptive"] = "none"  # with nothing to adapt to, the adaptive attack is the basic one
    named = claim.means.get("attack") in (None, attack["name"]) and _in_the_scenario(trial, claim)
    return named and all(name in attack and _equal(attack[name], value) for name, value in wanted.items())


def _in_the_scenario(trial: Trial, claim: Claim) -> bool:
    """Whether a trial is of the scenario that the claim names: from an extractor or not, and what the attacker has of it.

    Trials on one of the benchmark's data sets are none of the other's; those on any other data, such as digits, stand for both.
    Likewise of its networks, whatever their width.
    """
    means = claim.means
    if "transfer" in means and means["transfer"] != (trial.extractor is not None):
        return False
    named, mine = means.get("data", "").partition("(")[0], registry.name_of(trial.data).removesuffix("_setup")
    if "transfer" in means and mine in BENCHMARKED and mine != named:
        return False
    if "transfer" in means and "model" in means and not _stands_for(trial.model, models.load(means["model"])):
        return False
    return "white_box" not in means or trial.knowledge == ("white box" if means["white_box"] else "black box")


def _stands_for(mine: Model, named: Model) -> bool:
    """Whether a network is the named one of the benchmark's, of any width, or none of the benchmark's."""
    return registry.name_of(mine) not in NETWORKS or is_network(mine, named)


def is_network(mine: Model, named: Model) -> bool:
    """Whether two networks are the same architecture, of whatever width."""
    ours, theirs = (registry.describe(each) for each in (mine, named))
    return all(ours.get(key) == theirs.get(key) for key in ("name", "depth"))


def columns(table: Table) -> list[Claim]:
    """For each column that measures rates under the rows' defences: what its cells have in common, as a claim without a value."""
    found = []
    for column in table.columns:
        mine = [claim for claim in table.claims if claim.column == column.name]
        common = dict.fromkeys(name for name in mine[0].means if all(name in claim.means for claim in mine))
        means = {name: mine[0].means[name] for name in common if all(c.means[name] == mine[0].means[name] for c in mine)}
        if column.measure in MEASURES and "defence" in common and "defence" not in means:
            found.append(replace(mine[0], row="", printed="", value=None, stderr=None, trials=None, means=means, notes=()))
    return found


def alike(ours: Defence, theirs: Defence) -> bool:
    """Whether two defences are the same but for what goes by the attack and the schedule: the poison rate that their filters
    assume, and the epoch from which an augmentation is active (``maxup(start=0.125)`` is the paper's ``maxup(start=5)`` of 40).
    """
    return _lasting(ours) == _lasting(theirs)


def _lasting(defended: Defence) -> tuple:
    """What `alike` goes by."""
    augment = [registry.describe(part) | {"start": None} for part in defended.augment.parts]
    return augment, defended.step, defended.filter and defended.filter.assuming(0.0)


def _equal(ours, theirs) -> bool:
    return math.isclose(ours, theirs) if isinstance(theirs, float) else ours == theirs


def same_setting(trial: Trial, claim: Claim) -> bool:
    """Whether data, network, schedule and the attack's values, but those that the claim names, are those of a profile ``paper``."""
    return any(_as_in(profile(scenario, "paper"), trial, claim) for scenario in scenarios() if "paper" in profiles(scenario))


def _as_in(full: Profile, trial: Trial, claim: Claim) -> bool:
    place, theirs = ((without_content(of.data), of.model, of.recipe, _start(of.extractor)) for of in (trial, full))
    if place != theirs:
        return False
    name = registry.name_of(trial.attack)
    wanted = registry.describe(attacks.load(name, **full.attacks.get(name, {})))
    return all(field in claim.means or value == wanted[field] for field, value in registry.describe(trial.attack).items())


def _start(extractor: Extractor | None) -> tuple | None:
    """On what an extractor was pretrained, and how."""
    return extractor and (without_content(extractor.data), extractor.recipe, extractor.step)


def without_content(data):
    """A data set without its hidden values, such as the digest of its content, by which the paper's cannot be told."""
    hidden = [each for each in fields(data) if not each.metadata.get("shown", True)]
    return replace(data, **{each.name: "" if isinstance(getattr(data, each.name), str) else each.default for each in hidden})


@functools.cache
def tables() -> tuple[str, ...]:
    """Tables with claims that trials can measure, as ``"PAPER TABLE"``."""
    every = [table for paper in names() for table in load(paper).tables.values()]
    return tuple(f"{table.paper} {table.name}" for table in every if any(map(comparable, table.claims)))


@dataclass(frozen=True)
class Beside:
    """A claim and the cells of ours that measure it."""

    claim: Claim
    ours: tuple[Cell, ...]


def beside(cells: Sequence[Cell], table: str) -> list[Beside]:
    """The comparable claims of a table in their order, each with ours. Raises LookupError for an unknown table."""
    if table not in tables():
        raise LookupError(f"table={table!r}: choose one of: {', '.join(tables())}")
    paper, name = table.split()
    mine = _belonging(tuple(cell.setting.text for cell in cells), paper, name)
    claims = [claim for claim in load(paper).table(name).claims if comparable(claim)]
    return [Beside(claim, tuple(cells[i] for i in mine[claim.row, claim.column])) for claim in claims]


@functools.lru_cache(maxsize=64)
def _belonging(settings: tuple[str, ...], paper: str, table: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """For each (row, column) the positions of the settings that belong there."""
    trials = [trial_of(text) for text in settings]
    claims = load(paper).table(table).claims
    return {(c.row, c.column): tuple(i for i, trial in enumerate(trials) if trial and belongs(trial, c)) for c in claims}
