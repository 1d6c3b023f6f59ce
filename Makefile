# make demo    train a variational autoencoder on handwritten digits, and leave its pictures in runs/
# make test    run the tests
# make lint    check style and types
# Each makes its own environment in .venv at the first call.

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python -m

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(RUN) scratchgen train vae

test: $(VENV)/installed-for-tests
	$(RUN) pytest

lint: $(VENV)/installed-for-tests
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing:\
	 sudo apt install python3-venv"; exit 1; }

$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(RUN) pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-for-tests: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(RUN) pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@
