"""Kill -9 in the middle of the main job: nothing lost, nothing doubled.

The gateway is ``manage.py up`` in a process of its own; the ERP and the AS2 supplier are other programs. What is compared
are the ERP's own journal and what was promised to the suppliers, as sets.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.documents import interchange, order
from tests.acceptance.world import World, until

ORDERS = [f"60000{number:03d}" for number in range(12)]
AS2_ORDERS = [f"70000{number:03d}" for number in range(4)]
KILLS = 6


@pytest.fixture
def world(django_db_setup: None, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


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


def orders_received(world: World) -> list[str]:
    """The numbers of the 850s the AS2 supplier took, each as often as it took one, in order of number."""
    journal = world.supplier.get("/control/journal").json()
    files = [line["file"] for line in journal if line["direction"] == "received" and line["file"]]
    payloads = [(world.folder / "acme" / "inbox" / file).read_bytes() for file in files]
    return sorted(
        number
        for payload in payloads
        for number in AS2_ORDERS
        if b"ST*850" in payload and f"*{number}*".encode() in payload
    )


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
        done = not rest.is_alive() and not as2.is_alive()
        return done and len(world.effects()) >= expected and len(orders_received(world)) >= len(AS2_ORDERS)

    def standing() -> str:
        threads = f"REST supplier {sorted(rest.promised)}, AS2 supplier {sorted(as2.promised)}"
        return f"{len(world.effects())} effects; {threads}; {orders_received(world)}; {world.standing()}"

    until(all_there, f"{expected} documents in the ERP (seed {seed})", otherwise=standing)
    world.listening(world.gateway_port)
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
    assert orders_received(world) == AS2_ORDERS
