"""All records of the output folder as one table, in files beside the report."""

import importlib.util
from pathlib import Path

from ..experiments import Ledger, frame

NAME = "records"


def write(folder: Path) -> list[dict]:
    """Write ``records.csv`` and, where pyarrow is installed, ``records.parquet``: a row for each sound record.

    Returns the name, the kind and the size of each file; none is written where nothing is recorded.
    """
    records = list(Ledger.open().sound())
    if not records:
        return []
    table, made = frame(records), [folder / f"{NAME}.csv"]
    table.to_csv(made[0], index=False)
    if importlib.util.find_spec("pyarrow"):
        made.append(folder / f"{NAME}.parquet")
        table.to_parquet(made[1], index=False)
    kinds = {".csv": "CSV", ".parquet": "Parquet"}
    return [{"name": path.name, "kind": kinds[path.suffix], "rows": len(table), "size": _size(path)} for path in made]


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size > 5e5 else f"{size / 1e3:.0f} KB"
