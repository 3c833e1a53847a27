"""What a supplier's answer to a change does to the order book: it speaks of the change, not of the whole order."""

from __future__ import annotations

from typing import Any

import pytest

from edi_maps import canonical
from edi_maps.canonical import OrderAcknowledgment
from gateway import order_book
from gateway.models import Document, Order, OrderState
from tests.gateway.test_order_book import (
    EXACT,
    LINE_10,
    LINE_20,
    acknowledged,
    acknowledgment,
    answer,
    purchase_order,
    released,
    said,
    sums,
)

pytestmark = pytest.mark.django_db

MORE = {**LINE_10, "quantity": "120"}
ALL_OF_10 = {"status": "accepted", "quantity": "120", "unit": "EA"}


def change_answer(disposition: str, *lines: dict[str, Any], **header: Any) -> OrderAcknowledgment:
    record = canonical.load(
        {"type": "change_acknowledgment", "order_number": "4711", "disposition": disposition, "lines": lines, **header}
    )
    assert isinstance(record, OrderAcknowledgment)
    return record


def compared(order: Order, record: OrderAcknowledgment) -> list[tuple[str | None, str]]:
    return said(order_book.compare_acknowledgment(order, record, EXACT))


@pytest.fixture
def changed() -> Order:
    """Line 10 confirmed whole, line 20 half backordered; then the buyer wants 120 instead of 100 of line 10."""
    order = released().order
    half = {"status": "accepted", "quantity": "20"}
    later = {"status": "backordered", "quantity": "20"}
    acknowledged(order, acknowledgment("accepted_with_changes", answer("10"), answer("20", half, later)))
    order = released(2, purchase_order(MORE, LINE_20)).order
    assert sums(order)["10"][0] == 100
    return order


def test_an_accepted_change_confirms_the_lines_that_changed_and_no_other(changed):
    record = change_answer("accepted")
    assert compared(changed, record) == []
    acknowledged(changed, record)
    assert [line[:2] for line in sums(changed).values()] == [(120, 0), (20, 20)]
    assert changed.acknowledged_revision == 2


def test_a_second_thought_about_a_change_answers_it_anew(changed):
    less = answer("10", {"status": "quantity_changed", "quantity": "110"})
    acknowledged(changed, change_answer("accepted_with_changes", less))
    assert sums(changed)["10"][0] == 110
    acknowledged(changed, change_answer("accepted"))
    assert [line[:2] for line in sums(changed).values()] == [(120, 0), (20, 20)]


def test_a_change_to_an_order_that_was_never_answered_is_answered_for_all_of_it():
    released()
    order = released(2, purchase_order(MORE, LINE_20)).order
    acknowledged(order, change_answer("accepted"))
    assert [line[0] for line in sums(order).values()] == [120, 40]


def test_accepted_with_changes_needs_a_word_about_the_changed_lines_only(changed):
    assert compared(changed, change_answer("accepted_with_changes", answer("10", ALL_OF_10))) == []
    other = change_answer("accepted_with_changes", answer("20", {"status": "accepted", "quantity": "40"}))
    assert compared(changed, other) == [("10", "line")]


def test_less_than_the_new_quantity_is_a_difference(changed):
    less = answer("10", {"status": "quantity_changed", "quantity": "110"})
    assert compared(changed, change_answer("accepted_with_changes", less)) == [("10", "quantity")]


def test_a_rejected_change_is_a_difference_and_leaves_every_promise_as_it_was(changed):
    record = change_answer("rejected", answer("10", {"status": "rejected", "quantity": "120"}))
    assert compared(changed, record) == [(None, "status")]
    acknowledged(changed, record)
    assert [line[:3] for line in sums(changed).values()] == [(100, 0, 0), (20, 20, 0)]
    assert changed.acknowledged_revision == 2


def test_received_decides_nothing(changed):
    record = change_answer("received", answer("10"))
    assert compared(changed, record) == []
    acknowledged(changed, record)
    assert sums(changed)["10"][0] == 100
    assert changed.acknowledged_revision == 1


@pytest.mark.parametrize("status", ["deleted", "rejected", "accepted"])
def test_a_line_that_is_taken_off_is_gone_whichever_word_agrees_to_it(changed, status):
    order = released(3, purchase_order(MORE)).order
    taken_off = answer("20", {"status": status, "quantity": "0", "unit": "EA"}, action="delete", quantity="0")
    record = change_answer("accepted", answer("10", ALL_OF_10), taken_off)
    assert compared(order, record) == []
    acknowledged(order, record)
    assert sums(order)["20"][:2] == (0, 0)


def test_the_erp_hears_nothing_of_lines_its_order_has_no_more(changed):
    order = released(3, purchase_order(MORE)).order
    taken_off = answer("20", {"status": "deleted", "quantity": "0"}, action="delete")
    record = order_book.as_ordered(change_answer("accepted", answer("10", ALL_OF_10), taken_off), [order])
    assert [line.line_number for line in record.lines] == ["10"]


def test_a_line_the_supplier_takes_off_by_itself_is_a_difference(changed):
    record = change_answer(
        "accepted_with_changes", answer("10", {"status": "accepted"}, action="delete", quantity="0", unit="EA")
    )
    assert compared(changed, record) == [("10", "quantity")]


# -- which revision is answered


def told_as_change(order: Order, revision: int) -> None:
    Document.objects.create(
        direction="outbound",
        channel="as2",
        partner=order.partner,
        order=order,
        type="purchase_order_change",
        format="x12",
        order_revision=revision,
    )


def test_the_number_of_our_change_names_the_revision_it_made(changed):
    told_as_change(changed, 2)
    order = released(3, purchase_order({**LINE_10, "quantity": "130"}, LINE_20)).order
    assert compared(order, change_answer("accepted", change_sequence="2")) == [(None, "revision")]
    told_as_change(order, 3)
    assert compared(order, change_answer("accepted", change_sequence="3")) == []
    assert order_book.as_ordered(change_answer("accepted", change_sequence="3"), [order]).order_revision == 3


def test_a_number_of_the_suppliers_own_names_no_revision(changed):
    assert compared(changed, change_answer("accepted", change_sequence="1")) == []


# -- cancellations


@pytest.fixture
def cancelled(changed: Order) -> Order:
    order = released(3, cancelled=True).order
    assert order.state == OrderState.CANCELLED
    return order


def test_a_cancellation_is_accepted_whatever_is_said_of_its_lines(cancelled):
    gone = answer("10", {"status": "deleted", "quantity": "0"})
    record = change_answer("accepted", gone)
    assert compared(cancelled, record) == []
    acknowledged(cancelled, record)
    assert cancelled.acknowledged_revision == 3
    assert order_book.as_ordered(record, [cancelled]).order_revision == 3


def test_a_rejected_cancellation_waits_for_a_person(cancelled):
    [difference] = order_book.compare_acknowledgment(cancelled, change_answer("rejected"), EXACT)
    assert difference.text == "The supplier rejects the cancellation as a whole."


def test_an_answer_to_the_change_before_a_cancellation_is_no_answer_to_it(cancelled):
    told_as_change(cancelled, 2)
    assert compared(cancelled, change_answer("accepted", change_sequence="2")) == [(None, "revision"), (None, "order")]
