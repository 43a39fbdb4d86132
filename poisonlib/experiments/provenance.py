"""What decides a result besides the trial's description: the source code and the data. Records carry a digest of both."""

import functools
from collections.abc import Iterable

import torch

from .. import augment, data, registry, source
from ..attacks import Surrogate
from ..registry import Choice
from ..training import Numerics
from . import extractor as origins
from .extractor import Extractor, Origin
from .index import Summary
from .record import Record
from .snapshot import looked_up
from .spec import Defence, Trial

TRIAL, MAKING = (f"{__package__}.trial",), (f"{__package__}.crafting",)  # modules whose code, with all that they import, counts
OTHER_CODE, OTHER_DATA = "recorded with other code", "recorded with other data"


def code(trial: Trial) -> str:
    """The digest of the source code that decides the trial's result."""
    return _code(trial.choices, TRIAL)


def _code(choices: Iterable[Choice], modules: tuple[str, ...]) -> str:
    return source.digest([cls for choice in choices for cls in choice.depends_on()], modules)


def content(trial: Trial) -> dict[str, str] | None:
    """The fingerprints of the trial's images and labels, by split; None where the data set is not on this machine.

    Those of data that an extractor was pretrained on stand under the data set's label.
    """
    found = {split: _present(trial.source, split) for split in ("train", "test")}
    found |= {registry.label(each.data): _present(each.data) for each in trial.extractors}
    return None if None in found.values() else found


@functools.lru_cache(maxsize=32)
def fingerprint(choice: data.Data, split: str) -> str:
    """`ImageSet.fingerprint` of a split, computed once a process."""
    from .networks import images

    return images(choice, split, torch.device("cpu")).fingerprint


def staleness(record: Record, trial: Trial) -> str:
    """``"recorded with other code"`` or ``"recorded with other data"`` where this is so, else ``""``."""
    return differs(record, code(trial), content(trial))


def differs(record: Record | Summary, here: str, data: dict[str, str] | None) -> str:
    """`staleness` of the record of a trial whose `code` and `content` are these."""
    if record.code != here:
        return OTHER_CODE
    return OTHER_DATA if data and record.data != data else ""


def victim(trial: Trial) -> dict:
    """All that decides the weights of a network trained on the trial's whole training set; the filter does not.

    Trials with equal identities share one network. A clean control leaves the training set as it is, whatever its attack.
    """
    attack = () if trial.attack.clean else (trial.attack,)
    identity = _training(trial, trial.defence, attack)
    start = {"start": trial.start} if trial.start else {}
    poison = {"attack": trial.describe()["attack"]} | _attacker(trial) if attack else {"attack": None}
    return identity | poison | start


def surrogate(trial: Trial, wanted: Surrogate) -> dict:
    """All that decides the weights of a surrogate: neither the attack nor, unless the attacker knows it, the defence."""
    origin = trial.surrogate_origin(wanted)
    return _training(trial, known(trial, wanted), (), origin) | {"surrogate": wanted.number}


def known(trial: Trial, wanted: Surrogate) -> Defence:
    """How a surrogate is trained: under the victim's defence, with a step of the attacker's own, or like an undefended victim."""
    return trial.defence if wanted.defended else Defence(step=wanted.step)


def unpoisoned(trial: Trial) -> dict:
    """All that decides the weights of the trial's victim had there been neither poison nor defence: that of its clean control."""
    return _training(trial, Defence(), ()) | {"attack": None}


def craft(trial: Trial) -> dict:
    """All that decides the poison: the defence only if the attacker knows it."""
    identity = _training(trial, trial.known_defence, (trial.attack,))
    return identity | {"attack": trial.describe()["attack"], "craft": True, "content": content(trial)} | _attacker(trial)


def _attacker(trial: Trial) -> dict:
    """The attacker's surrogates, where they start from anything else than the victim does."""
    surrogates = [surrogate(trial, wanted) for wanted in trial.attack.surrogates] if trial.attacker else []
    return {"attacker": surrogates} if surrogates else {}


def extractor(extractor: Extractor, numerics: Numerics) -> dict:
    """All that decides the weights of an extractor."""
    code = _code(extractor.choices, MAKING)
    return {"extractor": extractor.describe(), "numerics": registry.plain(numerics), "code": code} | {
        "content": _present(extractor.data)
    }


def _present(choice: data.Data, split: str = "train") -> str | None:
    """The fingerprint of a split; None where the data set is not on this machine."""
    return looked_up(_found, choice, split)


def _found(choice: data.Data, split: str) -> str | None:
    try:
        return fingerprint(choice, split)
    except FileNotFoundError:
        return None


def _training(trial: Trial, defence: Defence, attack: tuple[Choice, ...], origin: Origin | None = None) -> dict:
    """What decides the weights of a network that is trained as the trial says, from an origin, by default the victim's."""
    origin = origin or trial.origin
    description, parts = trial.describe(), defence.describe()
    ordinary = augment.pipeline(trial.recipe.augment).parts
    choices = (
        trial.data,
        origins.model_of(origin),
        *ordinary,
        *defence.augment.parts,
        *((defence.step,) if defence.step else ()),
        *attack,
    )
    return (
        {name: description[name] for name in ("data", "model", "recipe", "numerics", "seed")}
        | {
            "defence": parts["augment"],
            "step": parts["step"],
            "code": _code(choices, MAKING),
            "content": _present(trial.source),
            "model": registry.describe(origins.model_of(origin)),
        }
        | ({"extractor": extractor(origin, trial.numerics)} if isinstance(origin, Extractor) else {})
    )
