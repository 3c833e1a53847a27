"""An answer in the order's own terms: suppliers drop leading zeros and leave line numbers out, ERPs match exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from edi_maps.canonical import OrderAcknowledgment, ShipNotice
from gateway.models import Order
from gateway.order_book.lines import LineFinder, lines_of
from gateway.order_book.readings import agrees_to_deletion, answers_cancellation, is_stale, revision_answered

Answer = TypeVar("Answer", OrderAcknowledgment, ShipNotice)


def as_ordered(record: Answer, orders: Sequence[Order]) -> Answer:
    """The same answer with the lines named as their order names them.

    A revision the answer names is moved to the one that stands now when both say the same; what names no line of its order
    is left as it came, for the ERP to say so. That a line is gone which the order has no more is nothing for the ERP.

    Args:
        orders: of an acknowledgment, the one it answers; of a ship notice, all it ships for.
    """
    if isinstance(record, ShipNotice):
        return _ship_notice(record, orders)
    return _acknowledgment(record, orders[0])


def _acknowledgment(record: OrderAcknowledgment, order: Order) -> OrderAcknowledgment:
    finder = LineFinder(lines_of(order))
    lines = []
    for answer in record.lines:
        line = finder.find(answer.line_number, answer.product_ids)
        if line is not None and line.deleted and agrees_to_deletion(answer):
            continue
        lines.append(answer if line is None else answer.model_copy(update={"line_number": line.line_number}))
    revision = order.revision if answers_cancellation(order, record) else revision_answered(order, record)
    return record.model_copy(update={"lines": tuple(lines), "order_revision": _standing(order, revision)})


def _ship_notice(record: ShipNotice, orders: Sequence[Order]) -> ShipNotice:
    by_number = {order.number: order for order in orders}
    finders = {order.number: LineFinder(lines_of(order)) for order in orders}
    items = []
    for item in record.items:
        order = by_number.get((item.order_number or "").strip())
        if order is None:
            items.append(item)
            continue
        line = finders[order.number].find(item.order_line, item.product_ids)
        update: dict[str, object] = {
            "order_number": order.number,
            "order_revision": _standing(order, item.order_revision),
        }
        if line is not None:
            update["order_line"] = line.line_number
        items.append(item.model_copy(update=update))
    return record.model_copy(update={"items": tuple(items)})


def _standing(order: Order, revision: int | None) -> int | None:
    return revision if revision is None or is_stale(order, revision) else max(revision, order.revision)
