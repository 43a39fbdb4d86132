"""The words of verdicts as the report shows them: each with a style, as the colour alone says nothing to many readers."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ..papers.verdicts import FINDING

TONES = {
    "good": ("agrees", "holds", "lowers"),
    "bad": ("differs", "contradicted", "raises"),
    "open": ("open", "undecided", "not tested", "paper too small to tell"),
}
BOARD = {  # a column of the scoreboard: its style, and the verdicts that it counts
    "held": ("good", ("holds",)),
    "not held": ("bad", ("contradicted",)),
    "undecidable": ("open", ("undecided", "not tested")),
    "not run": ("none", ("not run",)),
}
assert {word for _, words in BOARD.values() for word in words} == {*FINDING, "not run"}
ELSEWHERE = ": other setting"


def tone(word: str) -> str:
    """The style of a verdict: good, bad or open; "" for any other text."""
    return next((style for style, words in TONES.items() if bare(word) in words), "")


def bare(word: str) -> str:
    """A verdict without the mark of another setting than the paper's: ``"differs"`` for ``"(differs: other setting)"``."""
    return word.strip("()").removesuffix(ELSEWHERE)


def counted(counts: Mapping[str, int], column: str) -> int:
    """How many sentences a column of the scoreboard counts."""
    return sum(counts.get(word, 0) for word in BOARD[column][1])


def tally(rows: Sequence[Mapping[str, str]], key: str) -> list[tuple[str, int]]:
    """How often each verdict occurs under a key, the most frequent first: what is said of a table that is folded."""
    return Counter(bare(row[key]) for row in rows if tone(row[key])).most_common()
