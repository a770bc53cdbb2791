# make book    build the book (the first time: set up everything it needs)
# make test    run every check of the project
# make serve   build the book and show it at http://localhost:8000
# make pdf     print the book to one document (needs Chromium)
# make notebooks  all notebooks and the library in one archive
# make notebooks-check  install the archive on its own, and execute every notebook
# make benchmarks measure the speed of the library beside other ways
# make figures make the figure baselines those of the executed chapters
# make lint    check form and types, and the sources of the chapters
# make clean   remove everything that was generated, except .venv
#
# PYTHON names the interpreter to start from: make book PYTHON=python3.12

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
INSTALLED := .venv/installed
LIGHTHOUSE := tests/book/lighthouse/node_modules/.package-lock.json

.PHONY: book test serve pdf notebooks notebooks-check benchmarks figures lint clean pages

book: pages
	@echo "The book is at file://$(CURDIR)/_build/html/index.html"

pages: $(INSTALLED)
	$(BIN)/python -m bookkit execute
	$(BIN)/jupyter-book build . -n -W --keep-going --quiet

test: lint $(LIGHTHOUSE)
	$(BIN)/pytest --nbmake -n $(JOBS) --dist worksteal
	$(MAKE) --no-print-directory pages
	$(BIN)/pytest tests/book -m pages -n $(JOBS)
	$(MAKE) --no-print-directory notebooks-check

serve: book
	$(BIN)/python -m http.server --directory _build/html 8000

pdf: pages
	$(BIN)/python -m bookkit pdf

notebooks: $(INSTALLED)
	$(BIN)/python -m bookkit pack

notebooks-check: $(INSTALLED)
	JOBS=$(JOBS) $(BIN)/pytest tests/book -m notebooks

benchmarks: $(INSTALLED)
	$(BIN)/python benchmarks/run.py

figures: $(INSTALLED)
	$(BIN)/python -m bookkit figures

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m bookkit lint

clean:
	rm -rf _build notebooks .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Where it cannot be installed, its tests are skipped and say so; in CI they fail.
$(LIGHTHOUSE): tests/book/lighthouse/package-lock.json
	@npm ci --prefix tests/book/lighthouse --ignore-scripts --no-audit --no-fund --loglevel=error \
	  && touch $@ || echo "There is no Lighthouse: its tests will be skipped."

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13. Name one that is:"; \
	  echo "  make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:"; \
	  echo "  sudo apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .
	touch $@
