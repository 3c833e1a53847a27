"""The gateway as its programs, with all that is around it: PostgreSQL, a broker, the ERP; each a process of its own.

Several set-ups of the gateway stand beside each other, each with a copy of one database, so that what is compared is measured
by turns in the same minute. One that has nothing to do costs next to nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import psycopg
from kombu import Connection, Queue

from tests.bench.as2 import BUYER, SUPPLIER, link
from tests.bench.company import COMPANY, SUPPLIER_NUMBER, order
from tests.bench.measure import Void, program_cpu_s, tree_cpu_s
from tests.faults.databases import PostgreSQL
from tests.faults.programs import ROOT, HarnessError, Program, free_port, is_listening, until

ERP_ANSWERS_S: Final = 0.02  #: an ERP is never instant
_SETTLED_AT_ONCE: Final = 500
_RABBIT: Final = "amqp://guest:guest@127.0.0.1:5672//"
#: As gateway.models.DeliveryKind has them, which needs Django.
_QUEUES: Final = ("translate", "apply", "erp", "partner", "receipt", "timer")
_REDIS: Final = "redis://127.0.0.1:6379/0"


class Site:
    """ERP, database server and the supplier's orders."""

    def __init__(self, folder: Path, stack: ExitStack, orders: int, *, on_sqlite: bool) -> None:
        self._folder, self._stack = folder, stack
        self._numbers = (f"{number:09d}" for number in count(100_000_001))
        self._orders = [next(self._numbers) for _ in range(orders)]
        self._left = list(reversed(self._orders))
        self._secrets = {
            "GATEWAY_SECRET_KEY": secrets.token_urlsafe(48),
            "GATEWAY_KEYSTORE_SECRET": secrets.token_urlsafe(48),
        }
        self._asked: dict[str, psycopg.Connection[Any]] = {}
        self.server = None if on_sqlite else PostgreSQL()
        if self.server is not None:
            stack.callback(self.server.close)
        self._start_erp()
        self._set_up()

    def take(self, count: int) -> list[str]:
        """Orders that nobody has acknowledged."""
        if count > len(self._left):
            raise Void(f"{count} orders are wanted and {len(self._left)} are left")
        return [self._left.pop() for _ in range(count)]

    def has_applied_all(self) -> bool:
        """Whether the ERP has an acknowledgment for every order that was taken; quick, for it is asked again and again."""
        with closing(self._books()) as books:
            applied: int = books.execute("SELECT count(*) FROM applications").fetchone()[0]
        return applied >= len(self._orders) - len(self._left)

    def effects_of(self, numbers: Sequence[str]) -> dict[str, float]:
        """When the ERP applied the acknowledgments of these orders.

        Raises:
            Void: one of them not exactly once.
        """
        with closing(self._books()) as books:
            rows = books.execute("SELECT d.number, a.at FROM applications a JOIN documents d ON d.id = a.document_id")
            wanted = set(numbers)
            found = [(number, datetime.fromisoformat(at).timestamp()) for number, at in rows if number in wanted]
        if len(found) != len(wanted) or {number for number, _ in found} != wanted:
            raise Void(f"{len(found)} effects of {len(wanted)} acknowledgments")
        return dict(found)

    def _books(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._folder / 'erp.sqlite3'}?mode=ro", uri=True, timeout=20)

    def _start_erp(self) -> None:
        books, port = self._folder / "erp.sqlite3", free_port()
        seed = self._folder / "orders.json"
        released = {"company": COMPANY, "supplier_number": SUPPLIER_NUMBER}
        seed.write_text(json.dumps([{**released, "record": order(number)} for number in self._orders]))
        arguments = ["--database", str(books), "--port", str(port), "--seed", str(seed)]
        environment = self._environment("erp", {})
        self.erp = self._program("erp", ["reference_erp", *arguments], environment)
        self.erp.start()
        until(lambda: is_listening(port), "the reference ERP", within_s=300)
        self._erp_url = f"http://127.0.0.1:{port}"
        self._erp_token = books.with_name("erp.sqlite3.token").read_text().strip()
        headers = {"Authorization": f"Bearer {self._erp_token}"}
        with httpx.Client(base_url=self._erp_url, headers=headers, timeout=60, trust_env=False) as erp:
            # The gateway has them already, and need not ask for each.
            while changes := erp.get("/v1/changes", params={"limit": _SETTLED_AT_ONCE}).raise_for_status().json():
                tokens = [change["token"] for change in changes]
                erp.post("/v1/changes/settle", json={"tokens": tokens}).raise_for_status()
            slow = {"kind": "slow", "count": None, "seconds": ERP_ANSWERS_S, "routes": ["submit"]}
            erp.post("/admin/faults", json=slow).raise_for_status()

    def _set_up(self) -> None:
        """One database with everything in it; every set-up of the gateway gets a copy."""
        if self.server is not None:
            self.server.query("CREATE DATABASE made")
        facts = {
            **_company(),
            "erp_url": self._erp_url,
            "erp_token": self._erp_token,
            "orders": self._orders,
        }
        self._run([sys.executable, "-m", "tests.bench.company"], self._environment("made", {}), json.dumps(facts))

    def copy(self, name: str) -> str:
        """A copy of that database; returns its address."""
        if self.server is not None:
            self.server.query(f"CREATE DATABASE {name} TEMPLATE made")
        else:
            made, copied = (self._folder / each / "gateway.sqlite3" for each in ("made", name))
            copied.parent.mkdir()
            with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(copied)) as target:
                source.backup(target)
        return self.database_url(name)

    def database_url(self, name: str) -> str:
        if self.server is None:
            return f"sqlite:///{self._folder / name / 'gateway.sqlite3'}"
        return f"{self.server.environment['DATABASE_URL'].rpartition('/')[0]}/{name}"

    def _environment(self, name: str, more: dict[str, str]) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "DATABASE_"))},
            **self._secrets,
            "DATABASE_URL": self.database_url(name),
            "GATEWAY_DATA_DIR": str(self._folder / name),
            "GATEWAY_LOG_LEVEL": "WARNING",
            "GATEWAY_LOG_FORMAT": "line",
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            **more,
        }

    def _program(self, name: str, arguments: Sequence[str], environment: dict[str, str], port: int = 0) -> Program:
        log = self._folder / f"{name}.log"
        program = Program(name, name, ["manage.py", *arguments], environment, log, port)
        self._stack.callback(program.kill)
        return program

    @staticmethod
    def _run(command: Sequence[str], environment: dict[str, str], said: str) -> None:
        ran = subprocess.run(command, cwd=ROOT, env=environment, input=said, text=True, capture_output=True)
        if ran.returncode:
            raise Void(f"the company could not be set up: {ran.stderr.strip()[-600:]}")

    # -- the gateway

    def gateway(self, name: str, *, webs: int = 1, workers: int = 1, broker: str = "") -> Gateway:
        """Programs of the gateway on a copy of the database, running.

        Args:
            broker: its address; empty: there is none.
        """
        more = {"GATEWAY_BROKER_PREFIX": f"bench-{os.getpid()}-{name}"}
        if broker:
            more["GATEWAY_BROKER_URL"] = broker
            self._stack.callback(_delete_queues, broker, more["GATEWAY_BROKER_PREFIX"])
        self.copy(name)
        environment = self._environment(name, more)
        ports = [free_port() for _ in range(webs)]
        if self.server is None:
            programs = [self._program(f"{name}-up", ["up", "--port", str(ports[0])], environment, ports[0])]
        else:
            programs = [
                self._program(f"{name}-web-{place}", ["web", "--port", str(port)], environment, port)
                for place, port in enumerate(ports, 1)
            ] + [self._program(f"{name}-worker-{place}", ["worker"], environment) for place in range(1, workers + 1)]
        for program in programs:
            program.start()
        until(lambda: all(is_listening(port) for port in ports), f"the gateway {name}", within_s=120)
        return Gateway(name, self, ports, programs)

    def ask(self, name: str, statement: str) -> int:
        """One number out of the database of one set-up."""
        if self.server is None:
            with closing(sqlite3.connect(self._folder / name / "gateway.sqlite3", timeout=20)) as file:
                return int(file.execute(statement).fetchone()[0])
        if name not in self._asked:
            self._asked[name] = self._stack.enter_context(psycopg.connect(self.database_url(name), autocommit=True))
        row = self._asked[name].execute(statement.encode()).fetchone()
        return int(row[0]) if row else 0

    def log_of(self, name: str) -> str:
        """What the programs of one set-up wrote."""
        return "".join(log.read_text(errors="replace") for log in sorted(self._folder.glob(f"{name}-*.log")))


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent until a moment; subtract two."""

    web_s: float
    worker_s: float
    database_s: float
    broker_s: float
    erp_s: float
    commits: float  #: transactions that wrote

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.web_s - other.web_s,
            self.worker_s - other.worker_s,
            self.database_s - other.database_s,
            self.broker_s - other.broker_s,
            self.erp_s - other.erp_s,
            self.commits - other.commits,
        )

    def __truediv__(self, count: int) -> Spent:
        return Spent(
            self.web_s / count,
            self.worker_s / count,
            self.database_s / count,
            self.broker_s / count,
            self.erp_s / count,
            self.commits / count,
        )


class Gateway:
    """One set-up of the gateway, running."""

    def __init__(self, name: str, site: Site, ports: Sequence[int], programs: Sequence[Program]) -> None:
        self.name, self.ports = name, ports
        self._site, self._programs = site, programs

    def waiting(self) -> int:
        """Deliveries that are open, timers not counted."""
        return self._site.ask(self.name, "SELECT count(*) FROM gateway_queueentry WHERE kind <> 'timer'")

    def spent(self) -> Spent:
        server = self._site.server
        return Spent(
            self._cpu_s("web", "up"),
            self._cpu_s("worker"),
            tree_cpu_s(server.pid) if server is not None else 0.0,
            sum(program_cpu_s(pid) for pid in _brokers()),
            self._site.erp.cpu_until_now_s(),
            self._site.ask(self.name, _TRANSACTIONS) if server is not None else 0,
        )

    def _cpu_s(self, *roles: str) -> float:
        return sum(one.cpu_until_now_s() for one in self._programs if one.name.split("-")[1] in roles)

    def wait_for(self, numbers: Sequence[str], within_s: float = 120) -> dict[str, float]:
        """When the ERP applied what these orders were answered with, as soon as all that were taken are."""
        until(self._site.has_applied_all, f"{len(numbers)} effects in the ERP", within_s=within_s)
        return self._site.effects_of(numbers)

    def lock_errors(self) -> int:
        """How often a program wrote of a database that is locked."""
        return self._site.log_of(self.name).count("database is locked")


#: Of the whole server: the numbers of transactions that wrote something; savepoints that wrote count too.
_TRANSACTIONS: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


def find_broker() -> str:
    """The address of a broker: what the environment names, else RabbitMQ or Redis of this machine.

    Raises:
        Void: there is none.
    """
    if named := os.environ.get("GATEWAY_BROKER_URL"):
        return named
    for url, port in ((_RABBIT, 5672), (_REDIS, 6379)):
        if is_listening(port):
            return url
    raise Void("there is no broker: neither GATEWAY_BROKER_URL nor RabbitMQ or Redis of this machine")


def _brokers() -> list[int]:
    """Brokers of this machine, whoever uses them."""
    named = {"beam.smp", "redis-server"}
    return [int(one.parent.name) for one in Path("/proc").glob("[0-9]*/comm") if _line(one) in named]


def _line(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""  # it has ended


def _delete_queues(broker: str, prefix: str) -> None:
    with Connection(broker, connect_timeout=5) as connection:
        for kind in _QUEUES:
            Queue(f"{prefix}.{kind}", channel=connection.default_channel).delete()


def _company() -> dict[str, Any]:
    ours, theirs = link().buyer.our_signing[0], link().buyer.their_signing[0]
    own = {"certificate": ours.certificate_pem.decode(), "private_key": (ours.private_key_pem or b"").decode()}
    return {
        "identity": {
            "name": "Plant",
            "as2_name": BUYER,
            "isa_qualifier": "ZZ",
            "isa_id": "MERIDIANMFG",
            "certificates": [own],
        },
        "supplier": {
            "code": "ACME",
            "name": "ACME Fastening",
            "state": "live",
            "supplier_numbers": [SUPPLIER_NUMBER],
            "x12": {"their_qualifier": "ZZ", "their_id": "ACMEFASTEN", "usage": "T", "functional_ack": "none"},
            "as2": {"their_name": SUPPLIER},
            "agreements": [{"document": "order_acknowledgment", "direction": "inbound", "channel": "as2"}],
            "certificates": [{"certificate": theirs.certificate_pem.decode()}],
        },
    }


@contextmanager
def site(orders: int, *, on_sqlite: bool = False) -> Iterator[Site]:
    """A site with so many orders that nobody has acknowledged yet.

    Raises:
        Void: this machine has not what it takes, or something did not come up.
    """
    try:
        with TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            yield Site(Path(folder), stack, orders, on_sqlite=on_sqlite)
    except HarnessError as failed:
        raise Void(str(failed)) from failed
