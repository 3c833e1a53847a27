"""The order book: revisions and echoes, answers compared and applied, shipments against what is open."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from edi_maps import canonical
from edi_maps.canonical import OrderAcknowledgment, PurchaseOrder, ShipNotice
from edi_maps.findings import Severity
from gateway import order_book
from gateway.models import (
    Document,
    ErpConnection,
    Event,
    Order,
    OrderLine,
    OrderState,
    Promise,
    ShippedQuantity,
)
from gateway.order_book import content
from gateway.order_book.shipments import sscc_is_valid
from partners.models import TradingPartner
from partners.profiles import AckTerms
from tests.services import need

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EXACT = AckTerms()
LOOSE = AckTerms(quantity_tolerance=Decimal("0.05"), price_tolerance=Decimal("0.02"), days_early=2, days_late=1)

LINE_10: dict[str, Any] = {
    "line_number": "10",
    "quantity": "100",
    "unit": "EA",
    "unit_price": "2.50",
    "product_ids": [{"kind": "buyer_part", "value": "B-77"}, {"kind": "gtin", "value": "00012345678905"}],
    "dates": {"delivery_requested": "2026-04-10"},
}
LINE_20: dict[str, Any] = {
    "line_number": "20",
    "quantity": "40",
    "unit": "EA",
    "unit_price": "11",
    "product_ids": [{"kind": "buyer_part", "value": "B-78"}],
}


# -- givens


def purchase_order(*lines: dict[str, Any], **header: Any) -> PurchaseOrder:
    record = canonical.load(
        {"type": "purchase_order", "number": "4711", "currency": "EUR", "lines": lines or (LINE_10, LINE_20), **header}
    )
    assert isinstance(record, PurchaseOrder)
    return record


def acknowledgment(disposition: str, *lines: dict[str, Any], **header: Any) -> OrderAcknowledgment:
    record = canonical.load(
        {"type": "order_acknowledgment", "order_number": "4711", "disposition": disposition, "lines": lines, **header}
    )
    assert isinstance(record, OrderAcknowledgment)
    return record


def answer(number: str | None, *responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"line_number": number, "responses": responses, **more}


def ship_notice(*items: dict[str, Any], number: str = "S-1", **header: Any) -> ShipNotice:
    record = canonical.load({"type": "ship_notice", "shipment_number": number, "items": items, **header})
    assert isinstance(record, ShipNotice)
    return record


def item(
    line: str | None = "10", quantity: str | None = "100", order: str | None = "4711", **more: Any
) -> dict[str, Any]:
    return {"order_number": order, "order_line": line, "quantity": quantity, "unit": "EA", **more}


def released(
    revision: int = 1,
    record: PurchaseOrder | None = None,
    *,
    cancelled: bool = False,
    company: str = "1000",
    number: str = "4711",
) -> order_book.Released:
    partner, _ = TradingPartner.objects.get_or_create(code="ACME", defaults={"name": "Acme Castings"})
    erp, _ = ErpConnection.objects.get_or_create(code="ERP1", defaults={"base_url": "https://erp.example/"})
    with transaction.atomic():
        return order_book.release(
            connection=erp,
            company=company,
            number=number,
            erp_key=f"{company}:{number}",
            revision=revision,
            cancelled=cancelled,
            record=record or purchase_order(),
            partner_id=partner.pk,
            ack_due_at=NOON + timedelta(hours=24),
            now=NOON,
        )


def document(kind: str = "order_acknowledgment") -> Document:
    partner = TradingPartner.objects.get(code="ACME")
    return Document.objects.create(direction="inbound", channel="as2", partner=partner, type=kind, format="x12")


def acknowledged(order: Order, record: OrderAcknowledgment, source: Document | None = None) -> Document:
    source = source or document()
    with transaction.atomic():
        order_book.hold_with_lines([order])
        order_book.apply_acknowledgment(order, record, source, now=NOON)
    return source


def shipped(order: Order, record: ShipNotice, source: Document | None = None, *others: Order) -> Document:
    source = source or document("ship_notice")
    with transaction.atomic():
        order_book.apply_ship_notice(record, source, [order, *others], now=NOON)
    return source


def sums(order: Order) -> dict[str, tuple[int, ...]]:
    """Line → confirmed, backordered, refused, shipped, open."""
    return {
        line.line_number: tuple(
            int(value) for value in (line.confirmed, line.backordered, line.refused, line.shipped, line.open)
        )
        for line in order.lines.order_by("line_number")
    }


def said(
    differences: Iterable[order_book.Difference], severity: Severity = Severity.ERROR
) -> list[tuple[str | None, str]]:
    return [(found.line, found.field) for found in differences if found.severity is severity]


@pytest.fixture
def order(db: None) -> Order:
    return released().order


# -- release


def test_a_new_order_is_released_with_its_lines_and_its_revision(order):
    assert (order.state, order.revision, order.currency) == (OrderState.OPEN, 1, "EUR")
    line = order.lines.get(line_number="10")
    assert (line.ordered, line.unit, line.unit_price, line.requested_on) == (
        100,
        "EA",
        Decimal("2.5"),
        date(2026, 4, 10),
    )
    assert canonical.load(order.revisions.get().record) == purchase_order()
    assert Event.objects.get(order=order).name == "order.released"


def test_the_same_revision_again_changes_nothing(order):
    before = Event.objects.count()
    again = released()
    assert (again.change, again.order.pk) == ("unchanged", order.pk)
    assert order.revisions.count() == 1
    assert Event.objects.count() == before


def test_a_higher_quantity_is_a_change(order):
    result = released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    assert result.change == "changed"
    assert result.order.revision == 2
    assert result.order.lines.get(line_number="10").ordered == 120
    assert [row.number for row in order.revisions.order_by("number")] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "CA"},
        {"unit_price": "2.51"},
        {"dates": {"delivery_requested": "2026-04-11"}},
        {"product_ids": [{"kind": "buyer_part", "value": "B-99"}]},
        {"parties": [{"role": "ship_to", "name": "Dock 9"}]},
        {"schedules": [{"quantity": "100", "on": "2026-04-20"}]},
        {"destinations": [{"location": "S001", "quantity": "100"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_buyer_owns_makes_a_change(order, change):
    assert released(2, purchase_order({**LINE_10, **change}, LINE_20)).change == "changed"


@pytest.mark.parametrize(
    "echo",
    [
        {"dates": {**LINE_10["dates"], "delivery_promised": "2026-05-01"}},
        {"description": "Bracket, as confirmed"},
        {"quantity": "100.000", "unit_price": "2.5000"},
        {"product_ids": [*LINE_10["product_ids"], {"kind": "vendor_part", "value": "V-1"}]},
        {"line_number": "0010"},
        {"notes": [{"text": "confirmed by supplier"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_echo_of_our_own_answer_is_no_change(order, echo):
    result = released(2, purchase_order({**LINE_10, **echo}, LINE_20))
    assert result.change == "unchanged"
    assert result.order.revision == 2
    assert Event.objects.filter(name="order.unchanged").count() == 1


def test_the_order_of_the_lines_is_no_change(order):
    assert released(2, purchase_order(LINE_20, LINE_10)).change == "unchanged"


def test_a_new_ship_to_of_the_whole_order_is_a_change(order):
    assert released(2, purchase_order(parties=[{"role": "ship_to", "id": "P2"}])).change == "changed"


def test_an_older_revision_is_stale_and_changes_nothing(order):
    released(3, purchase_order({**LINE_10, "quantity": "130"}))
    result = released(2, purchase_order({**LINE_10, "quantity": "120"}))
    assert (result.change, result.revision_row) == ("stale", None)
    order.refresh_from_db()
    assert order.revision == 3
    assert order.lines.get(line_number="10").ordered == 130


def test_a_line_that_is_gone_is_marked_and_comes_back_when_it_does(order):
    released(2, purchase_order(LINE_10))
    gone = order.lines.get(line_number="20")
    assert (gone.deleted, gone.open) == (True, 0)
    released(3)
    gone.refresh_from_db()
    assert (gone.deleted, gone.open) == (False, 40)


def test_a_change_keeps_what_the_supplier_said(order):
    acknowledged(order, acknowledgment("accepted"))
    shipped(order, ship_notice(item(quantity="30")))
    released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    assert sums(order)["10"] == (100, 0, 0, 30, 90)


def test_a_cancellation_is_told_once(order):
    assert released(2, cancelled=True).change == "cancelled"
    order.refresh_from_db()
    assert (order.state, order.ack_due_at) == (OrderState.CANCELLED, None)
    assert released(3, cancelled=True).change == "unchanged"
    assert Event.objects.filter(name="order.cancelled").count() == 1


def test_a_cancellation_can_be_taken_back(order):
    released(2, cancelled=True)
    result = released(3)
    assert (result.change, result.order.state) == ("changed", OrderState.OPEN)


def test_an_order_cancelled_before_we_knew_it_is_told_to_nobody(db):
    result = released(4, cancelled=True)
    assert (result.change, result.order.state) == ("unchanged", OrderState.CANCELLED)


def test_a_change_after_goods_were_announced_says_so(order):
    assert released(2, purchase_order({**LINE_10, "quantity": "90"})).after_shipment is False
    shipped(order, ship_notice(item(quantity="10")))
    assert released(3, purchase_order({**LINE_10, "quantity": "80"})).after_shipment is True


def test_the_same_number_in_two_companies_is_two_orders(order):
    assert released(company="2000").order.pk != order.pk


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (({**LINE_10, "line_number": None},), "a line number has 1 to 20 characters"),
        ((LINE_10, {**LINE_20, "line_number": "010"}), "two lines 010"),
        (({**LINE_10, "quantity": None},), "no quantity is not a quantity"),
        (({**LINE_10, "quantity": "-1"},), "-1 is not a quantity"),
        (({**LINE_10, "quantity": "123456789012345678"},), "is not a quantity"),
        (({**LINE_10, "unit_price": "1" + "0" * 15},), "is not a price"),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused_in_words_and_whole(db, lines, words):
    with pytest.raises(order_book.UnusableOrder, match=words):
        released(record=purchase_order(*lines))
    assert not Order.objects.exists()


def test_other_content_under_a_known_revision_is_refused_not_swallowed(order):
    with pytest.raises(order_book.UnusableOrder, match="without a new revision"):
        released(1, purchase_order({**LINE_10, "quantity": "5"}))


def test_release_outside_a_transaction_is_refused(transactional_db):
    with pytest.raises(transaction.TransactionManagementError):
        order_book.release(
            connection=ErpConnection(),
            company="1000",
            number="1",
            erp_key="",
            revision=1,
            cancelled=False,
            record=purchase_order(),
            partner_id=1,
            ack_due_at=None,
            now=NOON,
        )


def test_a_revision_is_told_in_words():
    before = purchase_order(LINE_10, LINE_20, parties=[{"role": "ship_to", "name": "Dock 1"}])
    after = purchase_order(
        {**LINE_10, "line_number": "0010", "quantity": "120", "unit_price": None, "dates": {}},
        {**LINE_10, "line_number": "30", "quantity": "7"},
        currency="USD",
        parties=[{"role": "ship_to", "id": "D2"}],
    )
    assert list(order_book.changes(before, after)) == [
        "Currency EUR → USD",
        "Ship to Dock 1 → D2",
        "Line 0010: quantity 100 → 120",
        "Line 0010: price 2.5 → none",
        "Line 0010: wanted for 2026-04-10 → none",
        "Line 30: new, 7 EA",
        "Line 20: deleted",
    ]
    assert list(order_book.changes(before, before)) == []


# -- find


def test_an_order_is_found_by_partner_and_number(order):
    assert order_book.find(order.partner_id, " 4711 ") == order
    assert order_book.find(order.partner_id, "4712") is None
    assert order_book.find(order.partner_id + 1, "4711") is None


def test_a_number_of_two_companies_is_not_guessed(order):
    released(company="2000")
    with pytest.raises(order_book.AmbiguousOrder, match="ERP1/1000, ERP1/2000") as ambiguous:
        order_book.find(order.partner_id, "4711")
    assert ambiguous.value.companies == ("ERP1/1000", "ERP1/2000")
    assert order_book.find(order.partner_id, "4711", company="1000") == order


# -- acknowledgments compared


def differences(order: Order, record: OrderAcknowledgment, terms: AckTerms = EXACT) -> list[order_book.Difference]:
    return order_book.compare_acknowledgment(order, record, terms)


def one(order: Order, *responses: dict[str, Any], terms: AckTerms = EXACT, **more: Any) -> list[order_book.Difference]:
    """The differences of an answer to line 10 alone; the rest of the order is accepted."""
    return differences(order, acknowledgment("exceptions_only", answer("10", *responses, **more)), terms)


@pytest.mark.parametrize("disposition", ["accepted", "exceptions_only"])
def test_a_header_that_accepts_differs_in_nothing(order, disposition):
    assert differences(order, acknowledgment(disposition)) == []


def test_lines_echoed_without_a_response_are_accepted_as_echoed(order):
    same = [{"line_number": "10", "quantity": "100", "unit": "ea"}, {"line_number": "0020", "unit_price": "11.00"}]
    assert differences(order, acknowledgment("accepted", *same)) == []
    [found] = differences(order, acknowledgment("accepted", {"line_number": "10", "quantity": "80"}))
    assert found.as_dict() == {
        "field": "quantity",
        "line": "10",
        "ordered": "100",
        "answered": "80",
        "text": "Line 10: 80 EA confirmed instead of 100.",
        "severity": "error",
    }


def test_received_is_no_decision_and_holds_nothing(order):
    [found] = differences(order, acknowledgment("received"))
    assert (found.field, found.severity) == ("status", Severity.NOTE)


def test_a_rejected_order_is_said_once(order):
    lines = [answer("10", {"status": "rejected"}), answer("20", {"status": "rejected"})]
    assert said(differences(order, acknowledgment("rejected", *lines))) == [(None, "status")]


def test_a_rejected_order_with_accepted_lines_contradicts_itself(order):
    found = differences(order, acknowledgment("rejected", answer("10", {"status": "accepted"})))
    assert "contradicts itself" in found[1].text


def test_an_accepted_order_with_a_rejected_line_contradicts_itself(order):
    found = differences(order, acknowledgment("accepted", answer("10", {"status": "rejected", "code": "IR"})))
    assert said(found) == [(None, "status"), ("10", "quantity")]
    assert "contradicts itself" in found[0].text


def test_an_unknown_kind_of_answer_is_a_difference(order):
    assert said(differences(order, acknowledgment("other"))) == [(None, "status")]


def test_a_backorder_names_quantities_and_the_day(order):
    [found] = one(
        order,
        {"status": "accepted", "quantity": "80"},
        {"status": "backordered", "quantity": "20", "on": "2026-05-01"},
    )
    assert found.text == "Line 10: 20 of 100 EA backordered until 2026-05-01, 80 confirmed."
    assert (found.ordered, found.answered) == ("100", "80")


def test_part_shipped_leaves_the_rest_backordered(order):
    [found] = one(order, {"status": "partially_shipped", "quantity": "70", "code": "BP"})
    assert found.text == "Line 10: 30 of 100 EA backordered, 70 confirmed."


def test_a_backorder_within_the_tolerance_is_said_and_does_not_wait(order):
    small = [{"status": "accepted", "quantity": "96"}, {"status": "backordered", "quantity": "4"}]
    found = one(order, *small, terms=LOOSE)
    assert (said(found), said(found, Severity.WARNING)) == ([], [("10", "quantity")])


@pytest.mark.parametrize(("quantity", "differs"), [("95", False), ("94.99", True), ("105", False), ("105.01", True)])
def test_the_quantity_tolerance_is_a_fraction_of_what_was_ordered(order, quantity, differs):
    found = one(order, {"status": "quantity_changed", "quantity": quantity}, terms=LOOSE)
    assert bool(found) is differs


def test_answers_that_do_not_add_up_are_told(order):
    [found] = one(order, {"status": "accepted", "quantity": "50"}, {"status": "accepted", "quantity": "20"})
    assert found.text == "Line 10: the answers add up to 70 EA, ordered are 100."


def test_a_rejection_need_not_be_counted_out(order):
    found = one(order, {"status": "accepted", "quantity": "60"}, {"status": "rejected", "code": "R2"})
    assert [one.text for one in found] == ["Line 10: 40 of 100 EA rejected, 60 confirmed."]


@pytest.mark.parametrize(
    ("price", "terms", "differs"),
    [
        ("2.50", EXACT, False),
        ("2.51", EXACT, True),
        ("2.55", LOOSE, False),
        ("2.56", LOOSE, True),
        ("2.44", LOOSE, True),
        ("9", AckTerms(price_tolerance=None), False),
    ],
)
def test_the_price_tolerance_is_a_fraction_and_none_never_compares(order, price, terms, differs):
    found = one(order, {"status": "price_changed", "unit_price": price}, terms=terms)
    assert said(found) == ([("10", "price")] if differs else [])


def test_a_price_still_to_come_is_a_difference_where_prices_count(order):
    assert said(one(order, {"status": "price_pending"})) == [("10", "price")]
    assert one(order, {"status": "price_pending"}, terms=AckTerms(price_tolerance=None)) == []


@pytest.mark.parametrize(
    ("on", "terms", "words"),
    [
        ("2026-04-10", EXACT, None),
        ("2026-04-11", EXACT, "Line 10: promised for 2026-04-11, 1 day after 2026-04-10."),
        ("2026-04-08", EXACT, "Line 10: promised for 2026-04-08, 2 days before 2026-04-10."),
        ("2026-04-11", LOOSE, None),
        ("2026-04-12", LOOSE, "Line 10: promised for 2026-04-12, 2 days after 2026-04-10."),
        ("2026-04-08", LOOSE, None),
    ],
)
def test_a_promised_day_may_lie_so_far_off(order, on, terms, words):
    found = one(order, {"status": "date_changed", "on": on, "date_kind": "delivery_promised"}, terms=terms)
    assert [one.text for one in found] == ([words] if words else [])


def test_a_departure_before_the_wanted_arrival_is_not_early(order):
    assert one(order, {"status": "accepted", "on": "2026-04-02", "date_kind": "ship_promised"}) == []
    assert said(one(order, {"status": "accepted", "on": "2026-04-12", "date_kind": "ship_promised"})) == [
        ("10", "date")
    ]


def test_a_day_promised_for_the_whole_order_counts_for_each_line(order):
    found = differences(order, acknowledgment("accepted", answer("10"), dates={"scheduled_delivery": "2026-06-01"}))
    assert said(found) == [("10", "date")]


def test_schedules_are_compared_by_what_is_there_by_each_day(db):
    schedules = [{"quantity": "60", "on": "2026-04-10"}, {"quantity": "40", "on": "2026-05-10"}]
    order = released(record=purchase_order({**LINE_10, "schedules": schedules})).order
    kept = [
        {"status": "accepted", "quantity": "60", "on": "2026-04-10"},
        {"status": "accepted", "quantity": "40", "on": "2026-05-10"},
    ]
    late = [
        {"status": "accepted", "quantity": "30", "on": "2026-04-10"},
        {"status": "accepted", "quantity": "70", "on": "2026-05-10"},
    ]
    early = [{"status": "accepted", "quantity": "100", "on": "2026-04-10"}]
    assert one(order, *kept) == []
    assert [found.text for found in one(order, *late)] == ["Line 10: 30 promised by 2026-04-10, 60 are due by then."]
    assert [found.text for found in one(order, *early)] == ["Line 10: 100 promised by 2026-04-10, 60 wanted by then."]


@pytest.mark.parametrize("status", ["quantity_changed", "price_changed", "date_changed", "partially_shipped"])
def test_a_change_without_its_value_is_told(order, status):
    assert ("10", "status") in said(one(order, {"status": status}))


@pytest.mark.parametrize("status", ["on_hold", "date_pending", "other"])
def test_a_status_that_commits_to_nothing_waits_for_a_person(order, status):
    assert ("10", "status") in said(one(order, {"status": status, "code": "ZZ"}))


def test_another_unit_is_told_and_quantities_are_not_compared(order):
    assert said(one(order, {"status": "accepted", "quantity": "10", "unit": "CA"})) == [("10", "unit")]


def test_a_substitute_is_told_with_both_items(order):
    substitute = {"status": "substituted", "product_ids": [{"kind": "buyer_part", "value": "B-99"}]}
    [found] = one(order, substitute)
    assert (found.field, found.ordered, found.answered) == (
        "item",
        "buyer_part B-77, gtin 00012345678905",
        "buyer_part B-99",
    )


def test_another_item_under_the_right_number_is_told(order):
    assert said(one(order, {"status": "accepted"}, product_ids=[{"kind": "buyer_part", "value": "B-78"}])) == [
        ("10", "item")
    ]
    known_by_one = [{"kind": "buyer_part", "value": "b-77"}, {"kind": "vendor_part", "value": "X"}]
    assert one(order, {"status": "accepted"}, product_ids=known_by_one) == []


def test_a_line_nobody_ordered_is_told(order):
    [found] = differences(order, acknowledgment("accepted", answer("90", {"status": "accepted"})))
    assert found.text == "The supplier answers line 90; order 4711 has no such line."


def test_a_line_without_a_number_is_known_by_its_item(order):
    lines = [{"product_ids": [{"kind": "upc", "value": "012345678905"}], "quantity": "90"}]
    assert said(differences(order, acknowledgment("accepted", *lines))) == [("10", "quantity")]


def test_a_colour_in_common_makes_no_item(db):
    red = {"kind": "colour", "value": "RED"}
    order = released(record=purchase_order({**LINE_10, "product_ids": [*LINE_10["product_ids"], red]})).order
    assert said(differences(order, acknowledgment("accepted", {"product_ids": [red]}))) == [(None, "line")]
    other = [{"kind": "buyer_part", "value": "B-1"}, red]
    assert said(one(order, {"status": "accepted"}, product_ids=other)) == [("10", "item")]


def test_the_same_item_on_two_lines_is_taken_in_turn(db):
    twice = purchase_order(LINE_10, {**LINE_10, "line_number": "20", "quantity": "7"})
    order = released(record=twice).order
    ids = [{"kind": "buyer_part", "value": "B-77"}]
    lines = [{"product_ids": ids, "quantity": "100"}, {"product_ids": ids, "quantity": "7"}]
    assert differences(order, acknowledgment("accepted", *lines)) == []


def test_a_line_left_out_under_changes_is_told(order):
    found = differences(order, acknowledgment("accepted_with_changes", answer("10", {"status": "accepted"})))
    assert said(found) == [("20", "line")]
    assert said(differences(order, acknowledgment("accepted_with_changes"))) == [(None, "status")]


def test_a_deleted_line_may_only_be_refused(order):
    released(2, purchase_order(LINE_10))
    order.refresh_from_db()
    assert said(differences(order, acknowledgment("accepted", answer("20", {"status": "accepted"})))) == [
        ("20", "line")
    ]
    assert one(order, {"status": "accepted"}) == []
    assert differences(order, acknowledgment("exceptions_only", answer("20", {"status": "deleted"}))) == []


def test_an_answer_to_an_old_revision_is_stale(order):
    released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    order.refresh_from_db()
    found = differences(order, acknowledgment("accepted", order_revision=1))
    assert [one.text for one in found] == ["The supplier answers revision 1; the order stands at revision 2."]
    assert differences(order, acknowledgment("accepted", order_revision=2)) == []


def test_a_revision_the_supplier_was_never_told_of_makes_no_answer_stale(order):
    released(2, purchase_order({**LINE_10, "description": "as booked"}, LINE_20))
    order.refresh_from_db()
    assert differences(order, acknowledgment("accepted", order_revision=1)) == []


def test_an_echo_does_not_make_an_answered_order_unanswered(order):
    echo = purchase_order({**LINE_10, "description": "as booked"}, LINE_20)
    acknowledged(order, acknowledgment("accepted", order_revision=1))
    assert released(2, echo).order.acknowledged_revision == 2


def test_an_answer_that_crosses_an_echo_answers_what_stands(order):
    released(2, purchase_order({**LINE_10, "description": "as booked"}, LINE_20))
    acknowledged(order, acknowledgment("accepted", order_revision=1))
    assert order.acknowledged_revision == 2


def test_a_stale_answer_a_person_accepted_leaves_the_newest_revision_unanswered(order):
    released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    acknowledged(order, acknowledgment("accepted", order_revision=1))
    assert order.acknowledged_revision == 1


def test_there_and_back_again_still_makes_the_first_answer_stale(order):
    released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    released(3)
    order.refresh_from_db()
    assert said(differences(order, acknowledgment("accepted", order_revision=1))) == [(None, "revision")]


def test_a_revision_never_released_is_told(order):
    assert said(differences(order, acknowledgment("accepted", order_revision=7))) == [(None, "revision")]


def test_another_currency_is_told_where_prices_count(order):
    assert said(differences(order, acknowledgment("accepted", currency="USD"))) == [(None, "currency")]
    assert differences(order, acknowledgment("accepted", currency="USD"), AckTerms(price_tolerance=None)) == []


def test_an_acceptance_of_a_cancelled_order_is_told(order):
    released(2, cancelled=True)
    order.refresh_from_db()
    assert (None, "order") in said(differences(order, acknowledgment("accepted", order_revision=1)))
    assert differences(order, acknowledgment("accepted", order_revision=2)) == []
    [found] = differences(order, acknowledgment("rejected", order_revision=2))
    assert found.text == "The supplier rejects the cancellation as a whole."


def test_a_quantity_nobody_can_keep_is_told_and_does_not_stop_us(order):
    record = acknowledgment("exceptions_only", answer("10", {"status": "accepted", "quantity": "9" * 29}))
    assert said(differences(order, record)) == [("10", "quantity")]
    acknowledged(order, record)
    assert sums(order)["10"] == (0, 0, 0, 0, 100)


# -- acknowledgments applied


def test_a_whole_acceptance_promises_every_line(order):
    acknowledged(order, acknowledgment("accepted", dates={"delivery_promised": "2026-04-09"}))
    assert sums(order) == {"10": (100, 0, 0, 0, 100), "20": (40, 0, 0, 0, 40)}
    assert order.acknowledged_revision == 1
    assert order.lines.get(line_number="10").promised_on == date(2026, 4, 9)
    assert Event.objects.get(name="order.acknowledged").order == order


def test_a_rejection_refuses_every_line(order):
    acknowledged(order, acknowledgment("rejected"))
    assert sums(order) == {"10": (0, 0, 100, 0, 100), "20": (0, 0, 40, 0, 40)}


def test_split_answers_become_sums_prices_and_days(order):
    acknowledged(
        order,
        acknowledgment(
            "accepted_with_changes",
            answer(
                "10",
                {"status": "accepted", "quantity": "50", "on": "2026-04-10", "unit_price": "2.60"},
                {"status": "date_changed", "quantity": "30", "on": "2026-04-20"},
                {"status": "backordered", "quantity": "15"},
                {"status": "rejected", "quantity": "5", "code": "R1"},
            ),
        ),
    )
    assert sums(order)["10"] == (80, 15, 5, 0, 100)
    line = order.lines.get(line_number="10")
    assert (line.promised_on, line.promised_price) == (date(2026, 4, 20), Decimal("2.6"))
    assert [promise.code for promise in line.promises.order_by("position")] == ["", "", "", "R1"]


def test_the_newest_answer_to_a_line_replaces_the_earlier_one(order):
    acknowledged(order, acknowledgment("exceptions_only", answer("10", {"status": "backordered", "quantity": "100"})))
    acknowledged(order, acknowledgment("accepted_with_changes", answer("10", {"status": "accepted", "quantity": "90"})))
    assert sums(order) == {"10": (90, 0, 0, 0, 100), "20": (40, 0, 0, 0, 40)}
    assert Promise.objects.count() == 3


def test_a_header_over_some_lines_leaves_earlier_answers_to_the_others(order):
    acknowledged(order, acknowledgment("exceptions_only", answer("20", {"status": "accepted", "quantity": "30"})))
    acknowledged(order, acknowledgment("accepted", answer("10", {"status": "accepted"})))
    assert sums(order)["20"] == (30, 0, 0, 0, 40)


def test_received_promises_nothing_and_does_not_stop_the_clock(order):
    acknowledged(order, acknowledgment("received"))
    assert sums(order)["10"] == (0, 0, 0, 0, 100)
    assert order.acknowledged_revision is None


def test_the_same_document_applied_twice_counts_once(order):
    record = acknowledgment("exceptions_only", answer("10", {"status": "accepted", "quantity": "70"}))
    source = acknowledged(order, record)
    before = (sums(order), Promise.objects.count(), Event.objects.count())
    acknowledged(order, record, source)
    assert (sums(order), Promise.objects.count(), Event.objects.count()) == before


def test_an_accepted_answer_in_another_unit_does_not_mix_into_the_sums(order):
    acknowledged(
        order, acknowledgment("exceptions_only", answer("10", {"status": "accepted", "quantity": "5", "unit": "CA"}))
    )
    assert sums(order)["10"] == (0, 0, 0, 0, 100)
    assert order.lines.get(line_number="10").answered


def test_an_answer_to_a_cancellation_leaves_the_promises(order):
    acknowledged(order, acknowledgment("accepted"))
    released(2, cancelled=True)
    acknowledged(order, acknowledgment("accepted", order_revision=2))
    assert Promise.objects.count() == 2
    assert order.acknowledged_revision == 2


# -- ship notices


def shipping(order: Order, record: ShipNotice, terms: AckTerms = EXACT) -> list[order_book.Difference]:
    return order_book.compare_ship_notice(record, [order], terms)


def test_the_orders_of_a_notice_come_in_order_of_appearance():
    record = ship_notice(item(order="2"), item(order="1 "), item(order="2"), item(order=None))
    assert order_book.orders_of(record) == ["2", "1"]


def test_a_shipment_of_what_is_open_differs_in_nothing(order):
    assert shipping(order, ship_notice(item(), item("0020", "40"))) == []


def test_more_than_is_open_is_told_with_both_sides(order):
    shipped(order, ship_notice(item(quantity="70")))
    [found] = shipping(order, ship_notice(item(quantity="20"), item(quantity="20"), number="S-2"))
    assert (found.order, found.line, found.ordered, found.answered) == ("4711", "10", "30", "40")
    assert found.text == "Order 4711, line 10: 40 EA shipped, 30 of 100 are open."


def test_over_delivery_within_the_tolerance_passes(order):
    assert shipping(order, ship_notice(item(quantity="105")), LOOSE) == []
    assert said(shipping(order, ship_notice(item(quantity="105.1")), LOOSE)) == [("10", "quantity")]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (item("30"), "line"),
        (item(None), "line"),
        (item(unit="CA"), "unit"),
        (item(quantity=None), "quantity"),
        (item(quantity="-5"), "quantity"),
        (item(quantity="9" * 29), "quantity"),
        (item(product_ids=[{"kind": "buyer_part", "value": "B-78"}]), "item"),
        (item(order=None), "order"),
        (item(order="999"), "order"),
    ],
)
def test_an_item_that_does_not_fit_is_told_and_counts_nothing(order, sent, field):
    assert [found.field for found in shipping(order, ship_notice(sent))] == [field]


def test_an_item_without_a_line_is_known_by_its_product(order):
    record = ship_notice(item(None, "10", product_ids=[{"kind": "buyer_part", "value": "B-78"}]))
    assert shipping(order, record) == []
    shipped(order, record)
    assert sums(order)["20"] == (0, 0, 0, 10, 30)


def test_a_deleted_line_or_a_cancelled_order_is_not_shipped_in_silence(order):
    released(2, purchase_order(LINE_10))
    order.refresh_from_db()
    assert said(shipping(order, ship_notice(item("20", "1")))) == [("20", "line")]
    released(3, cancelled=True)
    order.refresh_from_db()
    assert said(shipping(order, ship_notice(item(quantity="1")))) == [(None, "order")]


def test_a_notice_without_items_is_told(order):
    assert said(shipping(order, ship_notice())) == [(None, "shipment")]


def test_a_shipment_announced_twice_is_told(order):
    shipped(order, ship_notice(item(quantity="10")))
    assert said(shipping(order, ship_notice(item(quantity="10")))) == [("10", "shipment")]
    assert shipping(order, ship_notice(item("20", "10"))) == [], "one shipment in two sets, one for each line"


def test_a_wrong_check_digit_and_a_repeated_sscc_are_warnings(order):
    packages = [
        {"id": "1", "sscc": "106141411234567898"},
        {"id": "2", "sscc": "106141411234567897"},
        {"id": "3", "sscc": "106141411234567897"},
    ]
    found = shipping(order, ship_notice(item(), packages=packages))
    assert said(found) == []
    assert [one.answered for one in found] == ["106141411234567898", "106141411234567897"]


@pytest.mark.parametrize("sscc", ["", "10614141123456789", "1061414112345678970", "10614141123456789x", "١" * 18])
def test_what_is_no_sscc_is_not_valid(sscc):
    assert not sscc_is_valid(sscc)


def test_shipping_an_old_revision_is_a_warning(order):
    released(2, purchase_order({**LINE_10, "quantity": "120"}, LINE_20))
    order.refresh_from_db()
    found = shipping(order, ship_notice(item(order_revision=1)))
    assert [(one.field, one.severity) for one in found] == [("revision", Severity.WARNING)]


def test_a_shipment_is_taken_from_what_is_open(order):
    shipped(order, ship_notice(item(quantity="60"), item(quantity="15"), item("20", "40")))
    assert sums(order) == {"10": (0, 0, 0, 75, 25), "20": (0, 0, 0, 40, 0)}
    event = Event.objects.get(name="order.shipped")
    assert (event.data["shipment"], event.data["lines"], event.data["uncounted"]) == ("S-1", 2, 0)


def test_the_same_notice_applied_twice_counts_once(order):
    record = ship_notice(item(quantity="60"))
    source = shipped(order, record)
    shipped(order, record, source)
    assert sums(order)["10"] == (0, 0, 0, 60, 40)
    assert Event.objects.filter(name="order.shipped").count() == 1


def test_a_replacement_takes_the_place_of_the_shipment(order):
    shipped(order, ship_notice(item(quantity="60"), item("20", "5")))
    record = ship_notice(item(quantity="100"), purpose="replace")
    assert shipping(order, record) == []
    shipped(order, record)
    assert sums(order) == {"10": (0, 0, 0, 100, 0), "20": (0, 0, 0, 0, 40)}
    assert ShippedQuantity.objects.filter(active=False).count() == 2


def test_a_replacement_may_move_the_goods_to_another_order(order):
    other = released(number="4712", record=purchase_order(number="4712")).order
    shipped(order, ship_notice(item(quantity="60")))
    shipped(other, ship_notice(item(quantity="60", order="4712"), purpose="replace"))
    assert (sums(order)["10"][3], sums(other)["10"][3]) == (0, 60)
    assert Event.objects.filter(name="order.shipped", order=order).count() == 2


def test_a_cancellation_opens_the_quantities_again(order):
    shipped(order, ship_notice(item(quantity="60")))
    record = ship_notice(purpose="cancel")
    assert shipping(order, record) == []
    shipped(order, record)
    assert sums(order)["10"] == (0, 0, 0, 0, 100)


def test_there_must_be_something_to_replace(order):
    assert said(shipping(order, ship_notice(item(), purpose="replace"))) == [(None, "shipment")]


def test_another_partner_with_the_same_shipment_number_is_left_alone(order):
    shipped(order, ship_notice(item(quantity="60")))
    rival = TradingPartner.objects.create(code="CASTRA", name="Castra")
    foreign = Document.objects.create(
        direction="inbound", channel="rest", partner=rival, type="ship_notice", format="x12"
    )
    with transaction.atomic():
        order_book.apply_ship_notice(ship_notice(purpose="cancel"), foreign, [], now=NOON)
    assert sums(order)["10"] == (0, 0, 0, 60, 40)


def test_several_orders_in_one_notice_each_get_theirs(order):
    other = released(number="4712", record=purchase_order(number="4712")).order
    record = ship_notice(item(quantity="1"), item(quantity="2", order="4712"))
    assert order_book.compare_ship_notice(record, [order, other], EXACT) == []
    shipped(order, record, None, other)
    assert (sums(order)["10"][3], sums(other)["10"][3]) == (1, 2)


def test_items_that_were_not_counted_are_said_in_the_event(order):
    shipped(order, ship_notice(item(quantity="5"), item(quantity="5", unit="CA"), item("90")))
    assert sums(order)["10"][3] == 5
    assert Event.objects.get(name="order.shipped").data["uncounted"] == 2


@pytest.fixture
def locking_order(transactional_db: None) -> Order:
    need(connection.features.has_select_for_update, "a database with row locks: set DATABASE_URL to PostgreSQL")
    return released().order


def meanwhile(order: Order, source: Document) -> None:
    """What another worker does: 3 pieces are shipped."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        shipped(Order.objects.get(pk=order.pk), ship_notice(item(quantity="3"), number="S-2"), source)
    finally:
        connection.close()


def wait_until_somebody_waits() -> None:
    deadline = time.monotonic() + 5
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("the other worker waits for nobody")


def test_of_two_writers_the_second_sees_what_the_first_wrote(locking_order):
    source = document("ship_notice")
    with ThreadPoolExecutor(1) as worker:
        with transaction.atomic():
            shipped(locking_order, ship_notice(item(quantity="60")))
            second = worker.submit(meanwhile, locking_order, source)
            wait_until_somebody_waits()
        second.result()
    assert sums(locking_order)["10"][3] == 63


def test_a_row_that_refers_to_an_order_does_not_keep_its_writer_waiting(locking_order):
    source = document("ship_notice")
    with ThreadPoolExecutor(1) as worker, transaction.atomic():
        Event.objects.create(name="order.offered", order=locking_order)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # takes the key share now, not at the commit
        worker.submit(meanwhile, locking_order, source).result()


# -- in the order's own terms


def test_the_erp_gets_the_lines_by_their_own_numbers(order):
    released(2, purchase_order({**LINE_10, "description": "an echo"}, LINE_20))
    order.refresh_from_db()
    record = acknowledgment(
        "accepted",
        answer("0010"),
        {"product_ids": [{"kind": "buyer_part", "value": "B-78"}]},
        answer("90"),
        order_revision=1,
    )
    named = order_book.as_ordered(record, [order])
    assert [line.line_number for line in named.lines] == ["10", "20", "90"]
    assert named.order_revision == 2
    notice = order_book.as_ordered(
        ship_notice(item("0020", order="4711 ", order_revision=1), item("1", order="9")), [order]
    )
    assert [(one.order_number, one.order_line, one.order_revision) for one in notice.items] == [
        ("4711", "20", 2),
        ("9", "1", None),
    ]


# -- properties

_quantities = st.decimals("0", "500", places=2)
_statuses = st.sampled_from(list(canonical.LineStatus))
_responses = st.lists(
    st.fixed_dictionaries(
        {"status": _statuses}, optional={"quantity": _quantities, "unit": st.sampled_from(["EA", "CA"])}
    ),
    max_size=4,
)
_acknowledgments = st.builds(
    lambda disposition, lines: acknowledgment(disposition, *lines),
    st.sampled_from([str(one) for one in canonical.Disposition]),
    st.lists(
        st.builds(lambda n, r: answer(n, *r), st.sampled_from(["10", "0020", "30", None]), _responses), max_size=3
    ),
)
_notices = st.builds(
    lambda items, number, purpose: ship_notice(*items, number=number, purpose=purpose),
    st.lists(
        st.builds(item, st.sampled_from(["10", "20", "30"]), st.one_of(st.none(), _quantities.map(str))), max_size=3
    ),
    st.sampled_from(["S-1", "S-2"]),
    st.sampled_from(["original", "replace", "cancel"]),
)


class TheSumsNeverDrift(TestCase):
    """Whatever comes in whatever order, and twice: the stored sums are those of the rows."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.one_of(_acknowledgments, _notices), min_size=1, max_size=5))
    def test_whatever_comes(self, records: list[OrderAcknowledgment | ShipNotice]) -> None:
        order = released().order
        for record in records:
            source = document(record.type)
            for _ in range(2):
                if isinstance(record, ShipNotice):
                    shipping(order, record)
                    shipped(order, record, source)
                else:
                    differences(order, record)
                    acknowledged(order, record, source)
                self._holds(order)

    def _holds(self, order: Order) -> None:
        for line in OrderLine.objects.filter(order=order):
            active = line.shipments.filter(active=True)
            self.assertEqual(line.shipped, sum((row.quantity for row in active), Decimal(0)))
            self.assertEqual(line.open, max(line.ordered - line.shipped, Decimal(0)))
            newest = line.promises.order_by("-pk").first()
            rows = list(line.promises.filter(document=newest.document)) if newest else []
            counted = {row.pk: row.quantity or Decimal(0) for row in rows if row.status != "other"}
            self.assertEqual(line.confirmed + line.backordered + line.refused, sum(counted.values(), Decimal(0)))


@settings(max_examples=60, deadline=None)
@given(first=_quantities, second=_quantities)
def test_two_spellings_of_one_quantity_have_one_fingerprint(first, second):
    one = purchase_order({**LINE_10, "quantity": f"{first:f}"})
    padded = purchase_order({**LINE_10, "quantity": f"{first:f}000"})
    other = purchase_order({**LINE_10, "quantity": f"{second:f}"})
    prints = [_fingerprint(record) for record in (one, padded, other)]
    assert prints[0] == prints[1]
    assert (prints[0] == prints[2]) is (first == second)


def _fingerprint(record: PurchaseOrder) -> str:
    return content.fingerprint(record, cancelled=False)
