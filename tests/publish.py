"""Keep the records of a profile with the code: ``python -m tests.publish fast [FOLDER]``.

Copies the profile's records, of all its scenarios, from FOLDER (by default ``trials/`` in the output folder) to
``outputs/reference/fast/trials``, makes the run's tables, the README's and RESULTS.md, and says how many trials each cell has. A
record that was made anew takes the place of the older one. Records that do not name the commit that made them, or were made in a
checkout with changes, are refused by name, and the exit status is then 1; the others are kept. The executed notebooks are made by
``python -m tests.refresh_notebooks --run fast``.
"""

import sys
from collections.abc import Iterator

from poisonlib import registry
from poisonlib.experiments import Ledger, Record, profiles, scenarios
from poisonlib.papers.setting import recorded_with
from poisonlib.words import plural

from . import refresh_readme
from .refresh_readme import REFERENCE
from .refresh_reference import kept, of_profile, refresh

REFUSED = "refused: "


def publish(run: str, source: Ledger) -> Iterator[str]:
    """Copy, make the tables, and say what was done, a line at a time; each record that is refused has a line of its own.

    Raises LookupError where there is no such profile, or no record of it that can be kept.
    """
    having = [scenario for scenario in scenarios() if run in profiles(scenario)]
    if not having:
        raise LookupError(f"no scenario has a profile {run!r}")
    records = list(source.sound())
    found = {record.key: record for scenario in having for record in of_profile(records, scenario, run)}
    home = Ledger.open(REFERENCE / run / "trials")
    known = {record.key: record for record in home}
    fresh = [record for record in found.values() if known.get(record.key) != record]
    refused = {record.key: why for record in fresh if (why := unfit(record))}
    for key, why in refused.items():
        yield f"{REFUSED}{words(found[key])}: {why}"
    if len(refused) == len(found):
        raise LookupError(f"{source.root} has no record of the profile {run}" + " that can be kept" * bool(refused))
    taken = [record for record in found.values() if record.key not in refused]
    new = [record for record in fresh if record.key not in refused]
    for record in new:
        home.put(record)
    replaced = sum(record.key in known for record in new)
    yield f"{len(taken)} records of {run}: {len(new) - replaced} new, {replaced} replaced; {recorded_with(taken)}"
    for path, table in refresh(run, kept(run)).items():
        yield path.stem
        for row in dict.fromkeys(cell["row"] for cell in table["cells"]):
            mine = [f"{cell['column']}: {cell['n']}" for cell in table["cells"] if cell["row"] == row]
            yield f"    {row}: {', '.join(mine)}"
    refresh_readme.write()


def unfit(record: Record) -> str:
    """Why nobody could find the code that made a record; "" where the commit says it."""
    commit = record.environment.commit
    if not commit:
        return "it names no commit"
    return f"its commit, {commit}, had changes that were not committed" if commit.endswith("+") else ""


def words(record: Record) -> str:
    """``"seed 3 of patch(poison_rate=1.0) under mixup (0a1b2c...)"``, with the record's key."""
    trial = record.trial
    return f"seed {trial.seed} of {registry.label(trial.attack)} under {trial.defence.label} ({record.key})"


def main() -> int:
    """Print what `publish` says; 1 where a record was refused."""
    refused = 0
    for line in publish(sys.argv[1], Ledger.open(*sys.argv[2:3])):
        print(line)
        refused += line.startswith(REFUSED)
    if refused:
        print(f"{plural(refused, 'record')} refused: repeat these trials in a checkout without changes (delete their files first)")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
