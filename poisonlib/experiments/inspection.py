"""What a ledger's files are worth: sound or damaged, with or without a checksum, and the trials that failed."""

import json
from dataclasses import dataclass

from ..words import plural
from . import failures
from .failures import Failure
from .ledger import Ledger, read


@dataclass(frozen=True)
class Inspection:
    """How many records can be read, how many of them have no checksum (older ones), the errors of all others, and the failures."""

    sound: int
    unchecked: int
    damaged: tuple[str, ...]
    failed: tuple[Failure, ...]

    def __str__(self):
        text = f"{self.sound} sound records, {self.unchecked} of them without checksum, as older versions wrote them"
        text += f"; {len(self.damaged)} damaged; {plural(len(self.failed), 'trial')} failed"
        lines = [f"damaged: {why}" for why in self.damaged]
        return "\n".join([text, *lines, *(f"failed: {each.key}, seed {each.seed}: {each.reason}" for each in self.failed)])


def inspect(ledger: Ledger) -> Inspection:
    """Read every file of a ledger."""
    sound, unchecked, damaged = 0, 0, []
    for path in ledger.stored:
        try:
            read(path)
        except (ValueError, OSError) as error:
            damaged.append(str(error))
        else:
            sound += 1
            unchecked += "checksum" not in json.loads(path.read_text(encoding="utf-8"))
    return Inspection(sound, unchecked, tuple(damaged), tuple(failures.every(ledger)))
