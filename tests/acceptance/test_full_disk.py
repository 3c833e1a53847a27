"""The disk is full while suppliers send: they are told to come again, nothing is promised that is not kept, and it heals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.documents import interchange
from tests.acceptance.world import World, until
from tests.small_disk import fill, filler, small_disk

#: With less room than 100 MB the gateway does not start.
DISK_BYTES = 128 * 2**20

#: Prints, as JSON, the SHA-256 of what was accepted, by the name its sender gave it.
KEPT = """
import django, hashlib, json
django.setup()
from gateway.models import Transmission
rows = Transmission.objects.filter(direction="inbound").exclude(state="refused").select_related("payload")
print(json.dumps({row.message_id: hashlib.sha256(row.payload.content).hexdigest() for row in rows}))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder


@pytest.fixture
def world(django_db_setup: None, tmp_path: Path, disk: Path) -> Iterator[World]:
    """Everything the gateway keeps is on the small disk; the others have another one."""
    (tmp_path / "others").mkdir()
    made = World(tmp_path / "others", GATEWAY_DATA_DIR=str(disk))
    try:
        made.gateway()
        made.listening(made.gateway_port)
        yield made
    finally:
        made.close()


def body(number: int) -> bytes:
    """An acknowledgment of 60 KB."""
    response = {"status": "accepted", "quantity": "10", "unit": "EA", "on": "2027-01-15"}
    line = {"line_number": "1", "quantity": "10", "unit": "EA", "responses": [response]}
    lines = [line | {"line_number": str(number)} for number in range(1, 501)]
    number_of_order = f"7{number:07d}"
    document = {
        "type": "order_acknowledgment",
        "order_number": number_of_order,
        "disposition": "accepted",
        "lines": lines,
    }
    return json.dumps(document).encode()


def test_suppliers_are_asked_to_come_again_and_no_promise_is_lost(world: World, disk: Path) -> None:
    api = world.client(world.gateway_port, {"Authorization": f"Bearer {world.api_key}"})
    promised: dict[str, str] = {}

    def post(number: int) -> httpx.Response:
        key, data = f"ack-{number}", body(number)
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = api.post("/v1/acknowledgments", content=data, headers=headers)
        if answer.status_code == 202:
            promised[key] = hashlib.sha256(data).hexdigest()
        return answer

    def send(number: int) -> dict[str, Any]:
        file = world.folder / f"{number}.edi"
        file.write_bytes(interchange(number, "70000001"))
        account: dict[str, Any] = world.supplier.post("/control/send", json={"file": str(file)}).json()
        return account

    assert post(0).status_code == 202
    fill(disk, leave=1_500_000)
    refused = next(answer for number in range(1, 200) if (answer := post(number)).status_code != 202)
    assert len(promised) > 1
    assert refused.status_code == 503, refused.text
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["type"] == "/problems/unavailable"

    fill(disk)
    refusals = [number for number in range(200, 210) if post(number).status_code == 503]
    assert len(refusals) == 10
    turned_away = send(901)
    assert turned_away["http_status"] == 503
    assert turned_away["mdn_status"] != "processed"
    assert api.get("/healthz").status_code == 200

    filler(disk).unlink()
    until(
        lambda: post(200).status_code == 202, "the first submission taken again", within_s=30, otherwise=world.standing
    )
    assert {post(number).status_code for number in refusals} == {202}
    assert send(901)["mdn_status"] == "processed"

    kept = json.loads(world.prepared.printed("-c", KEPT))
    assert promised.items() <= kept.items()
    verified = world.prepared.run("manage.py", "blobs", "verify")
    assert verified.returncode == 0, verified.stdout
