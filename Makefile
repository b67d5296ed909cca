# make demo: the main job on this Python's own documentation.   make test: everything that is checked.
# make check: style and types.   make torture: the index killed, unplugged, starved and damaged at every point.
PYTHON ?= python3
INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test torture check style types clean

demo: .venv/installed
	.venv/bin/twinbert demo

test: check
	.venv-dev/bin/python -m pytest

torture: .venv-dev/installed
	TWINBERT_TORTURE=long .venv-dev/bin/python -m pytest tests/torture

check: .venv-dev/installed style types

style:
	.venv-dev/bin/ruff check . && .venv-dev/bin/ruff format --check .

types:
	@if .venv-dev/bin/python -c "import torch" 2>&-; then MYPYPATH=.venv-dev/src .venv-dev/bin/mypy; \
	else echo "types are checked on Python 3.11 only, where torch is installed"; fi

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && .venv/bin/python $(INSTALL) ".[eval]" && touch $@

.venv-dev/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-dev && .venv-dev/bin/python $(INSTALL) ".[dev]" && mkdir -p .venv-dev/src && ln -sfn ../.. .venv-dev/src/twinbert && touch $@

clean:
	rm -rf .venv .venv-dev build dist *.egg-info
