"""The notebooks' grammar, and a guard: the nbval run compares something in every one of them."""

import ast
import os
import re
import subprocess
import sys

import nbformat
import papermill
import pytest

from poisonlib import notebooks, paths, registry, scenarios

NAMES = notebooks.names()
LIMIT = 200 * 1024  # bytes of a notebook
WIDTH = 100  # characters of a line, in code and in text


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
        if not name.startswith(("00_", "01_", "02_", "explore_")):
            assert "**Claim**" in cells[0].source
            assert "### Differences from the paper\n1. " in cells[-1].source

    def test_lines_are_no_longer_than_a_screen_shows(self, name):
        lines = [line for cell in notebooks.cells(name) for line in cell.source.splitlines()]
        assert [line for line in lines if len(line) > WIDTH] == []

    def test_parameters_are_annotated_literals_that_pass_their_own_check(self, name):
        (source,) = notebooks.tagged(name, "parameters")
        for line in ast.parse(source).body:
            assert isinstance(line, ast.AnnAssign), f"no type: {ast.unparse(line)}"
            assert line.annotation.id == type(ast.literal_eval(line.value)).__name__
        for parameter in notebooks.parameters(name).values():
            assert parameter.help, f"{parameter.name} has no word of help"
            assert parameter.read(str(parameter.default)) == parameter.default

    def test_the_first_cell_below_the_parameters_checks_what_papermill_was_given(self, name):
        first, second = code_cells(name)[:2]
        assert "parameters" in tags(first) and "imports" in tags(second)
        assert second.source.splitlines()[-1].startswith("notebooks.check()") or "notebooks.check()\n" in second.source
        assert second.outputs == []

    def test_papermill_shows_every_parameter_with_its_type_and_help(self, name):
        shown = papermill.inspect_notebook(str(notebooks.path(name)))
        assert {each: (entry["inferred_type_name"], entry["help"]) for each, entry in shown.items()} == {
            each: (type(parameter.default).__name__, parameter.help) for each, parameter in notebooks.parameters(name).items()
        }

    def test_a_grid_can_be_repeated_and_extended(self, name):
        parameters = notebooks.parameters(name)
        designs = "profile" in parameters and parameters["profile"].help.startswith('a profile of "ablation"')  # have their images
        assert "profile" not in parameters or designs or {"data", "setups"} & set(parameters), (
            "what decides the images can be replaced"
        )
        if notebooks.tagged(name, "run"):
            assert parameters["again"].default is False
            runs = [cell.source for cell in code_cells(name) if "experiments.run(" in cell.source]
            assert all(source.count("experiments.run(") == source.count("device=device, again=again)") for source in runs)
        few, own = {"trials": 1}, "digits(size=12, limit=200)"
        if "data" in parameters and notebooks.tagged(name, "grid"):
            assert {registry.label(trial.data) for trial in notebooks.trials(name, few | {"data": own})} == {own}
        if "defences" in parameters:
            more = notebooks.trials(name, few | {"defences": "mixup(k=3); cutout + mixup(k=3)"})
            added = {trial.defence.label for trial in more} - {trial.defence.label for trial in notebooks.trials(name, few)}
            assert {label.split(" + laplace")[0] for label in added} == {"mixup(k=3)", "cutout + mixup(k=3)"}
        if "released" in parameters:
            plain, whole = (set(notebooks.trials(name, {"trials": 1, "released": released})) for released in (False, True))
            assert plain < whole, "the trials of side questions are planned and run with the others"

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
        with pytest.raises(ValueError, match="profile=huge: choose one of: quick, laptop, fast, small, paper"):
            notebooks.read_parameters("strong_augmentation_table1", {"profile": "huge"})
        with pytest.raises(ValueError, match="trials='many': choose a whole number"):
            notebooks.read_parameters("strong_augmentation_table1", {"trials": "many"})
        with pytest.raises(ValueError, match="trials=-1: choose 0 or more"):
            notebooks.read_parameters("strong_augmentation_table1", {"trials": "-1"})
        with pytest.raises(ValueError, match=r"again=.2.: choose True or False"):
            notebooks.read_parameters("strong_augmentation_table1", {"again": "2"})
        with pytest.raises(LookupError, match=r"poisonlib\.data has no 'mnist'; choose one of: cifar, cifar_setup, digits"):
            notebooks.read_parameters("strong_augmentation_figure1", {"data": "mnist"})
        with pytest.raises(LookupError, match="00_tour"):
            notebooks.path("tour")

    def test_values_are_read_as_their_defaults_type(self):
        given = {"trials": "7", "profile": "small", "device": "cpu", "again": "True", "released": "no", "defences": "1"}
        read = notebooks.read_parameters("strong_augmentation_table1", given)
        assert read == {"trials": 7, "profile": "small", "device": "cpu", "again": True, "released": False, "defences": "1"}
        assert notebooks.read_parameters("dp_instahide_theorem2", {"sigma": "1"}) == {"sigma": 1.0}

    def test_the_types_and_comments_of_a_parameter_cell_are_read_as_python_reads_them(self, tmp_path, monkeypatch):
        lines = [
            "# the scale comes first",
            'title: str = "a = b  # c; é"  # one of: a = b  # c; é',
            "data: str = 'digits'  # one of: digits, cifar(classes=10, limit=5), none; which images",
            "share: float = 0.5",
            "plain = -3  # without a type",
        ]
        (tmp_path / "notebooks").mkdir()
        cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["parameters"]})
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "notebooks" / "one.ipynb")
        monkeypatch.setenv("POISONLIB_HOME", str(tmp_path))
        read = notebooks.parameters("one")
        assert {name: each.default for name, each in read.items()} == {
            "title": "a = b  # c; é",
            "data": "digits",
            "share": 0.5,
            "plain": -3,
        }
        assert [each.help for each in read.values()][2:] == ["", "without a type"]
        assert read["data"].choices == ["digits", "cifar(classes=10, limit=5)", "none"]

    @pytest.mark.parametrize("name", [name for name in NAMES if "profile" in notebooks.parameters(name)])
    def test_every_profile_is_a_choice_one_that_is_added_later_too(self, name, monkeypatch):
        for scenario in scenarios.names():
            known = scenarios.tables()[scenario]
            monkeypatch.setitem(known, "mine", known["quick"])
        profile = notebooks.parameters(name)["profile"]
        choices = profile.choices
        assert {"quick", "paper", "mine"} <= set(choices)
        assert {"laptop", "small"} <= set(choices) or profile.help.startswith(
            ('a profile of "transfer"', 'a profile of "scratch"', 'a profile of "ablation"')
        )
        for profile in choices:
            values = notebooks.read_parameters(name, {"profile": profile})
            assert values == {"profile": profile}
            if notebooks.tagged(name, "grid"):
                assert len(notebooks.trials(name, values | {"trials": 1})) >= 4

    def test_reading_order_is_the_numbered_ones_the_papers_the_explorers(self):
        assert NAMES[:2] == ["00_tour", "01_gradient_matching_by_hand"]
        assert all(name.startswith("explore_") for name in NAMES[-3:])


def test_a_kernel_finds_the_root_and_the_callers_modules(tmp_path, monkeypatch):
    """As for an installed copy: the root is not the checkout, and a module lies in the working folder."""
    root, here = tmp_path / "root", tmp_path / "here"
    (root / "notebooks").mkdir(parents=True)
    here.mkdir()
    (here / "my_module.py").write_text("WORD = 'found'")
    source = "import my_module\nfrom poisonlib import paths\nprint(my_module.WORD, paths.root(), word)"
    cells = [nbformat.v4.new_code_cell("word: str = 'a'", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(source)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "notebooks" / "one.ipynb")
    monkeypatch.setenv("POISONLIB_HOME", str(root))
    monkeypatch.delenv("POISONLIB_OUTPUTS", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(here)
    done = nbformat.read(notebooks.execute("one", {"word": "b"}), as_version=4)
    assert done.cells[-1].outputs[0].text == f"found {root} b\n"
    assert "PYTHONPATH" not in os.environ and os.environ["POISONLIB_HOME"] == str(root)
    assert paths.outputs() == root / "outputs"


CELLS = """
profile: str = "quick"  # a profile of "backdoor"; the scale
trials: int = 0  # from 0; how many
level: float = 0.05  # of a test
data: str = ""  # a data set; in place of the profile's
"""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("profle = 'paper'", "this notebook has no parameter profle; it has: profile, trials, level, data"),
        ("profile = 'papr'", "profile=papr: choose one of: quick"),
        ("trials = -1", "trials=-1: choose 0 or more"),
        ("trials = '5'", "trials='5': choose a whole number, such as 0"),
        ("data = 'digit'", "has no 'digit'"),
        ("profile = 'paper'\ntrials = 5\nlevel = 1\ndata = 'digits(size=12)'", None),
    ],
)
def test_what_papermill_is_given_is_checked_as_on_the_command_line(monkeypatch, given, words):
    monkeypatch.setattr(sys.modules["__main__"], "In", ["", CELLS, f"# Parameters\n{given}\n", "notebooks.check()"], raising=False)
    if words is None:
        return notebooks.check()
    with pytest.raises((LookupError, ValueError), match=re.escape(words)):
        notebooks.check()


@pytest.mark.slow
def test_papermill_with_an_unknown_parameter_fails_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONLIB_OUTPUTS", str(tmp_path))
    with pytest.raises(
        papermill.PapermillExecutionError, match="this notebook has no parameter trails; it has: profile, data, trials"
    ):
        notebooks.execute("strong_augmentation_table1", {"trails": 20})
    assert not (tmp_path / "trials").exists()
