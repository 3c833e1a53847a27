"""Pages of a gateway that has a million documents, beside the same pages of one that has a thousand.

Timed is the whole answer of the application to somebody of the staff: session, rights, queries and page. Orders are taken from
all over the table; every page is asked for in both databases by turns.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg

from tests.bench.measure import Bench, Result, Void, percentile
from tests.faults.databases import PostgreSQL
from tests.faults.programs import HarnessError

DOCUMENTS: Final = 1_000_000
FEW: Final = 1_000
PAGES: Final = 25  #: in a round
ROUNDS: Final = 4
_WARM_UP: Final = 5


class Gateway:
    """A database with so many documents, and a process that shows them."""

    def __init__(self, url: str, documents: int, stack: ExitStack) -> None:
        folder = stack.enter_context(TemporaryDirectory())
        environment = {
            "DATABASE_URL": url,
            "GATEWAY_DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "GATEWAY_LOG_LEVEL": "ERROR",
        }
        context = multiprocessing.get_context("spawn")
        self._process = stack.enter_context(
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(environment,))
        )
        self._process.submit(_fill, documents).result()

    def pages_s(self, page: str, round_: int) -> list[float]:
        """Seconds that each page took."""
        return self._process.submit(_pages_s, page, round_).result()


# ------------------------------------------------------------------------------------------------- in the other process
_browser: Any = None
_orders = 0


def _begin(environment: dict[str, str]) -> None:
    import django

    os.environ.update(environment)
    django.setup()


def _fill(documents: int) -> None:
    global _browser, _orders
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.test import Client

    from tests.gateway.growth import grow

    call_command("migrate", interactive=False, verbosity=0)
    with connection.constraint_checks_disabled(), transaction.atomic():
        grow(documents)
    _orders = documents // 2
    _browser = Client(SERVER_NAME="localhost")
    _browser.force_login(User.objects.create_superuser("kim"))


def _pages_s(page: str, round_: int) -> list[float]:
    from django.urls import reverse

    took = []
    for number in range(_WARM_UP + PAGES):
        order = 1 + (round_ * PAGES + number) * 7919 % _orders
        address = reverse(page, args=[order]) if page.startswith("console:") else reverse(page)
        began = time.perf_counter()
        answer = _browser.get(address)
        took.append(time.perf_counter() - began)
        if answer.status_code != 200:
            raise Void(f"{address} answers {answer.status_code}")
    return took[_WARM_UP:]


# ---------------------------------------------------------------------------------------------------------- the benches
def on_postgresql() -> Iterator[Result]:
    try:
        with ExitStack() as stack:
            server = PostgreSQL()
            stack.callback(server.close)
            url = server.environment["DATABASE_URL"]
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE few")
                connection.execute("ALTER SYSTEM SET max_wal_size = '16GB'")  # no checkpoint while the rows come in
                connection.execute("SELECT pg_reload_conf()")
            # No trigger asks of each of millions of rows whether what it names is there.
            much = Gateway(f"{url}?options=-csession_replication_role%3Dreplica", DOCUMENTS, stack)
            yield from _compared("", much, Gateway(f"{url.rpartition('/')[0]}/few", FEW, stack))
    except HarnessError as failed:
        raise Void(str(failed)) from failed


def on_sqlite() -> Iterator[Result]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        much, few = (
            Gateway(f"sqlite:///{Path(folder, f'{documents}.sqlite3')}", documents, stack)
            for documents in (DOCUMENTS, FEW)
        )
        yield from _compared("sqlite.", much, few)


def _compared(where: str, much: Gateway, few: Gateway) -> Iterator[Result]:
    for name, page in _PAGES.items():
        of_much: list[float] = []
        of_few: list[float] = []
        for round_ in range(ROUNDS):
            of_much += much.pages_s(page, round_)
            of_few += few.pages_s(page, round_)
        p95_ms = [percentile(took_s, 0.95) * 1e3 for took_s in (of_much, of_few)]
        yield Result(
            bench=f"growth.{name}.{where}p95",
            value=p95_ms[0],
            unit="ms",
            floor=f"with {FEW} documents",
            floor_value=p95_ms[1],
        )


#: Name → the page of an order with its timeline, of a document, and the newest documents.
_PAGES: Final = {
    "timeline": "console:order",
    "document": "console:document",
    "list": "admin:gateway_document_changelist",
}

BENCHES: Final[dict[str, Bench]] = {
    "growth.timeline": on_postgresql,
    "growth.sqlite": on_sqlite,
}
