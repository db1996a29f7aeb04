# make run: install, fetch the base, fine-tune it on the embedded catalogue, print base against tuned, serve the page.
# make test: install, pass every test.
# make quick: style and the fast tests, in two minutes.
# make lint: style and types.
# make demo: record the README's film and pictures in a browser.
# make deploy SPACE=user/name: the page on a Space; see docs/hub.md for what it serves.
PYTHON ?= python3
PORT ?= 7860
VENV := .venv
PY := $(VENV)/bin/python
RUN := runs/sample

.PHONY: run test quick lint bench demo deploy clean

run: $(VENV)/train.ok
	@test -f $(RUN)/adapter/README.md || $(PY) -m train sample --run $(RUN)
	BASE_MODEL=SmolLM2-135M-Instruct.Q4_1.gguf ADAPTER=$(RUN)/adapter CATALOGUE=$(RUN)/catalogue PORT=$(PORT) $(PY) app.py

PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/tests.ok
	$(PYTEST)

quick: $(VENV)/tests.ok
	$(PY) -m ruff check .
	$(PYTEST) -q -m "not slow and not browser"

bench: $(VENV)/bench.ok
	$(PY) -m bench

deploy: $(VENV)/train.ok
	@$(PY) -m train deploy --to "$(SPACE)" $(if $(ADAPTER),--adapter $(ADAPTER)) $(if $(CATALOGUE),--catalogue $(CATALOGUE)) \
		$(if $(BASE),--base $(BASE)) $(if $(HARDWARE),--hardware $(HARDWARE))

demo: $(VENV)/tests.ok
	$(PY) -m docs.demo

lint: $(VENV)/tests.ok
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

# One stamp for each set of requirements; a changed pin installs again.
$(VENV)/%.ok: requirements.txt constraints.txt %/requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Shelftalk needs Python 3.11 or newer')"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --quiet -c constraints.txt -r $*/requirements.txt
	@touch $@

$(VENV)/tests.ok $(VENV)/bench.ok: train/requirements.txt

clean:
	rm -rf $(VENV) runs
