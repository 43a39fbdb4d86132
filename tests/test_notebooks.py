"""The notebooks' grammar, and a guard: the nbval run compares something in every one of them."""

import ast

import nbformat
import pytest

from poisonlib import notebooks

NAMES = notebooks.names()
LIMIT = 200 * 1024


def code_cells(name):
    return [cell for cell in notebooks.cells(name) if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("name", NAMES)
class TestEveryNotebook:
    def test_it_begins_with_a_title_and_a_claim_and_ends_with_words(self, name):
        cells = notebooks.cells(name)
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith("# ")
        assert cells[-1].cell_type == "markdown"
        if not name.startswith(("00_", "explore_")):
            assert "**Claim**" in cells[0].source
            assert "### Differences from the paper\n1. " in cells[-1].source

    def test_parameters_are_literals_one_a_line_and_pass_their_own_check(self, name):
        assert len(notebooks.tagged(name, "parameters")) == 1
        for parameter in notebooks.parameters(name).values():
            assert parameter.help, f"{parameter.name} has no word of help"
            assert parameter.read(str(parameter.default)) == parameter.default

    def test_cells_are_short_and_define_nothing(self, name):
        for cell in code_cells(name):
            assert len(cell.source.splitlines()) <= 15, cell.source
            tree = ast.parse(cell.source)
            assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)]

    def test_it_was_executed_from_top_to_bottom_and_names_no_machine(self, name):
        counts = [cell.execution_count for cell in code_cells(name)]
        assert counts == list(range(1, len(counts) + 1)), "execute it again: make notebooks"
        text = notebooks.path(name).read_text(encoding="utf-8")
        assert not any(place in text for place in ("/home/", "/root/", "/work/", "/tmp/", "Users/"))
        assert "widgets" not in nbformat.read(notebooks.path(name), as_version=4).metadata
        assert len(text.encode()) <= LIMIT

    def test_no_cell_failed(self, name):
        kinds = {output.output_type for cell in code_cells(name) for output in cell.outputs}
        assert "error" not in kinds

    def test_nbval_has_something_to_compare(self, name):
        """nbval compares nothing in cells without an execution count or with ignored output: a check must have printed words."""
        checks = [cell for cell in code_cells(name) if "nbval-check-output" in tags(cell)]
        assert checks, "no cell is tagged nbval-check-output"
        for cell in checks:
            assert cell.execution_count
            assert any(output.output_type == "stream" and output.text.strip() for output in cell.outputs)


def test_nbval_fails_where_a_check_prints_something_else(tmp_path):
    """The guard of the guard: a changed check is caught, a changed ignored cell is not."""
    import os
    import subprocess
    import sys

    def run(printed_check, printed_other):
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        for text, stored, tag in (("check", printed_check, "nbval-check-output"), ("other", printed_other, "nbval-ignore-output")):
            output = nbformat.v4.new_output("stream", name="stdout", text=stored + "\n")
            cell = nbformat.v4.new_code_cell(f"print({text!r})", outputs=[output], execution_count=1, metadata={"tags": [tag]})
            notebook.cells.append(cell)
        nbformat.write(notebook, tmp_path / "one.ipynb")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "one.ipynb"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "PYTEST_ADDOPTS": ""}).returncode

    assert run("check", "whatever") == 0
    assert run("something else", "other") == 1


class TestParameters:
    def test_unknown_names_and_bad_values_name_the_choices(self):
        with pytest.raises(LookupError, match="has no parameter profil; it has: profile"):
            notebooks.read_parameters("strong_augmentation_table1", {"profil": "quick"})
        with pytest.raises(ValueError, match="profile=huge: choose one of: quick, laptop, small, paper"):
            notebooks.read_parameters("strong_augmentation_table1", {"profile": "huge"})
        with pytest.raises(ValueError, match="trials=many: a int is wanted"):
            notebooks.read_parameters("strong_augmentation_table1", {"trials": "many"})
        with pytest.raises(ValueError, match="trials=-1: from 0"):
            notebooks.read_parameters("strong_augmentation_table1", {"trials": "-1"})
        with pytest.raises(LookupError, match="00_tour"):
            notebooks.path("tour")

    def test_values_are_read_as_their_defaults_type(self):
        read = notebooks.read_parameters("strong_augmentation_table1", {"trials": "7", "profile": "small", "device": "cpu"})
        assert read == {"trials": 7, "profile": "small", "device": "cpu"}

    def test_every_profile_named_in_a_notebook_exists_and_its_grid_can_be_drawn(self):
        from poisonlib import experiments

        for name in NAMES:
            if profile := notebooks.parameters(name).get("profile"):
                assert set(profile.choices) <= set(experiments.profiles("backdoor"))
                values = {"profile": profile.choices[-1], "trials": 2}
                assert not notebooks.tagged(name, "grid") or len(notebooks.trials(name, values)) > 4
