"""Processes as they run in earnest: web servers, workers, a database they share, and brokers that fail in every way.

A supplier's answer to an order nobody knows is taken in by the web server and judged by a worker, which parks it: that is the
work here. What is compared is the time from the 202 to the parked document.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from kombu import Connection, Queue

from gateway.models import DeliveryKind
from tests.acceptance.world import ROOT, FreshDatabase, until
from tests.gateway.brokers import PrivateRedis, Wire, free_port
from tests.services import need

POLL_S = 2.0
#: From the 202 to the end of the work, when somebody rings; on a machine that has much else to do.
RUNG_S = 1.5

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
        self._numbers = count(1)
        self._children: list[subprocess.Popen[bytes]] = []
        self._webs: list[Web] = []
        self._database = FreshDatabase(os.environ.get("DATABASE_URL", ""))
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
        ready = subprocess.run(
            [sys.executable, "-c", SET_UP], cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        )
        self.api_key = ready.stdout.strip()
        self.log = (folder / "output.log").open("ab")

    def start(self, *command: str, broker: str = "", **environment: str) -> subprocess.Popen[bytes]:
        given = {**self.environment, **environment} | ({"GATEWAY_BROKER_URL": broker} if broker else {})
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=given, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL
        )
        self._children.append(process)
        return process

    def workers(self, count: int = 1, *, broker: str = "", listening: bool = False) -> list[subprocess.Popen[bytes]]:
        """Workers that work; ``listening``: that hear the broker, too."""
        says = "listening to the broker" if listening else "Working."
        wanted = self.said().count(says) + count
        processes = [self.start("manage.py", "worker", broker=broker) for _ in range(count)]
        until(lambda: self.said().count(says) >= wanted, f"{says!r}", within_s=30, otherwise=self.said)
        return processes

    def web(self, *, broker: str = "") -> Web:
        """A web server that is starting."""
        port = free_port()
        web = Web(self, port, self.start("manage.py", "web", "--port", str(port), broker=broker))
        self._webs.append(web)
        return web

    def said(self) -> str:
        """What all processes have written, newest last."""
        return (self.folder / "output.log").read_text(errors="replace")[-20_000:]

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
        for process in self._children:
            process.kill()
            process.wait()
        self._children.clear()

    def close(self) -> None:
        self.end_children()
        self._database.drop()
        self.log.close()


class Web:
    """One web server as its supplier sees it."""

    def __init__(self, site: Site, port: int, process: subprocess.Popen[bytes]) -> None:
        self._site = site
        self._ready = False
        self.process = process
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {site.api_key}"},
            timeout=20,
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
        """Acknowledge an order nobody knows; returns its number, and when it was taken."""
        if not self._ready:
            until(self.answers, "a web server that answers", within_s=30, otherwise=self._site.said)
            self._ready = True
        number = self._site.next_number()
        response = {"status": "accepted", "quantity": "10", "unit": "EA", "on": "2027-01-15"}
        line = {"line_number": "1", "quantity": "10", "unit": "EA", "responses": [response]}
        body = {"type": "order_acknowledgment", "order_number": number, "disposition": "accepted", "lines": [line]}
        asked = time.monotonic()
        answer = self._client.post("/v1/acknowledgments", json=body, headers={"Idempotency-Key": number})
        assert answer.status_code == 202, answer.text
        assert time.monotonic() - asked < RUNG_S, "the request was held up"
        return number, time.monotonic()

    def seconds_to_work(self) -> float:
        """From the 202 to the parked document."""
        number, taken = self.post()
        until(lambda: self._site.parked(number), f"{number} parked", within_s=20, otherwise=self._site.said)
        return time.monotonic() - taken


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
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


def soonest(seconds: Callable[[], float], tries: int = 4) -> float:
    """The best of a few: one ring reaches the worker at once, whatever the poll does meanwhile."""
    return min(seconds() for _ in range(tries))


def stopped(*processes: subprocess.Popen[bytes], within_s: float = 10) -> list[int]:
    """The exit codes of processes that are asked to end."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    return [process.wait(within_s) for process in processes]


def test_web_server_and_worker_share_a_database_without_a_broker(site: Site) -> None:
    web, (worker,) = site.web(), site.workers()
    assert max(web.seconds_to_work() for _ in range(3)) <= POLL_S * 1.2 + RUNG_S
    assert stopped(worker, web.process) == [0, 0]


def test_what_no_worker_was_there_for_is_done_by_the_first_one(site: Site) -> None:
    number, _ = site.web().post()
    site.start("manage.py", "worker", "--hands", "1", "--queues", "translate,apply")
    until(lambda: site.parked(number), "the work done", within_s=20, otherwise=site.said)


def test_rabbitmq_rings_the_worker_at_once(site: Site, rabbitmq: str) -> None:
    web, (worker,) = site.web(broker=rabbitmq), site.workers(broker=rabbitmq, listening=True)
    assert soonest(web.seconds_to_work) < POLL_S / 4
    assert stopped(worker, web.process) == [0, 0]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_celerys_own_command_runs_the_same_worker(site: Site, own_redis: PrivateRedis, pool: str) -> None:
    web = site.web(broker=own_redis.url)
    worker = site.start("-m", "celery", "-A", "gateway", "worker", "-P", pool, broker=own_redis.url)
    web.seconds_to_work()
    assert soonest(web.seconds_to_work) < POLL_S / 4
    assert stopped(worker) == [0]


def test_a_redis_that_is_flushed_and_killed_and_comes_back_costs_latency_only(
    site: Site, own_redis: PrivateRedis
) -> None:
    web, _ = site.web(broker=own_redis.url), site.workers(broker=own_redis.url, listening=True)
    assert soonest(web.seconds_to_work) < POLL_S / 4
    own_redis.flush()
    assert soonest(web.seconds_to_work) < POLL_S / 4
    own_redis.kill()
    assert web.seconds_to_work() <= POLL_S * 1.2 + RUNG_S
    own_redis.start()
    until(lambda: web.seconds_to_work() < POLL_S / 4, "the broker used again", within_s=30, otherwise=site.said)


def test_a_rabbitmq_that_is_gone_and_comes_back_costs_latency_only(site: Site, wire: tuple[Wire, str]) -> None:
    cable, url = wire
    web, _ = site.web(broker=url), site.workers(broker=url, listening=True)
    assert soonest(web.seconds_to_work) < POLL_S / 4
    cable.cut()
    assert web.seconds_to_work() <= POLL_S * 1.2 + RUNG_S
    cable.mend()
    until(lambda: web.seconds_to_work() < POLL_S / 4, "the broker used again", within_s=30, otherwise=site.said)


def test_a_rabbitmq_that_falls_silent_holds_nothing_up(site: Site, wire: tuple[Wire, str]) -> None:
    cable, url = wire
    web, (worker,) = site.web(broker=url), site.workers(broker=url, listening=True)
    assert soonest(web.seconds_to_work) < POLL_S / 4
    cable.fall_silent()
    assert web.seconds_to_work() <= POLL_S * 1.2 + RUNG_S
    until(lambda: "The broker was not reached" in site.said(), "the silence noticed", within_s=20, otherwise=site.said)
    assert stopped(worker) == [0]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_accepts_and_never_answers_does_not_keep_a_worker_from_its_work(site: Site, scheme: str) -> None:
    silent = Wire(("127.0.0.1", 1))
    silent.fall_silent()
    url = f"{scheme}://127.0.0.1:{silent.port}"
    web, (worker,) = site.web(broker=url), site.workers(broker=url)
    assert web.seconds_to_work() <= POLL_S * 1.2 + RUNG_S
    assert stopped(worker, web.process) == [0, 0]
    silent.cut()


def test_two_workers_share_the_work_and_one_may_be_killed(site: Site, own_redis: PrivateRedis) -> None:
    web, (one, _) = site.web(broker=own_redis.url), site.workers(2, broker=own_redis.url, listening=True)
    numbers = [web.post()[0] for _ in range(10)]
    one.kill()
    numbers += [web.post()[0] for _ in range(10)]
    until(lambda: site.parked(*numbers), "all done", within_s=20, otherwise=site.said)


def test_several_processes_on_an_old_sqlite_must_be_asked_for(site: Site) -> None:
    if "DATABASE_URL" in site.environment or sqlite3.sqlite_version_info >= (3, 51, 3):
        pytest.skip("there is no old SQLite here")
    refused = subprocess.run(
        [sys.executable, "manage.py", "worker"],
        cwd=ROOT,
        env={**site.environment, "GATEWAY_SHARE_SQLITE": "0"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode != 0
    assert "GATEWAY_SHARE_SQLITE=1" in refused.stderr


def test_a_queue_that_is_none_is_refused_by_name(site: Site) -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "worker", "--queues", "erp,post"],
        cwd=ROOT,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode != 0
    assert "'post' is not a valid DeliveryKind" in refused.stderr
