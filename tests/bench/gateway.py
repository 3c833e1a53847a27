"""The whole way on one machine: acknowledgments over REST into ``manage.py up`` on SQLite, out to the reference ERP.

Gateway and ERP are programs of their own; whoever posts shares their processors. What counts is the ERP's own journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import pytest

from tests.acceptance.world import World
from tests.bench.measure import Bench, Result, Void, percentile, program_cpu_s

LINES: Final = 20
AT_ONCE: Final = 80  #: acknowledgments posted as fast as they are taken, by SENDERS at a time
SENDERS: Final = 4
PACED: Final = 32  #: acknowledgments posted at leisure
PER_SECOND: Final = 4
_WITHIN_S: Final = 60


def embedded_on_sqlite() -> Iterator[Result]:
    """Throughput with work waiting, then the time from our 202 to the effect in the ERP when none waits."""
    numbers = [f"45{number:08d}" for number in range(AT_ONCE + PACED)]
    with TemporaryDirectory() as folder, closing(_world(Path(folder))) as world, closing(_supplier(world)) as supplier:
        for number in numbers:
            world.erp.post("/admin/release", json=_order(number)).raise_for_status()
        gateway = world.gateway()
        _until(lambda: _orders_on_offer(supplier) >= len(numbers), "every order offered to the supplier")
        started, cpu_before_s = datetime.now(UTC), program_cpu_s(gateway.pid)
        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(lambda number: _acknowledge(supplier, number), numbers[:AT_ONCE]))
        effects = _effects(world, AT_ONCE)
        yield Result(
            bench="e2e.sqlite.throughput",
            value=AT_ONCE / (max(effects.values()) - started).total_seconds(),
            unit="messages/s",
        )
        cpu_s = (program_cpu_s(gateway.pid) - cpu_before_s) / AT_ONCE
        yield Result(bench="e2e.sqlite.cpu", value=cpu_s * 1e3, unit="ms of the gateway's CPU a message")
        accepted = _acknowledge_at_a_pace(supplier, numbers[AT_ONCE:])
        effects = _effects(world, len(numbers))
        waits = [max(0.0, (effects[number] - at).total_seconds()) for number, at in accepted.items()]
        locked = Path(folder, "output.log").read_text(errors="replace").count("database is locked")
        yield Result(bench="e2e.sqlite.locked", value=locked, unit="lock errors")
    for share in (0.5, 0.95):
        yield Result(
            bench=f"e2e.sqlite.accept_to_erp.p{share * 100:.0f}", value=percentile(waits, share) * 1e3, unit="ms"
        )


def _world(folder: Path) -> World:
    """ERP and suppliers, running; the gateway is set up and not started."""
    try:
        world = World(folder)
    except pytest.fail.Exception as failed:
        raise Void(str(failed)) from failed
    for name in ("GATEWAY_ERP_POLL_S", "GATEWAY_POLL_S", "GATEWAY_LEASE_S"):
        world.environment.pop(name, None)  # measured is what runs by default
    world.environment["GATEWAY_REQUESTS_PER_MINUTE"] = "1000000"
    return world


def _supplier(world: World) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{world.gateway_port}/v1",
        headers={"Authorization": f"Bearer {world.api_key}"},
        timeout=30,
        trust_env=False,
    )


def _orders_on_offer(supplier: httpx.Client) -> int:
    """How many orders the supplier can see; none while the gateway is starting."""
    found, address = 0, "purchase-orders?limit=100"
    while address:
        try:
            page = supplier.get(address).raise_for_status().json()
        except httpx.ConnectError:
            return 0
        found += len(page["results"])
        address = (page["next"] or "").removeprefix("/v1/")
    return found


def _acknowledge(supplier: httpx.Client, number: str) -> datetime:
    """Accept an order; returns when the gateway had taken it."""
    answer = supplier.post("/acknowledgments", json=_acknowledgment(number), headers={"Idempotency-Key": number})
    if answer.status_code != 202:
        raise Void(f"the gateway answers {answer.status_code}: {answer.text[:300]}")
    return datetime.now(UTC)


def _acknowledge_at_a_pace(supplier: httpx.Client, numbers: Sequence[str]) -> dict[str, datetime]:
    accepted, start = {}, time.monotonic()
    for place, number in enumerate(numbers):
        time.sleep(max(0.0, start + place / PER_SECOND - time.monotonic()))
        accepted[number] = _acknowledge(supplier, number)
    return accepted


def _effects(world: World, count: int) -> dict[str, datetime]:
    """When the ERP applied what, by order number, as soon as ``count`` documents are applied."""
    _until(lambda: len(world.effects()) >= count, f"{count} documents in the ERP")
    documents = world.effects()
    if doubled := [one["number"] for one in documents if one["applications"] != 1]:
        raise Void(f"not applied exactly once: {doubled[:5]}")
    number_of = {one["key"]: one["number"] for one in documents}
    journal: list[dict[str, Any]] = []
    while page := world.erp.get("/admin/journal", params={"after": journal[-1]["id"] if journal else 0}).json():
        journal += page
    return {
        number_of[entry["key"]]: datetime.fromisoformat(entry["at"])
        for entry in journal
        if entry["request"] == "acknowledgment" and entry["outcome"].startswith("201 ")
    }


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise Void(f"not {what} within {_WITHIN_S} s")
        time.sleep(0.2)


def _order(number: str) -> dict[str, Any]:
    lines = [
        {
            "line_number": str(line),
            "quantity": str(10 * line),
            "unit": "EA",
            "unit_price": "4.20",
            "product_ids": [{"kind": "buyer_part", "value": f"MW-{line:05d}"}],
            "dates": {"delivery_requested": "2027-01-15"},
        }
        for line in range(1, LINES + 1)
    ]
    record = {"type": "purchase_order", "number": number, "ordered_on": "2026-11-16", "currency": "USD", "lines": lines}
    return {"company": "PLANT-01", "supplier_number": "100023", "record": record}


def _acknowledgment(number: str) -> dict[str, Any]:
    lines = [
        {
            "line_number": str(line),
            "quantity": str(10 * line),
            "unit": "EA",
            "responses": [{"status": "accepted", "quantity": str(10 * line), "unit": "EA", "on": "2027-01-15"}],
        }
        for line in range(1, LINES + 1)
    ]
    return {"type": "order_acknowledgment", "order_number": number, "disposition": "accepted", "lines": lines}


BENCHES: Final[dict[str, Bench]] = {"e2e.sqlite": embedded_on_sqlite}
