"""Claiming with much behind and before it: finished deliveries by the million, waiting ones by the hundred thousand.

Timed is what a worker does beside its work: claim one delivery and finish it, two commits. The rows of others are made by
statements; to the claim they are what real ones are.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg

from tests.bench.measure import Bench, Result, Void, percentile
from tests.faults.databases import PostgreSQL
from tests.faults.programs import HarnessError

FINISHED: Final = 10_000_000
FINISHED_ON_SQLITE: Final = 1_000_000
WAITING: Final = 100_000
CLAIMS: Final = 100  #: in a round
ROUNDS: Final = 4
#: Deliveries of one queue that come and go in ten minutes of 40 messages/s.
MEANWHILE: Final = 24_000
_WARM_UP: Final = 10

_FINISHED: Final = """
INSERT INTO gateway_delivery (key, kind, state, company, attempts, last_error, result, created_at, finished_at)
SELECT 'done:' || n, 'apply', 'delivered', '', 1, '', '', {now}, {now} FROM ({numbers}) series"""
_WAITING: Final = (
    """
INSERT INTO gateway_delivery (key, kind, state, company, attempts, last_error, result, created_at)
SELECT '{word}:' || n, '{kind}', 'open', '', 0, '', '', {now} FROM ({numbers}) series""",
    """
INSERT INTO gateway_queueentry
    (delivery_id, kind, remote, state, due_at, waits, token, owner, attempts, crashes, doubtful)
SELECT id, kind, '{remote}', 'pending', {due}, {false}, 0, '', 0, 0, {false}
FROM gateway_delivery WHERE key LIKE '{word}:%'""",
)
#: In one lane behind a dead letter, which is the first of them: all but one wait, as they were entered.
_IN_LINE: Final = (
    "INSERT INTO gateway_queuelane (entry_id, key) SELECT id, 'lane' FROM gateway_delivery WHERE key LIKE '{word}:%'",
    "UPDATE gateway_queueentry SET waits = {true}, due_at = NULL WHERE delivery_id IN "
    "(SELECT id FROM gateway_delivery WHERE key LIKE '{word}:%' ORDER BY id LIMIT {count} OFFSET 2)",
    "UPDATE gateway_queueentry SET state = 'dead', due_at = NULL "
    "WHERE delivery_id = (SELECT min(id) FROM gateway_delivery WHERE key LIKE '{word}:%')",
)
#: As many of them as may be are on their way.
_SLOW: Final = (
    "UPDATE gateway_queueentry SET state = 'sending', due_at = {later}, token = 1 WHERE delivery_id IN "
    "(SELECT id FROM gateway_delivery WHERE key LIKE '{word}:%' ORDER BY id LIMIT 2)",
)
_OPEN_BREAKER: Final = """
INSERT INTO gateway_breaker (remote, failures, recent, open_until, opened_at, pause_s, good_probes, last_error, changed_at)
VALUES ('erp:1', 5, 31, {later}, {now}, 900, 0, '', {now})"""
#: What it does to their entries that they were claimed and finished.
_COME_AND_GONE: Final = (
    "UPDATE gateway_queueentry SET state = 'sending', due_at = {later}, token = 1 "
    "WHERE delivery_id IN (SELECT id FROM gateway_delivery WHERE key LIKE '{word}:%')",
    "DELETE FROM gateway_queueentry WHERE delivery_id IN (SELECT id FROM gateway_delivery WHERE key LIKE '{word}:%')",
)

_POSTGRESQL: Final = {
    "now": "now()",
    "later": "now() + interval '15 minutes'",
    "ago": "now() - interval '{hours} hours'",
    "true": "true",
    "false": "false",
    "numbers": "SELECT n FROM generate_series(1, {count}) n",
}
_SQLITE: Final = {
    "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "later": "strftime('%Y-%m-%d %H:%M:%f', 'now', '15 minutes')",
    "ago": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{hours} hours')",
    "true": "1",
    "false": "0",
    "numbers": "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {count}) "
    "SELECT n FROM counted",
}


class Queue:
    """A database with a gateway's tables, a way to fill them, and a process that claims."""

    def __init__(self, url: str, dialect: Mapping[str, str], run: Callable[[str], None], stack: ExitStack) -> None:
        self._dialect, self._run = dialect, run
        folder = stack.enter_context(TemporaryDirectory())
        environment = {"DATABASE_URL": url, "GATEWAY_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
        context = multiprocessing.get_context("spawn")
        self._worker = stack.enter_context(
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(environment,))
        )
        self._worker.submit(_migrate).result()

    def fill(self, *statements: str, count: int = 0, hours: int = 1, **words: str) -> None:
        """Run statements, put in the words of this database.

        Args:
            count: rows.
            hours: so long ago they were due.
        """
        for statement in statements:
            said = {name: text.format(count=count, hours=hours) for name, text in self._dialect.items()}
            self._run(statement.format(**said, due=said["ago"], count=count, **words))

    def claims_s(self, kind: str) -> list[float]:
        """Seconds that each claim and its end took; one comes in for each that goes."""
        return self._worker.submit(_claims_s, kind).result()

    def look(self) -> None:
        """What the poll of a worker does to what cannot go."""
        self._worker.submit(_look).result()


# ------------------------------------------------------------------------------------------------- in the other process
def _begin(environment: Mapping[str, str]) -> None:
    import django

    os.environ.update(environment)
    django.setup()


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


def _claims_s(kind: str) -> list[float]:
    from django.db import transaction

    from gateway import outbox
    from gateway.models import DeliveryKind

    took = []
    for number in range(_WARM_UP + CLAIMS):
        with transaction.atomic():
            outbox.enqueue(DeliveryKind(kind), f"bench:{time.time_ns()}:{number}")
        began = time.perf_counter()
        claim = outbox.claim(DeliveryKind(kind), "bench")
        if claim is None:
            raise Void("nothing was claimed")
        outbox.finish(claim)
        took.append(time.perf_counter() - began)
    return took[_WARM_UP:]


def _look() -> None:
    from gateway import outbox

    outbox.set_aside()


# ---------------------------------------------------------------------------------------------------------- the benches
def on_postgresql() -> Iterator[Result]:
    """Full beside empty; then with a reader that does not let the past be cleared away."""
    with _postgresql() as (server, full, empty):
        with _without_indexes(server, "gateway_delivery"):
            full.fill(_FINISHED, count=FINISHED)
            full.fill(*_WAITING, count=WAITING, word="waiting", kind="apply", remote="")
        full.fill("ANALYZE")
        yield _by_turns("queue.claim.p95", full, empty, "apply")
        with _old_snapshot(server):
            full.fill(*_WAITING, count=MEANWHILE, hours=3, word="meanwhile", kind="apply", remote="")
            full.fill(*_COME_AND_GONE, word="meanwhile")
            yield _by_turns("queue.claim.old_snapshot.p95", full, empty, "apply")


def before_what_cannot_go() -> Iterator[Result]:
    """Half of the entries, and the older half, cannot go: their remote is left alone or busy, or a dead letter is ahead."""
    with _postgresql() as (_, full, empty):
        full.fill(*_WAITING, count=WAITING // 2, hours=2, word="shut", kind="erp", remote="erp:1")
        full.fill(*_WAITING, count=WAITING // 2, hours=1, word="free", kind="erp", remote="erp:2")
        full.fill(_OPEN_BREAKER, "ANALYZE")
        full.look()
        yield _by_turns("queue.claim.open_breaker.p95", full, empty, "erp")
        full.fill(*_WAITING, *_IN_LINE, count=WAITING // 2, hours=2, word="lane", kind="apply", remote="")
        full.fill(*_WAITING, count=WAITING // 2, hours=1, word="next", kind="apply", remote="")
        full.fill("ANALYZE")
        yield _by_turns("queue.claim.blocked_lane.p95", full, empty, "apply")
        full.fill(*_WAITING, *_SLOW, count=WAITING // 2, hours=3, word="slow", kind="partner", remote="as2:1")
        full.fill("ANALYZE")
        yield _by_turns("queue.claim.slow_partner.p95", full, empty, "partner")


def on_sqlite() -> Iterator[Result]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        full, empty = (_on_file(Path(folder, f"{name}.sqlite3"), stack) for name in ("full", "empty"))
        full.fill(_FINISHED, count=FINISHED_ON_SQLITE)
        full.fill(*_WAITING, count=WAITING, word="waiting", kind="apply", remote="")
        full.fill("ANALYZE")
        yield _by_turns("queue.claim.sqlite.p95", full, empty, "apply")


def _by_turns(bench: str, full: Queue, empty: Queue, kind: str) -> Result:
    """The two are measured in one minute, whatever the machine does besides."""
    of_full, of_empty = [], []
    for _ in range(ROUNDS):
        of_full += full.claims_s(kind)
        of_empty += empty.claims_s(kind)
    p95_ms = [percentile(took_s, 0.95) * 1e3 for took_s in (of_full, of_empty)]
    return Result(bench=bench, value=p95_ms[0], unit="ms", floor="empty tables", floor_value=p95_ms[1])


@contextmanager
def _postgresql() -> Iterator[tuple[psycopg.Connection[Any], Queue, Queue]]:
    """A server, with a database to be filled, to which the connection goes, and one that stays empty."""
    try:
        with ExitStack() as stack:
            server = PostgreSQL()
            stack.callback(server.close)
            url = server.environment["DATABASE_URL"]
            connection = stack.enter_context(psycopg.connect(url, autocommit=True))
            connection.execute("CREATE DATABASE empty")
            connection.execute("ALTER SYSTEM SET max_wal_size = '16GB'")  # no checkpoint while millions of rows come in
            connection.execute("SELECT pg_reload_conf()")
            run = partial(_execute, connection)
            full = Queue(url, _POSTGRESQL, run, stack)
            yield connection, full, Queue(f"{url.rpartition('/')[0]}/empty", _POSTGRESQL, run, stack)
    except HarnessError as failed:
        raise Void(str(failed)) from failed


def _execute(connection: psycopg.Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())


def _on_file(file: Path, stack: ExitStack) -> Queue:
    def run(statement: str) -> None:
        with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
            connection.execute(statement)

    return Queue(f"sqlite:///{file}", _SQLITE, run, stack)


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any], table: str) -> Iterator[None]:
    """Millions of rows are in sooner when the indexes that guard nothing are made anew behind them."""
    rows = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexdef LIKE 'CREATE INDEX%%'", [table]
    ).fetchall()
    for name, _ in rows:
        _execute(connection, f'DROP INDEX "{name}"')
    yield
    for _, definition in rows:
        _execute(connection, definition)


@contextmanager
def _old_snapshot(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Somebody has read something and does not end: nothing that dies from then on is cleared away."""
    with psycopg.connect(connection.info.dsn) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT FROM gateway_delivery LIMIT 1")
        yield


BENCHES: Final[dict[str, Bench]] = {
    "queue.claim.p95": on_postgresql,
    "queue.claim.blocked": before_what_cannot_go,
    "queue.claim.sqlite": on_sqlite,
}
