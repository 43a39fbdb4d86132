"""``make readme``: the README's table and RESULTS.md, paper beside ours, from the tables under ``outputs/reference``.

The README has the first table whole and a line for each attack of the others, at the largest scale that each was run at, and, where
that has few trials, at the largest scale that has more; RESULTS.md shows all whole, at every scale, below what was found in words,
which ``outputs/reference/findings.md`` holds.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from poisonlib import papers, paths
from poisonlib.experiments import rules
from poisonlib.papers.together import together
from poisonlib.papers.verdicts import CELL

from . import hardware_lines
from .result_lines import Line, footer, lines, markdown, missing

BEGIN, END = "<!-- results: written by make readme -->", "<!-- end of results -->"


class Place(NamedTuple):
    """A table of a paper, or several that stand together, and the scenario whose profiles its notebook runs."""

    paper: str
    table: str | tuple[str, ...]
    scenario: str

    @property
    def tables(self) -> tuple[str, ...]:
        """The table's name, or those of all."""
        return (self.table,) if isinstance(self.table, str) else self.table


class Found(NamedTuple):
    """A run's table: the notebook that makes it, its place, and the content of its file."""

    run: str
    notebook: str
    place: Place
    content: dict

    @property
    def claimed(self) -> papers.Table:
        """What the paper prints."""
        return together(papers.load(self.place.paper), self.place.tables)

    @property
    def lines(self) -> list[Line]:
        """The lines of the table, run or not."""
        return lines(self.content, self.claimed)

    @property
    def trials(self) -> int:
        """The number of trials in the cell that has the fewest, 0 without a rate of success."""
        return min((int(line.success.n) for line in self.lines if line.success.ours), default=0)

    @property
    def title(self) -> str:
        """``"DP-InstaHide, Table 1"``."""
        return f"{SHORT[self.place.paper]}, {self.claimed.place}"

    @property
    def about(self) -> str:
        """What the figures must be labelled with, and what was not run."""
        return "; ".join(filter(None, [footer(self.content["setting"]), missing(self.lines)]))


TABLES = {  # by notebook
    "strong_augmentation_table1": Place("strong_augmentation", "table1", "backdoor"),
    "strong_augmentation_table2": Place("strong_augmentation", "table2", "targeted"),
    "dp_instahide_table1": Place("dp_instahide", "table1", "backdoor"),
    "dp_instahide_table2": Place("dp_instahide", "table2", "targeted"),
    "dp_instahide_table3": Place("dp_instahide", "table3", "targeted_imagenet"),
    "dp_instahide_table4": Place("dp_instahide", "table4", "ablation"),
    "dp_instahide_table5": Place("dp_instahide", "table5", "targeted"),
    "dp_instahide_table6": Place("dp_instahide", "table6", "targeted"),
    "just_how_toxic_table2": Place("just_how_toxic", "table2", "transfer"),
    "just_how_toxic_table25": Place("just_how_toxic", ("table25", "table26"), "scratch"),
    **{
        f"just_how_toxic_{name}": Place("just_how_toxic", tuple(f"table{number}" for number in numbers), "ablation")
        for name, numbers in {
            "figure3": (4, 6, 7, 8, 9, 12, 14),
            "table4": (4, 5, 6),
            "table7": (4, 7, 9, 12),
            "table8": (4, 8, 15),
            "table10": (10, 11),
            "table13": (4, 13, 14, 21),
            "table16": (16, 17, 20),
            "table22": (22,),
        }.items()
    },
}
LONG = (
    "table4",
    "table7",
    "table8",
    "table10",
    "table13",
    "table16",
    "table22",
    "table25",
)  # of "Just How Toxic": not in the README, which is to be short
FEW = 4  # with fewer trials a cell, a table stands in the README beside one of a smaller scale, and is not drawn in its notebook
FIGURE = "just_how_toxic_figure3"  # not in RESULTS.md, which has the tables
SHORT = {"strong_augmentation": "Strong augmentation", "dp_instahide": "DP-InstaHide", "just_how_toxic": "Just How Toxic"}
RUNS = ("paper", "paper_tiny", "small", "fast", "tiny", "laptop", "quick")  # from the largest scale to the smallest
SCALES = {  # what a run's data are
    "paper": "the paper's data, networks and schedules",
    "paper_tiny": "TinyImageNet, the paper's networks and schedules",
    "small": "all of CIFAR-10, the paper's network, fewer epochs",
    "fast": "all of CIFAR-10, small network and few epochs",
    "tiny": "as much of TinyImageNet as was there, small networks and few epochs",
    "laptop": "part of CIFAR-10 or of Imagenette",
    "quick": "digits",
}
SPELT = {  # what the papers call a defence, as the README spells it; all others in small letters
    **dict.fromkeys(("Baseline", "BASELINE", "NONE"), "undefended"),
    **{"CutMix": "CutMix", "CUTMIX": "CutMix", "MaxUp-cutout": "MaxUp-cutout", "MAXUP-CUTOUT": "MaxUp-cutout"},
    **{"DEEPKNN": "deep k-NN", "DP-SGD": "DP-SGD", "DP-SGD, 0.01": "DP-SGD, 0.01", "DP-SGD, 0.05": "DP-SGD, 0.05"},
    **{"SS": "spectral signatures", "AC": "activation clustering"},
    **{name: name for name in ("SGD and augmentation", "Adam and augmentation", "ResNet-18")},
}
REFERENCE = paths.root() / "outputs" / "reference"

LEGEND = """*ours*: per cent, the mean over n trials with its 95 % interval. *control*: how often networks trained on clean images
do what the attacker wants. A verdict in brackets: data, network or schedule are not the paper's, so it tells how far this set-up is
from the paper's. The margin is {success:.0f} points for success and {accuracy:.0f} for accuracy.

{words}
- A dash: nothing is compared, as the paper prints no number, there is one trial, or the undefended attack is not shown to beat its
  clean control."""

PAGE = """# Results

Every table of the papers that was run, at every scale, paper beside ours. `make readme` writes this page, and the shorter table of
the README, from the records under `outputs/reference`; the notebooks show the same with figures and with what the papers' sentences
come to.

{legend}

*patch, 10 % of the class*: the share of the images of one class that bear the trigger. *adaptive*: the attacker's surrogate was
trained under the defence. *n*: a trial is one pair of classes with one trigger (patch; the rate over the test images that bear it),
or one target image (gradient matching; hit or missed). *value, count, n*: the three answers behind a verdict on success: our rate
and the printed value as it stands; the paper's count, as our trials lead one to expect it; the probability that as few trials as
the paper's had told our rate from the printed one. *a trial takes*: the processor time of one trial.

Below each table: data, network and schedule; the distinct records behind it, each counted once, clean controls included; their
device; the commit that made them, with a + where files of the checkout differed from it."""


def legend() -> str:
    """What columns and verdicts mean, by the rules of the package."""
    margin, words = rules().margin, "\n".join(f"- *{word}*: {meaning}." for word, meaning in CELL.items())
    return LEGEND.format(success=100 * margin["success"], accuracy=100 * margin["clean accuracy"], words=words)


def short() -> str:
    """Markdown between the README's two marks: the first table whole, and a line for each attack of the others."""
    kept = [found for found in every() if found.notebook.removeprefix("just_how_toxic_") not in LONG]
    shown = [found for name in dict.fromkeys(each.notebook for each in kept) for found in telling(kept, name)]
    if not shown:
        return f"{BEGIN}\n\n{END}"
    first, *others = shown
    parts = [f"**{first.title}**, `{first.run}`", *_long(first)]
    if others:
        header = ["table", "our run", "attack", "n", "success, per cent: ours (the paper's)", "verdicts"]
        parts += ["**The other tables**", markdown(header, [row for found in others for row in _short(found)])]
    scales = sorted({found.run for found in shown}, key=RUNS.index)
    return "\n\n".join([BEGIN, *parts, "; ".join(f"`{run}`: {SCALES[run]}" for run in scales) + ".", END])


def telling(kept: Sequence[Found], notebook: str) -> list[Found]:
    """The tables of a notebook to show first: the largest scale and, if that has few trials, the largest that has more than a few.

    Args:
        kept: Tables of any notebooks, the largest scale first.
        notebook: Its name.
    """
    largest, *smaller = (found for found in kept if found.notebook == notebook)
    more = [found for found in smaller if found.trials >= FEW] if largest.trials < FEW else []
    return [largest, *more[:1]]


def _short(found: Found) -> Iterator[list[str]]:
    """A row for each attack: the success under each defence that was run, the clean control's, and the verdicts, counted."""
    run = [line for line in found.lines if line.run and not line.ours_alone and line.success.ours]
    for place, attack in enumerate(dict.fromkeys(line.attack for line in run)):
        mine = [line for line in run if line.attack == attack]
        counts = Counter(line.success.verdict for line in mine if line.success.verdict not in ("", "-"))
        control = next((f"; clean control {line.success.control}" for line in mine if line.success.control), "")
        yield [
            *([f"**{found.title}**", f"`{found.run}`"] if place == 0 else ["", ""]),
            attack,
            " to ".join(sorted({line.success.n for line in mine}, key=int)),
            ", ".join(map(_rate, mine)) + control,
            ", ".join(f"{n} {word}" for word, n in counts.items()) or "-",
        ]


def _rate(line: Line) -> str:
    """``"CutMix **47.8** (36)"``."""
    name = line.defence.strip("*")
    spelt = "as many at random" if name.startswith("as many at random") else SPELT.get(name, name.lower())
    paper = f" ({line.success.paper.rstrip('%').split(' ± ')[0]})" * bool(line.success.paper)
    return f"{spelt} **{line.success.ours.split(' ')[0]}**{paper}"


def page() -> str:
    """RESULTS.md: an introduction, what was found in words (``findings.md``), then each table at every scale, the largest first."""
    words = REFERENCE / "findings.md"
    parts = [PAGE.format(legend=legend()), *([words.read_text(encoding="utf-8").strip()] if words.exists() else [])]
    for name in (name for name in TABLES if name != FIGURE):
        for place, found in enumerate(each for each in every() if each.notebook == name):
            parts += [_heading(found)] * (place == 0) + [f"### `{found.run}`: {SCALES[found.run]}", *_long(found)]
    parts += filter(None, [hardware_lines.section()])
    return "\n\n".join(parts) + "\n"


def _heading(found: Found) -> str:
    title = papers.load(found.place.paper).about["title"]
    said = f"*{title}*, {found.claimed.place}, n = {found.claimed.claims[0].trials}; `notebooks/{found.notebook}.ipynb`"
    return f"## {found.title}\n\n{said}"


def _long(found: Found) -> list[str]:
    """The lines that were run, and their footer."""
    names = ["attack", "defence"] if found.trials else ["network", "printed in"]
    success = ["success: paper", "ours", "control", "verdict", "value, count, n"]
    header = [*names, "n", *success, "accuracy: paper", "ours", "verdict", "a trial takes"]
    rows = []
    for line in (line for line in found.lines if line.run):
        success, accuracy = line.success, line.accuracy
        hits = [success.paper, success.ours, success.control, success.verdict, success.answers]
        right = [accuracy.paper, accuracy.ours, accuracy.verdict]
        rows.append([line.attack, line.defence, success.n or accuracy.n, *hits, *right, success.work or accuracy.work])
    return [markdown(header, rows), f"- {found.about}"]


def every() -> list[Found]:
    """All tables under ``outputs/reference``, run by run, the largest scale first."""
    wanted = [(run, name, REFERENCE / run / "tables" / f"{name}.json") for run in RUNS for name in TABLES]
    there = [(run, name, path) for run, name, path in wanted if path.exists()]
    return [Found(run, name, TABLES[name], json.loads(path.read_text(encoding="utf-8"))) for run, name, path in there]


def written(readme: str) -> str:
    """The README with what stands between its two marks made anew."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: short(), readme, flags=re.DOTALL)


def write() -> None:
    """Make the README's table and RESULTS.md anew."""
    path = Path(paths.root() / "README.md")
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
    path.with_name("RESULTS.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
