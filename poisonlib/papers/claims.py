"""What the papers claim, as data: every printed number with its place, and the contradictions that are known of it.

There is one TOML file for each paper. Its keys: ``[paper]`` (bibliography); one section for each table, with ``place``,
``caption``, ``columns`` (name, measure, unit), ``rows`` (cells exactly as printed), ``trials`` (as stated) and ``binary`` (true if
one trial is one hit or miss, so that a success rate must be k/n); ``victims`` is the number of models scored in one trial (default
1); ``means``, ``row_means`` and the columns' ``means`` say the same in this package's words (``defence = "mixup(k=4)"``;
``design``, ``amount``, ``box`` and ``crafting`` name the changes of the attack's baseline that `experiments.design` makes, "" for
none);
``notes`` have a kind: ``contradiction`` (the paper, or its code, says otherwise elsewhere), ``error`` (the printed standard error
does not follow from the paper's own rule), ``trials`` (no k/n at the stated n), ``difference`` (a printed difference that its
table does not confirm), ``layout``. ``[[stated]]`` are results in the running text and ``[[finding]]`` what a replication can
check, each a quoted sentence with its ``checks``; ``[settings]`` are the stated conditions, ``[[figure]]`` what a figure shows. "
/ " in a name separates the levels of a printed heading; " #2" marks the second of two rows with the same name.
"""

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .transcript import Claim, Column, Figure, Finding, Note, Paper, Setting, Stated, Table, number


def names() -> list[str]:
    """The transcribed papers, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))


@functools.cache
def load(paper: str) -> Paper:
    """A paper's claims. Raises LookupError that lists the papers."""
    if paper not in names():
        raise LookupError(f"no paper {paper!r}; choose one of: {', '.join(names())}")
    return read(paper, tomllib.loads((Path(__file__).parent / f"{paper}.toml").read_text(encoding="utf-8")))


def read(paper: str, raw: dict[str, Any]) -> Paper:
    """The paper that parsed TOML describes. Raises TypeError for an unknown key and ValueError for a malformed table."""
    return Paper(
        name=paper,
        about=raw["paper"],
        tables={name: _table(paper, name, body) for name, body in raw.items() if "rows" in body},
        stated=tuple(Stated(**each) for each in _sentences(raw["stated"])),
        settings=tuple(Setting(**_frozen(each)) for each in raw["settings"]["list"]),
        findings=tuple(Finding(**each) for each in _sentences(raw["finding"])),
        figures=tuple(Figure(**_frozen(each)) for each in raw.get("figure", [])),
    )


def _sentences(groups: list[dict]) -> Iterator[dict]:
    """The checks of every quoted sentence, each with its place and the quote."""
    for group in groups:
        for check in group["checks"]:
            yield {"place": group["place"], "quote": group["quote"], **_frozen(check)}


def _frozen(value):
    """Lists as tuples, at every depth."""
    if isinstance(value, dict):
        return {key: _frozen(each) for key, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _table(paper: str, name: str, raw: dict[str, Any]) -> Table:
    columns = tuple(Column(**{k: v for k, v in each.items() if k != "means"}) for each in raw["columns"])
    notes = tuple(Note(**each) for each in raw.get("notes", []))
    fixed = dict(paper=paper, table=name, place=raw["place"], binary=raw.get("binary", False), derived=raw.get("derived", False))
    claims = []
    for row, cells in raw["rows"].items():
        if len(cells) != len(columns):
            raise ValueError(f"{paper} {name}, row {row!r}: {len(cells)} cells under {len(columns)} columns")
        for column, words, printed in zip(columns, raw["columns"], cells, strict=True):
            means = {**raw.get("means", {}), **words.get("means", {}), **raw.get("row_means", {}).get(row, {})}
            about = tuple(n.text for n in notes if (n.row or n.column) and n.row in ("", row) and n.column in ("", column.name))
            claims.append(_claim(fixed, row, column, printed, raw.get("trials"), means, about))
    return Table(paper, name, raw["place"], raw["caption"], columns, tuple(raw["rows"]), tuple(claims), notes)


def _claim(fixed: dict, row: str, column: Column, printed: str, trials: int | None, means: dict, notes: tuple[str, ...]) -> Claim:
    value, stderr = number(printed, column.unit)
    return Claim(
        **fixed,
        row=row,
        column=column.name,
        measure=column.measure,
        printed=printed,
        value=value,
        stderr=stderr,
        trials=column.trials or trials,
        victims=column.victims,
        means=means,
        notes=notes,
    )
