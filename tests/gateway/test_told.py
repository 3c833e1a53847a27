"""What a supplier was told of an order, and what the next revision is the change of."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from edi_maps import canonical
from edi_maps.canonical import LineAction, PurchaseOrder, PurchaseOrderChange, Purpose
from gateway import order_book
from gateway.models import Document, Order
from tests.gateway.test_order_book import LINE_10, LINE_20, purchase_order, released

pytestmark = pytest.mark.django_db

ORDERED = date(2026, 11, 28)


def quantity(of_line_10: str) -> PurchaseOrder:
    return purchase_order({**LINE_10, "quantity": of_line_10}, LINE_20, ordered_on="2026-11-28")


def leaves(order: Order, record: PurchaseOrder | PurchaseOrderChange, revision: int, **changed: Any) -> Document:
    """A document that brought this to the supplier."""
    return Document.objects.create(
        **{
            "direction": "outbound",
            "channel": "as2",
            "partner": order.partner,
            "order": order,
            "type": record.type,
            "format": "x12",
            "record": canonical.dump(record),
            "state": "relayed",
            "order_revision": revision,
            **changed,
        }
    )


def next_change(order: Order, record: PurchaseOrder, revision: int) -> PurchaseOrderChange | None:
    """What would leave of the order at its next revision."""
    document = leaves(order, record, revision, state="translated")
    return order_book.as_change(document, record.model_copy(update={"revision": revision, "purpose": Purpose.REPLACE}))


@pytest.fixture
def order() -> Order:
    """Told whole at revision 1; revisions 2 and 3 ask for more of line 10."""
    order = released(1, quantity("100")).order
    leaves(order, quantity("100"), 1)
    released(2, quantity("120"))
    released(3, quantity("130"))
    return order


def test_the_first_revision_is_the_change_of_nothing(order):
    assert next_change(order, quantity("100"), 1) is None


def test_a_revision_is_the_change_of_the_last_one_told(order):
    changed = next_change(order, quantity("120"), 2)
    assert changed is not None
    assert [(line.line_number, line.action, line.quantity) for line in changed.lines] == [
        ("10", LineAction.INCREASE_QUANTITY, Decimal(120))
    ]


def test_what_never_left_is_told_with_the_next_change(order):
    leaves(order, quantity("120"), 2, state="held")
    changed = next_change(order, purchase_order({**LINE_10, "quantity": "120"}, ordered_on="2026-11-28"), 3)
    assert changed is not None
    assert [(line.line_number, line.action) for line in changed.lines] == [
        ("10", "increase_quantity"),
        ("20", "delete"),
    ]


def test_what_the_supplier_could_not_read_is_the_base_of_no_change(order):
    leaves(order, quantity("120"), 2, acknowledged="rejected")
    assert next_change(order, quantity("130"), 3) is None


def test_a_cancelled_order_is_the_base_of_no_change(order):
    cancelled = quantity("120").model_copy(update={"purpose": Purpose.CANCEL})
    leaves(order, cancelled, 2)
    assert next_change(order, quantity("130"), 3) is None


def test_after_a_change_the_order_can_still_be_read_whole(order):
    changed = next_change(order, quantity("120"), 2)
    assert changed is not None
    Document.objects.filter(order_revision=2).delete()
    document = leaves(order, changed, 2)
    assert order_book.told().first() == document
    whole = canonical.load(order_book.as_told(document))
    assert whole == quantity("120").model_copy(update={"revision": 2, "purpose": Purpose.REPLACE})


def test_after_a_cancellation_it_reads_as_cancelled(order):
    cancelled = PurchaseOrderChange(number="4711", purpose=Purpose.CANCEL, ordered_on=ORDERED)
    assert order_book.as_told(leaves(order, cancelled, 2))["purpose"] == "cancel"
