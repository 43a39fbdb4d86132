"""Image sets: one file a data set, and ways to make image sets from data of one's own."""

from typing import Protocol, runtime_checkable

from .. import registry
from ._own import from_arrays as from_arrays
from ._own import from_dataset as from_dataset
from ._own import from_folder as from_folder
from ._own import goal as goal
from ._own import poison_from_folder as poison_from_folder
from ._setups import Setup as Setup
from ._setups import check_setups as check_setups
from ._setups import keep_setups as keep_setups
from ._setups import kept_setup as kept_setup
from ._types import Goal as Goal
from ._types import ImageSet as ImageSet
from ._types import Poison as Poison


@runtime_checkable
class Data(registry.Choice, Protocol):
    """A data set that is described but not yet read: a frozen dataclass with one verb, ``load``."""

    def load(self, split: str, download: bool = False) -> ImageSet:
        """The images of a split, "train" or "test", on the CPU. Raises FileNotFoundError, with what to do, where there are none."""
        raise NotImplementedError

    def for_seed(self, seed: int) -> "Data":
        """The data set of the trial with this seed: this one, unless trials have images of their own, as setups of a benchmark."""
        return self

    def resolved(self) -> "Data":
        """The same data set with a digest of its content among its values, where the other values do not determine the content."""
        return self


def names() -> list[str]:
    """The data sets that this package can read."""
    return registry.names(__name__)


def source(choice, **values) -> Data:
    """The data set that ``choice`` means, not yet read: ``source("digits", size=16)``, ``source("my_package.MyData")``."""
    return registry.load(__name__, Data, choice, **values)


def load(choice, split: str = "train", *, device="cpu", download: bool = False, **values) -> ImageSet:
    """The images of one split ("train" or "test") on a device: ``load("cifar", "test", classes=10, device="cuda")``.

    Raises ValueError for another split and for images or labels out of range, FileNotFoundError where the files are missing.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r}: choose train or test")
    return source(choice, **values).load(split, download=download).checked().to(device)


def store(train: ImageSet, test: ImageSet, title: str) -> Data:
    """Keep a training and a test set in the output folder, under a digest of their content, for trials to use.

    ``title`` is what tables and figures call the data set. The returned data set can be given to `experiments.grid`.
    """
    from .stored import store

    return store(train, test, title)
