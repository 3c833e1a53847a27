# make env   the environment in .venv (Python ≥ 3.11 is all it needs)
# make demo  the main job, for real, on this machine; stays up until Ctrl-C   (ARGS=--exit ends after the story)
# make test  the whole suite; PostgreSQL and a broker too where DATABASE_URL / GATEWAY_BROKER_URL name them
# make lock  after a change of requirements*.txt: every version, with the hashes of all its files, into requirements*.lock
# make audit known vulnerabilities of what is locked; says so where it cannot ask
# make check format, lint, types, import contracts, secrets, guides and map sheets, migrations, settings
# make fuzz  20,000 damaged documents read by us and by pyx12; every difference must have a name      (ARGS="--count 1000 --seed 2")
# make interop  our AS2 and four other implementations, row by row; two of them are installed under var/interop for it
# make faults  kills, pauses, crashes and lies of the other sides; what was promised is compared, as sets  (ARGS=--nightly: five times that)
# make bench the measurements                                                 (ARGS=x12 runs those whose name starts so)

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: env lock audit demo test check fuzz interop interop-env faults bench

env: .venv/made

.venv/made: requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making the environment in .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# One resolution for every Python and system we run on, with the hashes of all files of each version. What is locked stays, unless
# a requirement changed or ARGS="--upgrade-package NAME" says so.
UV := var/lock/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

$(UV):
	@$(PYTHON) -m venv var/lock && var/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8

lock: $(UV)
	@$(COMPILE) $(ARGS) -o requirements-dev.lock requirements-dev.txt
	@$(COMPILE) -c requirements-dev.lock -o requirements-s3.lock requirements.txt requirements-s3.txt
	@$(COMPILE) -c requirements-dev.lock -o requirements.lock requirements.txt

audit: env
	@$(BIN)/python -m tests.supply.audit

demo: env
	@$(BIN)/python manage.py demo $(ARGS)

# Whoever wants no bytecode in the tree pays for it three times: each process of the suite would compile it, and rewrite all asserts.
test: env
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: env
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.supply.lint
	@$(BIN)/python -m tests.supply.secret_scan
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
