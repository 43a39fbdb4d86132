"""All records of the output folder as one table, in files beside the report."""

from pathlib import Path

from .. import files
from ..experiments import Ledger, index
from ..experiments.export import SUFFIXES, export
from ..experiments.snapshot import snapshot

NAME = "records"
KINDS = {".csv": "CSV", ".parquet": "Parquet"}


@snapshot()
def write(folder: Path) -> list[dict]:
    """Write ``records.csv`` and ``records.parquet``, a row for each sound record, unless they are there and no record has changed.

    Returns the name, the kind and the size of each file; none is written where nothing is recorded.
    """
    ledger = Ledger.open()
    if not (rows := len(ledger.summaries())):
        return []
    made, mark, state = [folder / f"{NAME}{suffix}" for suffix in SUFFIXES], folder / f".{NAME}", index.state(ledger.root)
    if not (all(path.exists() for path in made) and mark.is_file() and mark.read_bytes() == state):
        records = list(ledger.sound())
        for path in made:
            export(records, path)
        files.write_atomically(mark, state)
    return [{"name": path.name, "kind": KINDS[path.suffix], "rows": rows, "size": _size(path)} for path in made]


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size > 5e5 else f"{size / 1e3:.0f} KB"
