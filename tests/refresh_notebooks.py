"""``make notebooks``: execute every notebook at its defaults and write the outputs back as they are committed.

``python -m tests.refresh_notebooks NAME ...`` does so with some of them. ``python -m tests.refresh_notebooks --run fast NAME ...
[name=value ...]`` executes them at a profile from the records under ``outputs/reference/fast``, without training anything, and
writes the copies there. Where some trials are not recorded, ``trials`` is the greatest number that every cell has. Side questions,
whose trials are no part of the grid, are left out unless ``released=True`` is given.

Progress bars and warnings (standard error) are dropped, and so is everything that names this machine. Of widgets, which are dead
without the kernel that made them, the picture is kept that stands in an explorer's place.
"""

import argparse
import os

import nbformat

from poisonlib import notebooks
from poisonlib.experiments import Ledger

from .refresh_readme import REFERENCE, TABLES
from .refresh_reference import kept, refresh

KEPT_METADATA = ("kernelspec", "language_info")
KEPT_LANGUAGE = ("name",)
WIDGET = "application/vnd.jupyter.widget-view+json"
INJECTED = "injected-parameters"


def refresh_defaults(name: str) -> None:
    """Execute a notebook at its defaults and write its outputs back."""
    done = cleaned(nbformat.read(notebooks.execute(name, {}), as_version=4))
    done.cells = [cell for cell in done.cells if INJECTED not in cell.metadata.get("tags", [])]
    nbformat.write(numbered(done), notebooks.path(name))


def refresh_run(name: str, run: str, given: dict[str, str]) -> str:
    """Execute a notebook at a run's profile into the run's folder; returns what it was given, as text.

    Raises LookupError where a cell of its grid has no record.
    """
    side = {"released": "False"} if "released" in notebooks.parameters(name) else {}
    values = notebooks.read_parameters(name, {"profile": run} | side | given)
    os.environ["POISONLIB_OUTPUTS"] = str(REFERENCE / run)
    if "trials" not in values:
        values |= recorded(name, values)
    path = notebooks.execute(name, values)
    nbformat.write(numbered(cleaned(nbformat.read(path, as_version=4))), path)
    if name in TABLES:
        refresh(run, kept(run), [name])
    return f"{name} {' '.join(f'{key}={value}' for key, value in values.items())}"


def recorded(name: str, values: dict) -> dict[str, int]:
    """The ``trials`` with which a notebook lacks no record: {} where it lacks none at the profile's own numbers.

    Raises LookupError where it lacks some even with one a cell.
    """
    ledger = Ledger.open()
    table = notebooks.trials(name, values)
    if all(trial in ledger for trial in table):
        return {}
    for most in range(len({trial.seed for trial in table}), 0, -1):
        if all(trial in ledger for trial in notebooks.trials(name, values | {"trials": most})):
            return {"trials": most}
    raise LookupError(f"{name}: a cell has no record in {ledger.root}")


def cleaned(done: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook without progress bars, widgets and whatever names this machine."""
    done.metadata = {key: done.metadata[key] for key in KEPT_METADATA if key in done.metadata}
    done.metadata["language_info"] = {key: done.metadata["language_info"][key] for key in KEPT_LANGUAGE}
    for cell in done.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for each in cell.outputs if each.get("name") != "stderr" and (kept := without_widget(each))]
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    return done


def without_widget(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """An output with the picture of its widget alone; None for a widget without one."""
    if WIDGET not in output.get("data", {}):
        return output
    if "image/png" not in output.data:
        return None
    output.data = {"image/png": output.data["image/png"], "text/plain": "an explorer: run the notebook"}
    return output


def numbered(done: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its cells of code, and their outputs, numbered from 1."""
    for count, cell in enumerate((cell for cell in done.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute notebooks and keep their outputs.")
    parser.add_argument("words", nargs="*", metavar="NAME|name=value")
    parser.add_argument("--run", help="the profile, whose records are under outputs/reference")
    arguments = parser.parse_args()
    names = [word for word in arguments.words if "=" not in word]
    given = dict(word.split("=", 1) for word in arguments.words if "=" in word)
    for name in names or notebooks.names():
        if arguments.run:
            print(refresh_run(name, arguments.run, given), flush=True)
        else:
            print(name, flush=True)
            refresh_defaults(name)


if __name__ == "__main__":
    main()
