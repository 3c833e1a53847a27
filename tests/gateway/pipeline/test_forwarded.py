"""Forward: what the order book does not judge, an invoice or what is in stock, reaches the ERP once and as it was said."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from edi_maps import canonical
from gateway.endpoints import submissions
from gateway.models import Delivery, DeliveryKind, Document, ErpConnection, ExceptionCase, Order, Transmission
from gateway.pipeline import decide, relay
from partners import onboarding
from tests.gateway.erp.counterpart import order_record
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.queue_rows import make_due

pytestmark = pytest.mark.django_db


def agreed(code: str, *documents: str, channel: str = "as2", format: str = "x12") -> None:
    agreements = [
        {"document": document, "direction": "inbound", "channel": channel, "format": format} for document in documents
    ]
    onboarding.set_up({"code": code, "agreements": agreements})


def x12(group: str, body: str, control: int = 7) -> bytes:
    code = {"IN": "810", "IB": "846"}[group]
    return (
        f"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*{control:09d}*0*P*>~"
        f"GS*{group}*ACMEEDI*PLANTEDI*20261120*1012*{control}*X*004010~ST*{code}*0001~{body}"
        f"SE*{body.count('~') + 2}*0001~GE*1*{control}~IEA*1*{control:09d}~"
    ).encode()


def invoice(number: str, order: str, *, price: str = "9.95", control: int = 7) -> bytes:
    total = f"{int(float(price) * 10_000)}"
    return x12("IN", f"BIG*20261120*{number}*20261101*{order}~IT1*1*100*EA*{price}**BP*VALVE-7~TDS*{total}~", control)


def stock(number: str) -> bytes:
    return x12("IB", f"BIA*00*SI*{number}*20261120*1012~LIN**BP*VALVE-7*VN*A-7~QTY*33*150*EA~CTT*1~")


@pytest.fixture
def order(connection, erp, acme, drain):
    """An order ACME has received, in the book of PLANT1."""
    agreed("ACME", "invoice", "inventory_advice")
    placed = erp.release()
    poll_erp()
    drain()
    return placed


def of_erp() -> Delivery:
    return Delivery.objects.get(kind="erp")


def again() -> None:
    make_due(kind="erp")
    relay.work(DeliveryKind.ERP, "test", most=1)


def received(number: str = "") -> Document:
    return Document.objects.get(direction="inbound", **({"number": number} if number else {}))


def taken(erp, key: str) -> dict[str, object]:
    return next(one for one in erp.admin("GET", "effects") if one["key"] == key)


def test_an_invoice_reaches_the_erp_of_its_order_as_it_was_said(order, acme, erp, take, drain):
    take(invoice("INV-1", order.number), partner=acme)
    drain()
    document, delivery = received(), of_erp()
    assert (document.state, document.type, document.order.number) == ("relayed", "invoice", order.number)
    effect = taken(erp, delivery.key)
    assert {name: effect[name] for name in ("kind", "company", "supplier_number", "number", "applications")} == {
        "kind": "invoice",
        "company": "PLANT1",
        "supplier_number": "S-100",
        "number": "INV-1",
        "applications": 1,
    }
    assert erp.kept("invoices", delivery.key) == canonical.dump(canonical.load(document.record))
    assert not ExceptionCase.objects.exists()


def test_the_order_book_is_none_the_wiser(order, acme, take, drain):
    take(invoice("INV-1", order.number), partner=acme)
    drain()
    row = Order.objects.get()
    assert row.acknowledged_revision is None
    assert [line.confirmed + line.shipped for line in row.lines.all()] == [Decimal(0), Decimal(0)]


def test_what_is_in_stock_reaches_the_only_erp_there_is(connection, erp, acme, take, drain):
    agreed("ACME", "inventory_advice")
    take(stock("STOCK-1"), partner=acme)
    drain()
    assert received().state == "relayed"
    assert (taken(erp, of_erp().key)["kind"], taken(erp, of_erp().key)["company"]) == ("inventory_advice", "")


def test_it_is_the_companys_that_all_orders_are_of(order, acme, erp, take, drain):
    take(stock("STOCK-1"), partner=acme)
    drain()
    assert taken(erp, of_erp().key)["company"] == "PLANT1"


def test_it_is_nobodys_when_orders_of_two_companies_are_there(order, acme, erp, take, drain):
    body = {"company": "PLANT2", "supplier_number": "S-100", "record": order_record("OTHER-1")}
    erp.admin("POST", "release", body)
    poll_erp()
    take(stock("STOCK-1"), partner=acme)
    take(invoice("INV-1", "OTHER-1", control=8), partner=acme, message_id="m2")
    drain()
    companies = {row.document.type: row.company for row in Delivery.objects.filter(kind="erp")}
    assert companies == {"inventory_advice": "", "invoice": "PLANT2"}


@pytest.mark.parametrize("fault", ["lose_answer", "late_500", "garbage"])
def test_an_erp_that_took_it_and_did_not_say_so_is_asked_first(order, acme, erp, take, drain, fault):
    take(invoice("INV-1", order.number), partner=acme)
    erp.misbehave(fault, routes=["submit"])
    drain()
    assert of_erp().standing == "in_doubt"
    again()
    assert (of_erp().standing, received().state) == ("delivered", "relayed")
    assert len(erp.requests(of_erp().key)) == erp.applications(of_erp().key) == 1


def test_an_erp_that_refuses_it_makes_a_case_in_its_own_words_and_a_retry_ends_it(order, acme, erp, take, drain):
    take(invoice("INV-1", order.number), partner=acme)
    erp.misbehave("reject", routes=["submit"])
    drain()
    case = ExceptionCase.objects.get()
    assert (case.reason, received().state) == ("erp_refused", "translated")
    assert "Posting period 10 is closed" in case.detail["why"]
    decide.retry(case, actor="ann")
    drain()
    assert received().state == "relayed"


def test_the_same_invoice_in_a_new_message_is_not_a_second_invoice(order, acme, take, drain):
    take(invoice("INV-1", order.number, control=7), partner=acme, message_id="m1")
    take(invoice("INV-1", order.number, control=8), partner=acme, message_id="m2")
    drain()
    rows = Document.objects.filter(direction="inbound").order_by("pk")
    assert [row.state for row in rows] == ["relayed", "discarded"]
    assert Delivery.objects.filter(kind="erp").count() == 1


def test_an_invoice_that_says_another_thing_under_its_number_is_the_erps_to_judge(order, acme, take, drain):
    take(invoice("INV-1", order.number, control=7), partner=acme, message_id="m1")
    take(invoice("INV-1", order.number, price="9.50", control=8), partner=acme, message_id="m2")
    drain()
    assert [row.state for row in Delivery.objects.filter(kind="erp")] == ["delivered", "delivered"]


def test_invoices_of_one_number_go_in_the_order_they_came_and_hold_no_other(order, acme, erp, take, drain):
    take(invoice("INV-1", order.number, control=7), partner=acme, message_id="m1")
    erp.misbehave("reject", routes=["submit"])
    drain()
    take(invoice("INV-1", order.number, price="9.50", control=8), partner=acme, message_id="m2")
    take(invoice("INV-2", order.number, control=9), partner=acme, message_id="m3")
    drain()
    states = [(row.document.number, row.standing) for row in Delivery.objects.filter(kind="erp").order_by("pk")]
    assert states == [("INV-1", "dead"), ("INV-1", "pending"), ("INV-2", "delivered")]


def test_a_document_that_two_erps_could_be_meant_by_waits_for_a_person(connection, acme, take, drain):
    other = ErpConnection.objects.create(code="other", base_url=connection.base_url)
    agreed("ACME", "inventory_advice")
    take(stock("STOCK-1"), partner=acme)
    drain()
    case = ExceptionCase.objects.get()
    assert (case.reason, received().state) == ("erp_unknown", "held")
    other.active = False
    other.save()
    decide.replay(case, actor="ann")
    drain()
    assert sorted(Document.objects.filter(direction="inbound").values_list("state", flat=True)) == [
        "relayed",
        "replayed",
    ]


def test_without_an_agreement_it_goes_nowhere(connection, acme, take, drain):
    take(invoice("INV-1", "PO-1"), partner=acme)
    drain()
    assert (received().state, ExceptionCase.objects.get().reason) == ("rejected", "no_agreement")
    assert not Delivery.objects.filter(kind="erp").exists()


# -- as JSON, and what its sender is told


BILL = {"type": "invoice", "number": "INV-9", "invoiced_on": "2026-11-20", "totals": {"amount": "995.00"}}


def told() -> dict[str, str]:
    said = submissions.standing(Transmission.objects.get(direction="inbound"))
    return {name: said[name] if name == "state" else said[name]["state"] for name in ("state", "business", "delivery")}


def test_an_invoice_as_json_is_posted_and_the_order_book_has_nothing_to_say(connection, erp, castra, take, drain):
    agreed("CASTRA", "invoice", channel="rest", format="canonical_json")
    take(json.dumps(BILL).encode())
    relay.work(DeliveryKind.TRANSLATE, "test")
    assert told() == {"state": "accepted", "business": "none", "delivery": "none"}
    drain()
    assert told() == {"state": "posted", "business": "none", "delivery": "delivered"}
    assert erp.applications(of_erp().key) == 1


def test_its_sender_is_told_that_we_must_find_its_erp(castra, take, drain):
    agreed("CASTRA", "invoice", channel="rest", format="canonical_json")
    take(json.dumps(BILL).encode())
    drain()
    assert told() == {"state": "accepted", "business": "held", "delivery": "none"}
    business = submissions.standing(Transmission.objects.get())["business"]
    assert (business["reason"], business["actor"]) == ("erp_unknown", "operator")
