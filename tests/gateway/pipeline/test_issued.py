"""Issue: schedules and receiving advices that the ERP releases reach their supplier by agreement, once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from edi_maps import x12
from edi_maps.canonical import (
    CalledOffItem,
    CalledOffQuantity,
    PlannedItem,
    PlannedQuantity,
    PlanningSchedule,
    ProductId,
    PurchaseOrder,
    ReceivedLine,
    ReceivingAdvice,
    ShippingSchedule,
)
from gateway import outbox
from gateway.models import Delivery, Document, ExceptionCase
from gateway.pipeline import decide
from partners import onboarding
from tests.gateway.pipeline.conftest import poll_erp

pytestmark = pytest.mark.django_db

PART = (ProductId(kind="buyer_part", value="VALVE-7"),)


def forecast(number: str, quantity: str = "120") -> PlanningSchedule:
    planned = PlannedQuantity(quantity=Decimal(quantity), certainty="firm", bucket="week", on=date(2026, 12, 7))
    return PlanningSchedule(
        number=number,
        basis="delivery",
        counting="discrete",
        issued_on=date(2026, 11, 20),
        starts_on=date(2026, 12, 1),
        ends_on=date(2026, 12, 31),
        items=(PlannedItem(product_ids=PART, unit="EA", schedules=(planned,)),),
    )


def call_off(number: str) -> ShippingSchedule:
    wanted = CalledOffQuantity(quantity=Decimal(40), certainty="firm", bucket="day", on=date(2026, 12, 2))
    return ShippingSchedule(
        number=number,
        basis="delivery",
        counting="discrete",
        issued_on=date(2026, 11, 20),
        starts_on=date(2026, 12, 1),
        ends_on=date(2026, 12, 4),
        items=(CalledOffItem(product_ids=PART, unit="EA", schedules=(wanted,)),),
    )


def receipt(number: str, order_number: str = "45-1") -> ReceivingAdvice:
    line = ReceivedLine(order_number=order_number, received=Decimal(58), unit="EA", product_ids=PART)
    return ReceivingAdvice(
        number=number, kind="posted", created_on=date(2026, 11, 20), shipment_number="SH-1", lines=(line,)
    )


def agreed(*documents: str, **more: object) -> None:
    agreements = [
        {"document": document, "direction": "outbound", "channel": "as2", "format": "x12"} for document in documents
    ]
    onboarding.set_up({"code": "ACME", "agreements": agreements, **more})


def sent() -> Document:
    return Document.objects.get(direction="outbound")


@pytest.mark.parametrize(
    ("make", "code", "group", "quantity_in"),
    [
        (forecast, "830", "PS", lambda record: record.items[0].schedules[0].quantity),
        (call_off, "862", "SS", lambda record: record.items[0].schedules[0].quantity),
        (receipt, "861", "RC", lambda record: record.lines[0].received),
    ],
)
def test_what_the_erp_releases_leaves_as_x12_and_says_what_the_erp_said(
    connection, erp, acme, drain, supplier, make, code, group, quantity_in
):
    record = make(f"N-{code}")
    agreed(record.type)
    erp.issue(record)
    assert poll_erp() == 1
    drain()
    document = sent()
    assert (document.code, document.type, document.number, document.state) == (
        code,
        record.type,
        record.number,
        "relayed",
    )
    [interchange] = x12.read(document.transmission.payload.content)
    [read] = interchange.groups[0].sets
    assert (interchange.groups[0].functional_id, read.verdict) == (group, "accepted")
    assert (read.record.number, quantity_in(read.record)) == (record.number, quantity_in(record))
    assert len(supplier.received) == 1


def test_a_schedule_that_is_named_twice_because_the_settling_was_lost_leaves_once(connection, erp, acme):
    agreed("planning_schedule")
    erp.issue(forecast("FC-1"))
    erp.misbehave("down", routes=["settle"])
    poll_erp()
    poll_erp()
    assert Document.objects.count() == Delivery.objects.count() == 1


def test_a_schedule_that_is_released_again_leaves_again_behind_the_first(connection, erp, acme):
    agreed("planning_schedule")
    erp.issue(forecast("FC-2"))
    poll_erp()
    erp.issue(forecast("FC-2", quantity="80"))
    poll_erp()
    quantities = [row.record["items"][0]["schedules"][0]["quantity"] for row in Document.objects.order_by("pk")]
    assert quantities == ["120", "80"]
    first, second = Delivery.objects.order_by("pk")
    assert outbox.lanes_of(first) == outbox.lanes_of(second)


def test_a_receiving_advice_stands_in_the_timeline_of_its_order(connection, erp, acme):
    agreed("receiving_advice")
    placed = erp.release()
    poll_erp()
    erp.issue(receipt("RA-1", placed.number))
    poll_erp()
    assert Document.objects.get(type="receiving_advice").order.number == placed.number


def test_without_an_agreement_it_waits_and_leaves_once_there_is_one(connection, erp, acme):
    erp.issue(forecast("FC-3"))
    poll_erp()
    case = ExceptionCase.objects.get()
    assert (case.reason, sent().state) == ("no_agreement", "held")
    with pytest.raises(decide.NotPossible, match="planning schedule"):
        decide.replay(case, actor="ann")
    agreed("planning_schedule")
    decide.replay(case, actor="ann")
    assert (sent().state, sent().code, Delivery.objects.get().kind) == ("translated", "830", "partner")


def test_a_suspended_supplier_gets_none(connection, erp, acme):
    agreed("planning_schedule", state="suspended")
    erp.issue(forecast("FC-4"))
    poll_erp()
    assert (sent().state, ExceptionCase.objects.get().reason) == ("held", "no_agreement")


def test_a_supplier_that_fetches_its_documents_gets_none_as_long_as_only_orders_can_be_fetched(connection, erp, castra):
    onboarding.set_up(
        {
            "code": "CASTRA",
            "supplier_numbers": ["S-100"],
            "agreements": [
                {
                    "document": "planning_schedule",
                    "direction": "outbound",
                    "channel": "rest",
                    "format": "canonical_json",
                }
            ],
        }
    )
    erp.issue(forecast("FC-5"))
    poll_erp()
    assert (sent().state, ExceptionCase.objects.get().reason) == ("held", "no_agreement")


def test_a_supplier_nobody_onboarded_is_a_case_and_the_document_is_loaded_again(connection, erp, acme):
    agreed("planning_schedule")
    erp.issue(forecast("FC-6"), supplier_number="S-600")
    assert poll_erp() == 1
    case = ExceptionCase.objects.get()
    assert (case.reason, Document.objects.count()) == ("unknown_partner", 0)
    onboarding.set_up({"code": "ACME", "supplier_numbers": ["S-600"]})
    decide.replay(case, actor="ann")
    assert sent().number == "FC-6"


def test_an_order_that_is_released_as_a_document_is_not_taken_for_one(connection, erp, acme):
    erp.issue(PurchaseOrder(number="PO-7", ordered_on=date(2026, 11, 20)))
    assert poll_erp() == 1
    assert ExceptionCase.objects.get().reason == "order_unusable"
    assert not Document.objects.exists()


def test_one_that_cannot_be_said_in_x12_waits_for_a_person_with_the_reason(connection, erp, acme):
    agreed("planning_schedule")
    erp.issue(forecast("FC*7"))
    poll_erp()
    case = ExceptionCase.objects.get()
    assert (case.reason, sent().state) == ("document_unwritable", "held")
    assert "BFR" in case.detail["why"]
    assert not Delivery.objects.exists()


def test_an_erp_that_does_not_give_it_is_asked_again(connection, erp, acme):
    agreed("planning_schedule")
    erp.issue(forecast("FC-8"))
    erp.misbehave("error_500", routes=["load"])
    assert poll_erp() == 0
    assert poll_erp() == 1
    assert sent().number == "FC-8"
