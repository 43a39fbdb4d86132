"""JupyterLab on copies of the notebooks: opening and running them leaves the originals, and so the checkout, as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import notebooks, paths


def copies() -> tuple[Path, list[str]]:
    """Copy every notebook to ``outputs/lab``, but those that were copied before: they are the user's now.

    Returns (the folder, the names of those that are kept although their originals have changed since; delete one for a new copy).
    """
    folder, kept = paths.outputs() / "lab", []
    folder.mkdir(parents=True, exist_ok=True)
    for name in notebooks.names():
        original, copy = notebooks.path(name), folder / f"{name}.ipynb"
        if not copy.exists():
            shutil.copy(original, copy)
        elif original.stat().st_mtime > copy.stat().st_mtime:
            kept.append(name)
    return folder, kept


def start(folder: Path) -> int:
    """Open JupyterLab on a folder and wait until it ends; returns its exit status. Records and models stay where they are."""
    environment = os.environ | {"POISONLIB_HOME": str(paths.root())}
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(folder)], env=environment)
