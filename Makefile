# Two commands do everything on a fresh machine with Python 3.11 or newer: `make reproduce` and `make test`.
PYTHON ?= python3
PROFILE ?= quick
BIN := .venv/bin
JOBS ?= 2

# One environment on top of the other: what is missing there is installed here, and nothing in the first one changes.
OPTIONAL := .venv-optional/bin/python

.PHONY: reproduce test test-optional setup notebooks readme benchmarks clean

reproduce: setup  ## every table and figure at PROFILE, then the HTML index
	$(BIN)/python -m poisonlib run all --profile $(PROFILE)
	$(BIN)/python -m poisonlib report

test: setup  ## unit tests side by side, then every notebook against its committed outputs
	$(BIN)/python -m pytest tests -n $(JOBS)
	$(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=900 --nbval-sanitize-with tests/nbval.cfg notebooks

test-optional: .venv-optional/ready  ## the tests of per-example DP-SGD and of tight accounting, with the requirements that they want
	$(OPTIONAL) -m pytest tests/test_steps.py tests/test_privacy_accounting.py tests/test_privacy_success.py

.venv-optional/ready: .venv/ready requirements-opacus.txt requirements-dp.txt
	$(BIN)/python -m venv .venv-optional
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > \
		$$($(OPTIONAL) -c "import site; print(site.getsitepackages()[0])")/core.pth
	$(OPTIONAL) -m pip install --quiet --no-compile -r requirements-opacus.txt -r requirements-dp.txt
	touch $@

setup: .venv/ready

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is wanted, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	touch $@

notebooks: setup  ## execute the notebooks and write their outputs back, as they are committed
	$(BIN)/python -m tests.refresh_notebooks

readme: setup  ## write the README's table, RESULTS.md and the first screens of the tables' notebooks anew from outputs/reference
	$(BIN)/python -m tests.refresh_readme
	$(BIN)/python -m tests.refresh_found

benchmarks: setup  ## speed as ratios, each measured in one run against the usual way
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv .venv-optional
