"""When the other side is down: it is left alone, nobody else waits, and what waited arrives once, in order, charged for nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from gateway import breakers, outbox
from gateway.models import (
    Blob,
    Breaker,
    Delivery,
    DeliveryKind,
    ErpConnection,
    Event,
    ExceptionCase,
    Order,
    QueueEntry,
    Transmission,
)
from gateway.pipeline import decide, relay, release
from gateway.transports import as2
from partners import onboarding
from partners.models import As2Link, TradingPartner
from tests.gateway.erp.counterpart import ReferenceProcess
from tests.gateway.pipeline.conftest import SupplierServer, poll_erp
from tests.gateway.pipeline.mdns import ask_for_later_receipts, taken
from tests.gateway.queue_rows import make_due

pytestmark = pytest.mark.django_db


def pass_time(seconds: float) -> None:
    """Everything that waits has waited so much longer."""
    span = timedelta(seconds=seconds)
    moments = ("open_until", "opened_at", "closed_at", "next_retry_at")
    Breaker.objects.update(**{name: F(name) - span for name in moments})
    QueueEntry.objects.filter(due_at__isnull=False).update(due_at=F("due_at") - span)


def look(kind: DeliveryKind) -> None:
    """What a worker does at each poll."""
    outbox.set_aside()
    relay.work(kind, "test")


def queued(partner: TradingPartner, number: int, lane: str = "") -> Transmission:
    row = Transmission.objects.create(
        direction="outbound",
        channel="as2",
        partner=partner,
        state="prepared",
        format="x12",
        content_type="application/edi-x12",
        file_name=f"{number}.edi",
        raw=(blob := Blob.put(f"ISA*{number}~".encode())),
        payload=blob,
    )
    with transaction.atomic():
        outbox.enqueue(DeliveryKind.PARTNER, f"partner:{row.uid}", transmission=row, lanes=[lane] if lane else [])
    return row


def attempts() -> list[int]:
    return list(QueueEntry.objects.order_by("pk").values_list("attempts", flat=True))


# ------------------------------------------------------------------------------------------------------------------ an ERP
def renew_the_token(connection: ErpConnection, erp: ReferenceProcess) -> None:
    release.renew_token(connection, erp.token, actor="ann")


def retry_its_case(connection: ErpConnection, erp: ReferenceProcess) -> None:
    decide.retry(ExceptionCase.objects.get(reason="erp_auth_failed"), actor="ann")


@pytest.fixture
def answers(
    connection: ErpConnection, erp: ReferenceProcess, castra: TradingPartner, take: Any, drain: Any
) -> list[str]:
    """Acknowledgments of eight orders, on their way into the ERP; their keys."""
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    for number in range(8):
        placed = erp.release()
        poll_erp()
        take(acknowledgment(placed.number), message_id=f"m{number}")
    for kind in (DeliveryKind.TRANSLATE, DeliveryKind.APPLY):
        relay.work(kind, "test")
    return list(Delivery.objects.filter(kind="erp").order_by("pk").values_list("key", flat=True))


@pytest.mark.parametrize("mended", [renew_the_token, retry_its_case])
def test_what_an_erp_connection_that_was_blocked_held_up_is_due_as_soon_as_it_is_open(connection, erp, answers, mended):
    release.block(connection, "401", since=timezone.now())
    for _ in range(2):  # each turn of so many would wait for those of the turn before
        make_due()
        look(DeliveryKind.ERP)
    assert not QueueEntry.objects.filter(due_at__lte=Now()).exists()
    mended(connection, erp)
    look(DeliveryKind.ERP)
    assert [erp.applications(key) for key in answers] == [1] * len(answers)


def test_a_new_token_does_not_call_an_erp_that_is_down(connection, erp, answers):
    erp.misbehave("down", count=1000)
    look(DeliveryKind.ERP)
    made = calls(erp)
    release.renew_token(connection, erp.token, actor="ann")
    look(DeliveryKind.ERP)
    assert calls(erp) == made


def acknowledgment(number: str) -> bytes:
    line = {"unit": "EA", "unit_price": "9.95", "product_ids": [{"kind": "buyer_part", "value": "VALVE-7"}]}
    return json.dumps(
        {
            "type": "order_acknowledgment",
            "order_number": number,
            "disposition": "accepted",
            "acknowledged_on": "2026-11-20",
            "lines": [
                {
                    "line_number": "10",
                    "quantity": "100",
                    **line,
                    "responses": [{"status": "accepted", "quantity": "100"}],
                },
                {
                    "line_number": "20",
                    "quantity": "5.5",
                    **line,
                    "responses": [{"status": "accepted", "quantity": "5.5"}],
                },
            ],
        }
    ).encode()


def calls(erp: ReferenceProcess) -> int:
    """Of the calls that were to find it down, how many have come."""
    return 1000 - int(erp.admin("GET", "faults")[0]["count"])


def test_an_erp_that_is_down_gets_five_calls_then_one_a_pause_and_what_waits_is_charged_nothing(answers, erp):
    erp.misbehave("down", count=1000)
    for _ in range(4):
        look(DeliveryKind.ERP)
        poll_erp()
    assert calls(erp) == 5
    assert attempts() == [1, 1, 1, 1, 1, 0, 0, 0]
    pass_time(33)
    make_due()
    for _ in range(4):
        look(DeliveryKind.ERP)
        poll_erp()
    assert calls(erp) <= 7  # a look-up before the same document is sent again is a part of its try
    assert attempts()[5:] == [0, 0, 0]
    assert Breaker.objects.get().pause_s == 60


def test_an_erp_that_is_back_gets_everything_once_in_order(answers, erp):
    erp.misbehave("down", count=1000)
    look(DeliveryKind.ERP)
    erp.behave()
    pass_time(33)
    make_due()
    for _ in range(4):
        look(DeliveryKind.ERP)
    assert breakers.may_call(Breaker.objects.get().remote)
    make_due()
    look(DeliveryKind.ERP)
    assert [erp.applications(key) for key in answers] == [1] * 8
    assert not QueueEntry.objects.filter(kind="erp").exists()
    assert [event.name for event in Event.objects.filter(name__startswith="breaker.").order_by("pk")] == [
        "breaker.opened",
        "breaker.closed",
    ]


def test_another_erp_gets_what_is_its_own_meanwhile(answers, erp, connection, another_erp):
    last = Delivery.objects.get(key=answers[-1])
    Order.objects.filter(number=last.document.number).update(connection=another_erp)
    Delivery.objects.filter(pk=last.pk).update(connection=another_erp)
    QueueEntry.objects.filter(pk=last.pk).update(remote=breakers.erp(another_erp.pk))
    erp.misbehave("down", count=1000)
    look(DeliveryKind.ERP)
    assert not breakers.may_call(breakers.erp(connection.pk))
    assert last.pk not in QueueEntry.objects.filter(attempts=0).values_list("pk", flat=True)
    assert "no order" in Delivery.objects.get(pk=last.pk).last_error  # the other ERP has answered


def test_an_erp_that_refuses_one_document_is_not_left_alone(answers, erp):
    erp.misbehave("reject", count=7, routes=["submit"])
    look(DeliveryKind.ERP)
    assert not Breaker.objects.exists()
    assert sum(erp.applications(key) for key in answers) == 1


@pytest.fixture
def another_erp(connection: ErpConnection, tmp_path: Path) -> Iterator[ErpConnection]:
    process = ReferenceProcess(tmp_path)
    process.start()
    row = ErpConnection.objects.create(code="other", base_url=process.base_url)
    row.set_token(process.token)
    yield row
    process.close()


# ------------------------------------------------------------------------------------------------------- a partner's server
class Flapping:
    """A partner's server that answers for five seconds and fails for five, by a clock of the test."""

    def __init__(self, server: SupplierServer) -> None:
        self.second = 0
        self.answers = server.answer
        server.answer = self.answer

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        return self.answers(headers, body) if self.second // 5 % 2 == 0 else (503, {}, b"")


def test_a_server_that_comes_and_goes_gets_little_more_than_its_messages_and_all_of_them(acme, supplier):
    flapping = Flapping(supplier)
    rows = []
    opened_at = None
    for second in range(120):
        flapping.second = second
        rows.append(queued(acme, second))
        look(DeliveryKind.PARTNER)
        if opened_at is None and not breakers.may_call(breakers.as2(acme.pk)):
            opened_at = second
        pass_time(1)
    assert opened_at is not None and opened_at < 5 + 10
    flapping.second = 0
    for _ in range(40):
        pass_time(60)
        look(DeliveryKind.PARTNER)
    assert not QueueEntry.objects.exists()
    assert len(supplier.received) <= 1.5 * len(rows)
    ids = [as2.receive(headers, body, supplier.terms).message_id for headers, body in supplier.received]
    assert set(ids) == set(Transmission.objects.values_list("message_id", flat=True))
    assert set(Transmission.objects.values_list("state", flat=True)) == {"receipted"}


def test_a_partner_that_hangs_is_left_alone_for_ten_times_as_long(acme, supplier, settings):
    settings.BREAKER_PAUSE_S = 1
    As2Link.objects.update(timeout_s=2)
    over = threading.Event()
    supplier.answer = lambda headers, body: over.wait(60) and None
    for number in range(3):
        queued(acme, number)
    look(DeliveryKind.PARTNER)
    over.set()
    assert attempts() == [1, 0, 0]
    assert Breaker.objects.get().pause_s == pytest.approx(20, abs=5)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 413])
def test_a_server_that_refuses_a_message_is_not_left_alone(acme, supplier, status):
    supplier.answer = lambda headers, body: (status, {}, b"")
    for number in range(6):
        queued(acme, number)
    look(DeliveryKind.PARTNER)
    assert len(supplier.received) == 6
    assert not Breaker.objects.exists()


def test_a_server_behind_a_page_that_says_yes_to_everything_is_left_alone(acme, supplier):
    supplier.answer = lambda headers, body: (200, {"Content-Type": "text/html"}, b"<p>thank you")
    for number in range(8):
        queued(acme, number)
    look(DeliveryKind.PARTNER)
    assert len(supplier.received) == 5
    assert attempts() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_a_server_that_gives_its_receipts_later_is_none_that_fails(acme, supplier):
    ask_for_later_receipts()
    supplier.answer = taken
    for number in range(6):
        queued(acme, number)
    look(DeliveryKind.PARTNER)
    assert len(supplier.received) == 6
    assert breakers.may_call(breakers.as2(acme.pk))


def test_messages_of_one_order_that_waited_arrive_in_their_order(acme, supplier):
    processed = supplier.answer
    rows = [queued(acme, number, lane="order") for number in range(6)]
    supplier.answer = lambda headers, body: None
    for _ in range(5):
        make_due()
        look(DeliveryKind.PARTNER)
    assert not breakers.may_call(breakers.as2(acme.pk))
    supplier.answer = processed
    supplier.received.clear()
    pass_time(33)
    make_due()
    look(DeliveryKind.PARTNER)
    sent = [as2.receive(headers, body, supplier.terms).payload for headers, body in supplier.received]
    assert sent == [f"ISA*{number}~".encode() for number in range(6)]
    assert {row.pk for row in rows} == set(Transmission.objects.filter(state="receipted").values_list("pk", flat=True))
