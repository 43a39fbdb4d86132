"""The evidence on each sentence of a paper, one JSON file a sentence: how it was judged, by which records, and the verdict."""

import hashlib
import json
from pathlib import Path

from .. import files, paths
from ..experiments import rules
from .claims import Finding
from .comparison import Comparison, TableCell
from .setting import setting
from .verdicts import Verdict


def write(comparison: Comparison, root: Path | None = None) -> list[Path]:
    """Write ``claims/PAPER/ID.json`` below ``root`` (by default the output folder) for each sentence that a comparison's trials
    were asked; returns the paths.
    """
    folder = (root or paths.outputs()) / "claims" / comparison.table.paper
    written = []
    for (finding, said), otherwise in zip(comparison.findings, comparison.at_any_n, strict=True):
        path = folder / f"{finding.id}.json"
        content = dossier(comparison, finding, said, otherwise)
        files.write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        written.append(path)
    return written


def dossier(comparison: Comparison, finding: Finding, said: Verdict, at_any_n: Verdict) -> dict:
    """All that a reader needs to check a verdict, as JSON values.

    ``rule``: how it was reached. ``verdicts``: by that rule, and by the one that holds at any number of trials; ``p``: the p-values
    before correction, of the sentence and of its opposite. ``cells``: the printed numbers that are compared, ours, and the keys of
    the records behind ours. ``digests``: of the sentence with its printed numbers, of the images and of the code.
    """
    cells = [comparison.cell(*comparison.table.place_of(place)) for place in finding.places]
    keys = {key for cell in cells for key in _keys(comparison, cell)}
    records = [record for record in comparison.records if record.key in keys]
    text = "\n".join([finding.quote, *(cell.claim.printed for cell in cells)])
    rule = rules()
    return {
        "id": finding.id,
        "paper": comparison.table.paper,
        "place": finding.place,
        "sentence": finding.quote,
        "checked": finding.checked,
        "its own cells": "bear it out" if finding.holds else "contradict it",
        "verdict": said.word,
        "because": said.text,
        "verdicts": {"as planned": said.word, "at any number of trials": at_any_n.word},
        "p": {"of the sentence": said.p, "of its opposite": said.against},
        "rule": {
            "level": rule.level,
            **({} if finding.bound is None else {"bound": finding.bound}),
            "margin": rule.margin[cells[0].claim.measure] if finding.within is None else finding.within,
            "gate": rule.gate,
            "corrected by Holm over": [each.id for each, _ in comparison.findings],
        },
        "cells": [_cell(comparison, cell) for cell in cells],
        "setting": setting(records),
        "digests": {
            "text": hashlib.sha256(text.encode()).hexdigest(),
            "data": sorted({json.dumps(record.data, sort_keys=True) for record in records if record.data}),
            "code": sorted({record.code for record in records if record.code}),
        },
    }


def _cell(comparison: Comparison, cell: TableCell) -> dict:
    claim, ours = cell.claim, cell.ours
    return {
        "place": claim.place,
        "row": claim.row,
        "column": claim.column,
        "printed": claim.printed,
        "paper's n": claim.trials,
        "ours": ours.value,
        "95 % interval": [ours.low, ours.high],
        "n": ours.trials,
        "judged by": ours.method,
        "the paper's setting": cell.same_setting,
        "records": _keys(comparison, cell),
    }


def _keys(comparison: Comparison, cell: TableCell) -> list[str]:
    """The keys of the records behind a cell, in the order of their seeds."""
    mine = [record for record in comparison.records if record.setting in cell.trials.settings]
    return [record.key for record in sorted(mine, key=lambda record: record.seed)]
