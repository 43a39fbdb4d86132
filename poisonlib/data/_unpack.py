"""Archives: checked, then unpacked whole or not at all."""

import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath


def unzip(archive: Path, folder: Path, md5: str) -> None:
    """Unpacks an archive whose top folder is called as ``folder`` into ``folder``, which appears only when it is complete.

    Raises ValueError where the archive's MD5 is another one, where it would write outside the folder, or cannot be unpacked.
    """
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise ValueError(f"{archive} is damaged: its MD5 is {found}, not {md5}; delete it and download it again")
    part = folder.with_suffix(".part")
    try:
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                if not _inside(name, folder.name):
                    raise ValueError(f"{archive} is refused: its member {name!r} does not belong in {folder.name}/")
            shutil.rmtree(part, ignore_errors=True)
            members.extractall(part)
        (part / folder.name).rename(folder)
        part.rmdir()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:  # as zipfile does
        raise ValueError(f"{archive} cannot be unpacked: {error}") from error


def _inside(name: str, top: str) -> bool:
    """Whether a member's name stays below its top folder, as POSIX and as Windows read it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and parts[0] == top and ".." not in parts
