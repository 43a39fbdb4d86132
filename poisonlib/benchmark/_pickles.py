"""Reading pickles of strangers: plain values, NumPy's arrays and PIL's images come out as inert records, and nothing else does.

No function of NumPy or PIL is called on the way: the names that may stand in a file stand for the records below.
"""

import io
import pickle
from pathlib import Path

import numpy as np

MOST = 2**28  # bytes of a file; 500 poisons of 64 x 64 pixels take 6 MB
KINDS = ("b", "i", "u", "f")  # of numbers in arrays


def read(path: Path):
    """What a pickle holds: plain Python values, lists for arrays, numbers for NumPy's, `Picture` for images.

    Raises ValueError that names the file where it is missing, too large, damaged, or names anything that is not on the list.
    """
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    if path.stat().st_size > MOST:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes; at most {MOST:,} are read")
    try:
        return plain(Reader(io.BytesIO(path.read_bytes())).load())
    except Forbidden as error:
        raise ValueError(f"{path.name} is refused: {error}") from None
    except Exception as error:  # whatever a damaged or forged pickle leads to
        raise ValueError(f"{path.name} is damaged or no pickle: {error or type(error).__name__}") from None


class Forbidden(Exception):
    """The name of something that has no place in these files."""


class Record:
    """An object in a pickle, of which only its state is kept."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
        self.state = state


class Dtype(Record):
    """A type of numbers."""

    @property
    def numpy(self) -> np.dtype:
        order = self.state[1] if self.state else "|"
        found = np.dtype(str(self.arguments[0]))
        if found.kind not in KINDS or found.shape or found.names:
            raise ValueError(f"an array of {found}; numbers are wanted")
        return found.newbyteorder(order if order in "<>=|" else "=")


class Array(Record):
    """An array of numbers."""

    def plain(self) -> list:
        """As nested lists."""
        _, shape, dtype, columns_first, content = self.state
        flat = np.frombuffer(content, dtype.numpy)
        return flat.reshape(shape, order="F" if columns_first else "C").tolist()


class Buffered(Record):
    """An array of numbers, as protocol 5 writes it."""

    def plain(self) -> list:
        content, dtype, shape, order = self.arguments
        return np.frombuffer(content, dtype.numpy).reshape(shape, order=str(order)).tolist()


class Scalar(Record):
    """A number of NumPy's."""

    def plain(self) -> int | float | bool:
        dtype, content = self.arguments
        (value,) = np.frombuffer(content, dtype.numpy).tolist()
        return value


class Picture(Record):
    """An image of PIL's: its mode, such as "RGB", its size (width, height) and its pixels as bytes."""

    def pixels(self) -> np.ndarray:
        """As uint8 of shape (c, h, w). Raises ValueError for another mode, or where the bytes do not fill the size."""
        _, mode, (width, height), _, content = self.state[:5]
        channels = {"L": 1, "RGB": 3}.get(mode)
        if channels is None:
            raise ValueError(f"an image of the mode {mode!r}; RGB is wanted, or L for grey")
        if len(content) != channels * width * height:
            raise ValueError(f"an image of {width} x {height} pixels with {len(content)} bytes")
        return np.frombuffer(content, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


class Maker:
    """A callable that a pickle may name; nothing can be set on it."""

    __slots__ = ("make",)

    def __init__(self, make):
        object.__setattr__(self, "make", make)

    def __call__(self, *arguments):
        return self.make(*arguments)

    def __setattr__(self, name, value):
        raise Forbidden(f"it sets {name}")


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as protocol 2 writes them."""
    if encoding not in ("latin1", "latin-1"):
        raise Forbidden(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


def _empty(*_) -> Array:
    """The array that its state will fill."""
    return Array()


MAKERS = {"dtype": Dtype, "ndarray": _empty, "_reconstruct": _empty, "scalar": Scalar, "_frombuffer": Buffered, "encode": _encoded}
ALLOWED = {
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("PIL.Image", "Image"): "Image",
    ("_codecs", "encode"): "encode",
    **{(f"{core}.multiarray", name): name for core in ("numpy.core", "numpy._core") for name in ("scalar", "_reconstruct")},
    **{(f"{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("numpy.core", "numpy._core")},
}


class Reader(pickle.Unpickler):
    """An unpickler to which every name is foreign but those on the list, and these mean records of this file."""

    def find_class(self, module: str, name: str):
        """The record for a name. Raises Forbidden for one that is not on the list."""
        known = ALLOWED.get((module, name))
        if known is None:
            raise Forbidden(f"it names {module}.{name}, and only plain values, NumPy's arrays and PIL's images are read")
        return Picture if known == "Image" else Maker(MAKERS[known])  # an image is made by its class, whatever calls it

    def persistent_load(self, pid):
        """Nothing lies outside the file."""
        raise Forbidden("it refers to something outside the file")


def plain(value, depth: int = 0):
    """Arrays as lists and NumPy's numbers as Python's, within lists, tuples and dicts. Raises Forbidden for anything else."""
    if depth > 8:
        raise Forbidden("it nests more than 8 levels deep")
    if isinstance(value, Array | Buffered | Scalar):
        return value.plain()
    if isinstance(value, list | tuple):
        return type(value)(plain(each, depth + 1) for each in value)
    if isinstance(value, dict):
        return {plain(key, depth + 1): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, Picture | int | float | str | bytes | type(None)):
        return value
    raise Forbidden(f"it holds a {type(value).__name__}")
