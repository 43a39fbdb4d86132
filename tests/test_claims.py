"""The papers' numbers as data: sound, counted, audited, and (where POISONLIB_PAPERS names the texts) equal to what is printed."""

import dataclasses
import itertools
import math
import os
import re
from pathlib import Path

import pytest

from poisonlib import experiments, papers
from poisonlib.papers import claims

NAMES = ["dp_instahide", "just_how_toxic", "strong_augmentation"]
TEXTS = {
    "dp_instahide": "dp_instahide.txt",
    "just_how_toxic": "just_how_toxic.txt",
    "strong_augmentation": "strong_augmentation_icassp.txt",
}
# Tables whose text is not simply row by row: columns one after the other, all labels first, or side-by-side blocks of columns.
LAYOUT = {
    ("strong_augmentation", "table1"): "columns",
    ("strong_augmentation", "table2"): "columns",
    ("just_how_toxic", "table4"): "labels first",
    ("just_how_toxic", "table17"): "labels first",
    ("just_how_toxic", "table10"): (5, 4),
    ("just_how_toxic", "table11"): (4, 3),
}
MEASURES = {"success", "clean accuracy", "train accuracy", "difference", "epsilon", "images", "mark", "class", "recipe"}
MEASURES |= {"learning rate", "decay factor", "drops", "epochs", "optimiser"}
KINDS = {"contradiction", "error", "trials", "difference", "layout"}


def every_claim():
    return [claim for name in NAMES for claim in papers.load(name).claims()]


# --- the schema


def test_names_and_lookup_errors():
    assert papers.names() == NAMES
    with pytest.raises(LookupError, match="strong_augmentation"):
        papers.load("nonsense")
    paper = papers.load("strong_augmentation")
    assert papers.load("strong_augmentation") is paper
    for wrong, choice in [
        (("table9", "CutMix", "x"), "table2"),
        (("table2", "Cutmix", "x"), "MaxUp-cutout"),
        (("table2", "CutMix", "x"), r"Basic Attack \(%\)"),
    ]:
        with pytest.raises(LookupError, match=choice):
            paper.claim(*wrong)


def test_one_cell_in_full():
    claim = papers.load("just_how_toxic").claim("table24", "FC", "BB")
    assert (claim.printed, claim.value, claim.trials, claim.victims, claim.outcomes) == ("3.5 ± 1.30", 0.035, 100, 2, 200)
    assert claim.stderr == pytest.approx(0.013)
    assert claim.place == "Table 24, Appendix A.16"
    assert claim.means["attack"] == "feature_collision"
    assert claim.notes == ("Table 2 prints 7.0.",)


def test_frame_is_as_printed():
    frame = papers.load("dp_instahide").table("table1").frame()
    assert frame.loc["CUTMIX", "POISON SUCCESS (100%)"] == "14.1%"
    assert frame.loc["SS", "POISON SUCCESS (100%)"] == ""
    assert frame.shape == (5, 4)


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_sound(name):
    paper = papers.load(name)
    for table in paper.tables.values():
        assert len(table.claims) == len(table.rows) * len(table.columns)
        assert len({column.name for column in table.columns}) == len(table.columns)
        assert {column.measure for column in table.columns} <= MEASURES
        for note in table.notes:
            assert note.kind in KINDS
            assert note.row in ("", *table.rows)
            assert note.column in ("", *(column.name for column in table.columns))
    for claim in paper.claims():
        assert not (claim.measure in ("success", "clean accuracy") and claim.trials is None)
        if claim.value is not None and claim.measure in ("success", "clean accuracy", "train accuracy"):
            assert 0 <= claim.value <= 1
    for figure in paper.figures:
        assert set(figure.tables) <= set(paper.tables)


def test_a_row_of_the_wrong_length_is_refused():
    raw = {"place": "Table 1", "caption": "", "columns": [{"name": "a", "measure": "success"}], "rows": {"x": ["1%", "2%"]}}
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        claims.read("p", {"paper": {}, "settings": {"list": []}, "stated": [], "finding": [], "table1": raw})


def test_counts():
    found = {}
    for name in NAMES:
        paper = papers.load(name)
        cells = list(paper.claims())
        numbers = sum(claim.value is not None for claim in cells)
        found[name] = (len(paper.tables), len(cells), numbers, len(paper.stated), len(paper.settings), len(paper.findings))
    assert found == {
        "dp_instahide": (7, 84, 80, 5, 36, 46),
        "just_how_toxic": (26, 517, 412, 5, 75, 74),
        "strong_augmentation": (2, 36, 36, 5, 16, 20),
    }


# --- parsing


@pytest.mark.parametrize(
    ("printed", "unit", "value", "error"),
    [
        ("92.00 ± 2.71", "percent", 0.92, 0.0271),
        ("100 ± 5.0", "percent", 1.0, 0.05),
        ("98.3%", "percent", 0.983, None),
        ("-85.00", "percent", -0.85, None),
        ("+12.00", "percent", 0.12, None),
        ("2.56e5", "number", 256000.0, None),
        ("25.5", "number", 25.5, None),
        ("7", "count", 7.0, None),
        ("X", "mark", 1.0, None),
        ("×", "mark", 0.0, None),
        ("-", "percent", None, None),
        ("", "percent", None, None),
        ("ADAM", "text", None, None),
    ],
)
def test_parse(printed, unit, value, error):
    got = claims.number(printed, unit)
    assert got == (value if value is None else pytest.approx(value), error if error is None else pytest.approx(error))


@pytest.mark.parametrize("printed", ["1O.0", "7.0 +- 1", "12.00 ± ", "1,5", "ten"])
def test_parse_refuses_what_is_no_cell(printed):
    with pytest.raises(ValueError, match="write a number"):
        claims.number(printed)


def test_every_cell_parses_like_a_plain_oracle():
    for claim in every_claim():
        words = claim.printed.replace("%", "").split()
        if claim.value is None or claim.measure == "mark":
            continue
        scale = 1 if claim.measure in ("epsilon", "images", "learning rate", "decay factor", "epochs") else 100
        assert claim.value == pytest.approx(float(words[0]) / scale), claim
        assert claim.stderr == (pytest.approx(float(words[2]) / scale) if len(words) == 3 else None), claim


# --- findings and statements hold of the printed numbers, or are marked


def holds(paper, finding) -> bool:
    less = paper.claim(*finding.less).value if finding.less else finding.bound
    more = paper.claim(*finding.more).value if finding.more else finding.bound
    if finding.kind != "similar":
        return less < more
    measure = paper.claim(*finding.less).measure
    return abs(more - less) < (finding.within or experiments.rules().margin[measure]) - 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_findings_refer_to_cells_and_hold_of_them(name):
    paper = papers.load(name)
    assert len({finding.id for finding in paper.findings}) == len(paper.findings)
    for finding in paper.findings:
        wants = {"below": ("less", "bound"), "above": ("more", "bound")}.get(finding.kind, ("less", "more"))
        assert finding.kind in ("lower", "higher", "similar", "below", "above")
        assert [key for key in ("less", "more", "bound") if getattr(finding, key) is not None] == list(wants), finding.id
        assert holds(paper, finding) == finding.holds, finding.id
        assert finding.holds or finding.note, finding.id


def bears_out(paper, stated) -> bool:
    """Whether the cells say what the sentence says, to the digits that it prints."""
    values = [paper.claim(*cell).value for cell in stated.cells]
    if stated.relation == "below":
        return all(value < stated.value for value in values)
    shown = abs(values[0] - values[1]) if stated.relation == "difference" else values[0]
    return abs(shown - stated.value) <= (stated.within or 0.5 / 10 ** (2 + decimals(stated.printed))) + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_statements_agree_with_their_cells_or_are_marked(name):
    paper = papers.load(name)
    for stated in paper.stated:
        assert stated.printed in stated.quote
        assert len(stated.cells) == {"equals": 1, "difference": 2}.get(stated.relation, len(stated.cells))
        assert bears_out(paper, stated) == stated.agrees, stated.id
    assert (
        sorted(s.id for s in paper.stated if not s.agrees)
        == {
            "dp_instahide": [],
            "just_how_toxic": ["cp with sgd and augmentation"],
            "strong_augmentation": ["maxup up to 60"],
        }[name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_settings_stand_in_their_quotes(name):
    for setting in papers.load(name).settings:
        values = setting.value if isinstance(setting.value, tuple) else (setting.value,)
        shown = setting.quote + " " + re.sub(r"(?<=\d), ?(?=\d{3}\b)", "", setting.quote)  # 5,000 is 5000
        for value in values:
            if isinstance(value, str):
                assert value in shown or not re.search(r"\d", value), setting
            else:
                assert re.search(rf"(?<![\d.]){re.escape(plain(value))}(?!\d|\.\d)", shown), setting


def plain(value) -> str:
    """0.0001 rather than 1e-04."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def test_figure_4a_follows_from_theorem_2():
    """ε = T max{A, B}, evaluated here once more, to three digits."""
    n = rounds = 50_000
    for claim in papers.load("dp_instahide").table("figure4a").claims:
        assert claim.derived
        k, s = claim.means["k"], claim.means["noise"] / 255
        a = math.log(1 - k / n + math.exp(1 / (k * s)) * k / n)
        b = math.log(n / (n - k + k * math.exp(-1 / (k * s))))
        assert float(f"{rounds * max(a, b):.3g}") == claim.value, claim


# --- audits: what the printed numbers cannot be. Each is data in the TOML, and the list is pinned by being recomputed here.


def decimals(printed: str) -> int:
    return len(printed.rstrip("%").partition(".")[2])


def rule(p: float, n: int) -> float:
    """The standard error of Just How Toxic, A.1, in points: p = 1/2 with fewer than five successes or failures."""
    hits = round(p * n)
    q = 0.5 if min(hits, n - hits) < 5 else p
    return 100 * math.sqrt(q * (1 - q) / n)


def error_follows(claim, n: int) -> bool:
    """Within one unit of the last printed digit, since the paper sometimes cuts rather than rounds."""
    printed = claim.printed.split(" ± ")[1]
    return abs(rule(claim.value, n) - float(printed)) <= 10 ** -decimals(printed) * 1.0001


def can_be_a_share(claim, n: int) -> bool:
    """Whether some k/n, rounded, prints like the claim."""
    printed = claim.printed.split(" ± ")[0]
    half = 0.5001 * 10 ** -decimals(printed)
    return any(abs(100 * k / n - 100 * claim.value) <= half for k in range(n + 1))


def noted(kind: str) -> set:
    """The cells that bear a note of this kind."""
    tables = [(name, table) for name in NAMES for table in papers.load(name).tables.values()]
    return {(name, t.name, note.row, note.column) for name, t in tables for note in t.notes if note.kind == kind and note.row}


def key(claim) -> tuple:
    return claim.paper, claim.table, claim.row, claim.column


def test_the_rule_itself():
    assert rule(0.8, 100) == pytest.approx(4.0)
    assert rule(0.02, 100) == pytest.approx(5.0)
    assert rule(0.07, 100) == pytest.approx(2.5515, abs=1e-4)
    assert rule(0.05, 100) == pytest.approx(2.1794, abs=1e-4)  # five are not fewer than five


def test_printed_standard_errors():
    """Where the printed error follows from A.1's rule neither at the trials nor at trials times victims; 153 cells of 186 do."""
    cells = [claim for claim in every_claim() if claim.stderr is not None]
    wrong = [claim for claim in cells if not any(error_follows(claim, n) for n in (claim.trials, claim.outcomes))]
    assert {key(claim) for claim in wrong} == noted("error")
    counts = {}
    for claim in wrong:
        counts[claim.table] = counts.get(claim.table, 0) + 1
    assert counts == {"table8": 1, "table10": 27, "table11": 2, "table22": 3}
    assert (len(wrong), len(cells)) == (33, 186)


def test_table_10_was_run_about_fifty_times():
    """FC, CP and CLBD: both the value and the error fit 49 to 54 trials, not the stated 100; HTBD fits 100."""
    for claim in papers.load("just_how_toxic").table("table10").claims:
        fits = [n for n in range(45, 121) if can_be_a_share(claim, n) and error_follows(claim, n)]
        if claim.row == "HTBD":
            assert 100 in fits, claim
        elif (claim.row, claim.column) != ("CLBD", "50"):  # 5/51: the rule was applied at five, not below
            assert fits, claim
            assert set(fits) <= set(range(49, 55)), claim


def test_impossible_percentages():
    """Rates that no k out of the stated trials gives."""
    cells = [claim for claim in every_claim() if claim.outcomes and claim.value is not None]
    found = {key(claim) for claim in cells if not can_be_a_share(claim, claim.outcomes)}
    assert found == noted("trials")
    assert {k[1:] for k in found if k[0] != "just_how_toxic"} == {
        ("table2", "2-WAY MIXUP", "ADAPTIVE"),
        ("table2", "CUTOUT", "ADAPTIVE"),
        ("table2", "MAXUP-CUTOUT", "NON-ADAPTIVE"),
        ("table5", "DP-SGD", "POISON SUCCESS"),
        ("table2", "DP-SGD, 0.01", "Basic Attack (%)"),
        ("table2", "DP-SGD, 0.05", "Basic Attack (%)"),
        ("table2", "DP-SGD, 0.01", "Adaptive Attack (%)"),
        ("table2", "mixup", "Adaptive Attack (%)"),
        ("table2", "cutout", "Adaptive Attack (%)"),
    }
    benchmark = [k for k in found if k[0] == "just_how_toxic"]
    assert {k[1] for k in benchmark} == {"table10", "table11"}
    assert len(benchmark) == 13


def test_printed_differences():
    """Each difference from the baseline is its cell less Table 4's, to the last digit, but for one."""
    paper = papers.load("just_how_toxic")
    column = "Success Rate (%)"
    wrong = set()
    for claim in paper.claims():
        if claim.measure == "difference":
            base = paper.claim("table4", claim.row.split()[0], column).value
            if abs(paper.claim(claim.table, claim.row, column).value - base - claim.value) > 1e-9:
                wrong.add(key(claim))
    assert wrong == noted("difference") == {("just_how_toxic", "table21", "HTBD w/ CLBD patch", "Diff. From Baseline (%)")}


def test_the_same_cells_printed_twice():
    """Table 2 against Tables 24, 25 and 26: where they differ, both cells bear a note."""
    paper = papers.load("just_how_toxic")
    pairs = {
        "CIFAR-10 / Transfer / WB": ("table24", "WB"),
        "CIFAR-10 / Transfer / BB": ("table24", "BB"),
        "CIFAR-10 / From Scratch": ("table25", "Average"),
        "TinyImageNet / Transfer / WB": ("table26", "Transfer learning / WB"),
        "TinyImageNet / Transfer / BB": ("table26", "Transfer learning / BB"),
        "TinyImageNet / From Scratch": ("table26", "From scratch VGG16"),
    }
    differ = set()
    for short, (table, column) in pairs.items():
        for row in paper.table("table2").rows:
            if row in paper.table(table).rows:
                one, two = paper.claim("table2", row, short), paper.claim(table, row, column)
                if one.value is not None and abs(one.value - two.value) > 0.0006:
                    differ.add((row, short))
                    assert any("Table 24 prints" in note for note in one.notes)
                    assert any("Table 2 prints" in note for note in two.notes)
    assert differ == {(row, f"CIFAR-10 / Transfer / {box}") for row in ("FC", "CP", "CLBD", "HTBD") for box in ("WB", "BB")}


def test_averages_over_networks():
    """Table 25's last column is the mean of the others, but for HTBD."""
    paper = papers.load("just_how_toxic")
    wrong = []
    for row in paper.table("table25").rows:
        parts = [paper.claim("table25", row, network).value for network in ("ResNet-18", "MobileNetV2", "VGG11")]
        if abs(sum(parts) / 3 - paper.claim("table25", row, "Average").value) > 0.0006:
            wrong.append(row)
    assert wrong == ["HTBD"]


# --- transcription


def tokens(text: str) -> list[str]:
    """Words, numbers (with sign and %), ± and ×, lone dashes; markup, brackets and commas are dropped."""
    text = re.sub(r"</?b>", "", text).replace("XX", "X X").lower()
    return re.findall(r"[^\W\d_][\w./\-]*|[+-]?\d+(?:\.\d+)?%?|±|×|(?<!\S)-(?!\S)", text)


def locate(wanted: list[str], stream: list[str], start: int = 0) -> int:
    """Where the sequence ends in the stream, from start on; -1 if it is not there."""
    for at in range(start, len(stream) - len(wanted) + 1):
        if stream[at : at + len(wanted)] == wanted:
            return at + len(wanted)
    return -1


def section(table, text: str, captions_follow: bool) -> list[str]:
    """The tokens around a table: from its caption to the next one, or, where captions follow, from the last one to its own."""
    starts = re.finditer(
        r"(?m)^\s*Table (\d+)[.:](?!\n\d+\n)", text
    )  # not a sentence that ends with "Table 4." above a page number
    anchors = [(start.start(), start[1]) for start in starts]
    here = [at for at, label in anchors if f"Table {label}" == table.place.split(",")[0]]
    assert len(here) == 1, f"{table.name}: {len(here)} captions"
    places = [at for at, _ in anchors]
    if captions_follow:
        return tokens(text[max([at for at in places if at < here[0]], default=0) : here[0]])
    return tokens(text[here[0] : min([at for at in places if at > here[0]] + [here[0] + 2500])])


def joined(lists) -> list[str]:
    return list(itertools.chain.from_iterable(lists))


def spans(layout, wide: int) -> list[tuple[int, int]]:
    """Where the blocks of columns begin and end."""
    ends = list(itertools.accumulate(layout)) if isinstance(layout, tuple) else [wide]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def misprints(table, stream: list[str], layout="rows") -> list[str]:
    """What of a table the stream does not print: the rows (or columns) in order, each with its label, number by number."""
    cells = [table.claims[i : i + len(table.columns)] for i in range(0, len(table.claims), len(table.columns))]
    grid = [[tokens(claim.printed) for claim in row] for row in cells]
    labels = [tokens(row.split(" / ")[-1].split(" #")[0]) for row in table.rows]
    heads = [tokens(column.name) for column in table.columns]
    if layout == "columns":
        runs = [joined(labels)] + [head + joined(row[j] for row in grid) for j, head in enumerate(heads)]
    elif layout == "labels first":
        runs = [joined(labels) + joined(map(joined, grid))]
    else:
        blocks = spans(layout, len(heads))
        runs = [group(table, i) + labels[i] + joined(row[a:b]) for a, b in blocks for i, row in enumerate(grid)]
    missing, at = [], 0
    for run in runs:
        found = locate(run, stream, at)
        missing += [" ".join(run)] if found < 0 else []
        at = max(at, found)
    return missing + wrong_heads(table, stream, layout)


def group(table, index: int) -> list[str]:
    """The word that stands before the first row of a group: "From" or "FC" for "FC / 50"; nothing before its other rows."""
    row, before = table.rows[index], table.rows[index - 1] if index else ""
    first = " / " in row and row.split(" / ")[0] != before.split(" / ")[0]
    return tokens(row)[:1] if first else []


def wrong_heads(table, stream: list[str], layout) -> list[str]:
    """Column names that do not stand in the stream: one after the other, or, for headings of several levels, somewhere."""
    stream = ["x" if token == "×" else token for token in stream]
    names = [[("x" if t == "×" else t) for t in tokens(column.name)] for column in table.columns]
    if layout == "columns" or any(" / " in column.name for column in table.columns):
        return [" ".join(name) for name in names if not set(name) <= set(stream)]
    runs = [joined(names[start:end]) for start, end in spans(layout, len(names))]
    return [" ".join(run) for run in runs if locate(run, stream) < 0]


def mutated(table, index: int):
    """The table with one printed cell altered."""
    claim = table.claims[index]
    swap = {"X": "×", "×": "X", "-": "1.0"}
    digit = re.search(r"\d(?=\D*$)", claim.printed)
    if claim.printed in swap:
        printed = swap[claim.printed]
    elif digit:
        printed = claim.printed[: digit.start()] + str((int(digit[0]) + 1) % 10) + claim.printed[digit.end() :]
    else:
        printed = claim.printed + "q"
    changed = list(table.claims)
    changed[index] = dataclasses.replace(claim, printed=printed)
    return dataclasses.replace(table, claims=tuple(changed))


@pytest.fixture(scope="module")
def texts():
    folder = os.environ.get("POISONLIB_PAPERS")
    if not folder:
        pytest.skip("POISONLIB_PAPERS does not name a folder with the papers' texts")
    return {name: (Path(folder) / file).read_text(encoding="utf-8") for name, file in TEXTS.items()}


def printed_tables(name: str):
    return [table for table in papers.load(name).tables.values() if not table.claims[0].derived]


@pytest.mark.parametrize("name", NAMES)
def test_transcription(texts, name):
    for table in printed_tables(name):
        stream = section(table, texts[name], captions_follow=name == "strong_augmentation")
        assert misprints(table, stream, LAYOUT.get((name, table.name), "rows")) == [], table.name


@pytest.mark.parametrize("name", NAMES)
def test_transcription_catches_every_single_change(texts, name):
    for table in printed_tables(name):
        layout = LAYOUT.get((name, table.name), "rows")
        stream = section(table, texts[name], captions_follow=name == "strong_augmentation")
        for index, claim in enumerate(table.claims):
            if claim.printed:
                assert misprints(mutated(table, index), stream, layout), claim


def test_the_check_can_fail_without_the_papers():
    table = papers.load("just_how_toxic").table("table8")
    page = "Attack\tSuccess Rate (%)\tDiff. From Baseline (%)\n" + "\n".join(
        f"{row}\t{table.claims[2 * i].printed}\t{table.claims[2 * i + 1].printed}" for i, row in enumerate(table.rows)
    )
    assert misprints(table, tokens(page)) == []
    assert misprints(table, tokens(page.replace("4.96", "4.92"))) == ["htbd 59.00 ± 4.96 -10.00"]
    assert misprints(table, tokens(page.replace("CLBD", "HTBD"))) == ["clbd 10.00 ± 3.00 -76.00"]
    assert misprints(table, tokens(page.replace("Baseline", "FC"))) == ["success rate diff. from baseline"]
    assert all(misprints(mutated(table, i), tokens(page)) for i in range(len(table.claims)))


def squash(text: str) -> str:
    """Without layout: spaces, hyphens, quotation marks, markup; TeX signs as signs."""
    for tex, sign in {r"\times": "×", r"\lambda": "λ", r"\epsilon": "ϵ", "∕": "/", "∗": ""}.items():
        text = text.replace(tex, sign)
    return re.sub(r"</?b>|[\s\-‐–—$*'’‘`“”\"]", "", text).casefold()


@pytest.mark.parametrize("name", NAMES)
def test_quotes_and_captions_are_the_papers_words(texts, name):
    text, paper = squash(texts[name]), papers.load(name)
    quotes = [each.quote for each in (*paper.findings, *paper.stated, *paper.settings)]
    captions = [each.caption for each in (*paper.tables.values(), *paper.figures)]
    assert [quote for quote in (*quotes, *captions) if squash(quote) not in text] == []
    assert squash("CutMix raises the success rate from 36% to 100%") not in text
