# make run: install, fine-tune the embedded sample, print base against tuned, serve the page.
# make test: install, pass every test.
# make demo: record the README's film and pictures in a browser.
# make deploy SPACE=user/name: the page on a Space; see README.md for what it serves.
PYTHON ?= python3
PORT ?= 7860
VENV := .venv
PY := $(VENV)/bin/python
RUN := runs/sample

.PHONY: run test bench demo deploy lint clean

run: $(VENV)/train.ok
	@test -f $(RUN)/adapter/README.md || $(PY) -m train sample --run $(RUN)
	BASE_MODEL=space/sample/base ADAPTER=$(RUN)/adapter CATALOGUE=$(RUN)/catalogue PORT=$(PORT) $(PY) app.py

test: $(VENV)/tests.ok
	$(PY) -m ruff check .
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(VENV)/bench.ok
	$(PY) -m bench

deploy: $(VENV)/train.ok
	@$(PY) -m train deploy --to "$(SPACE)" $(if $(ADAPTER),--adapter $(ADAPTER)) $(if $(CATALOGUE),--catalogue $(CATALOGUE)) \
		$(if $(BASE),--base $(BASE)) $(if $(HARDWARE),--hardware $(HARDWARE))

demo: $(VENV)/tests.ok
	$(PY) -m docs.demo

lint: $(VENV)/tests.ok
	$(PY) -m ruff check .

# One stamp for each set of requirements; a changed pin installs again.
$(VENV)/%.ok: requirements.txt %/requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Shelftalk needs Python 3.11 or newer')"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --quiet -r $*/requirements.txt
	@touch $@

$(VENV)/tests.ok $(VENV)/bench.ok: train/requirements.txt

clean:
	rm -rf $(VENV) runs
