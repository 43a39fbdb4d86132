# Two commands do everything on a fresh machine with Python 3.11 or newer: `make reproduce` and `make test`.
PYTHON ?= python3
PROFILE ?= quick
BIN := .venv/bin
JOBS ?= 2

# `make test SET=avx2`: as on a machine with these instructions only (for oneDNN, PyTorch, MKL, and OpenBLAS in numpy).
SET ?=
avx2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=AVX2 OPENBLAS_CORETYPE=Haswell
plain := ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem
ENV := env $(if $(SET),$(or $($(SET)),$(error SET=$(SET): choose one of avx2, plain)))

# Processes that tests start have torch imported already; with `WARM=` they are new ones.
WARM := -p tests.warm
PYTEST := $(ENV) $(BIN)/python -m pytest $(WARM)

# The tests that the last bits of numbers could decide.
NUMERIC := airbench attacks augment backdoors double_backward feature_space filters filters_knn filters_random frozen gradient_matching held_out maxup \
	metapoison models own_data patch privacy_accounting privacy_audit privacy_brackets privacy_success privacy_theorem steps training transfer \
	robust_extractor views widgets_poisons

# `make test` repeats a third of them as on one of two other processors, in turn from commit to commit; `make test-portable` all on both.
COMMITS := $(shell git rev-list --count HEAD 2> /dev/null || echo 0)
THIRD := $(shell echo $(NUMERIC) | tr ' ' '\n' | awk 'NR % 3 == $(COMMITS) % 3')
OTHER := $(word $(shell expr $(COMMITS) / 3 % 2 + 1),avx2 plain)

# One environment on top of the other: what is missing there is installed here, and nothing in the first one changes.
OPTIONAL := .venv-optional/bin/python

.PHONY: reproduce lab test test-units test-numeric test-notebooks test-portable test-optional setup lint docs lock notebooks readme \
	hardware hardware-of benchmarks clean

reproduce: setup  ## every table and figure at PROFILE, then the HTML index
	$(BIN)/python -m poisonlib run all --profile $(PROFILE)
	$(BIN)/python -m poisonlib report

lab: setup  ## JupyterLab on copies of the notebooks under outputs/lab: what runs there does not change the checkout
	$(BIN)/python -m poisonlib lab

test: setup  ## unit tests, a third of the numeric ones as on one of two other processors, then every notebook against its committed outputs
	$(MAKE) --jobs 2 test-units docs
	$(MAKE) test-numeric SET=$(OTHER) NUMERIC="$(THIRD)"
	$(MAKE) test-notebooks SET=avx2

test-units: setup  ## all tests but the notebooks, side by side
	$(PYTEST) tests -n $(JOBS) --dist worksteal

test-numeric: setup  ## those of the unit tests that the last bits of numbers could decide
	$(PYTEST) $(NUMERIC:%=tests/test_%.py) -m "not exact" -n $(JOBS) --dist worksteal

test-notebooks: setup  ## every notebook against its committed outputs
	$(PYTEST) --nbval --nbval-current-env --nbval-cell-timeout=900 --nbval-sanitize-with tests/nbval.cfg notebooks \
		-n $(JOBS) --dist loadfile

test-portable: setup  ## from empty output folders: all tests and notebooks with each instruction set; an hour or two
	for set in "" avx2 plain; do \
		outputs=$$(mktemp -d) && $(MAKE) test-units SET=$$set WARM= && \
		POISONLIB_OUTPUTS=$$outputs $(MAKE) test-notebooks SET=$$set WARM= && rm -r "$$outputs" || exit 1; \
	done

test-optional: .venv-optional/ready  ## the tests of per-example DP-SGD, of tight accounting and of Ray, with the requirements that they want
	$(OPTIONAL) -m pytest tests/test_steps.py tests/test_privacy_accounting.py tests/test_privacy_success.py tests/test_cluster.py

.venv-optional/ready: .venv/ready requirements-opacus.txt requirements-dp.txt requirements-ray.txt
	$(BIN)/python -m venv .venv-optional
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > \
		$$($(OPTIONAL) -c "import site; print(site.getsitepackages()[0])")/core.pth
	$(OPTIONAL) -m pip install --quiet --no-compile -r requirements-opacus.txt -r requirements-dp.txt -r requirements-ray.txt
	touch $@

setup: .venv/ready

lint: setup  ## the style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check poisonlib tests setup.py

docs: setup  ## a reference of all modules from their docstrings, in outputs/docs; a warning is an error
	$(BIN)/python -m tests.refresh_docs

lock: setup  ## write the versions that are installed in .venv to requirements-lock.txt
	printf '%s\n' "# Written by make lock: the versions with which the tests last passed, on Python 3.11. As constraints:" \
		"# pip install -c requirements-lock.txt -r requirements.txt" > requirements-lock.txt
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' >> requirements-lock.txt

.venv/ready: requirements.txt pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is wanted, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	touch $@

notebooks: setup  ## execute the notebooks and write their outputs back, as they are committed
	$(BIN)/python -m tests.refresh_notebooks

readme: setup  ## write the README's table, RESULTS.md and the first screens of the tables' notebooks anew from outputs/reference
	$(BIN)/python -m tests.refresh_readme
	$(BIN)/python -m tests.refresh_found

hardware: setup  ## the same trials as on three processors, into outputs/reference/hardware
	$(BIN)/python -m tests.hardware native
	for set in avx2 plain; do $(MAKE) hardware-of SET=$$set || exit 1; done

hardware-of: setup
	$(ENV) $(BIN)/python -m tests.hardware $(SET)

benchmarks: setup  ## speed as ratios, each measured in one run against the usual way: P1 to P15 as a table, then the rest
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv .venv-optional
