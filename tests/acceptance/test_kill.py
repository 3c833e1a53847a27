"""Kill -9 in the middle of the main job: nothing lost, nothing doubled.

The gateway is ``manage.py up`` in a process of its own; the ERP and the AS2 supplier are other programs. What is compared
are the ERP's own journal and what was promised to the suppliers, as sets.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).parents[2]
ORDERS = [f"60000{number:03d}" for number in range(12)]
AS2_ORDERS = [f"70000{number:03d}" for number in range(4)]
KILLS = 6

#: Onboards everybody in the data folder of the gateway under test, and prints the API key of the REST supplier.
SET_UP = """
import sys, django
django.setup()
from pathlib import Path
from django.core.management import call_command
from django.utils import timezone
from gateway.demo import company
folder, erp_url, token, supplier_url, gateway_url, port = sys.argv[1:]
call_command("migrate", interactive=False, verbosity=0)
keys = company.set_up(folder=Path(folder), erp_url=erp_url, erp_token=token, supplier_url=supplier_url, now=timezone.now())
company.supplier_config(folder=Path(folder), port=int(port), gateway_url=gateway_url)
print(keys["CASTRA"])
"""

#: Prints what is not finished.
STANDING = """
import django
django.setup()
from gateway.models import Delivery, Document, ExceptionCase
print(list(Delivery.objects.exclude(state="delivered").values_list("kind", "state", "attempts", "crashes", "last_error")))
print(list(Document.objects.exclude(state="relayed").values_list("type", "number", "state")))
print(list(ExceptionCase.objects.values_list("reason", "summary")))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(
    holds: Callable[[], Any], what: str, *, within_s: float = 100, otherwise: Callable[[], str] = lambda: ""
) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    pytest.fail(f"{what} within {within_s:.0f} s. {otherwise()}")


class FreshDatabase:
    """A database of its own on the PostgreSQL server the suite runs on; on SQLite the data folder is enough."""

    def __init__(self, server: str) -> None:
        self._server = server if server.startswith("postgres") else ""
        self.name = f"gateway_kill_{os.getpid()}"
        self.environment = {"DATABASE_URL": f"{server.rpartition('/')[0]}/{self.name}"} if self._server else {}
        self._ask("CREATE DATABASE {}")

    def drop(self) -> None:
        self._ask("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def _ask(self, statement: LiteralString) -> None:
        if self._server:
            with psycopg.connect(self._server, autocommit=True) as connection:
                connection.execute(sql.SQL(statement).format(sql.Identifier(self.name)))


class World:
    """The programs of the test, the folder they share and the keys to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway_port, self.erp_port, self.supplier_port = free_port(), free_port(), free_port()
        self.environment = {
            **os.environ,
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_ERP_POLL_S": "0.3",
            "GATEWAY_POLL_S": "0.5",
            "GATEWAY_LEASE_S": "5",
            "GATEWAY_POISON_AFTER": "100",  # a row that is met by three kills in a row is not to blame here
            "GATEWAY_LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
        }
        self.database = FreshDatabase(os.environ.get("DATABASE_URL", ""))
        self.environment |= self.database.environment
        self.children: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "output.log").open("ab")
        self.child("reference_erp", "--database", str(folder / "erp.sqlite3"), "--port", str(self.erp_port))
        self.listening(self.erp_port)
        token = (folder / "erp.sqlite3.token").read_text().strip()
        self.erp = httpx.Client(
            base_url=f"http://127.0.0.1:{self.erp_port}", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        addresses = [f"http://127.0.0.1:{port}" for port in (self.erp_port, self.supplier_port, self.gateway_port)]
        self.api_key = subprocess.run(
            [sys.executable, "-c", SET_UP, str(folder), addresses[0], token, *addresses[1:], str(self.supplier_port)],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        self.child("as2_supplier", "--config", str(folder / "acme.json"))
        self.listening(self.supplier_port)
        self.supplier = httpx.Client(base_url=f"http://127.0.0.1:{self.supplier_port}", timeout=30, trust_env=False)

    def child(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
        )
        self.children.append(process)
        return process

    def gateway(self) -> subprocess.Popen[bytes]:
        return self.child("up", "--port", str(self.gateway_port))

    def listening(self, port: int) -> None:
        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(answers, f"a listener on port {port}")

    def standing(self) -> str:
        """What the gateway's own rows say, for a test that failed."""
        asked = subprocess.run(
            [sys.executable, "-c", STANDING],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return asked.stdout + asked.stderr + (self.folder / "output.log").read_text(errors="replace")[-3000:]

    def effects(self) -> list[dict[str, Any]]:
        effects: list[dict[str, Any]] = self.erp.get("/admin/effects").json()
        return effects

    def close(self) -> None:
        for process in self.children:
            process.kill()
            process.wait()
        self.database.drop()
        self.log.close()
        self.erp.close()
        self.supplier.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def order(number: str, supplier_number: str) -> dict[str, Any]:
    return {
        "company": "PLANT-01",
        "supplier_number": supplier_number,
        "record": {
            "type": "purchase_order",
            "number": number,
            "ordered_on": "2026-11-16",
            "currency": "USD",
            "lines": [
                {
                    "line_number": "1",
                    "quantity": "10",
                    "unit": "EA",
                    "unit_price": "4.20",
                    "product_ids": [{"kind": "buyer_part", "value": "MW-1"}],
                    "dates": {"requested_delivery": "2027-01-15"},
                }
            ],
        },
    }


def interchange(number: int, order_number: str) -> bytes:
    """The 855 a supplier writes by hand for one of these orders."""
    return (
        f"ISA*00*          *00*          *ZZ*ACMEFASTEN     *ZZ*MERIDIANMFG    *261120*1012*U*00401*{number:09d}*0*T*>~"
        f"GS*PR*ACMEFASTEN*MERIDIANMFG*20261120*1012*{number}*X*004010~ST*855*0001~"
        f"BAK*00*AD*{order_number}*20261116~PO1*1*10*EA*4.2**BP*MW-1~ACK*IA*10*EA*067*20270115~CTT*1~SE*6*0001~"
        f"GE*1*{number}~IEA*1*{number:09d}~"
    ).encode()


class RestSupplier(threading.Thread):
    """Acknowledges and ships every order, and repeats each request under its key until it holds a 202."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self.promised: set[str] = set()
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{world.gateway_port}",
            headers={"Authorization": f"Bearer {world.api_key}"},
            timeout=10,
            trust_env=False,
        )

    def run(self) -> None:
        for number in ORDERS:
            self._insist("acknowledgments", f"ack-{number}", self._acknowledgment(number))
            self._insist("ship-notices", f"ship-{number}", self._ship_notice(number))
        self._client.close()

    def _insist(self, slug: str, key: str, body: dict[str, Any]) -> None:
        while True:
            try:
                answer = self._client.post(f"/v1/{slug}", json=body, headers={"Idempotency-Key": key})
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code == 202:
                self.promised.add(key)
                return
            assert answer.status_code in {409, 429, 503}, answer.text
            time.sleep(0.1)

    def _acknowledgment(self, number: str) -> dict[str, Any]:
        response = {"status": "accepted", "quantity": "10", "unit": "EA", "on": "2027-01-15"}
        line = {"line_number": "1", "quantity": "10", "unit": "EA", "responses": [response]}
        return {
            "type": "order_acknowledgment",
            "order_number": number,
            "disposition": "accepted",
            "lines": [line],
        }

    def _ship_notice(self, number: str) -> dict[str, Any]:
        item = {"order_number": number, "order_line": "1", "quantity": "10", "unit": "EA"}
        return {"type": "ship_notice", "shipment_number": f"S-{number}", "items": [item]}


class As2SupplierThread(threading.Thread):
    """Answers every order with an 855 over AS2, sent again until a valid receipt says it was processed."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self.promised: set[str] = set()
        self._world = world

    def run(self) -> None:
        for place, number in enumerate(AS2_ORDERS, 1):
            file = self._world.folder / f"855-{number}.edi"
            file.write_bytes(interchange(place, number))
            while number not in self.promised:
                account = self._world.supplier.post("/control/send", json={"file": str(file)}).json()
                if account.get("mdn_status") == "processed" and account.get("mic_matched"):
                    self.promised.add(number)
                else:
                    time.sleep(0.1)


def test_kill_nine_in_the_middle_of_the_main_job_loses_and_doubles_nothing(world: World):
    for number in ORDERS:
        world.erp.post("/admin/release", json=order(number, "100023")).raise_for_status()
    for number in AS2_ORDERS:
        world.erp.post("/admin/release", json=order(number, "100017")).raise_for_status()
    expected = len(ORDERS) * 2 + len(AS2_ORDERS)
    rest, as2 = RestSupplier(world), As2SupplierThread(world)
    gateway = world.gateway()
    rest.start()
    as2.start()
    met_work, seed = 0, random.randrange(10**6)
    chance = random.Random(seed)
    for _ in range(KILLS):
        world.listening(world.gateway_port)
        time.sleep(chance.uniform(0.1, 0.9))
        before = len(world.effects())
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
        met_work += before < expected
        gateway = world.gateway()

    def all_there() -> bool:
        return len(world.effects()) >= expected and not rest.is_alive() and not as2.is_alive()

    def standing() -> str:
        threads = f"REST supplier {sorted(rest.promised)}, AS2 supplier {sorted(as2.promised)}"
        return f"{len(world.effects())} effects; {threads}; {world.standing()}"

    until(all_there, f"{expected} documents in the ERP (seed {seed})", otherwise=standing)
    gateway.terminate()
    assert gateway.wait(20) == 0
    effects = world.effects()
    assert met_work >= 3, f"void: only {met_work} kills met work (seed {seed})"
    assert [effect for effect in effects if effect["applications"] != 1] == []
    held = {(effect["kind"], number) for effect in effects for number in effect["order_numbers"]}
    assert held == {
        *(("acknowledgment", number) for number in ORDERS + AS2_ORDERS),
        *(("ship_notice", number) for number in ORDERS),
    }
    assert len(effects) == expected
    assert rest.promised == {f"{kind}-{number}" for kind in ("ack", "ship") for number in ORDERS}
    received = [line for line in world.supplier.get("/control/journal").json() if line["direction"] == "received"]
    orders_received = sorted(
        number
        for line in received
        if line["file"]
        for number in AS2_ORDERS
        if f"*{number}*".encode() in (world.folder / "acme" / "inbox" / line["file"]).read_bytes()
        and b"ST*850" in (world.folder / "acme" / "inbox" / line["file"]).read_bytes()
    )
    assert orders_received == AS2_ORDERS
