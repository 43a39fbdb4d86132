"""``make docs``: a reference of all modules, made from their docstrings, in ``outputs/docs``. A warning is an error."""

import sys
import warnings
from pathlib import Path

import pdoc

from poisonlib import paths


def write(folder: Path) -> Path:
    """Write the pages; returns the first. Raises UserWarning for a name, an annotation or a docstring that cannot be resolved."""
    pdoc.render.configure(docformat="markdown", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", r".* for pandas\.")  # of which a module's values may be
        pdoc.pdoc("poisonlib", output_directory=folder)
    return folder / "poisonlib.html"


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else paths.outputs() / "docs"))
