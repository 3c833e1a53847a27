# make env   the environment in .venv (Python ≥ 3.11 is all it needs)
# make demo  the main job, for real, on this machine; stays up until Ctrl-C   (ARGS=--exit ends after the story)
# make test  the whole suite; PostgreSQL and a broker too where DATABASE_URL / GATEWAY_BROKER_URL name them
# make check format, lint, types, import contracts, guides and map sheets, migrations, settings
# make fuzz  20,000 damaged documents read by us and by pyx12; every difference must have a name      (ARGS="--count 1000 --seed 2")
# make interop  our AS2 and four other implementations, row by row; two of them are installed under var/interop for it
# make faults  kills, pauses, crashes and lies of the other sides; what was promised is compared, as sets  (ARGS=--nightly: five times that)
# make bench the measurements                                                 (ARGS=x12 runs those whose name starts so)

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: env demo test check fuzz interop interop-env faults bench

env: .venv/made

.venv/made: requirements.txt requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making the environment in .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: env
	@$(BIN)/python manage.py demo $(ARGS)

test: env
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: env
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/python -m edi_maps.x12.guides.lint
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@GATEWAY_TLS=1 $(BIN)/python manage.py check --deploy --fail-level WARNING

fuzz: env
	@$(BIN)/python -m tests.fuzz $(ARGS)

interop-env: env
	@$(BIN)/python -m tests.interop.environments

interop: env
	@$(MAKE) --no-print-directory interop-env || test -z "$$REQUIRE_INTEROP"
	@$(BIN)/python -m pytest -q -n 2 tests/interop $(ARGS)

faults: env
	@$(BIN)/python -m tests.faults $(ARGS)

bench: env
	@$(BIN)/python -m tests.bench $(ARGS)
