"""Processes as they run in earnest: web servers, workers, a database they share, and brokers that fail in every way.

A supplier's answer to an order nobody knows is taken in by the web server and judged by a worker, which parks it: that is the
work here. What is compared is the time from the 202 to the parked document.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from kombu import Connection, Queue

from gateway.models import DeliveryKind
from tests.acceptance.world import FreshDatabase, until
from tests.gateway.brokers import PrivateRedis, Wire, free_port
from tests.prepared import Prepared, Program
from tests.services import need

#: Long enough that what a ring began is told from what a poll found, on a machine that has much else to do.
POLL_S = 4.0

SET_UP = """
import django
django.setup()
from django.core.management import call_command
from partners import onboarding
from partners.models import ApiKey
from partners.models.choices import ApiEnvironment
call_command("migrate", interactive=False, verbosity=0)
agreed = {"document": "order_acknowledgment", "direction": "inbound", "channel": "rest", "format": "canonical_json"}
partner = onboarding.set_up({"code": "CASTRA", "name": "Castra Foundry", "state": "live", "agreements": [agreed]})
print(ApiKey.issue(partner, ApiEnvironment.LIVE, label="test")[1])
"""


class Site:
    """One database with one supplier, and the processes that share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers, self._logs = count(1), count(1)
        self._log = folder / "0.log"
        self._children: list[Program] = []
        self._webs: list[Web] = []
        self._database = FreshDatabase(os.environ.get("DATABASE_URL", ""), folder)
        self.environment = {
            **os.environ,
            **self._database.environment,
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_SHARE_SQLITE": "1",
            "GATEWAY_POLL_S": str(POLL_S),
            "GATEWAY_LEASE_S": "5",
            "GATEWAY_BROKER_PREFIX": f"test-{os.getpid()}",
            "GATEWAY_REQUESTS_PER_MINUTE": "100000",
        }
        self.environment.pop("GATEWAY_BROKER_URL", None)
        self.prepared = Prepared(self.environment)
        self._by_broker = {"": self.prepared}
        self.api_key = self.prepared.printed("-c", SET_UP).strip()

    def start(self, *command: str, broker: str = "") -> Program:
        """A program that goes on: ``manage.py …`` or ``-m …``."""
        if broker not in self._by_broker:
            self._by_broker[broker] = Prepared({**self.environment, "GATEWAY_BROKER_URL": broker})
        program = self._by_broker[broker].begin(*command, log=self._log)
        self._children.append(program)
        return program

    def workers(self, count: int = 1, *, broker: str = "", listening: bool = False) -> list[Program]:
        """Workers that work; ``listening``: that hear the broker, too."""
        says = "listening to the broker" if listening else "Working."
        wanted = self.said().count(says) + count
        programs = [self.start("manage.py", "worker", broker=broker) for _ in range(count)]
        until(lambda: self.said().count(says) >= wanted, f"{says!r}", otherwise=self.said)
        return programs

    def web(self, *, broker: str = "") -> Web:
        """A web server that is starting."""
        port = free_port()
        web = Web(self, port, self.start("manage.py", "web", "--port", str(port), broker=broker))
        self._webs.append(web)
        return web

    def said(self) -> str:
        """All that the programs of this test have written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def next_number(self) -> str:
        return f"9{next(self._numbers):07d}"

    def parked(self, *numbers: str) -> bool:
        """Whether all of these documents are parked."""
        places = ", ".join(["%s"] * len(numbers))
        rows = f"SELECT count(*) FROM gateway_document WHERE state = 'parked' AND number IN ({places})"  # noqa: S608
        return self._ask(rows, *numbers) == len(numbers)

    def _ask(self, statement: str, *values: object) -> int:
        if url := self._database.environment.get("DATABASE_URL"):
            with psycopg.connect(url) as server:
                row = server.execute(statement.encode(), values).fetchone()
        else:
            with closing(sqlite3.connect(self.folder / "gateway.sqlite3")) as file:
                row = file.execute(statement.replace("%s", "?"), values).fetchone()
        return int(row[0]) if row else 0

    def end_children(self) -> None:
        for web in self._webs:
            web.close()
        self._webs.clear()
        for program in self._children:
            program.kill()
            program.wait()
        self._children.clear()
        for broker in [broker for broker in self._by_broker if broker]:
            self._by_broker.pop(broker).close()
        self._log = self.folder / f"{next(self._logs)}.log"

    def close(self) -> None:
        self.end_children()
        self.prepared.close()
        self._database.drop()


class Web:
    """One web server as its supplier sees it."""

    def __init__(self, site: Site, port: int, program: Program) -> None:
        self._site = site
        self._ready = False
        self.program = program
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {site.api_key}"},
            timeout=60,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def answers(self) -> bool:
        try:
            return self._client.get("/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def post(self) -> tuple[str, float]:
        """Acknowledge an order nobody knows; returns its number, and after how many seconds it was taken."""
        if not self._ready:
            until(self.answers, "a web server that answers", otherwise=self._site.said)
            self._ready = True
        number = self._site.next_number()
        response = {"status": "accepted", "quantity": "10", "unit": "EA", "on": "2027-01-15"}
        line = {"line_number": "1", "quantity": "10", "unit": "EA", "responses": [response]}
        body = {"type": "order_acknowledgment", "order_number": number, "disposition": "accepted", "lines": [line]}
        asked = time.monotonic()
        answer = self._client.post("/v1/acknowledgments", json=body, headers={"Idempotency-Key": number})
        assert answer.status_code == 202, answer.text
        return number, time.monotonic() - asked

    def seconds_to_work(self) -> float:
        """From the 202 to the parked document."""
        number, _ = self.post()
        taken = time.monotonic()
        until(lambda: self._site.parked(number), f"{number} parked", otherwise=self._site.said)
        return time.monotonic() - taken

    def is_heard_at_once(self) -> None:
        """Three pieces of work in a row are each done in less than half the time from poll to poll: somebody rings."""

        def heard() -> bool:
            return all(self.seconds_to_work() < POLL_S / 2 for _ in range(3))

        until(heard, "work that is rung for", otherwise=self._site.said)

    def is_found_by_the_poll(self) -> None:
        """Work is done as soon as somebody looks, and its sender is not kept waiting for a broker, which would take 2 s."""
        until(lambda: self.seconds_to_work() <= POLL_S + 5, "work that is looked for", otherwise=self._site.said)
        until(lambda: self.post()[1] < 1.5, "a sender who does not wait", otherwise=self._site.said)


@pytest.fixture(scope="module")
def whole_site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    yield whole_site
    whole_site.end_children()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def rabbitmq(site: Site) -> Iterator[str]:
    url = os.environ.get("GATEWAY_BROKER_URL", "")
    need(url.startswith("amqp"), "RabbitMQ, named by GATEWAY_BROKER_URL=amqp://…")
    yield url
    site.end_children()
    with Connection(url) as connection:
        for kind in DeliveryKind:
            Queue(f"{site.environment['GATEWAY_BROKER_PREFIX']}.{kind}")(connection.default_channel).delete()


@pytest.fixture
def wire(rabbitmq: str) -> Iterator[tuple[Wire, str]]:
    parts = urlsplit(rabbitmq)
    made = Wire((parts.hostname or "127.0.0.1", parts.port or 5672))
    yield made, parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{made.port}").geturl()
    made.cut()


def stopped(*programs: Program) -> list[int]:
    """The exit codes of programs that are asked to end."""
    for program in programs:
        program.terminate()
    return [program.wait() for program in programs]


def test_web_server_and_worker_share_a_database_without_a_broker(site: Site) -> None:
    web, (worker,) = site.web(), site.workers()
    web.is_found_by_the_poll()
    assert stopped(worker, web.program) == [0, 0]


def test_what_no_worker_was_there_for_is_done_by_the_first_one(site: Site) -> None:
    number, _ = site.web().post()
    site.start("manage.py", "worker", "--hands", "1", "--queues", "translate,apply")
    until(lambda: site.parked(number), "the work done", otherwise=site.said)


def test_rabbitmq_rings_the_worker_at_once(site: Site, rabbitmq: str) -> None:
    web, (worker,) = site.web(broker=rabbitmq), site.workers(broker=rabbitmq, listening=True)
    web.is_heard_at_once()
    assert stopped(worker, web.program) == [0, 0]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_celerys_own_command_runs_the_same_worker(site: Site, own_redis: PrivateRedis, pool: str) -> None:
    web = site.web(broker=own_redis.url)
    worker = site.start("-m", "celery", "-A", "gateway", "worker", "-P", pool, broker=own_redis.url)
    web.is_heard_at_once()
    assert stopped(worker) == [0]


def test_a_redis_that_is_flushed_and_killed_and_comes_back_costs_latency_only(
    site: Site, own_redis: PrivateRedis
) -> None:
    web, _ = site.web(broker=own_redis.url), site.workers(broker=own_redis.url, listening=True)
    web.is_heard_at_once()
    own_redis.flush()
    web.is_heard_at_once()
    own_redis.kill()
    web.is_found_by_the_poll()
    own_redis.start()
    web.is_heard_at_once()


def test_a_rabbitmq_that_is_gone_and_comes_back_costs_latency_only(site: Site, wire: tuple[Wire, str]) -> None:
    cable, url = wire
    web, _ = site.web(broker=url), site.workers(broker=url, listening=True)
    web.is_heard_at_once()
    cable.cut()
    web.is_found_by_the_poll()
    cable.mend()
    web.is_heard_at_once()


def test_a_rabbitmq_that_falls_silent_holds_nothing_up(site: Site, wire: tuple[Wire, str]) -> None:
    cable, url = wire
    web, (worker,) = site.web(broker=url), site.workers(broker=url, listening=True)
    web.is_heard_at_once()
    cable.fall_silent()
    web.is_found_by_the_poll()
    until(lambda: "The broker was not reached" in site.said(), "the silence noticed", otherwise=site.said)
    assert stopped(worker) == [0]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_accepts_and_never_answers_does_not_keep_a_worker_from_its_work(site: Site, scheme: str) -> None:
    silent = Wire(("127.0.0.1", 1))
    silent.fall_silent()
    url = f"{scheme}://127.0.0.1:{silent.port}"
    web, (worker,) = site.web(broker=url), site.workers(broker=url)
    web.is_found_by_the_poll()
    assert stopped(worker, web.program) == [0, 0]
    silent.cut()


def test_two_workers_share_the_work_and_one_may_be_killed(site: Site, own_redis: PrivateRedis) -> None:
    web, (one, _) = site.web(broker=own_redis.url), site.workers(2, broker=own_redis.url, listening=True)
    numbers = [web.post()[0] for _ in range(10)]
    one.kill()
    numbers += [web.post()[0] for _ in range(10)]
    until(lambda: site.parked(*numbers), "all done", otherwise=site.said)


def test_several_processes_on_an_old_sqlite_must_be_asked_for(site: Site) -> None:
    if "DATABASE_URL" in site.environment or sqlite3.sqlite_version_info >= (3, 51, 3):
        pytest.skip("there is no old SQLite here")
    with Prepared({**site.environment, "GATEWAY_SHARE_SQLITE": "0"}) as alone:
        refused = alone.run("manage.py", "worker")
    assert refused.returncode != 0
    assert "GATEWAY_SHARE_SQLITE=1" in refused.stderr


def test_a_queue_that_is_none_is_refused_by_name(site: Site) -> None:
    refused = site.prepared.run("manage.py", "worker", "--queues", "erp,post")
    assert refused.returncode != 0
    assert "'post' is not a valid DeliveryKind" in refused.stderr
