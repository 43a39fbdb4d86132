"""What a paper's sentences say, against its own cells: results in the running text, and directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ...experiments import rules
from ..claims import Claim, Finding, Paper, Stated, load, names
from .counts import percentage

RELATIONS = {"equals": "{} is {}", "difference": "{} apart by {}", "below": "{} below {}"}
SIGNS = {"lower": "{0} < {1}", "higher": "{1} > {0}", "similar": "{0} ≈ {1}", "below": "{0} < {2}", "above": "{1} > {2}"}


@dataclass(frozen=True)
class Said:
    """A sentence, the cells that it is about, what it says of them and whether they bear it out."""

    paper: str
    place: str
    quote: str
    says: str
    cells: tuple[Claim, ...]
    holds: bool
    note: str


def sentences() -> list[Said]:
    """Every result that the running text states, and every direction that a sentence claims, of all papers."""
    return [said for name in names() for said in (*_stated(load(name)), *_found(load(name)))]


def _stated(paper: Paper) -> Iterator[Said]:
    for each in paper.stated:
        cells = tuple(paper.claim(*cell) for cell in each.cells)
        says = RELATIONS[each.relation].format(_names(cells), each.printed)
        yield Said(paper.name, each.place, each.quote, says, cells, _bears_out(each, cells), each.note)


def _bears_out(each: Stated, cells: tuple[Claim, ...]) -> bool:
    """Whether the cells bear out a stated result, to its last digit or within its own looser tolerance."""
    (value, unit), numbers = percentage(each.printed), [percentage(cell.printed)[0] for cell in cells]
    room = Fraction(str(each.within)) * 100 if each.within else unit / 2
    if each.relation == "below":
        return all(number < value for number in numbers)
    return abs((numbers[0] if each.relation == "equals" else numbers[0] - numbers[1]) - value) <= room


def _found(paper: Paper) -> Iterator[Said]:
    for each in paper.findings:
        cells = tuple(paper.claim(*cell) for cell in (each.less, each.more) if cell)
        if any(cell.derived for cell in cells):
            continue
        bound = "" if each.bound is None else f"{100 * each.bound:g} %"
        less, more = (_names([paper.claim(*cell)]) if cell else "" for cell in (each.less, each.more))
        says = SIGNS[each.kind].format(less, more, bound)
        yield Said(paper.name, each.place, each.quote, says, cells, _direction(each, cells), each.note)


def _direction(each: Finding, cells: tuple[Claim, ...]) -> bool:
    """Whether the cells bear out a direction; similar ones differ by less than the margin that is declared for our trials, too."""
    first, *others = (percentage(cell.printed)[0] for cell in cells)
    if each.kind in ("below", "above"):
        limit = Fraction(str(each.bound)) * 100
        return first < limit if each.kind == "below" else first > limit
    if each.kind != "similar":
        return first < others[0]
    margin = each.within or rules().margin[cells[0].measure]
    return abs(first - others[0]) < 100 * Fraction(str(margin))


def _names(cells) -> str:
    return " and ".join(f"{cell.row} / {cell.column} ({cell.printed})" for cell in cells)
