"""What has left for an archive is known when it comes again: an interchange by its numbers, an invoice by its number and words."""

from __future__ import annotations

import pytest
from django.utils import timezone

from gateway import archives, audit
from gateway.models import Archive, Delivery, Document, ExceptionCase, Interchange, Order, OrderState, Transmission
from gateway.pipeline import closing
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.test_archives import TOMORROW
from tests.gateway.pipeline.test_forwarded import agreed, invoice

pytestmark = pytest.mark.django_db


@pytest.fixture
def number(connection, erp, acme, drain):
    """That of an order ACME has received."""
    agreed("ACME", "invoice")
    placed = erp.release()
    poll_erp()
    drain()
    return placed.number


@pytest.fixture
def archived(number, acme, take, drain) -> Archive:
    """INV-1 of ACME, which came in interchange 7 and is in the ERP, and all that was in the tables."""
    take(invoice("INV-1", number, control=7), partner=acme)
    drain()
    assert came_again() == ["relayed"]
    closing.by_hand(Order.objects.get(), OrderState.CLOSED, actor="ann", now=timezone.now())
    audit.seal_all()
    [made] = archives.run(timezone.now(), before=TOMORROW).archives
    assert not Transmission.objects.exists()
    assert not Interchange.objects.exists()
    return made


def came_again() -> list[str]:
    return list(Document.objects.filter(direction="inbound").order_by("pk").values_list("state", flat=True))


def test_an_interchange_that_comes_again_in_another_message_is_passed_over_whole(archived, acme, take, drain):
    take(invoice("INV-2", "OTHER-1", control=7), partner=acme, message_id="m2")
    drain()
    assert came_again() == ["rejected"]
    assert not Delivery.objects.filter(kind="erp").exists()
    assert ExceptionCase.objects.get().reason == "interchange_repeated"
    assert b"TA1*000000007*" in Transmission.objects.get(direction="outbound").payload.content


def test_the_same_number_from_another_partners_address_is_another_interchange(archived, acme, take, drain):
    take(invoice("INV-2", "OTHER-1", control=7).replace(b"ACMEEDI  ", b"ACMEEDI2 "), partner=acme, message_id="m2")
    drain()
    assert not ExceptionCase.objects.filter(reason="interchange_repeated").exists()


def test_an_invoice_that_comes_again_is_not_a_second_invoice(archived, number, acme, take, drain):
    take(invoice("INV-1", number, control=8), partner=acme, message_id="m2")
    drain()
    assert came_again() == ["discarded"]
    assert not Delivery.objects.filter(kind="erp").exists()


def test_an_invoice_that_says_another_thing_under_its_number_is_the_erps_to_judge(archived, number, acme, take, drain):
    take(invoice("INV-1", number, price="9.50", control=8), partner=acme, message_id="m2")
    drain()
    assert came_again() == ["relayed"]


def test_what_is_back_from_its_archive_is_known_as_before(archived, number, acme, take, drain):
    archives.restore(archived, actor="ann", now=timezone.now())
    take(invoice("INV-1", number, control=8), partner=acme, message_id="m2")
    take(invoice("INV-2", number, control=7), partner=acme, message_id="m3")
    drain()
    assert came_again() == ["relayed", "discarded", "rejected"]
