"""Keep the records of a profile with the code: ``python -m tests.publish fast [FOLDER]``.

Copies the profile's records, of all its scenarios, from FOLDER (by default ``trials/`` in the output folder) to
``outputs/reference/fast/trials``, makes the run's tables and the README's, and says how many trials each cell has. A record that
was made anew takes the place of the older one. The executed notebooks are made by ``python -m tests.refresh_notebooks --run fast``.
"""

import sys
from collections.abc import Iterator

from poisonlib.experiments import Ledger, profiles, scenarios
from poisonlib.papers.setting import recorded_with

from . import refresh_readme
from .refresh_readme import REFERENCE
from .refresh_reference import kept, of_profile, refresh


def publish(run: str, source: Ledger) -> Iterator[str]:
    """Copy, make the tables, and say what was done, a line at a time.

    Raises LookupError where there is no such profile, or no record of it.
    """
    having = [scenario for scenario in scenarios() if run in profiles(scenario)]
    if not having:
        raise LookupError(f"no scenario has a profile {run!r}")
    records = list(source.sound())
    found = [record for scenario in having for record in of_profile(records, scenario, run)]
    if not found:
        raise LookupError(f"{source.root} has no record of the profile {run}")
    home = Ledger.open(REFERENCE / run / "trials")
    known = {record.key: record for record in home}
    fresh = [record for record in found if known.get(record.key) != record]
    for record in fresh:
        home.put(record)
    replaced = sum(record.key in known for record in fresh)
    yield f"{len(found)} records of {run}: {len(fresh) - replaced} new, {replaced} replaced; {recorded_with(found)}"
    for path, table in refresh(run, kept(run)).items():
        yield path.stem
        for row in dict.fromkeys(cell["row"] for cell in table["cells"]):
            mine = [f"{cell['column']}: {cell['n']}" for cell in table["cells"] if cell["row"] == row]
            yield f"    {row}: {', '.join(mine)}"
    refresh_readme.write()


if __name__ == "__main__":
    for line in publish(sys.argv[1], Ledger.open(*sys.argv[2:3])):
        print(line)
