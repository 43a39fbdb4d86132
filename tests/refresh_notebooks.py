"""``make notebooks``: execute every notebook at its defaults and write the outputs back as they are committed.

Progress bars and warnings (standard error) are dropped, and so is everything that names this machine. Widgets are dropped too: they
are dead without the kernel that made them, and an explorer's next cell shows the same picture as a figure.
"""

import sys

import nbformat

from poisonlib import notebooks

KEPT_METADATA = ("kernelspec", "language_info")
KEPT_LANGUAGE = ("name",)
WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(name: str) -> None:
    nbformat.write(cleaned(nbformat.read(notebooks.execute(name, {}), as_version=4)), notebooks.path(name))


def cleaned(done: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook without progress bars, widgets, injected cells and whatever names this machine."""
    done.metadata = {key: done.metadata[key] for key in KEPT_METADATA if key in done.metadata}
    done.metadata["language_info"] = {key: done.metadata["language_info"][key] for key in KEPT_LANGUAGE}
    done.cells = [cell for cell in done.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for count, cell in enumerate((cell for cell in done.cells if cell.cell_type == "code"), start=1):
        cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr" and WIDGET not in each.get("data", {})]
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    for cell in done.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    return done


if __name__ == "__main__":
    for each in sys.argv[1:] or notebooks.names():
        print(each, flush=True)
        refresh(each)
