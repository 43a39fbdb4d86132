"""A ledger as one table in a file, for other programs: a row a record."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

from .. import files
from .ledger import frame
from .record import Record
from .spec import canonical

SUFFIXES = (".csv", ".parquet")


def export(records: Iterable[Record], path: "str | Path") -> int:
    """Write the records to a ``.csv`` or ``.parquet`` file, completely or not at all; returns their number.

    The columns are those of `frame`, then what is needed to go back: the trial's whole description as JSON, counts of correct test
    images by class as JSON, digests of code and data, commit and versions. Missing values are empty.

    Raises ValueError for another suffix.
    """
    path, records = Path(path), list(records)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: choose a name that ends in {' or '.join(SUFFIXES)}")
    table, out = _table(records), io.BytesIO()
    if path.suffix == ".csv":
        table.to_csv(out, index=False)
    else:
        table.to_parquet(out, index=False)
    files.write_atomically(path, out.getvalue())
    return len(records)


def _table(records: list[Record]):
    import pandas as pd

    table = pd.concat([frame(records), pd.DataFrame([_more(record) for record in records])], axis=1)
    return table.apply(_of_one_type)


def _more(record: Record) -> dict:
    return {
        "trial": canonical(record.spec),
        "clean": canonical(record.evaluation.clean),
        "code": record.code,
        **{f"data {split}": (record.data or {}).get(split) for split in ("train", "test")},
        "peak memory": record.cost.peak_memory,
        **{name: getattr(record.environment, name) for name in ("commit", "torch", "python", "poisonlib")},
    }


def _of_one_type(column):
    """A column of texts, numbers or truths stays as it is; any other, such as one of lists, becomes JSON, as Parquet has one type a
    column.
    """
    if column.dtype != object:
        return column
    kinds = {type(value) for value in column.dropna()}
    if kinds <= {int, float}:
        return column.astype("float64")
    plain = len(kinds) <= 1 and kinds <= {str, bool}
    return column if plain else column.map(json.dumps, na_action="ignore")
