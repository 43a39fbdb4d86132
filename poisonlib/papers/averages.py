"""Cells of several victims' networks as one, where the paper prints their average: for each seed the mean over the networks."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .. import models
from ..experiments import Trial
from ..experiments.spec import canonical
from .belonging import is_network
from .cells import MEANS, Cell, Setting, as_planned_at, mean_of
from .claims import Claim

Averages = Mapping[frozenset[str], Cell]  # by the texts of the settings that are averaged


def average(claim: Claim, found: Mapping[Cell, Trial], known: Averages) -> Cell | None:
    """The average of the cells ``found`` for a claim of the benchmark about all of its networks; None for any other claim.

    Networks that are none of the benchmark's stand for each that a claim names.
    """
    if "transfer" not in claim.means or any(_named(trial, claim) for trial in found.values()):
        return None
    return known.get(frozenset(cell.setting.text for cell in found))


def named(claim: Claim, found: Mapping[Cell, Trial]) -> Mapping[Cell, Trial]:
    """Those with the network that the benchmark's claim names, if there are any; else all."""
    return {cell: trial for cell, trial in found.items() if _named(trial, claim)} or found


def _named(trial: Trial, claim: Claim) -> bool:
    return {"transfer", "model"} <= claim.means.keys() and is_network(trial.model, models.load(claim.means["model"]))


def averages(cells: Sequence[Cell]) -> Averages:
    """An average for every attack that was run on several networks, and for their clean controls.

    Only seeds that all of the networks have count. Attacks that share no seed have no average.
    """
    groups: dict[str, dict[str, Cell]] = {}  # by all but the network, then by the network
    for cell in cells:
        network, rest = _split(cell.setting.text)
        groups.setdefault(rest, {})[network] = cell
    attacked = [group for group in groups.values() if len(group) > 1 and not next(iter(group.values())).setting.control]
    return dict(_made(groups.values(), {frozenset(group) for group in attacked}))


def _made(groups: Iterable[dict[str, Cell]], together: set[frozenset[str]]) -> Iterator[tuple[frozenset[str], Cell]]:
    """The averages of each group over networks that an attack was run on, with the texts of their settings."""
    for group, networks in itertools.product(groups, together):
        if networks <= group.keys():
            members = [group[each] for each in sorted(networks)]
            if seeds := [seed for seed in members[0].seeds if all(seed in each.seeds for each in members)]:
                yield frozenset(each.setting.text for each in members), _average(members, seeds)


def _split(text: str) -> tuple[str, str]:
    """(the victim's network, the setting without it)."""
    spec = json.loads(text)
    network = canonical(spec.pop("model"))
    spec["extractor"] = spec.get("extractor") and spec["extractor"] | {"model": None}
    return network, canonical(spec)


def _average(members: Sequence[Cell], seeds: Sequence[int]) -> Cell:
    first, rows = members[0], []
    for seed in seeds:
        of_seed = [(each, each.seeds.index(seed)) for each in members]
        rows.append([mean_of([getattr(each, name)[i] for each, i in of_seed]) for name in MEANS])
    devices = tuple(", ".join(sorted({each.devices[each.seeds.index(seed)] for each in members})) for seed in seeds)
    return replace(
        first,
        setting=_setting(members),
        seeds=tuple(seeds),
        **dict(zip(MEANS, map(tuple, zip(*rows, strict=True)), strict=True)),
        devices=devices,
        planned=all(as_planned_at(each.setting.text, tuple(seeds)) for each in members),
        failed=tuple(sorted({seed for each in members for seed in each.failed})),
        members=tuple(each.setting.text for each in members),
    )


def _setting(members: Sequence[Cell]) -> Setting:
    """The setting that the members share; in the network's place stand all of theirs."""
    spec = json.loads(members[0].setting.text)
    networks = [json.loads(each.setting.text)["model"] for each in members]
    spec |= {"model": networks, "extractor": spec.get("extractor") and spec["extractor"] | {"model": networks}}
    return replace(members[0].setting, text=canonical(spec), model=" and ".join(each.setting.model for each in members))
