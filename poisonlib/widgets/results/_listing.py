"""The selected cells as a table: in HTML, with headings for screen readers, and as CSV or LaTeX files."""

import functools
import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ... import files, paths
from ...papers import Point
from ...papers.belonging import Beside
from ...papers.cells import Cell, measured, point
from ...papers.statistics import Estimate
from ...papers.telling import PARTS, differs
from ...words import plural

ROWS = 30
CELL = "padding: 0 0.6em; text-align: {}"


def frame(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row for each cell; rates are shares. For programs. ``confidence``: mean probability of the intended class."""
    return pd.DataFrame([_row(cell, point(cell)) for cell in cells])


def _row(cell: Cell, measured: Point) -> dict:
    return {
        **{part: getattr(cell.setting, part) for part in PARTS},
        "n": len(cell.seeds),
        "success": measured.success.value,
        "success low": measured.success.low,
        "success high": measured.success.high,
        "confidence": _mean(cell.confidence),
        "clean accuracy": measured.accuracy.value,
        "seconds": _mean(cell.seconds),
    }


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def printed(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row for each cell; all values are text, rates in per cent. For readers."""
    table = frame(cells)
    percent = {name: [_percent(share) for share in table[name]] for name in table.columns[len(PARTS) + 1 : -1]}
    pairs = zip(percent["success low"], percent["success high"], strict=True)
    return table[list(PARTS)].assign(
        **{
            "n": table["n"].map(str),
            "success %": percent["success"],
            "95 % interval": [f"{low} to {high}" for low, high in pairs],
            "confidence %": percent["confidence"],
            "clean accuracy %": percent["clean accuracy"],
            "seconds": table["seconds"].map("{:.1f}".format),
        }
    )


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{100 * share:.1f}"


@functools.lru_cache(maxsize=32)
def as_html(cells: tuple[Cell, ...], rows: int = ROWS) -> str:
    """The first ``rows`` cells as an HTML table that unfolds. It is headed by what all cells have in common, and how many are left
    out.
    """
    left, common = max(len(cells) - rows, 0), [part for part in PARTS[2:] if not differs(part, cells)]
    table = printed(cells[:rows]).drop(columns=common)
    said = f"{plural(len(cells), 'cell')} selected" + (f"; {left} are not shown here, but exported" if left else "")
    said += "".join(f" · {getattr(cells[0].setting, part)}" for part in common)
    return _folded(said, list(table.columns), list(table.itertuples(index=False, name=None)), PARTS)


def printed_html(spots: Sequence[Beside]) -> str:
    """A paper's table, a row for each of its values, with ours beside it; open at first."""
    lines = [(spot.claim, measured(cell, spot.claim.measure) if cell else None) for spot in spots for cell in spot.ours or (None,)]
    rows = [(claim.row, claim.column, claim.printed, *_ours(rate)) for claim, rate in lines]
    about = spots[0].claim
    columns = ["row", "column", "paper", "ours %", "95 % interval", "n"]
    return _folded(f"{about.place} of {about.paper}, as printed and as measured", columns, rows, columns[:2], " open")


def _ours(rate: Estimate | None) -> tuple[str, str, str]:
    if rate is None:
        return "not run", "", ""
    return _percent(rate.value), f"{_percent(rate.low)} to {_percent(rate.high)}", str(rate.trials)


def _folded(said: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[str], is_open: str = "") -> str:
    """A table that unfolds below what is said of it. ``words``: the columns that are aligned to the left."""
    looks = [CELL.format("left" if name in words else "right") for name in columns]
    heads = "".join(f'<th scope="col" style="{look}">{html.escape(name)}</th>' for name, look in zip(columns, looks, strict=True))
    body = "".join(_html_row(row, looks) for row in rows)
    return (
        f"<details{is_open}><summary>{html.escape(said)}</summary>"
        f'<div style="overflow-x: auto"><table style="font-size: 90%; line-height: 1.3">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _html_row(row: Sequence[str], looks: Sequence[str]) -> str:
    first = f'<th scope="row" style="{looks[0]}; font-weight: normal">{html.escape(row[0])}</th>'
    others = zip(row[1:], looks[1:], strict=True)
    return "".join(["<tr>", first, *(f'<td style="{look}">{html.escape(value)}</td>' for value, look in others), "</tr>"])


def as_latex(cells: Sequence[Cell]) -> str:
    """A table for LaTeX's package booktabs, with special characters escaped."""
    table = printed(cells)
    columns = "".join("l" if name in PARTS else "r" for name in table.columns)
    style = table.style.hide(axis="index").format(escape="latex").format_index(axis=1, escape="latex")
    return style.to_latex(hrules=True, column_format=columns)


def save(cells: Sequence[Cell], name: str, suffix: str) -> Path:
    """Write ``outputs/exports/NAME.csv`` or ``.tex`` completely or not at all; returns its path.

    Raises ValueError if no cell is selected, for a name with folders, and for another suffix.
    """
    if not cells:
        raise ValueError("no cell is selected")
    if Path(name).name != name or suffix not in ("csv", "tex"):
        raise ValueError(f"{name!r}, {suffix!r}: choose a name without folders, and csv or tex")
    text = frame(cells).to_csv(index=False) if suffix == "csv" else as_latex(cells)
    path = paths.outputs() / "exports" / f"{name}.{suffix}"
    files.write_atomically(path, text.encode())
    return path
