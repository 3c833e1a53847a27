"""What suppliers promised: every answer is kept, and a line's sums are made from the newest one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils import timezone

from edi_maps.canonical import Disposition, LineStatus, OrderAcknowledgment
from gateway import events, statements
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
    if _WRITTEN.all(order=order.pk, document=document.pk):
        return
    answers: list[LineAnswer] = []
    revision = revision_answered(order, record)
    unchanged = is_about_a_change(record) and record.disposition is Disposition.REJECTED
    if not (unchanged or answers_cancellation(order, record)):
        answers = [*read(order, record)[0]]
        answers += implied(order, record, {answer.line.pk for answer in answers})
    said = {answer.line: list(_promises(answer, document)) for answer in answers if answer.said}
    Promise.objects.bulk_create(promise for promises in said.values() for promise in promises)
    for line, promises in said.items():  # this is the newest answer to it, so that its sums are made of nothing else
        _sum_up(line, promises)
    save_lines(list(said), _SUMS)
    if record.disposition in DECIDES:
        answered = revision or 0 if is_stale(order, revision) else order.revision
        newest = max(order.acknowledged_revision or 0, answered)
        statements.move(order, {"acknowledged_revision": newest, "updated_at": timezone.now()}, only_if={})
    events.record(
        "order.acknowledged",
        order=order,
        document=document,
        at=now,
        disposition=record.disposition,
        revision=revision,
        lines=len(answers),
    )


_WRITTEN: Final = statements.Query(
    lambda: Event.objects.only("pk").filter(
        name="order.acknowledged", order_id=statements.Given("order"), document_id=statements.Given("document")
    )[:1]
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


def _sum_up(line: OrderLine, promises: Sequence[Promise]) -> None:
    line.answered = bool(promises)
    line.confirmed, line.backordered, line.refused = (_sum(promises, kind) for kind in (CONFIRMS, POSTPONES, REFUSES))
    confirming = [one for one in promises if one.status in CONFIRMS]
    line.promised_on = max((one.on for one in confirming if one.on), default=None)
    line.promised_price = next((one.unit_price for one in reversed(confirming) if one.unit_price is not None), None)


def _sum(promises: Iterable[Promise], statuses: frozenset[LineStatus]) -> Decimal:
    # Not in SQL: SQLite adds up floats.
    return sum((one.quantity for one in promises if one.status in statuses and one.quantity is not None), Decimal(0))
