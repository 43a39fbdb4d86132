"""Where things lie: the working root, the data root and the output root."""

import os
from pathlib import Path


def root() -> Path:
    """The folder that holds ``notebooks/`` and ``outputs/``.

    ``$POISONLIB_HOME`` if set; else the checkout that this package lies in; else, for an installed copy, the working folder, or
    the folder above it if the working folder is called ``notebooks``.
    """
    if given := os.environ.get("POISONLIB_HOME"):
        return Path(given).expanduser().resolve()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "notebooks").is_dir():
        return checkout
    here = Path.cwd()
    return here.parent if here.name == "notebooks" else here


def data() -> Path:
    """``$POISONLIB_DATA`` (relative to `root`), else ``poisonlib`` in the user's cache folder. Need not exist."""
    if given := os.environ.get("POISONLIB_DATA"):
        return root() / Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "poisonlib"


def outputs() -> Path:
    """``$POISONLIB_OUTPUTS`` (relative to `root`), else ``outputs/`` in `root`. Need not exist."""
    return root() / Path(os.environ.get("POISONLIB_OUTPUTS") or "outputs").expanduser()
