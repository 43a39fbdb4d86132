"""Where things lie: the working root, the notebooks, the data root and the output root."""

import os
from pathlib import Path


def root() -> Path:
    """The folder that holds ``notebooks/`` and ``outputs/``.

    ``$POISONLIB_HOME`` if set; else the checkout that this package lies in; else, for an installed copy, the working folder, or
    the folder above it if the working folder is called ``notebooks``.
    """
    if given := os.environ.get("POISONLIB_HOME"):
        return Path(given).expanduser().resolve()
    if there := checkout():
        return there
    here = Path.cwd()
    return here.parent if here.name == "notebooks" else here


def checkout() -> Path | None:
    """The checkout that this package lies in; None for an installed copy."""
    above = Path(__file__).resolve().parent.parent
    return above if (above / "pyproject.toml").is_file() and (above / "notebooks").is_dir() else None


def notebooks() -> Path:
    """``notebooks/`` in `root` if it holds one of this package's, else those that an installed copy brings along."""
    own, shipped = root() / "notebooks", Path(__file__).with_name("_notebooks")
    copied = any((own / notebook.name).exists() for notebook in shipped.glob("*.ipynb"))
    return shipped if shipped.is_dir() and not copied else own


def data() -> Path:
    """``$POISONLIB_DATA`` (relative to `root`), else ``poisonlib`` in the user's cache folder; for a user without a home, in
    ``.cache`` of `root`. Need not exist.
    """
    if given := os.environ.get("POISONLIB_DATA"):
        return root() / Path(given).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "poisonlib"
    except RuntimeError:
        return root() / ".cache" / "poisonlib"


def outputs() -> Path:
    """``$POISONLIB_OUTPUTS`` (relative to `root`), else ``outputs/`` in `root`. Need not exist."""
    return root() / Path(os.environ.get("POISONLIB_OUTPUTS") or "outputs").expanduser()
