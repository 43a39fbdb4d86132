"""How accurate the networks behind some records are, beside "Just How Toxic", Tables 16 to 20."""

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

from .. import models, registry
from ..data import Data
from ..experiments import Record
from ..models import Model
from ..training import Recipe
from .belonging import is_network
from .claims import load

PRINTED = {  # the paper's tables, by how a network was trained and on what
    ("pretrained", "cifar(classes=10)"): "table16",
    ("from scratch", "cifar(classes=10)"): "table16",
    ("pretrained", "cifar(classes=100)"): "table17",
    ("pretrained", "tinyimagenet(classes=(0, 100))"): "table18",
    ("from scratch", "tinyimagenet"): "table19",
    ("from scratch", "cifar(classes=10, limit=2500)"): "table20",
    ("head", "cifar(classes=10, limit=2500)"): "table20",
    ("head", "cifar_setup"): "table20",
}


class Kind(NamedTuple):
    """Networks that differ in their start alone."""

    trained: str  # "pretrained", with the step if there is one; "head", of a frozen extractor; "fine-tuned"; "from scratch"
    data: Data
    model: Model
    recipe: Recipe

    @property
    def printed(self) -> tuple[str, list[str]]:
        """(place, numbers) of the paper's networks of this kind: rows of one network differ in normalisation and augmentation."""
        name = PRINTED.get((self.trained, registry.label(self.data)))
        claims = load("just_how_toxic").table(name).claims if name else ()
        wanted = [claim for claim in claims if claim.measure == "clean accuracy" and self._is(claim.means)]
        return (wanted[0].place.partition(",")[0] if wanted else ""), [claim.printed for claim in wanted]

    def _is(self, means: dict) -> bool:
        transferred = self.trained == "head"
        return means.get("transfer", transferred) == transferred and is_network(self.model, models.load(means["model"]))


def networks(records: Iterable[Record]):
    """A pandas table, a row for each kind of network: extractors, and undefended victims of clean controls.

    ``n`` networks that differ in their start have ``accuracy %`` on the clean test images of their own data, on average.
    ``weights`` are the first letters of a lone extractor's digest. ``paper %`` has all that the paper prints of such a network,
    each with other normalisation or augmentation, whatever the width and schedule.
    """
    import pandas

    found: dict[Kind, dict] = {}
    for record in records:
        for kind, which, accuracy in _networks(record):
            found.setdefault(kind, {})[which] = accuracy
    return pandas.DataFrame([_row(kind, mine) for kind, mine in found.items()])


def _networks(record: Record) -> Iterator[tuple[Kind, str, float]]:
    """(kind, which of them, accuracy) of each clean network that a record tells of."""
    trial = record.trial
    for extractor, weights in zip(trial.extractors, record.extractors, strict=False):
        how = f"pretrained by {registry.label(extractor.step)}" if extractor.step else "pretrained"
        yield Kind(how, extractor.data, extractor.model, extractor.recipe), weights.digest, weights.accuracy
    if trial.attack.clean and not trial.defence.parts:
        how = "from scratch" if trial.extractor is None else "head" if trial.recipe.frozen else "fine-tuned"
        yield Kind(how, trial.data, trial.model, trial.recipe), f"{record.seed}, {record.start}", record.accuracy


def _row(kind: Kind, mine: dict[str, float]) -> dict:
    place, printed = kind.printed
    return {
        "network": registry.label(kind.model),
        "trained": kind.trained,
        "data": registry.label(kind.data),
        "epochs": kind.recipe.epochs,
        "n": len(mine),
        "accuracy %": round(100 * fmean(mine.values()), 2),
        "weights": next(iter(mine))[:8] if kind.trained.startswith("pretrained") and len(mine) == 1 else "",
        "paper %": ", ".join(printed),
        "place": place,
    }
