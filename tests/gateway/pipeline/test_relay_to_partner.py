"""Relay to a partner: the same bytes under the same id until a receipt says yes or no."""

from __future__ import annotations

import pytest

from gateway.models import Delivery, DeliveryKind, Document, ExceptionCase, Transmission
from gateway.pipeline import decide, escalate, relay
from gateway.transports import as2
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.queue_rows import make_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(connection, erp, acme):
    """An order of the ERP, prepared for ACME and due."""
    placed = erp.release()
    poll_erp()
    return placed


def sent() -> Transmission:
    return Transmission.objects.get(direction="outbound")


def try_once() -> None:
    make_due()
    relay.work(DeliveryKind.PARTNER, "test", most=1)


def test_an_order_arrives_signed_and_encrypted_and_its_receipt_is_kept(order, supplier):
    try_once()
    (headers, body), *more = supplier.received
    assert more == []
    received = as2.receive(headers, body, supplier.terms)
    assert received.payload == sent().payload.content
    assert order.number.encode() in received.payload
    assert sent().state == "receipted"
    assert sent().answer is not None
    assert Document.objects.get(direction="outbound").state == "relayed"


def test_a_lost_answer_is_followed_by_the_very_same_bytes(order, supplier):
    processed = supplier.answer
    supplier.answer = lambda headers, body: None
    try_once()
    assert Delivery.objects.get().standing == "in_doubt"
    supplier.answer = processed
    try_once()
    (first_headers, first_body), (again_headers, again_body) = supplier.received
    assert again_body == first_body
    assert again_headers == first_headers
    assert sent().state == "receipted"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_server_that_is_busy_is_tried_again(order, supplier, status):
    supplier.answer = lambda headers, body: (status, {}, b"")
    try_once()
    assert Delivery.objects.get().standing in {"pending", "in_doubt"}


@pytest.mark.parametrize("status", [301, 401, 403, 404, 413])
def test_a_server_that_refuses_makes_a_dead_letter_and_a_case(order, supplier, status):
    supplier.answer = lambda headers, body: (status, {"Location": "http://127.0.0.1:1/"}, b"")
    try_once()
    escalate.sweep(now=sent().at)
    assert Delivery.objects.get().standing == "dead"
    assert str(status) in ExceptionCase.objects.get().summary


def test_a_partner_that_is_down_is_tried_again_on_the_schedule(order, supplier, settings):
    settings.RETRY_SCHEDULE_MIN = {**settings.RETRY_SCHEDULE_MIN, "partner": [1, 2]}
    supplier.shutdown()
    supplier.server_close()
    for _ in range(3):
        try_once()
    escalate.sweep(now=sent().at)
    assert Delivery.objects.get().standing == "dead"
    assert ExceptionCase.objects.get().reason == "partner_unreachable"


def test_success_without_a_receipt_is_not_delivered(order, supplier):
    supplier.answer = lambda headers, body: (200, {"Content-Type": "text/html"}, b"<p>thank you")
    try_once()
    assert Delivery.objects.get().standing == "in_doubt"
    assert sent().state == "prepared"


def test_a_receipt_that_rejects_ends_the_tries_and_a_person_sends_it_anew(order, supplier):
    processed = supplier.answer

    def refuses(headers, body):
        mdn = as2.build_mdn(
            headers, terms=supplier.terms, disposition="processed/error: decryption-failed", mic=None, text="No."
        )
        return 200, mdn.headers, mdn.body

    supplier.answer = refuses
    try_once()
    assert sent().state == "rejected"
    case = ExceptionCase.objects.get()
    assert case.reason == "receipt_rejected"
    supplier.answer = processed
    decide.retry(case, actor="ann")
    try_once()
    rejected, anew = Transmission.objects.filter(direction="outbound").order_by("pk")
    assert (rejected.state, anew.state) == ("rejected", "receipted")
    assert rejected.message_id != anew.message_id
    assert rejected.payload == anew.payload
    assert Document.objects.get(direction="outbound").state == "relayed"


def test_a_receipt_for_another_message_changes_nothing(order, supplier):
    def foreign(headers, body):
        received = as2.receive(headers, body, supplier.terms)
        mdn = as2.build_mdn(
            {**headers, "Message-ID": "<other@plant.example>"},
            terms=supplier.terms,
            mic=(received.mic, received.mic_algorithm),
            text="Taken.",
        )
        return 200, mdn.headers, mdn.body

    supplier.answer = foreign
    try_once()
    assert sent().state == "prepared"
    assert Delivery.objects.get().standing == "in_doubt"


def test_a_second_revision_waits_for_the_first(order, erp, supplier):
    erp.change(order, "120")
    poll_erp()
    supplier.answer = lambda headers, body: (503, {}, b"")
    make_due()
    relay.work(DeliveryKind.PARTNER, "test")
    first, second = Delivery.objects.order_by("pk")
    assert (first.entry.attempts, second.entry.attempts) == (1, 0)
