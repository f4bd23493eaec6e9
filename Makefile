# Each target is a line or two over real tools. The environment is made once and reused.
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do p=$$(command -v python$$v) && $$p -c "" 2>/dev/null && echo $$p && break; done)
PROFILE ?= quick
ARGS ?=
STUDY ?= gpu
DATA ?= ../shared/data
WORKERS ?= 1
VENV := .venv
RUN := $(VENV)/bin/python -W ignore::DeprecationWarning -m hybrid_batch
FAST := architecture config storage strategies sampler losses debias metrics statistics claims data/test_io data/test_readers data/test_sentences
CUDA := nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile \
        nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink \
        nvidia-nvshmem-cu13 nvidia-nvtx cuda-bindings cuda-pathfinder cuda-toolkit triton
PIP := $(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-compile
COMPILE := $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 pyproject.toml --all-extras --no-annotate \
           --custom-compile-command "make lock"
SOURCES := $(shell find _config.yml _toc.yml *.md book course corpora models notebooks src runs/book -type f ! -path "*/.*" ! -name "*.pyc" 2>/dev/null)
export TOKENIZERS_PARALLELISM = false
export HF_HUB_DISABLE_TELEMETRY = 1

.PHONY: book env html pdf course run study chapters lab test check bench serve pair lock clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

book: $(VENV)/ready  ## run the notebooks and the chapters and build the book
	@$(RUN) book $(PROFILE) $(ARGS)
	@$(MAKE) --no-print-directory html
	@cat runs/book/results.md
	@echo && echo "the book: $(CURDIR)/_build/html/index.html, with the run $$(cat runs/book/shown.txt)"

env: $(VENV)/ready  ## the environment alone

run: $(VENV)/ready  ## run the notebooks with a profile: make run PROFILE=quick ARGS="--alpha 0.7"
	@$(RUN) run $(PROFILE) $(ARGS)

study: $(VENV)/ready  ## make the runs of a study: make study STUDY=gpu DATA=../shared/data WORKERS=2
	@$(RUN) study $(STUDY) --data $(DATA) --workers $(WORKERS) $(ARGS)

chapters: $(VENV)/ready  ## make all chapters of the study from results/, without computing anything anew
	@$(RUN) chapters

html: _build/html/index.html  ## build the HTML book, and the slides of its course, from the notebooks as they were run

_build/html/index.html: $(VENV)/ready $(SOURCES)
	@echo "=== building the book"
	@$(VENV)/bin/jupyter-book build -q -W --keep-going .
	@$(RUN) slides
	@touch $@

course: $(VENV)/ready  ## the book with the course's student labs; make course STUDENT=1: in runs/student, without solutions
	@$(RUN) book
	@$(RUN) course $(if $(STUDENT),--student)
	@$(if $(STUDENT),$(VENV)/bin/jupyter-book build -q -W --keep-going runs/student,$(MAKE) --no-print-directory html)
	@$(if $(STUDENT),$(RUN) slides -o runs/student/_build/html/slides)

pdf: html  ## print the built book into one file, with Chromium
	@$(VENV)/bin/python book/_extensions/print_book.py _build/html _build/hybrid-batch.pdf

lab: $(VENV)/ready  ## open the notebooks in JupyterLab
	@$(VENV)/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks/ipynb $(ARGS)

test: $(VENV)/ready  ## run all tests, a file at a time on each of two cores
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/ready  ## ruff, the contracts of imports and the tests that need no model
	@$(VENV)/bin/ruff check src tests
	@$(VENV)/bin/lint-imports --no-cache | tail -1
	@$(VENV)/bin/python -m pytest $(foreach t,$(FAST),$(wildcard tests/test_$(t).py tests/$(t).py)) $(ARGS)

bench: $(VENV)/ready  ## speed as ratios within one run
	@$(VENV)/bin/python tests/bench.py

serve: $(VENV)/ready  ## read the book at http://localhost:8000
	@$(VENV)/bin/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pair: $(VENV)/ready  ## write the generated cells of the notebooks and bring notebooks/ipynb/ in step with notebooks/*.md
	@$(RUN) cells
	@$(VENV)/bin/jupytext --quiet --sync notebooks/[0-9]*.md

lock: $(VENV)/ready  ## pin everything anew: requirements.txt for pip, and requirements.lock with hashes
	@$(COMPILE) $(foreach p,$(CUDA),--no-emit-package $(p)) -o requirements.txt $(ARGS)
	@$(COMPILE) --generate-hashes -c requirements.txt -o requirements.lock

clean:  ## remove what was made, but the environment
	rm -rf runs _build

# uv installs in seconds what takes pip minutes. torch comes through pip, whose settings may name a CPU build; so does all, if
# uv fails. Byte code is made on all cores, but not of what is hardly ever imported.
$(VENV)/ready: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found: install one, or name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13: name one with make PYTHON=..."; exit 1; }
	@echo "=== making the environment in $(VENV) with $(PYTHON) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --no-deps $$(grep -E "^(torch|uv)==" requirements.txt)
	@$(VENV)/bin/uv pip install -q --python $(VENV)/bin/python -r requirements.txt || $(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(VENV)/bin/python -m compileall -q -j 0 -x "/(tests?|transformers/models|ray|mteb)/" $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@
