"""Folders of image files, decoded once into a memory-mapped array.

While it is built, the pixels lie in ``<name>-<hash>.part`` and ``<name>-<hash>.done`` holds one byte a chunk, 1 where the chunk is
whole; an interrupted build goes on with the chunks that are not. Only the finished array gets the ending ``.npy``.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from . import _where

CHUNK = 256  # images that are decoded, flushed and ticked off together
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def listing(folder: Path) -> list[str]:
    """The image files below a folder, as paths relative to it with ``/``, sorted as strings."""
    found = []
    for parent, _, names in os.walk(folder, followlinks=True):
        above = "" if parent == str(folder) else Path(parent).relative_to(folder).as_posix() + "/"
        found += [above + name for name in names if name.lower().endswith(ENDINGS)]
    return sorted(found)


def decode(name: str, folder: Path, files: Sequence[str], size: int, read: Callable) -> Path:
    """The file for `mapped` with the pixels of ``files`` (relative to ``folder``), in that order.

    ``read(path)`` gives a PIL image, RGB, of ``size`` by ``size`` pixels. The first call decodes, with a progress bar; later ones,
    for the same names, file sizes and ``size``, only find the file. Raises ValueError that names an image which cannot be read.
    """
    from filelock import FileLock

    target = _where.cache() / f"{name}-{_key(folder, files, size)}.npy"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):  # a second process waits for the first and takes over if that one dies
            if not target.exists():
                _build(target, [folder / file for file in files], size, read)
    return target


def mapped(file: Path) -> UInt8[Tensor, "n 3 s s"]:
    """The pixels upon the mapped file, copied where they are written to: a change takes a page of memory, and the file stays."""
    import numpy as np

    return torch.from_numpy(np.load(file, mmap_mode="c"))


def _key(folder, files, size):
    digest = hashlib.sha256(f"{size}/{CHUNK}\n".encode())
    for file in files:
        digest.update(f"{file}\t{os.stat(folder / file).st_size}\n".encode())
    return digest.hexdigest()[:16]


def _build(target, files, size, read):
    import numpy as np
    from tqdm import tqdm

    part, done = target.with_suffix(".part"), target.with_suffix(".done")
    pixels, whole = _begun(part, done, (len(files), 3, size, size))
    chunks = [range(len(files))[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    todo = np.flatnonzero(whole == 0).tolist()

    def fill(chunk):
        for row in chunks[chunk]:
            pixels[row] = _pixels(files[row], size, read)
        pixels.flush()  # before the tick, which must not outlive the pixels when the power fails
        whole[chunk] = 1
        whole.flush()
        return len(chunks[chunk])

    left = sum(len(chunks[chunk]) for chunk in todo)
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), initial=len(files) - left, desc=target.stem, unit="image") as bar:
        for count in pool.map(fill, todo):  # PIL decodes and resizes without the GIL, so threads are enough
            bar.update(count)
    os.replace(part, target)
    done.unlink()


def _begun(part, done, shape):
    """(pixels, ticks) as an earlier build left them, or fresh ones, mapped for writing."""
    import numpy as np
    from numpy.lib.format import open_memmap

    count = -(-shape[0] // CHUNK)
    if not (part.exists() and done.exists() and done.stat().st_size == count):
        done.unlink(missing_ok=True)  # first, so that no old tick ever vouches for the new, empty array
        part.unlink(missing_ok=True)
        _check_room(part.parent, int(np.prod(shape)))
        open_memmap(part, mode="w+", dtype=np.uint8, shape=shape).flush()
        done.write_bytes(bytes(count))
    return open_memmap(part, mode="r+"), np.memmap(done, dtype=np.uint8, mode="r+")


def _check_room(folder, need):
    """Raises OSError where the disk is too small; writing to a mapped file on a full disk would kill the process unexplained."""
    if (free := shutil.disk_usage(folder).free) < need:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB left of the {need / 1e9:.1f} GB wanted; POISONLIB_CACHE names another folder"
        )


def _pixels(path, size, read):
    import numpy as np

    try:
        image = read(path)
    except (OSError, SyntaxError, ValueError) as error:  # PIL's three ways of saying that a file is broken
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if image.size != (size, size) or image.mode != "RGB":
        raise ValueError(f"{path} is {image.size[0]} x {image.size[1]} {image.mode}, not {size} x {size} RGB")
    return np.asarray(image).transpose(2, 0, 1)
