"""A table of a paper beside a run's, as text: a line for each attack and defence, success and accuracy side by side."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poisonlib import papers
from poisonlib.experiments import Defence, defence
from poisonlib.filters.random_removal import RandomRemoval
from poisonlib.papers.belonging import alike, columns, comparable
from poisonlib.papers.designs import changes, designed


@dataclass(frozen=True)
class Side:
    """A printed cell and ours; ``ours`` is empty where nothing was run, and ``paper`` where the paper has no such cell."""

    paper: str = ""
    ours: str = ""  # the mean with its interval, per cent
    n: str = ""
    control: str = ""
    verdict: str = ""
    answers: str = ""  # to the three questions behind the verdict
    work: str = ""


@dataclass(frozen=True)
class Line:
    """A defence under an attack."""

    attack: str
    defence: str
    success: Side
    accuracy: Side
    ours_alone: bool = False  # a defence that the paper's table lacks, and that is not the control of one of its filters

    @property
    def run(self) -> bool:
        """Whether there are trials of ours."""
        return bool(self.success.ours or self.accuracy.ours)


def lines(found: dict, table: papers.Table) -> list[Line]:
    """The lines of a table whose content is ``found``: each attack, the strongest dose first, under each defence.

    Undefended victims come first, where the paper's table has none, then its defences, each filter followed by its control, then
    those that only we have run. A table with an attack in each row has its columns, defences or threat models, in their place.
    """
    if not columns(table):
        return _by_attack(found, table)
    ours = {(cell["row"], cell["column"]): cell for cell in found["cells"]}
    printed = {(claim.row, claim.column): claim.printed for claim in table.claims}
    made = []
    for success, accuracy in _pairs(table):
        for row, name, alone in _rows(found, table):
            sides = [_side(printed.get((row, column)), ours.get((row, column))) for column in (success.column, accuracy)]
            if any(side.paper or side.ours for side in sides):
                made.append(Line(_attack(success), name, *sides, alone))
    return made


def _by_attack(found: dict, table: papers.Table) -> list[Line]:
    """The lines of a table whose rows are attacks: each under what the columns with rates of success stand for. Where the rows are
    networks, and no column is of success, each with its accuracies.
    """
    ours = {(cell["row"], cell["column"]): cell for cell in found["cells"]}
    wanted = [claim for claim in table.claims if comparable(claim) and claim.measure == "success"]
    rows: dict[str, set[str]] = {}
    for claim in wanted:
        rows.setdefault(_attack(claim), set()).add(claim.row)
    names = {claim.row: claim.row if len(rows[_attack(claim)]) > 1 else _attack(claim) for claim in wanted}
    if not wanted:
        right = [claim for claim in table.claims if claim.measure == "clean accuracy"]
        return [Line(c.row, c.column, Side(), _side(c.printed, ours.get((c.row, c.column)))) for c in right]
    return [Line(names[c.row], _column(c), _side(c.printed, ours.get((c.row, c.column))), Side()) for c in wanted]


def _column(claim: papers.Claim) -> str:
    """``"black box"``, or ``"**MIXUP**"`` as the paper has it."""
    if designed(claim) and "defence" not in claim.means:
        return ", ".join(changes(claim)) or "baseline"
    if "transfer" not in claim.means:
        return f"**{claim.column}**"
    place = {(True, True): "white box", (True, False): "black box"}.get(
        (claim.means["transfer"], claim.means.get("white_box")), "from scratch"
    )
    where = [claim.column] * ("model" in claim.means) + [claim.means["data"]] * (not claim.means["data"].startswith("cifar"))
    return place + f" ({', '.join(where)})" * bool(where)


def _pairs(table: papers.Table) -> list[tuple[papers.Claim, str]]:
    """Each column of success rates, and the name of the column with the same trials' accuracies, "" where there is none."""
    every = columns(table)
    success = sorted((c for c in every if c.measure == "success"), key=lambda claim: -claim.means.get("poison_rate", 0))
    right = [claim for claim in every if claim.measure == "clean accuracy"]
    return [(claim, next((other.column for other in right if other.means == claim.means), "")) for claim in success]


def _attack(claim: papers.Claim) -> str:
    """``"patch, 100 % of the class"`` or ``"adaptive gradient matching"``."""
    name = claim.means["attack"].replace("_", " ")
    if "poison_rate" in claim.means:
        return f"{name}, {100 * claim.means['poison_rate']:g} % of the class"
    return "adaptive " * (claim.means.get("adaptive") == "surrogate") + name


def _rows(found: dict, table: papers.Table) -> Iterator[tuple[str, str, bool]]:
    """(row, its name for the reader, whether it is ours alone), in the order of `lines`."""
    others = [row for row in dict.fromkeys(cell["row"] for cell in found["cells"]) if row not in table.rows]
    controls = {row: of for row in others if (of := _beside(row))}
    shown = {"none"} & set(others)
    if shown:
        yield "none", "undefended", False
    for row in table.rows:
        yield row, f"**{row}**", False
        meant = next(claim.means["defence"] for claim in table.claims if claim.row == row)
        for control in [control for control, of in controls.items() if control not in shown and alike(of, defence(meant))]:
            shown.add(control)
            yield control, f"as many at random as {row}", False
    yield from ((row, f"`{row}`", True) for row in others if row not in shown)


def _beside(row: str) -> Defence | None:
    """The defence whose filter a row's random removal stands beside; None for any other row."""
    try:
        made = defence(row)
    except (LookupError, TypeError, ValueError):  # of a class that is not here
        return None
    return dataclasses.replace(made, filter=made.filter.counted) if isinstance(made.filter, RandomRemoval) else None


def _side(printed: str | None, cell: dict | None) -> Side:
    if not cell:
        return Side(printed or "")
    answers = ", ".join(str(cell[key]) for key in ("printed value", "its count", "its n tells") if cell.get(key))
    return Side(
        printed or "",
        f"{cell['ours %']} ({cell['95 % interval']})",
        str(cell["n"]),
        str(cell["chance %"]),
        cell["verdict"].replace(": other setting", ""),
        answers,
        cell["time a trial"],
    )


def footer(setting: dict[str, str]) -> str:
    """In one line what the figures of a run must be labelled with: set-up, distinct records, device and commit."""
    precision = f", {setting['precision']}" * (setting["precision"] != "fp32")
    set_up = f"`{setting['data']}`, `{setting['network']}`, {setting['epochs']} epochs{precision}"
    controls = {"0": "", "1": ", 1 of them a clean control"}.get(
        setting["controls"], f", {setting['controls']} of them clean controls"
    )
    devices, commits = (setting[name].replace("; ", ", ") for name in ("device", "commit"))
    return f"{set_up}; {setting['trials']} records{controls}; {devices}; commit {commits}"


def missing(every: Sequence[Line]) -> str:
    """``"not run: *SS*, *AC* (patch, 10 % of the class)"``, or "" where every line was run."""
    gone: dict[str, list[str]] = {}
    for line in every:
        if not line.run:
            gone.setdefault(line.attack, []).append(line.defence.replace("**", "*"))
    alike: dict[str, list[str]] = {}
    for attack, rows in gone.items():
        alike.setdefault(", ".join(rows), []).append(attack)
    return "not run: " * bool(alike) + "; ".join(f"{rows} ({' and '.join(attacks)})" for rows, attacks in alike.items())


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without the columns that are empty in every row."""
    used = [i for i, _ in enumerate(header) if any(row[i] for row in rows)]
    body = [[header[i] for i in used], ["---"] * len(used), *([row[i] for i in used] for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)
