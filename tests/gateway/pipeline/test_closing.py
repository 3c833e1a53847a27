"""Closing an order: the ERP says so, or a person; then it waits for nothing, and leaves when its time has come."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from gateway import archives, audit, breakers, timers
from gateway.erp.port import OrderFact
from gateway.models import Document, Event, ExceptionCase, Order, OrderState
from gateway.pipeline import closing, escalate, release
from partners import onboarding
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.test_answers import acknowledgment
from tests.gateway.pipeline.test_archives import TOMORROW
from tests.gateway.test_audit_verify import verify

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(connection, erp, castra):
    """An order for CASTRA, in the book."""
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    placed = erp.release()
    poll_erp()
    return placed


def shipped(number: str, quantity: str) -> bytes:
    items = [{"order_number": number, "order_line": "10", "quantity": quantity, "unit": "EA"}]
    return json.dumps({"type": "ship_notice", "shipment_number": "S1", "items": items}).encode()


def state() -> str:
    return Order.objects.get().state


def closed_in_the_erp(erp, connection, order) -> int | None:
    erp.close_order(order)
    return closing.ask(connection, now=timezone.now())


def test_what_the_erp_has_closed_is_closed_and_its_supplier_is_told_nothing(erp, connection, order):
    assert closing.ask(connection, now=timezone.now()) == 0
    assert state() == "open"
    documents = Document.objects.count()
    assert closed_in_the_erp(erp, connection, order) == 1
    assert state() == "closed"
    last = Event.objects.filter(order=Order.objects.get()).latest("pk")
    assert (last.name, last.actor, last.data) == ("order.closed", "gateway", {"reason": "erp"})
    poll_erp()
    assert Document.objects.count() == documents
    assert closing.ask(connection, now=timezone.now()) == 0


def test_an_order_shipped_short_leaves_once_it_is_closed(erp, connection, order, take, drain):
    take(acknowledgment(order.number))
    drain()
    take(shipped(order.number, "60"), message_id="m2")
    drain()
    audit.seal_all()
    assert archives.run(timezone.now(), before=TOMORROW).stays["order is not shipped"] == 3
    closed_in_the_erp(erp, connection, order)
    audit.seal_all()
    archives.run(timezone.now(), before=TOMORROW)
    assert not Order.objects.exists()


def test_an_order_nobody_answered_is_late_no_more_and_leaves(order):
    closing.by_hand(Order.objects.get(), OrderState.CLOSED, actor="ann", now=timezone.now())
    Order.objects.update(ack_due_at=timezone.now())
    escalate.sweep(now=timezone.now())
    assert not ExceptionCase.objects.filter(reason="ack_late").exists()
    audit.seal_all()
    archives.run(timezone.now(), before=TOMORROW)
    assert not Order.objects.exists()


def test_a_shipment_for_a_closed_order_is_a_persons(erp, connection, order, take, drain):
    take(acknowledgment(order.number))
    drain()
    closed_in_the_erp(erp, connection, order)
    take(shipped(order.number, "60"), message_id="m2")
    drain()
    assert "is closed and is shipped" in json.dumps(ExceptionCase.objects.get().detail)


def test_a_change_by_the_buyer_opens_it_again(erp, connection, order):
    closing.by_hand(Order.objects.get(), OrderState.CLOSED, actor="ann", now=timezone.now())
    erp.change(order, "120")
    poll_erp()
    assert state() == "open"


def test_a_closed_order_that_is_cancelled_is_cancelled_and_its_supplier_is_told(erp, connection, order):
    closing.by_hand(Order.objects.get(), OrderState.CLOSED, actor="ann", now=timezone.now())
    documents = Document.objects.count()
    erp.cancel(order)
    poll_erp()
    assert state() == "cancelled"
    assert Document.objects.count() == documents + 1
    assert closing.ask(connection, now=timezone.now()) == 0


def test_what_a_person_closed_stays_closed_though_the_erp_expects_more(connection, order):
    row = Order.objects.get()
    assert closing.by_hand(row, OrderState.CLOSED, actor="ann", now=timezone.now())
    assert not closing.by_hand(row, OrderState.CLOSED, actor="bob", now=timezone.now())
    assert closing.ask(connection, now=timezone.now()) == 0
    assert closing.by_hand(row, OrderState.OPEN, actor="ann", now=timezone.now())
    assert list(Event.objects.filter(actor="ann").order_by("pk").values_list("name", flat=True)) == [
        "order.closed",
        "order.open",
    ]
    audit.seal_all()
    assert verify()[:2] == (0, [])


def test_what_the_erp_had_closed_it_opens_again(connection, order, monkeypatch):
    row = Order.objects.get()
    with_facts(monkeypatch, [fact(row, is_open=False)])
    assert closing.ask(connection, now=timezone.now()) == 1
    with_facts(monkeypatch, [fact(row, is_open=True)])
    assert closing.ask(connection, now=timezone.now()) == 1
    assert state() == "open"


def test_an_order_of_the_same_number_in_another_company_is_another(connection, order, monkeypatch):
    with_facts(monkeypatch, [fact(Order.objects.get(), is_open=False, company="9999")])
    assert closing.ask(connection, now=timezone.now()) == 0


def test_an_erp_that_does_not_say_closes_nothing_and_is_asked_no_more_than_it_bears(erp, connection, order):
    erp.close_order(order)
    erp.misbehave("down", routes=["snapshot"], count=None)
    for _ in range(breakers.IN_A_ROW + 2):
        assert closing.ask(connection, now=timezone.now()) is None
    assert state() == "open"
    assert not breakers.may_call(breakers.erp(connection.pk))


def test_an_erp_that_was_away_is_asked_again_within_the_hour(erp, connection, order):
    erp.close_order(order)
    erp.misbehave("down", routes=["snapshot"])
    turn = timers.TIMERS["closed_orders"].turn
    assert turn(timezone.now()) == timedelta(hours=1)
    assert turn(timezone.now()) is None
    assert state() == "closed"


def test_a_turn_whose_time_is_up_asks_for_no_other_page(connection, order, monkeypatch):
    row, left = Order.objects.get(), [False, True]
    with_facts(monkeypatch, [fact(row, is_open=True)], [fact(row, is_open=False)])
    assert closing.ask(connection, now=timezone.now(), is_over=lambda: left.pop(0)) is None


def fact(order, *, is_open: bool, company: str = "") -> OrderFact:
    return OrderFact(
        order_key=order.erp_key,
        company=company or order.company,
        number=order.number,
        revision=1,
        supplier_number="S-100",
        open=is_open,
    )


def with_facts(monkeypatch, *pages) -> None:
    """An ERP whose snapshot has these pages."""

    class Port:
        def snapshot(self, page: int):
            return pages[page] if page < len(pages) else []

    monkeypatch.setattr(release, "port_of", lambda connection: Port())
