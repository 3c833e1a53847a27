"""What suppliers promised: every answer is kept, and a line's sums are made from the newest one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from edi_maps.canonical import Disposition, LineStatus, OrderAcknowledgment
from gateway import events
from gateway.models import Document, Event, Order, OrderLine, Promise
from gateway.order_book.lines import save_lines, storable
from gateway.order_book.readings import (
    CONFIRMS,
    DECIDES,
    POSTPONES,
    REFUSES,
    LineAnswer,
    answers_cancellation,
    implied,
    is_about_a_change,
    is_stale,
    read,
    revision_answered,
)


def apply_acknowledgment(order: Order, record: OrderAcknowledgment, document: Document, *, now: datetime) -> None:
    """Write the answer into the book, in the caller's transaction, which holds the order; the same document again changes nothing.

    A change that is rejected leaves what was promised as it was. The newest answer to a line replaces the earlier one. "Received" is recorded and decides nothing. A quantity in another
    unit than the order's is kept as an answer without a quantity: sums never mix units.
    """
    if Event.objects.filter(name="order.acknowledged", order=order, document=document).exists():
        return
    answers: list[LineAnswer] = []
    revision = revision_answered(order, record)
    unchanged = is_about_a_change(record) and record.disposition is Disposition.REJECTED
    if not (unchanged or answers_cancellation(order, record)):
        answers = [*read(order, record)[0]]
        answers += implied(order, record, {answer.line.pk for answer in answers})
    said = {answer.line: list(_promises(answer, document)) for answer in answers if answer.said}
    Promise.objects.bulk_create(row for rows in said.values() for row in rows)
    for line, rows in said.items():  # this is the newest answer to it, so that its sums are made of nothing else
        _sum_up(line, rows)
    save_lines(list(said), _SUMS)
    if record.disposition in DECIDES:
        answered = revision or 0 if is_stale(order, revision) else order.revision
        order.acknowledged_revision = max(order.acknowledged_revision or 0, answered)
        order.save(update_fields=["acknowledged_revision", "updated_at"])
    events.record(
        "order.acknowledged",
        order=order,
        document=document,
        at=now,
        disposition=record.disposition,
        revision=revision,
        lines=len(answers),
    )


def _promises(answer: LineAnswer, document: Document) -> Iterator[Promise]:
    for position, said in enumerate(answer.said, start=1):
        yield Promise(
            line=answer.line,
            document=document,
            position=position,
            status=said.status,
            code=said.code[:8],
            quantity=said.quantity,
            unit_price=storable(said.price),
            on=said.on,
        )


_SUMS: Final = ("answered", "confirmed", "backordered", "refused", "promised_on", "promised_price")


def _sum_up(line: OrderLine, rows: Sequence[Promise]) -> None:
    line.answered = bool(rows)
    line.confirmed, line.backordered, line.refused = (_sum(rows, kind) for kind in (CONFIRMS, POSTPONES, REFUSES))
    confirming = [row for row in rows if row.status in CONFIRMS]
    line.promised_on = max((row.on for row in confirming if row.on), default=None)
    line.promised_price = next((row.unit_price for row in reversed(confirming) if row.unit_price is not None), None)


def _sum(rows: Iterable[Promise], statuses: frozenset[LineStatus]) -> Decimal:
    # Not in SQL: SQLite adds up floats.
    return sum((row.quantity for row in rows if row.status in statuses and row.quantity is not None), Decimal(0))
