# Each target is a line or two over real tools. The environment is made once and reused.
PYTHON ?= python3.11
PROFILE ?= quick
ARGS ?=
STUDY ?= gpu
DATA ?= ../shared/data
VENV := .venv
RUN := $(VENV)/bin/python -W ignore::DeprecationWarning -m hybrid_batch
export TOKENIZERS_PARALLELISM = false
export HF_HUB_DISABLE_TELEMETRY = 1

.PHONY: book html run study chapters test bench serve pair clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

book: run html  ## run the notebooks and build the book
	@cat runs/book/results.md
	@echo && echo "the book: $(CURDIR)/_build/html/index.html"

run: $(VENV)/ready  ## run the notebooks with a profile: make run PROFILE=quick ARGS="-p alpha 0.7"
	@$(RUN) run $(PROFILE) $(ARGS)

study: $(VENV)/ready  ## make the runs of a study: make study STUDY=gpu DATA=../shared/data
	@$(RUN) study $(STUDY) --data $(DATA) $(ARGS)

chapters: $(VENV)/ready  ## make all chapters of the study from results/, without computing anything anew
	@$(RUN) chapters

html: $(VENV)/ready  ## build the HTML book from the notebooks as they were run
	@echo "=== building the book"
	@$(VENV)/bin/jupyter-book build -q -W --keep-going .

test: $(VENV)/ready  ## run all tests
	@$(VENV)/bin/python -m pytest $(ARGS)

bench: $(VENV)/ready  ## speed as ratios within one run
	@$(VENV)/bin/python tests/bench.py

serve: $(VENV)/ready  ## read the book at http://localhost:8000
	@$(VENV)/bin/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pair: $(VENV)/ready  ## bring notebooks/ipynb/ in step with notebooks/*.md
	@$(VENV)/bin/jupytext --quiet --sync notebooks/[0-9]*.md

clean:  ## remove what was made, but the environment
	rm -rf runs _build

$(VENV)/ready: requirements.txt pyproject.toml
	@echo "=== making the environment in $(VENV) (once)"
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found: install Python 3.11, or name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11, for which requirements.txt is pinned: name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
