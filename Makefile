# make demo    train a variational autoencoder on handwritten digits, and leave its pictures in runs/
# make test    run the tests: those of the library, and those of the chapters in tutorials/
# make lint    check style and types
# make docs    build the site into docs/_build/html: every chapter runs, a warning is an error
# make notebooks    make the chapters notebooks, in notebooks/
# make test-rounding    run what rounding could decide under other kernels of OpenBLAS than its own
# make test-oldest      run the library's tests, with few examples of each theorem, on the oldest
#                       dependencies that setup.cfg allows
# Each makes its own environment in .venv at the first call; the last one in .venv-oldest.

# The kernel with which OpenBLAS multiplies: its own choice, or that which OPENBLAS_CORETYPE names.
define KERNEL
import numpy, threadpoolctl
square = numpy.ones((300, 300), numpy.float32)
square @ square
print(*{library.get("architecture", "unknown") for library in threadpoolctl.threadpool_info()})
endef
export KERNEL

# The least version of each dependency of the library and of its tests, as setup.cfg has them.
define LEAST_VERSIONS
import configparser
setup = configparser.ConfigParser()
setup.read("setup.cfg")
needs = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
print(*(line.replace(">=", "==") for line in needs.split("\n") if ">=" in line), sep="\n")
endef
export LEAST_VERSIONS

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python -m
OLDEST = $(VENV)-oldest
INSTALL = -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-library test-chapters test-rounding test-oldest lint docs notebooks clean

demo: $(VENV)/installed
	$(RUN) scratchgen train vae

test: test-library test-chapters

test-library: $(VENV)/installed-for-tests
	$(RUN) pytest --ignore tests/test_tutorials.py

test-chapters: $(VENV)/installed-for-tests
	$(RUN) pytest tests/test_tutorials.py

test-rounding: ROUNDING = $(shell grep -rl --include "test_*.py" rounding tests)
test-rounding: $(VENV)/installed-for-tests
	@own="$$($(VENV)/bin/python -c "$$KERNEL")"; \
	for kernel in Nehalem Haswell SkylakeX; do \
		if [ "$$own" = $$kernel ]; then echo "$$kernel: make test runs under it"; continue; fi; \
		export OPENBLAS_CORETYPE=$$kernel; \
		if [ "$$($(VENV)/bin/python -c "$$KERNEL" 2> /dev/null)" = $$kernel ]; \
		then echo "$$kernel:"; $(RUN) pytest -m rounding $(ROUNDING) || exit 1; \
		else echo "$$kernel: skipped, since this processor or this BLAS does not run it"; fi; \
	done

test-oldest: $(OLDEST)/installed-for-tests
	HYPOTHESIS_PROFILE=few $(OLDEST)/bin/python -m pytest -m "not rounding and not long" \
		--ignore tests/test_tutorials.py --ignore tests/test_equations.py

lint: $(VENV)/installed-for-tests
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

docs: $(VENV)/installed-for-docs
	OMP_NUM_THREADS=1 $(RUN) sphinx -q -W --keep-going -j 2 -b html docs docs/_build/html
	@echo "the site is in docs/_build/html/index.html"

notebooks: $(VENV)/installed-for-docs
	$(VENV)/bin/python docs/building/chapters.py

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info docs/_build docs/chapters docs/reference notebooks

$(VENV)/bin/python $(OLDEST)/bin/python: %/bin/python:
	@$(PYTHON) -m venv $* || { rm -rf $*; echo "Python's venv module is missing:\
	 sudo apt install python3-venv"; exit 1; }

$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(INSTALL) --editable .
	@touch $@

$(VENV)/installed-for-tests: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(INSTALL) --editable ".[test]"
	@touch $@

$(VENV)/installed-for-docs: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(INSTALL) --editable ".[docs]"
	@touch $@

$(OLDEST)/installed-for-tests: setup.cfg pyproject.toml | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -c "$$LEAST_VERSIONS" > $(OLDEST)/least.txt
	$(OLDEST)/bin/python $(INSTALL) --constraint $(OLDEST)/least.txt --editable ".[test]"
	@touch $@
