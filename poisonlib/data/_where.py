"""Where data sets are looked for, whether they may be downloaded, and the error for one that is missing."""

import os
from pathlib import Path

from .. import paths


def cache() -> Path:
    """The folder of decoded images: ``$POISONLIB_CACHE`` (relative to `paths.root`), else ``cache/`` in the data root."""
    given = os.environ.get("POISONLIB_CACHE")
    return paths.root() / Path(given).expanduser() if given else paths.data() / "cache"


def may_download(download: bool) -> bool:
    """Whether the user allowed it, by the argument or by ``POISONLIB_DOWNLOAD=1``."""
    return download or os.environ.get("POISONLIB_DOWNLOAD") == "1"


def missing(title: str, folder: Path, size: str, url: str) -> FileNotFoundError:
    """The error for a data set that is missing or incomplete: what to download, from where, and where to put it."""
    return FileNotFoundError(
        f"{title} is missing or incomplete in {folder}. Download {url.rpartition('/')[2]} ({size}) from {url} and put it into "
        f"{folder.parent}, unpacked or as it is; or allow the download with download=True or with POISONLIB_DOWNLOAD=1 in the "
        f"environment. To look in another folder than {folder.parent}, set POISONLIB_DATA."
    )
