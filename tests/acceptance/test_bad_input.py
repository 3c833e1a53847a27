"""Bad input through the real doors: each gets a clear answer on the wire and a case for a person; no byte is lost.

One gateway in a process of its own; suppliers are other programs, one of them with a key nobody knows and one with a name nobody
knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.documents import interchange, order
from tests.acceptance.world import World, until
from tests.certificates import make_identity

ORDER = "70000001"


@pytest.fixture
def world(django_db_setup: None, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, GATEWAY_PARK_HOURS="0")
    try:
        made.gateway()
        made.listening(made.gateway_port)
        made.erp.post("/admin/release", json=order(ORDER, "100017")).raise_for_status()
        until(lambda: inbox(made), "the order at its supplier")
        yield made
    finally:
        made.close()


def inbox(world: World) -> list[bytes]:
    """What ACME received, oldest first."""
    return [file.read_bytes() for file in sorted((world.folder / "acme" / "inbox").glob("*"))]


def send(supplier: httpx.Client, folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """Have a supplier program send ``data``; its own account of the receipt."""
    file = folder / name
    file.write_bytes(data)
    account: dict[str, Any] = supplier.post("/control/send", json={"file": str(file)}).json()
    return account


def case(world: World, reason: str, about: str) -> dict[str, Any]:
    """The open case of this reason whose text names ``about``."""

    def found() -> dict[str, Any] | None:
        return next((row for row in world.cases() if row["reason"] == reason and about in json.dumps(row)), None)

    opened: dict[str, Any] = until(found, f"a case {reason} about {about}", otherwise=world.standing)
    return opened


def another_supplier(world: World, as2_name: str) -> httpx.Client:
    """A supplier program with this AS2 name and a key of its own, which nobody has pinned."""
    stranger, port = make_identity(as2_name), world.free_port()
    folder = world.folder / f"other-{port}"
    folder.mkdir()
    (folder / "own.pem").write_bytes(stranger.certificate_pem)
    (folder / "own.key").write_bytes(stranger.private_key_pem or b"")
    config = json.loads((world.folder / "acme.json").read_text())
    config |= {"as2_name": as2_name, "certificate": "own.pem", "key": "own.key", "data": "data"}
    config |= {"peer_signing_certificate": str(world.folder / "meridian.pem"), "listen": f"127.0.0.1:{port}"}
    (folder / "config.json").write_text(json.dumps(config))
    world.child("as2_supplier", "--config", str(folder / "config.json"))
    world.listening(port)
    return world.client(port)


def answered(world: World, part: bytes) -> bytes:
    """Wait for the interchange in ACME's inbox that holds this."""
    return bytes(until(lambda: next((one for one in inbox(world) if part in one), None), "the answer to ACME"))


def a_broken_envelope_is_answered_with_a_ta1(world: World) -> None:
    broken = interchange(901, ORDER).replace(b"IEA*1*000000901~", b"")
    account = send(world.supplier, world.folder, "broken.edi", broken)
    assert account["mdn_status"] == "processed"  # the message arrived whole; what is in it is another matter
    assert b"*R*023~" in answered(world, b"TA1*000000901*")
    assert case(world, "document_rejected", ORDER)["findings"]


def a_set_that_breaks_its_guide_is_rejected_with_its_place(world: World) -> None:
    wrong = interchange(902, ORDER).replace(b"*10*EA*4.2*", b"*ten*EA*4.2*")
    send(world.supplier, world.folder, "wrong.edi", wrong)
    acknowledgment = answered(world, b"AK1*PR*902")
    assert b"AK3*PO1*3*" in acknowledgment
    assert b"AK4*2*330*6*ten~" in acknowledgment
    assert b"AK5*R*5~AK9*R*1*1*0~" in acknowledgment
    (finding,) = case(world, "document_rejected", "902")["findings"]
    assert (finding["segment"], finding["position"], finding["element"]) == ("PO1", 3, 2)
    assert finding["actor"] == "partner"


def an_answer_to_an_order_nobody_knows_is_read_and_waits_for_a_person(world: World) -> None:
    send(world.supplier, world.folder, "unknown.edi", interchange(903, "NO-SUCH-ORDER"))
    assert b"AK9*A*1*1*1~" in answered(world, b"AK1*PR*903")
    assert case(world, "order_unknown", "NO-SUCH-ORDER")["team"] == "procurement"


def a_supplier_that_poses_as_another_inside_the_envelope_is_told_so(world: World) -> None:
    foreign = interchange(904, ORDER).replace(b"ACMEFASTEN     ", b"OTHERSUPPLIER  ")
    send(world.supplier, world.folder, "foreign.edi", foreign)
    assert b"*R*006~" in answered(world, b"TA1*000000904*")
    assert "sender_mismatch" in {
        found["code"] for found in case(world, "document_rejected", "OTHERSUPPLIER")["findings"]
    }


def a_wrong_signature_gets_a_negative_receipt_and_a_case(world: World) -> None:
    account = send(another_supplier(world, "ACME-AS2"), world.folder, "forged.edi", interchange(905, ORDER))
    assert account["http_status"] == 200
    assert account["mdn_status"] != "processed"
    assert case(world, "signature_refused", "ACME")["team"] == "operations"


def an_unknown_sender_gets_one_constant_answer_and_a_case(world: World) -> None:
    account = send(another_supplier(world, "NOBODY-AS2"), world.folder, "stranger.edi", interchange(906, ORDER))
    assert account["http_status"] == 403
    assert case(world, "unknown_partner", "NOBODY-AS2")


def json_with_wrong_types_is_answered_field_by_field_and_kept(world: World) -> None:
    api = world.client(world.gateway_port, {"Authorization": f"Bearer {world.api_key}"})
    body = {"type": "order_acknowledgment", "order_number": 7, "lines": [{"quantity": "many"}]}
    answer = api.post("/v1/acknowledgments", json=body, headers={"Idempotency-Key": "wrong-1"})
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert {"#/order_number", "#/disposition", "#/lines/0/quantity"} <= {
        one["pointer"] for one in answer.json()["errors"]
    }
    assert case(world, "unreadable_message", "CASTRA")["transmission"]


def bytes_that_are_no_document_are_kept_and_shown_to_a_person(world: World) -> None:
    account = send(world.supplier, world.folder, "noise.edi", bytes(range(256)) * 4)
    assert account["mdn_status"] == "processed"
    assert case(world, "unreadable_message", "ACME")


def through_all_of_it_nothing_reached_the_erp_and_nothing_is_stuck(world: World) -> None:
    assert world.effects() == []
    until(lambda: not world.unfinished(), "an idle gateway", otherwise=world.standing)


STORY = (
    a_broken_envelope_is_answered_with_a_ta1,
    a_set_that_breaks_its_guide_is_rejected_with_its_place,
    an_answer_to_an_order_nobody_knows_is_read_and_waits_for_a_person,
    a_supplier_that_poses_as_another_inside_the_envelope_is_told_so,
    a_wrong_signature_gets_a_negative_receipt_and_a_case,
    an_unknown_sender_gets_one_constant_answer_and_a_case,
    json_with_wrong_types_is_answered_field_by_field_and_kept,
    bytes_that_are_no_document_are_kept_and_shown_to_a_person,
    through_all_of_it_nothing_reached_the_erp_and_nothing_is_stuck,
)


def test_bad_input_is_answered_and_shown_and_nothing_is_lost(world: World, subtests: pytest.Subtests) -> None:
    for scene in STORY:
        with subtests.test(scene.__name__):
            scene(world)
