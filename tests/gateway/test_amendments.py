"""An order that changed, as the change its supplier is told of."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from edi_maps import canonical
from edi_maps.canonical import LineAction, PurchaseOrder, PurchaseOrderChange, Purpose
from gateway.order_book.amendments import amendment, changed_lines

LINE_10: dict[str, Any] = {
    "line_number": "10",
    "quantity": "100",
    "unit": "EA",
    "unit_price": "2.50",
    "product_ids": [{"kind": "buyer_part", "value": "B-77"}],
    "dates": {"requested_delivery": "2026-12-10"},
}
LINE_20: dict[str, Any] = {"line_number": "20", "quantity": "40", "unit": "EA", "unit_price": "11"}


def order(*lines: dict[str, Any], **header: Any) -> PurchaseOrder:
    record = canonical.load(
        {"type": "purchase_order", "number": "4711", "ordered_on": "2026-11-28", "lines": lines, **header}
    )
    assert isinstance(record, PurchaseOrder)
    return record


def change(before: PurchaseOrder, after: PurchaseOrder, **shipped: str) -> PurchaseOrderChange:
    """The change to revision 3; ``_10="4"`` says that 4 of line 10 are shipped."""
    return amendment(
        before,
        after.model_copy(update={"revision": 3}),
        shipped={line.strip("_"): Decimal(quantity) for line, quantity in shipped.items()},
        changed_on=date(2026, 11, 30),
    )


def schedules(*parts: tuple[str, str]) -> dict[str, Any]:
    return {
        "schedules": [{"quantity": quantity, "date_kind": "requested_delivery", "on": on} for quantity, on in parts]
    }


@pytest.mark.parametrize(
    ("to", "action"),
    [
        ({"quantity": "120"}, LineAction.INCREASE_QUANTITY),
        ({"quantity": "80"}, LineAction.DECREASE_QUANTITY),
        ({"unit_price": "2.40"}, LineAction.CHANGE_PRICE),
        ({"unit_price": "2.40", "quantity": "120"}, LineAction.CHANGE_PRICE_AND_QUANTITY),
        ({"dates": {"requested_delivery": "2026-12-17"}}, LineAction.CHANGE_DATE),
        (schedules(("60", "2026-12-10"), ("40", "2026-12-17")), LineAction.RESCHEDULE),
        ({"unit": "BX"}, LineAction.CHANGE),
        ({"product_ids": [{"kind": "buyer_part", "value": "B-78"}]}, LineAction.CHANGE),
        ({"quantity": "120", "dates": {"requested_delivery": "2026-12-17"}}, LineAction.CHANGE),
    ],
)
def test_a_changed_line_says_what_changed_and_how_it_stands_now(to, action):
    after = order({**LINE_10, **to}, LINE_20)
    [line] = change(order(LINE_10, LINE_20), after).lines
    assert line.action is action
    assert canonical.OrderLine(**line.model_dump(exclude={"action", "quantity_left"})) == after.lines[0]


def test_a_line_nobody_changed_for_the_supplier_is_not_mentioned():
    echo = {**LINE_20, "description": "as booked", "dates": {"promised_delivery": "2026-12-12"}}
    assert change(order(LINE_10, LINE_20), order({**LINE_10, "quantity": "100.0"}, echo)).lines == ()


def test_a_new_line_is_added_and_one_that_is_gone_is_deleted():
    added, gone = change(order(LINE_10), order(LINE_20)).lines
    assert (added.action, added.line_number) == (LineAction.ADD, "20")
    assert (added.quantity, added.quantity_left) == (Decimal(40), Decimal(40))
    assert (gone.action, gone.line_number) == (LineAction.DELETE, "10")
    assert (gone.quantity, gone.quantity_left) == (Decimal(0), Decimal(0))
    assert gone.product_ids == order(LINE_10).lines[0].product_ids
    assert (gone.dates, gone.schedules) == ({}, ())


def test_what_is_left_to_receive_is_the_new_quantity_without_what_was_shipped():
    before, after = order(LINE_10, LINE_20), order({**LINE_10, "quantity": "120"}, {**LINE_20, "quantity": "30"})
    first, second = change(before, after, _10="50.000000", _20="35").lines
    assert (str(first.quantity_left), str(second.quantity_left)) == ("70", "0")


def test_lines_are_told_apart_by_number_with_or_without_leading_zeros():
    assert change(order(LINE_10), order({**LINE_10, "line_number": "0010"})).lines == ()


def test_a_day_wanted_for_the_whole_order_changes_the_lines_without_a_day_of_their_own():
    before = order(LINE_10, LINE_20, dates={"requested_delivery": "2026-12-10"})
    after = order(LINE_10, LINE_20, dates={"requested_delivery": "2026-12-17"})
    changed = change(before, after)
    assert [(line.line_number, line.action) for line in changed.lines] == [("20", LineAction.CHANGE_DATE)]
    assert changed.dates == {"requested_delivery": date(2026, 12, 17)}


def test_the_header_stands_as_it_is_now_and_names_the_change():
    ship_to = {"role": "ship_to", "name": "Dock 2"}
    after = order(LINE_10, LINE_20, parties=[ship_to], extra={"FOB": [["FOB", "PP"]], "lines/0/REF": [["REF", "ZZ"]]})
    changed = change(order(LINE_10, LINE_20), after)
    assert (changed.purpose, changed.revision, changed.change_sequence) == (Purpose.CHANGE, 3, "3")
    assert (changed.changed_on, changed.ordered_on) == (date(2026, 11, 30), date(2026, 11, 28))
    assert (changed.parties[0].name, changed.totals, changed.lines) == ("Dock 2", None, ())
    assert changed.extra == {"FOB": [["FOB", "PP"]]}


def test_a_cancellation_needs_no_lines():
    changed = change(order(LINE_10, LINE_20), order(LINE_10, purpose="cancel"))
    assert (changed.purpose, changed.lines) == (Purpose.CANCEL, ())


def test_the_lines_that_changed_can_be_told_without_the_rest():
    assert changed_lines(order(LINE_10, LINE_20), order({**LINE_10, "quantity": "7"}, LINE_20)) == {"10"}
