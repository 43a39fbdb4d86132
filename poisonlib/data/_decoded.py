"""Folders of image files, decoded once into a memory-mapped array.

While the array is built, ``<name>-<hash>.part`` holds the pixels and ``<name>-<hash>.done`` one byte a chunk, 1 where the chunk is
complete; an interrupted build continues with the other chunks. Only the finished array is called ``.npy``; ``.sha256`` beside it
holds the digest of its bytes. An array without its digest is built again, unless the build was interrupted just before the digest
was written: then ``.done`` is still there.
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

from .. import files as storage
from .. import locks
from . import _content, _where

CHUNK = 256  # images that are decoded, flushed and ticked off together
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def listing(folder: Path) -> list[str]:
    """The image files below a folder, as paths relative to it with ``/``, sorted as strings; links that lead back are left."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        above = "" if parent == str(folder) else Path(parent).relative_to(folder).as_posix() + "/"
        found += [above + name for name in names if name.lower().endswith(ENDINGS)]
        here = os.path.join(os.path.realpath(parent), "")
        folders[:] = [name for name in folders if not here.startswith(os.path.join(os.path.realpath(f"{parent}/{name}"), ""))]
    return sorted(found)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, without hidden ones; [] where there is no such folder."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry.name for entry in inside if entry.is_dir() and not entry.name.startswith("."))


def classes(train: Path, held_out: Path) -> list[str]:
    """The classes of a tree of class folders: the training set's, sorted.

    Raises ValueError that names held-out ones which the training set lacks.
    """
    names = subfolders(train)
    if unknown := sorted(set(subfolders(held_out)) - set(names)):
        raise ValueError(f"{held_out} has classes that {train} lacks: {', '.join(unknown[:5])}")
    return names


def decode(name: str, folder: Path, files: Sequence[str], size: int, read: Callable) -> Path:
    """The file for `mapped` with the pixels of ``files`` (relative to ``folder``), in that order.

    ``read(path)`` returns a PIL image, RGB, of ``size`` by ``size`` pixels. The first call decodes, with a progress bar; later
    calls with the same names, contents and ``size`` find the file. One that is no longer what was written is made again. Raises
    ValueError that names an image which cannot be read.
    """
    target = _where.cache() / f"{name}-{_key(folder, files, size)}.npy"
    if not _whole(target):
        with locks.held(target.with_suffix(".lock")):  # a second process waits, and takes over if the first dies
            if not _whole(target):
                _build(target, [folder / file for file in files], size, read)
    return target


def _whole(target: Path) -> bool:
    """Whether the array is there, as it was written."""
    try:
        return target.with_suffix(".sha256").read_text(encoding="ascii") == _content.digest([(target, target.name)])
    except (OSError, UnicodeDecodeError):
        return False


def mapped(file: Path) -> UInt8[Tensor, "n 3 s s"]:
    """The pixels of the mapped file, copy-on-write: a change takes a page of memory and leaves the file as it is."""
    import numpy as np

    return torch.from_numpy(np.load(file, mmap_mode="c"))


def covering(path: Path, size: int, short: int):
    """The PIL image at ``path``, RGB, its shorter side resized to ``short`` (bilinear, antialiased) and the centre cut out.

    As torchvision's ``Resize(short)`` and ``CenterCrop(size)`` do; but an image of ``size`` x ``size`` pixels stays as it is.
    """
    from PIL import Image

    with Image.open(path) as file:
        image = eight_bit(file).convert("RGB")
    if image.size == (size, size):
        return image
    width, height = (short * side // min(image.size) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def image(path: Path, size: int | None, grey: bool = False) -> UInt8[Tensor, "c h w"]:
    """The pixels of an image file, RGB or grey, resized to cover ``size`` x ``size`` unless it has that size; None: as it is.

    Raises ValueError that names a file which cannot be read.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as file:
            found = eight_bit(file).convert("L" if grey else "RGB")
        if size and found.size != (size, size):
            found = covering(path, size, size)
    except Exception as error:  # PIL's decoders raise whatever a broken file makes them
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    pixels = torch.from_numpy(np.array(found))
    return pixels[None] if grey else pixels.permute(2, 0, 1).contiguous()


def eight_bit(image):
    """A PIL image as grey or RGB with 8 bits a channel.

    Raises ValueError for pixels of more bits, which PIL would cut off at 255.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ValueError(f"its pixels are of PIL's mode {image.mode!r}, with more than 8 bits; convert them first")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _key(folder, files, size):
    content = _content.digest([(folder / file, file) for file in files])
    return hashlib.sha256("\n".join([f"{size}/{CHUNK}/{content}", *files]).encode()).hexdigest()[:16]


def _build(target, files, size, read):
    part, done = target.with_suffix(".part"), target.with_suffix(".done")
    if part.exists() or not (target.exists() and done.exists()):
        _fill(part, done, files, size, read)
        os.replace(part, target)
    storage.write_atomically(target.with_suffix(".sha256"), _content.digest([(target, target.name)]).encode())
    done.unlink()


def _fill(part, done, files, size, read):
    """Decode the chunks that are not ticked off."""
    import numpy as np
    from tqdm import tqdm

    pixels, whole = _begun(part, done, (len(files), 3, size, size))
    chunks = [range(len(files))[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    todo = np.flatnonzero(whole == 0).tolist()

    def fill(chunk):
        for row in chunks[chunk]:
            pixels[row] = _pixels(files[row], size, read)
        pixels.flush()  # before the tick: after a power failure a tick must not stand for lost pixels
        whole[chunk] = 1
        whole.flush()
        return len(chunks[chunk])

    left = sum(len(chunks[chunk]) for chunk in todo)
    with ThreadPoolExecutor() as pool, tqdm(total=len(files), initial=len(files) - left, desc=part.stem, unit="image") as bar:
        for count in pool.map(fill, todo):  # PIL decodes and resizes without the GIL, so threads are enough
            bar.update(count)


def _begun(part, done, shape):
    """(pixels, ticks), mapped for writing, as an earlier build left them or new."""
    import numpy as np
    from numpy.lib.format import open_memmap

    count = -(-shape[0] // CHUNK)
    ticked = done.exists() and done.stat().st_size == count
    if not (ticked and part.exists() and part.stat().st_size > np.prod(shape)):  # a header and the pixels
        done.unlink(missing_ok=True)  # first, so that no old tick stands for the new, empty array
        part.unlink(missing_ok=True)
        _check_room(part.parent, int(np.prod(shape)))
        open_memmap(part, mode="w+", dtype=np.uint8, shape=shape).flush()
        done.write_bytes(bytes(count))
    return open_memmap(part, mode="r+"), np.memmap(done, dtype=np.uint8, mode="r+")


def _check_room(folder, need):
    """Raises OSError where the disk is too small: writing to a mapped file on a full disk would kill the process without a
    message.
    """
    if (free := shutil.disk_usage(folder).free) < need:
        raise OSError(f"{folder} has {free / 1e9:.1f} GB left and needs {need / 1e9:.1f} GB; POISONLIB_CACHE names another folder")


def _pixels(path, size, read):
    import numpy as np

    try:
        image = read(path)
    except Exception as error:  # PIL's decoders raise whatever a broken file makes them
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if image.size != (size, size) or image.mode != "RGB":
        raise ValueError(f"{path} is {image.size[0]} x {image.size[1]} {image.mode}, not {size} x {size} RGB")
    return np.asarray(image).transpose(2, 0, 1)
