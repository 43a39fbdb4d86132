"""The audit as tables of words for a notebook."""

from collections import Counter
from collections.abc import Iterator

from ...words import plural
from ..claims import Claim, load
from ..findings import Whole
from .counts import Grim, allowing, counts, percentage
from .errors import NETWORKS, READINGS, ErrorCheck
from .repeats import Condition
from .sentences import Said
from .summary import Audit, key
from .sums import Sum

SHORT = {
    "strong_augmentation": "Strong data augmentation",
    "dp_instahide": "DP-InstaHide",
    "just_how_toxic": "Just How Toxic",
}

NO_N = "none found"


def overview(audit: Audit) -> Whole:
    """A row for each paper: its printed results, how many of them some check concerns, and what each check found."""
    flags = audit.flags()
    rows = [(title, audit.of(name), [flag for key, flag in flags.items() if key[0] == name]) for name, title in SHORT.items()]
    return Whole([_row(*row) for row in (*rows, ("all three", audit, list(flags.values())))])


def _row(title: str, mine: Audit, flags: list[str]) -> dict[str, str]:
    return {
        "paper": title,
        "printed results": f"{len(mine.results)}",
        "checked": f"{len(flags)}",
        "with a finding": f"{sum(map(bool, flags))}",
        "impossible percentages": _of(mine.impossible, mine.percentages),
        "errors off the rule": _of(mine.off, mine.errors),
        "contradictory among conditions printed twice": _of(mine.contradicting, mine.conditions),
        "wrong differences and averages": _of(mine.wrong, mine.sums),
        "sentences not borne out": _of(mine.unconfirmed, mine.sentences),
    }


def _of(some, every) -> str:
    return f"{len(some)} of {len(every)}" if every else "-"


def impossible(audit: Audit, most: int = 100) -> Whole:
    """Every percentage that no count gives: the nearest counts, and other numbers of outcomes, up to ``most``, that allow it."""
    errors = {key(each.claim): each for each in audit.errors}
    return Whole([_impossible(each, most, errors.get(key(each.claim))) for each in audit.impossible])


def _impossible(each: Grim, most: int, error: ErrorCheck | None) -> dict[str, str]:
    printed = each.claim.printed
    near = (f"{k}/{each.n} = {100 * k / each.n:.{_decimals(each.claim)}f}" for k in each.nearest)
    allow = allowing(printed, most)
    multiples = [n for n in allow if n > each.n and n % each.n == 0]
    return {
        "cell": _cell(each.claim),
        "printed": printed,
        "stated n": f"{each.n}",
        "nearest counts": "; ".join(near),
        "smallest n": f"{counts(printed, allow[0])[0]}/{allow[0]}" if allow else f"above {most}",
        "multiples of n that allow it": ", ".join(map(str, multiples)) or "-",
        "n of its error": "-" if error is None else f"{error.n}",
    }


def _decimals(claim: Claim) -> int:
    return len(str(percentage(claim.printed)[1].denominator)) - 1


def rules(audit: Audit) -> Whole:
    """What the printed standard errors follow from: how many, in which tables, and over the rule's with N = trained networks."""
    rows = []
    for reading in READINGS:
        mine = [each for each in audit.errors if each.reading == reading]
        tables = Counter(each.claim.table.removeprefix("table") for each in mine)
        factors = [each.factor for each in mine]
        rows.append(
            {
                "the error follows from": reading,
                "errors": f"{len(mine)}",
                "in Table (how many)": ", ".join(f"{table} ({count})" for table, count in tables.items()),
                "printed / the rule's": f"{min(factors):.2f} to {max(factors):.2f}",
            }
        )
    return Whole(rows)


def off_rule(audit: Audit) -> Whole:
    """Every standard error that does not follow from the rule, be N the trials or the trained networks."""
    return Whole([_off(each) for each in audit.off])


def _off(each: ErrorCheck) -> dict[str, str]:
    return {
        "cell": f"{_table(each.claim)}: {each.claim.row} / {each.claim.column}",
        "printed": each.claim.printed,
        "the rule's": f"N = {each.claim.outcomes}: {each.rule:.2f}",
        "printed / the rule's": f"{each.factor:.2f}",
        "follows from": each.reading if each.n is None else f"{each.reading} (N = {each.n})",
    }


def behind(audit: Audit) -> Whole:
    """The n behind the cells: where the numbers imply another than the stated one, table by table and by networks in a trial.

    An error tells n exactly; a percentage without one tells only the smallest n that allows it.
    """
    groups: dict[tuple, list[str]] = {}
    for claim, implied in _implied(audit):
        groups.setdefault((claim.paper, claim.table, claim.trials, claim.victims), []).append(implied)
    rows = []
    for (paper, table, trials, victims), found in groups.items():
        stated = str(trials * victims)
        if any(each != stated for each in found):
            counted = sorted(Counter(found).items(), key=lambda pair: (pair[0] != stated, pair[0]))
            rows.append(
                {
                    "where": f"{SHORT[paper]}, {load(paper).table(table).place.split(',')[0]}",
                    "stated": plural(trials, "trial") + (f" of {victims} networks" if victims > 1 else ""),
                    "n (cells)": ", ".join(f"{n} ({count})" for n, count in counted),
                }
            )
    return Whole(rows)


def _implied(audit: Audit) -> Iterator[tuple[Claim, str]]:
    """(claim, the n that it implies) of every cell whose percentage or error can be checked."""
    errors = {key(each.claim): each for each in audit.errors}
    for each in audit.percentages:
        error, allow = errors.get(key(each.claim)), allowing(each.claim.printed)
        if error and not (error.reading == NETWORKS and not each.possible):
            yield each.claim, str(error.n or NO_N)
        elif each.possible:
            yield each.claim, str(each.n)
        else:
            yield each.claim, NO_N if error or not allow else str(allow[0])


def repeated(audit: Audit) -> Whole:
    """Every condition whose cells differ by more than rounding, and whether sampling could be the reason."""
    return Whole([_repeated(each) for each in audit.differing])


def _repeated(each: Condition) -> dict[str, str]:
    kind = "other n: other runs" if not each.one_n else "our reading" if each.our_reading else "one n: contradictory"
    if each.p is None:
        chance = f"if runs spread by {each.spread:.2g} points or more (at most {each.most_spread:.0f})"
    else:
        chance = f"p = {each.p:.2g}"
    return {
        "condition": each.name,
        "printed": "; ".join(f"{_where(c)}: {c.printed} (n = {c.outcomes or c.trials})" for c in each.cells),
        "apart by at least": f"{float(each.apart):.2f} points",
        "by sampling": chance,
        "kind": kind,
        "the same because": each.because,
    }


def unconfirmed(audit: Audit) -> Whole:
    """Every sentence that the paper's own cells do not bear out."""
    return Whole([_said(each) for each in audit.unconfirmed])


def _said(each: Said) -> dict[str, str]:
    tables = dict.fromkeys(map(_table, each.cells))
    return {
        "paper": SHORT[each.paper],
        "place": each.place,
        "the paper says": each.quote,
        "which would be": f"{' and '.join(tables)}: {each.says}",
        "note": each.note,
    }


def wrong(audit: Audit) -> Whole:
    """Every difference and average that does not follow from its parts."""
    return Whole([_wrong(each) for each in audit.wrong])


def _wrong(each: Sum) -> dict[str, str]:
    return {
        "cell": _cell(each.claim),
        "printed": each.claim.printed,
        "from": "; ".join(f"{_table(part)}: {part.printed}" for part in each.parts),
        "follows": f"{float(each.follows):.2f}",
    }


def _where(claim: Claim) -> str:
    return f"{SHORT[claim.paper]}, {_table(claim)}"


def _table(claim: Claim) -> str:
    return claim.place.split(",")[0]


def _cell(claim: Claim) -> str:
    return f"{_where(claim)}: {claim.row} / {claim.column}"
