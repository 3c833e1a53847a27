"""The world of an acceptance test: gateway, ERP and AS2 supplier, each a program of its own, on free ports."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import migrated
from tests.prepared import Prepared, Program

ROOT = Path(__file__).parents[2]

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

#: Prints, as JSON, the rows of the gateway that a test asks for.
ROWS = """
import django, json
django.setup()
from gateway.models import Delivery, Document, ExceptionCase
print(json.dumps({
    "unfinished": list(Delivery.objects.exclude(state="delivered").exclude(kind="timer").values("kind", "state", "entry__state", "entry__attempts", "last_error")),
    "documents": list(Document.objects.exclude(state="relayed").values("type", "number", "state")),
    "cases": [
        {"reason": case.reason, "team": case.team, "summary": case.summary, "transmission": case.transmission_id,
         "findings": case.detail.get("findings", []), "why": case.detail.get("why", ""),
         "group": case.document.group_control if case.document else "",
         "partner": case.partner.code if case.partner else ""}
        for case in ExceptionCase.objects.filter(state="open")
    ],
}))
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
    """A database of its own on the PostgreSQL server the suite runs on; on SQLite a file in the data folder."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server if server.startswith("postgres") else ""
        self._name = f"gateway_kill_{os.getpid()}"
        self.environment = {"DATABASE_URL": f"{server.rpartition('/')[0]}/{self._name}"} if self._server else {}
        if self._server:
            migrated.make_on_server(self._server, self._name)
        else:
            migrated.file_in(folder)

    def drop(self) -> None:
        if self._server:
            migrated.drop_on_server(self._server, self._name)


class World:
    """The programs of the test, the folder they share and the keys to them."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.gateway_port, self.erp_port, self.supplier_port = free_port(), free_port(), free_port()
        self.environment = {
            **os.environ,
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_ERP_POLL_S": "0.3",
            "GATEWAY_POLL_S": "0.5",
            "GATEWAY_LEASE_S": "10",  # half of it is the time a supplier has to answer, on a machine that is busy
            "GATEWAY_POISON_AFTER": "100",  # a row that is met by three kills in a row is not to blame here
            "GATEWAY_LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            **environment,
        }
        self.database = FreshDatabase(os.environ.get("DATABASE_URL", ""), Path(self.environment["GATEWAY_DATA_DIR"]))
        self.environment |= self.database.environment
        self.prepared = Prepared(self.environment)
        self.children: list[Program] = []
        self.clients: list[httpx.Client] = []
        try:
            self._start_counterparts()
        except BaseException:
            self.close()
            raise

    def _start_counterparts(self) -> None:
        folder = self.folder
        self.child("reference_erp", "--database", str(folder / "erp.sqlite3"), "--port", str(self.erp_port))
        self.listening(self.erp_port)
        token = (folder / "erp.sqlite3.token").read_text().strip()
        self.erp = self.client(self.erp_port, {"Authorization": f"Bearer {token}"})
        addresses = [f"http://127.0.0.1:{port}" for port in (self.erp_port, self.supplier_port, self.gateway_port)]
        who = (str(folder), addresses[0], token, *addresses[1:], str(self.supplier_port))
        self.api_key = self.prepared.printed("-c", SET_UP, *who).strip()
        self.child("as2_supplier", "--config", str(folder / "acme.json"))
        self.listening(self.supplier_port)
        self.supplier = self.client(self.supplier_port)

    def client(self, port: int, headers: dict[str, str] | None = None) -> httpx.Client:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False)
        self.clients.append(client)
        return client

    def child(self, *arguments: str, log: str = "output.log") -> Program:
        """A program of ``manage.py``."""
        program = self.prepared.begin("manage.py", *arguments, log=self.folder / log)
        self.children.append(program)
        return program

    def gateway(self, *, log: str = "output.log") -> Program:
        return self.child("up", "--port", str(self.gateway_port), log=log)

    def listening(self, port: int) -> None:
        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(answers, f"a listener on port {port}")

    def rows(self) -> dict[str, Any]:
        """What the gateway's own rows say: unfinished deliveries, unfinished documents, open cases."""
        rows: dict[str, Any] = json.loads(self.prepared.printed("-c", ROWS))
        return rows

    def cases(self) -> list[dict[str, Any]]:
        return list(self.rows()["cases"])

    def unfinished(self) -> list[dict[str, Any]]:
        return list(self.rows()["unfinished"])

    def standing(self) -> str:
        """Rows and output of the programs, for a test that failed."""
        return f"{self.rows()} {(self.folder / 'output.log').read_text(errors='replace')[-3000:]}"

    @staticmethod
    def free_port() -> int:
        return free_port()

    def effects(self) -> list[dict[str, Any]]:
        effects: list[dict[str, Any]] = self.erp.get("/admin/effects").json()
        return effects

    def close(self) -> None:
        for program in self.children:
            program.kill()
            program.wait()
        for client in self.clients:
            client.close()
        self.prepared.close()
        self.database.drop()
