"""The audit of the printed numbers: exact arithmetic against slow enumerations, planted errors, and the notebook's sentences."""

import copy
import dataclasses
import functools
import importlib
import itertools
import math
import re
import tomllib
from collections import Counter
from decimal import ROUND_DOWN, ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal, getcontext
from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonlib import experiments, notebooks, papers, plots
from poisonlib.papers import audit, claims
from poisonlib.papers.audit.errors import BOTH, FEW, FEWER, INCLUSIVE, NETWORKS, NONE, READINGS, TRIALS
from poisonlib.papers.audit.repeats import BENCHMARK_WORDS
from poisonlib.papers.audit.summary import key
from poisonlib.plots.audit import FILLS, SILENT, SOUND

NOTEBOOK = "03_audit_of_the_papers"
TOXIC = papers.load("just_how_toxic")
TRANSFER = [f"{attack}, CIFAR-10 / Transfer / {box}" for attack in ("FC", "CP", "CLBD", "HTBD") for box in ("WB", "BB")]


@pytest.fixture(scope="module")
def found():
    return audit.audit()


def claim(printed="72.73", trials=20, victims=1, **changes):
    """A success rate of hits and misses."""
    value, stderr = claims.number(printed)
    table = dict(paper="p", table="t", place="Table 1", row="r", column="c", measure="success", binary=True, derived=False)
    return papers.Claim(
        **table | dict(printed=printed, value=value, stderr=stderr, trials=trials, victims=victims, means={}, notes=()) | changes
    )


@functools.cache
def parsed(paper: str) -> dict:
    return tomllib.loads((Path(claims.__file__).parent / f"{paper}.toml").read_text(encoding="utf-8"))


def altered(paper: str, cells: dict[tuple[str, str, str], str]) -> papers.Paper:
    """A paper in which some cells, named (table, row, column), print something else."""
    raw = copy.deepcopy(parsed(paper))
    for (table, row, column), printed in cells.items():
        names = [each["name"] for each in raw[table]["columns"]]
        raw[table]["rows"][row][names.index(column)] = printed
    return claims.read(paper, raw)


def plant(monkeypatch, name: str, paper: str, cells: dict) -> None:
    """A module of the audit reads a paper with altered cells."""
    changed, module = altered(paper, cells), importlib.import_module(f"poisonlib.papers.audit.{name}")
    monkeypatch.setattr(module, "load", lambda name: changed if name == paper else papers.load(name))


# --- percentages


def prints(k: int, n: int, decimals: int, modes) -> set[Decimal]:
    """All ways to print the share k/n as a percentage."""
    getcontext().prec = 60
    return {(Decimal(100 * k) / Decimal(n)).quantize(Decimal(1).scaleb(-decimals), rounding=mode) for mode in modes}


def enumerated(printed: str, n: int, modes=(ROUND_HALF_UP, ROUND_HALF_DOWN)) -> list[int]:
    """The counts that print so, each tried."""
    decimals = len(printed.partition(".")[2])
    return [k for k in range(n + 1) if Decimal(printed) in prints(k, n, decimals, modes)]


@settings(max_examples=300, deadline=None)
@given(n=st.integers(1, 160), decimals=st.integers(0, 2), data=st.data())
def test_counts_are_those_that_print_so(n, decimals, data):
    steps = data.draw(st.integers(0, 100 * 10**decimals)) if data.draw(st.booleans()) else None
    k = data.draw(st.integers(0, n))
    printed = f"{Decimal(steps).scaleb(-decimals):f}" if steps is not None else f"{max(prints(k, n, decimals, [ROUND_HALF_UP])):f}"
    assert audit.counts(printed, n) == enumerated(printed, n)
    assert audit.counts(printed, n, cut=True) == enumerated(printed, n, (ROUND_HALF_UP, ROUND_HALF_DOWN, ROUND_DOWN))
    if steps is None:
        assert k in audit.counts(printed, n)


def test_known_counts():
    assert audit.counts("72.73%", 20) == [] and audit.counts("72.73%", 11) == [8] and audit.allowing("72.73%", 40) == [11, 22, 33]
    assert audit.counts("12.5", 8) == [1] and audit.counts("12", 8) == audit.counts("13", 8) == [1], "halves round to either side"
    assert audit.counts("66.66", 3) == [] and audit.counts("66.66", 3, cut=True) == [2]
    assert audit.counts("46.30 ± 6.79", 54) == [25]
    assert audit.counts("100 ± 5.0", 100) == [100] and audit.counts("0.0", 25) == [0]
    assert audit.percentage("-85.00") == (-85, Fraction(1, 100)) and audit.percentage("+12") == (12, 1)
    with pytest.raises(ValueError, match="write a percentage"):
        audit.percentage("eleven")


@pytest.mark.parametrize(("decimals", "n"), [(0, 10), (0, 20), (0, 300), (1, 8), (1, 25), (2, 3)])
def test_what_the_test_rules_out(decimals, n):
    every = [f"{Decimal(i).scaleb(-decimals):f}" for i in range(100 * 10**decimals + 1)]
    assert audit.ruled_out(decimals, n) == pytest.approx(sum(not enumerated(each, n) for each in every) / len(every))


def test_the_nearest_counts_enclose_the_printed_share():
    for printed, n in itertools.product(("72.73", "5.26", "100.00", "0.00", "75.00"), (7, 20, 100)):
        below, above = audit.Grim(claim(printed, n)).nearest
        share = Fraction(printed) / 100
        assert Fraction(below, n) <= share <= Fraction(above, n) and above - below <= 1
        assert (below == above) == ((share * n).denominator == 1)


def test_what_is_no_count_is_refused_and_left_out(found):
    for no in (claim(binary=False), claim(trials=None), claim("-"), claim(derived=True), claim(measure="clean accuracy")):
        with pytest.raises(ValueError, match="no rate of a stated number"):
            audit.Grim(no)
    tested = {key(each.claim) for each in found.percentages}
    every = [each for name in papers.names() for each in papers.load(name).claims()]
    assert tested == {key(each) for each in every if each.binary and each.measure == "success" and each.value is not None}
    assert all(each.trials for each in every if each.measure in ("success", "clean accuracy", "train accuracy"))


def test_impossible_percentages_are_those_that_enumeration_finds(found):
    slow = {key(g.claim) for g in found.percentages if not enumerated(g.claim.printed.split(" ± ")[0].rstrip("%"), g.n)}
    assert {key(each.claim) for each in found.impossible} == slow == noted("trials")
    assert Counter(each.claim.paper for each in found.impossible) == {
        "strong_augmentation": 5,
        "dp_instahide": 4,
        "just_how_toxic": 13,
    }
    cut = (ROUND_HALF_UP, ROUND_HALF_DOWN, ROUND_DOWN)
    assert not any(enumerated(each.claim.printed.split(" ± ")[0].rstrip("%"), each.n, cut) for each in found.impossible)


def test_a_planted_percentage_is_found(found):
    """Every rate of 20 trials, moved by one unit of its last digit but for whole per cent, where five points are one count."""
    twenties = [each.claim for each in found.percentages if each.n == 20 and each.possible]
    assert len(twenties) == 43
    for sound in twenties:
        value, unit = audit.percentage(sound.printed)
        for moved in (value + unit, value - unit):
            text = f"{float(moved):.{len(str(unit.denominator)) - 1}f}"
            assert not audit.Grim(dataclasses.replace(sound, printed=text)).possible


def noted(kind: str) -> set:
    """The cells with a note of that kind in the claims' files."""
    tables = [(name, table) for name in papers.names() for table in papers.load(name).tables.values()]
    return {(name, t.name, note.row, note.column) for name, t in tables for note in t.notes if note.kind == kind and note.row}


# --- standard errors


def by_hand(p: float, n: int) -> float:
    """A.1's rule with floats and the count rounded."""
    hits = round(p * n)
    return 100 * math.sqrt((0.25 if min(hits, n - hits) < 5 else p * (1 - p)) / n)


def test_the_rule():
    for n in (25, 51, 100, 200, 300):
        for k in range(n + 1):
            printed = f"{100 * k / n:.2f}"
            assert audit.standard_error(printed, n) == pytest.approx(by_hand(k / n, n), abs=1e-9)
    assert audit.standard_error("5.0", 100) == pytest.approx(2.1794, abs=1e-4)
    assert audit.standard_error("5.0", 100, few=6) == audit.standard_error("2.5", 100) == pytest.approx(5)


@pytest.mark.parametrize(
    ("printed", "trials", "victims", "reading", "n"),
    [
        ("92.00 ± 2.71", 100, 1, NETWORKS, 100),
        ("4.0 ± 1.38", 100, 2, NETWORKS, 200),  # cut from 1.3856
        ("4.0 ± 1.39", 100, 2, NETWORKS, 200),  # rounded
        ("17.0 ± 3.76", 100, 2, TRIALS, 100),
        ("2.5 ± 5.00", 100, 2, TRIALS, 100),
        ("5.0 ± 5.00", 100, 1, INCLUSIVE, 100),
        ("46.30 ± 6.79", 100, 1, FEWER, 54),
        ("9.80 ± 7.00", 100, 1, BOTH, 51),
        ("59.00 ± 4.96", 100, 1, NONE, None),
        ("92.00 ± 2.73", 100, 1, NONE, None),
    ],
)
def test_readings(printed, trials, victims, reading, n):
    check = audit.check_error(claim(printed, trials, victims))
    assert (check.reading, check.n) == (reading, n)
    assert check.off == (reading not in (NETWORKS, TRIALS))


def test_a_rate_without_an_error_is_refused():
    with pytest.raises(ValueError, match="no standard error"):
        audit.check_error(claim("92.00"))


def test_the_errors_that_are_off_are_those_of_the_notes(found):
    assert {key(each.claim) for each in found.off} == noted("error")
    assert (len(found.off), len(found.errors)) == (33, 186)
    for each in found.off:
        assert each.factor > 1
        texts = [text for text in each.claim.notes if "the printed error fits N = " in text]
        for text in texts:
            assert each.n == int(re.search(r"fits N = (\d+)", text)[1])
        assert bool(texts) == (each.reading == FEWER)


def test_errors_that_follow_with_the_trials_or_with_the_networks_are_not_off(found):
    """A.1 says trials; most of the paper's columns of several networks have the networks."""
    for each in found.errors:
        follows = [audit.follows(each.claim, n) for n in (each.claim.trials, each.claim.outcomes)]
        assert each.off != any(follows)
    assert sum(each.reading == TRIALS for each in found.errors) == 18
    smaller = [e.claim.printed for e in found.off if e.error < audit.standard_error(e.claim.printed, e.claim.trials) - 0.005]
    assert smaller == ["5.0 ± 1.56", "33.0 ± 3.34"]


def test_fewer_trials_are_one_number(found):
    """No other N below the stated one gives both the error and the percentage."""
    for each in found.errors:
        if each.reading == FEWER:
            printed, error = each.claim.printed.split(" ± ")
            unit = 10.0 ** -len(error.partition(".")[2])
            fits = [
                n
                for n in range(1, 100)
                for k in enumerated(printed, n)
                if -unit / 2 - 1e-9 <= by_hand(k / n, n) - float(error) < unit
            ]
            assert fits == [each.n], each.claim


def test_a_planted_error_is_found(found):
    for each in found.errors:
        if not each.off:
            rate, error = each.claim.printed.split(" ± ")
            decimals = len(error.partition(".")[2])
            for units in (-2, 2):
                moved = f"{rate} ± {float(error) + units * 10**-decimals:.{decimals}f}"
                assert audit.check_error(dataclasses.replace(each.claim, printed=moved)).off


# --- the same condition twice


def test_the_conditions_that_differ(found):
    differing = {each.name: each for each in found.differing}
    assert set(TRANSFER) < set(differing)
    assert Counter(each.because == BENCHMARK_WORDS for each in found.conditions) == {True: 32, False: 29}
    assert {each.name for each in found.contradicting} == {
        *TRANSFER,
        "HTBD, baseline",
    }
    assert sorted(each.name for each in found.beyond()) == [
        "CP, baseline",
        "HTBD, CIFAR-10 / Transfer / BB",
        "HTBD, CIFAR-10 / Transfer / WB",
    ]
    assert [each.name for each in found.conditions if each.our_reading] == [
        each.name for each in found.conditions if len({claim.paper for claim in each.cells}) > 1
    ] + ["CP, baseline", "CLBD, baseline"], "no sentence says that two papers print the same runs"


def test_rounding_is_no_difference():
    for one, two, apart in (("1.33", "1.3", 0), ("100%", "99.8%", 0), ("72.00", "72.73", Fraction("0.72")), ("95%", "94.4%", 0.05)):
        pair = audit.Condition("c", (claim(one), claim(two)), "")
        assert pair.apart == pytest.approx(float(apart)) and pair.differs == bool(apart)
    assert audit.Condition("c", (claim("95"), claim("96", trials=4)), "").contradicts is False
    assert audit.Condition("c", (claim("94"), claim("96")), "").contradicts is True
    assert audit.Condition("c", (claim("94"), claim("96")), "", our_reading=True).contradicts is False


def test_the_exact_test(found):
    """Fisher's: all tables with the same margins, summed where they are no likelier."""
    tested = [each for each in found.differing if each.p is not None]
    assert len(tested) == 14
    for each in tested:
        low, high = ((round(c.value * c.outcomes), c.outcomes) for c in (each.lowest, each.highest))
        assert each.p == pytest.approx(exact([(*high, *low)]), rel=1e-6)


def exact(strata) -> float:
    """The two-sided p-value of several (hits, n, hits, n), by enumeration of every table."""
    likelihoods: dict[int, Fraction] = {0: Fraction(1)}
    for hits, n, others, m in strata:
        total = math.comb(n + m, hits + others)
        here = {k: Fraction(math.comb(n, k) * math.comb(m, hits + others - k), total) for k in range(min(n, hits + others) + 1)}
        summed: dict[int, Fraction] = {}
        for (a, p), (b, q) in itertools.product(likelihoods.items(), here.items()):
            summed[a + b] = summed.get(a + b, 0) + p * q
        likelihoods = summed
    seen = likelihoods[sum(stratum[0] for stratum in strata)]
    return float(sum(p for p in likelihoods.values() if p <= seen))


def test_together_is_the_exact_stratified_test(found):
    strata = [(3, 10, 0, 9), (7, 12, 5, 11), (0, 4, 1, 4)]
    pairs = [
        audit.Condition("c", tuple(claim(f"{100 * k / n:.2f}", trials=n) for k, n in ((a, n), (b, m))), "") for a, n, b, m in strata
    ]
    assert audit.together(pairs) == pytest.approx(exact(strata), rel=1e-9)
    for box, p in (("WB", 0.026), ("BB", 0.0094)):
        mine = [each for each in found.conditions if each.name.endswith(f"CIFAR-10 / Transfer / {box}")]
        assert len(mine) == 5 and [each.cells[1].table for each in mine] == ["table24"] * 5
        counts = [[(round(c.value * c.outcomes), c.outcomes) for c in each.cells[:2]] for each in mine]
        assert audit.together(mine) == pytest.approx(exact([(*one, *two) for one, two in counts]), rel=1e-6)
        assert audit.together(mine) == pytest.approx(p, rel=0.02)


def test_together_keeps_its_level():
    """Two runs of one benchmark are told apart in at most 5 % of cases."""
    generator, rates = np.random.default_rng(0), (0.2, 0.3, 0.85, 0.04, 0.06)
    rejected = 0
    for _ in range(200):
        runs = [tuple(claim(f"{k}.0", trials=100) for k in generator.binomial(100, rate, 2)) for rate in rates]
        rejected += audit.together([audit.Condition("c", run, "") for run in runs]) <= 0.05
    assert rejected / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)


def test_the_spread_that_sampling_needs():
    pair = audit.Condition("c", (claim("36%", trials=4, binary=False), claim("14.1%", trials=20, binary=False)), "")
    assert pair.p is None
    assert pair.spread * 1.96 * math.sqrt(1 / 4 + 1 / 20) == pytest.approx(35.5 - 14.15)
    assert pair.most_spread == pytest.approx(100 * np.std([1] * 1775 + [0] * 8225), rel=1e-3)


def test_a_planted_contradiction_is_found(found, monkeypatch):
    agreeing = [each for each in found.conditions if not each.differs and each.cells[0].paper == "just_how_toxic"]
    assert len(agreeing) == 26
    for each in agreeing:
        cell = each.cells[1]
        moved = re.sub(r"^[\d.]+", lambda text: f"{(float(text[0]) + 5) % 100:.1f}", cell.printed)
        plant(monkeypatch, "repeats", "just_how_toxic", {(cell.table, cell.row, cell.column): moved})
        assert each.name in [other.name for other in audit.conditions() if other.contradicts]


# --- sums and sentences


def test_sums(found):
    assert Counter(each.claim.measure for each in found.sums) == {"difference": 28, "success": 6}
    assert {key(each.claim)[1:] for each in found.wrong} == {
        ("table21", "HTBD w/ CLBD patch", "Diff. From Baseline (%)"),
        ("table25", "HTBD", "Average"),
    }
    for each in found.sums:
        values = [part.value for part in each.parts]
        slow = values[0] - values[1] if each.claim.measure == "difference" else sum(values) / 3
        assert float(each.follows) == pytest.approx(100 * slow)
        assert each.right == (abs(each.claim.value - slow) < (0.0001 if each.claim.measure == "difference" else 0.0006))


def test_a_planted_sum_is_found(found, monkeypatch):
    for each in found.sums:
        if each.right:
            decimals = len(str(audit.percentage(each.claim.printed)[1].denominator)) - 1
            moved = re.sub(r"^[+-]?[\d.]+", f"{float(each.printed) + 0.2:.{decimals}f}", each.claim.printed)
            plant(monkeypatch, "sums", "just_how_toxic", {key(each.claim)[1:]: moved})
            assert key(each.claim) in {key(other.claim) for other in audit.sums() if not other.right}


def test_sentences_fail_where_the_claims_say_so(found):
    """Two ways to the same answers: exact here, and by hand in the claims' files."""
    known = []
    for name in papers.names():
        paper = papers.load(name)
        known += [(name, each.quote, each.agrees) for each in paper.stated]
        derived = {table.name for table in paper.tables.values() if table.claims[0].derived}
        checked = [each for each in paper.findings if (each.less or each.more)[0] not in derived]
        known += [(name, each.quote, each.holds) for each in checked]
    assert [(each.paper, each.quote, each.holds) for each in found.sentences] == known
    assert sum(not holds for _, _, holds in known) == len(found.unconfirmed) == 12


@pytest.mark.parametrize(
    ("cell", "printed", "quote"),
    [
        (("table6", "FC", "Success Rate (%)"), "51.01 ± 5.00", "FC and CP success rates plummet"),
        (("table12", "CP", "Success Rate (%)"), "20.00 ± 4.00", "lower than 20%"),
        (("table7", "CP", "Success Rate (%)"), "78.00 ± 4.14", "CP shows no change from the baseline"),
        (("table15", "HTBD", "5 × 5"), "19.00 ± 3.92", "strong correlation between patch size"),
    ],
)
def test_a_planted_contradiction_of_a_sentence_is_found(found, monkeypatch, cell, printed, quote):
    before = Counter(each.quote for each in found.unconfirmed)
    plant(monkeypatch, "sentences", "just_how_toxic", {cell: printed})
    more = Counter(each.quote for each in audit.sentences() if not each.holds) - before
    assert any(quote in each for each in more)


def test_differences_in_sentences_are_checked_to_their_last_digit(monkeypatch):
    cell = ("table1", "Baseline", "Validation Accuracy (100%)")
    plant(monkeypatch, "sentences", "strong_augmentation", {cell: "84%"})
    failed = [each.quote for each in audit.sentences() if not each.holds]
    assert len([quote for quote in failed if "increasing validation accuracy by 9%" in quote]) == 2


# --- the whole


def test_flags_are_the_findings_of_each_cell(found):
    flags = found.flags()
    assert set(flags) <= {key(each) for each in found.results}
    impossible, off, wrong = ({key(each.claim) for each in group} for group in (found.impossible, found.off, found.wrong))
    other = wrong | {key(cell) for each in found.contradicting for cell in each.cells}
    for place, text in flags.items():
        assert text == "%" * (place in impossible) + "±" * (place in off) + "≠" * (place in other)
    assert (len(found.results), len(flags), sum(map(bool, flags.values()))) == (389, 325, 65)


def test_the_parts_of_the_papers_add_up(found):
    parts = [found.of(name) for name in papers.names()]
    for field in ("results", "percentages", "errors", "sums", "sentences"):
        assert sum(len(getattr(part, field)) for part in parts) == len(getattr(found, field))
    assert sum(len(part.conditions) for part in parts) == len(found.conditions) + 23, "23 stand in two papers"


def test_tables_are_shown_uncut(found):
    rows = {
        audit.overview: 4,
        audit.impossible: 22,
        audit.rules: 6,
        audit.off_rule: 33,
        audit.behind: 9,
        audit.repeated: 20,
        audit.wrong: 2,
        audit.unconfirmed: 12,
    }
    for table, count in rows.items():
        frame = table(found)
        assert len(frame) == count and all(isinstance(text, str) for text in frame.to_numpy().ravel())
        html = frame._repr_html_()
        assert html.count("<tr>") == count + 1 and "…" not in html and "..." not in html


def test_rows_of_the_tables(found):
    impossible = {row["printed"]: row for row in audit.impossible(found).to_dict("records")}
    row = impossible["86.25%"]
    assert (row["nearest counts"], row["smallest n"]) == ("17/20 = 85.00; 18/20 = 90.00", "69/80")
    assert (row["multiples of n that allow it"], row["n of its error"]) == ("80", "-")
    assert impossible["46.30 ± 6.79"]["n of its error"] == "54"
    few = {row["printed"]: row for row in audit.impossible(found, most=50).to_dict("records")}
    assert few["86.25%"]["smallest n"] == "above 50"
    n = {row["where"]: row["n (cells)"] for row in audit.behind(found).to_dict("records")}
    assert n["Just How Toxic, Table 22"] == "200 (9), 100 (7), none found (2)"
    assert n["Just How Toxic, Table 10"] == "100 (9), 49 (3), 50 (15), 51 (7), 53 (1), 54 (1)"
    rules = audit.rules(found)
    assert list(rules["the error follows from"]) == list(READINGS)
    assert list(rules["errors"]) == ["135", "18", "2", "26", "1", "4"]


# --- figures


def test_the_figure_shows_every_cell_that_is_checked(found):
    figure = plots.audit_cells(found)
    (axis,) = figure.axes
    fills = Counter(matplotlib.colors.to_hex(patch.get_facecolor()) for patch in axis.patches)
    flags = found.flags()
    kinds = Counter(mark[0] if mark else SOUND for mark in flags.values())
    left = 52  # accuracies of tables 16 to 20
    wanted = kinds | Counter({SILENT: len(found.results) - len(flags) - left})
    assert fills == {matplotlib.colors.to_hex(FILLS[kind]): count for kind, count in wanted.items()}
    texts = Counter(text.get_text() for text in axis.texts)
    assert {mark: texts[mark] for mark in set(flags.values()) if mark} == {m: c for m, c in Counter(flags.values()).items() if m}
    assert len({FILLS[kind] for kind in FILLS}) == len(FILLS)
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert [int(re.search(r"\((\d+)\)$", text)[1]) for text in legend] == [22, 33, 24, 260, 64]


def test_the_figure_of_errors(found):
    figure = plots.audit_errors(found.errors)
    (axis,) = figure.axes
    marks = {line.get_label(): line for line in axis.lines if " (" in str(line.get_label())}
    assert sum(len(line.get_xdata()) for line in marks.values()) == 186
    (fewer,) = (line for label, line in marks.items() if label.startswith(f"{FEWER} ("))
    assert len(fewer.get_xdata()) == 26 and min(fewer.get_ydata()) == 4.6 and (46.3, 6.79) in zip(*fewer.get_data(), strict=True)
    arcs = [line for line in axis.lines if len(line.get_xdata()) == 201]
    for line, n in zip(arcs, (25, 50, 100, 200, 300), strict=True):
        middle = line.get_xdata()[100], line.get_ydata()[100]
        assert middle == pytest.approx((50, 50 / math.sqrt(n)))
    with pytest.raises(ValueError, match="no standard errors"):
        plots.audit_errors([])


# --- the notebook


def words() -> str:
    """The notebook's sentences, without line breaks."""
    return re.sub(r"\s+", " ", " ".join(cell.source for cell in notebooks.cells(NOTEBOOK) if cell.cell_type == "markdown"))


def test_the_numbers_of_the_sentences_are_those_of_the_audit(found):
    by_paper = {name: found.of(name) for name in papers.names()}
    toxic, others = by_paper["just_how_toxic"], [by_paper[name] for name in ("strong_augmentation", "dp_instahide")]
    reading = Counter(each.reading for each in found.errors)
    several = [each for each in found.errors if each.claim.victims > 1]
    networks = sum(each.reading != NETWORKS for each in found.errors)
    trials = sum(not audit.follows(each.claim, each.claim.trials) for each in found.errors)
    ten = [each for each in found.off if each.claim.table == "table10"]
    passing = [each for each in ten if audit.Grim(each.claim).possible]
    twenty = [each for each in found.impossible if each.claim.table == "table10"]
    factors = [each.factor for each in ten]
    kinds = Counter((each.our_reading, each.one_n) for each in found.differing)
    same = [c for c in found.conditions if {x.table for x in c.cells[:2]} == {"table2"} and len({x.paper for x in c.cells}) == 2]
    sums_by = Counter((each.claim.measure, each.right) for each in found.sums)
    none = [each.claim.printed for each in found.off if each.reading == NONE]
    text = words()
    for phrase in (
        f"in {len(found.results)} printed results, of which {len(found.flags())} can be checked",
        f"**{len(found.impossible)} of {len(found.percentages)} percentages are impossible**",
        f"{sum(len(o.impossible) for o in others)} of {sum(len(o.percentages) for o in others)} in the two augmentation papers, "
        f"{len(toxic.impossible)} of {len(toxic.percentages)} in *Just How Toxic*",
        f"**{len(found.off)} of {len(found.errors)} standard errors do not follow**",
        f"({trials} do not with the one, {networks} with the other)",
        f"Every one of the {len(found.off)} is larger than the rule's for networks",
        f"{len(ten)} of them stand in Table 10, whose errors and percentages belong to {min(e.n for e in ten)} to "
        f"{max(e.n for e in ten)}",
        f"**{len(found.contradicting)} of {len(found.conditions)} conditions that are printed more than once contradict each "
        f"other**, {sum(each.name in TRANSFER for each in found.contradicting)} of them",
        f"{sums_by['difference', False]} of {sums_by['difference', False] + sums_by['difference', True]} differences, "
        f"{sums_by['success', False]} of {sums_by['success', False] + sums_by['success', True]} averages and "
        f"{len({(each.paper, each.quote) for each in found.unconfirmed})} sentences do not agree",
        f"20 trials rule out {100 * audit.ruled_out(2, 20):.1f} %",
        f"200 outcomes rule out {100 * audit.ruled_out(1, 200):.1f} %",
        f"Of {len(found.percentages)} rates, {len(found.percentages) - len(found.impossible)} pass",
        f"{len(passing)} cells of Table 10 pass with 100 trials, and their errors say {passing[0].n}.",
        f"{len(twenty)} of the {len(toxic.impossible)} stand in Table 10",
        f"**One reading explains {reading[FEWER]} errors: fewer trials.** All {len(ten)} errors of FC, CP and CLBD in Table 10 are "
        f"{min(factors):.2f} to {max(factors):.2f} times",
        f"**{reading[TRIALS]} further errors follow with the trials**",
        f"Of the {len(several)} errors with several networks in a trial, {sum(e.reading == NETWORKS for e in several)} follow with "
        f"the networks only, {sum(e.reading == TRIALS for e in several)} with the trials only, "
        f"{sum(e.reading == NONE for e in several)} with neither",
        f"**No reading was found for {reading[NONE]}**: {', '.join(none[:-1])} and {none[-1]}.",
        f"*{len(found.conditions)} conditions are printed more than once; {len(found.differing)} of them",
        f"{kinds[False, True]} are contradictions",
        f"{kinds[False, False] + kinds[True, False]} have another n in each paper",
        f"{kinds[True, True]} are the same condition only by our reading",
        f"print the same number in {sum(not c.differs for c in same)} of the {len(same)} cells",
        f"of {sum(each.p is not None for each in found.differing)}, one at 5 % may be chance",
        f"*Two printed numbers do not follow from the cells that they summarise, and "
        f"{len({(each.paper, each.quote) for each in found.unconfirmed})} sentences fail on the paper's own cells, in "
        f"{len(found.unconfirmed)} checks.*",
    ):
        assert re.sub(r"\s+", " ", phrase) in text, phrase
    assert {each.n for each in passing} == {50}
    margin = {measure: f"{100 * each:g}" for measure, each in experiments.rules().margin.items()}
    assert f"by less than {margin['success']} points of success or {margin['clean accuracy']} of accuracy" in text
    assert len(found.wrong) == 2 and reading[INCLUSIVE] == 2 and reading[BOTH] == 1
    assert not any(audit.follows(e.claim, e.claim.trials) for e in several if e.reading == NETWORKS)
    assert max(each.factor for each in found.off if each.reading == NONE) < 1.02


def test_other_statements_of_the_notebook(found):
    """Single numbers in its sentences."""
    fits = {"5.26": (1, 19), "81.25": (13, 16), "72.73": (8, 11), "86.25": (69, 80)}
    assert all(audit.counts(printed, n) == [k] for printed, (k, n) in fits.items())
    assert all(audit.counts(f"{k}.00", 100) == [k] for k in range(101)), "as every whole percentage is"
    for long, short in ((72.73, 72), (5.26, 5), (86.25, 86)):
        assert int(long) == short
    assert audit.counts("2.30", 87) == [2] and audit.follows(claim("2.30 ± 5.00"), 100)
    assert not any(audit.follows(claim("2.30 ± 5.00"), n) for n in range(1, 100))
    assert audit.follows(claim("56.00 ± 4.96"), 100) and audit.follows(claim("33.5 ± 3.34"), 200)
    assert TOXIC.claim("table10", "HTBD", "200").printed == "56.00 ± 4.96"
    pairs = [each for each in found.differing if each.name in TRANSFER]
    assert all(each.cells[0].value > each.cells[1].value for each in pairs), "Table 2 is always the higher one"
    eleven = [each for each in pairs if len(each.cells) == 3]
    assert len(eleven) == 4 and all(each.cells[0].value == each.cells[2].value for each in eleven)
    htbd = [each for each in pairs if each.name.startswith("HTBD")]
    assert found.beyond()[:2] == htbd and all(0.03 < each.p < 0.05 for each in htbd)
    (cutmix,) = [each for each in found.differing if each.name == "CutMix, Poison Success (100%)"]
    assert (round(cutmix.spread), round(cutmix.most_spread)) == (20, 38)
    cp = next(each for each in found.differing if each.name == "CP, baseline")
    fifty = dataclasses.replace(cp, cells=(cp.cells[0], dataclasses.replace(cp.cells[1], trials=50)))
    assert fifty.p == pytest.approx(0.0088, abs=5e-5)
    assert not any(re.search(r"\d+ (trials|runs)", table.caption) for table in TOXIC.tables.values())
    assert [each.place for each in TOXIC.settings if each.name == "trials"] == ["Section 3"]


def test_the_audit_needs_no_records(monkeypatch, tmp_path):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    assert len(audit.audit().results) == 389
    assert not notebooks.tagged(NOTEBOOK, "grid") and notebooks.trials(NOTEBOOK, {}) == []
    assert not list(tmp_path.iterdir())
    assert FEW == 5
