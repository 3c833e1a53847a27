"""Escalate: what nobody acted on in time becomes an exception case.

A sweep looks at rows, not at what a process remembers, so it may run anywhere, at any time and twice at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from gateway import events, exception_queue, states
from gateway.models import (
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    ExceptionCase,
    Order,
    OrderState,
)
from gateway.pipeline import apply

#: Rows taken in one transaction, so that a sweep never holds the database for long.
_AT_ONCE: Final = 100


def sweep(*, now: datetime) -> int:
    """Wake what was overlooked, open the cases that are due; returns how many were opened."""
    apply.wake_overlooked()
    return _dead_letters() + _parked(now) + _late_answers(now)


def _dead_letters() -> int:
    """A dead letter without a case: its worker died, or gave up, before it could open one."""
    unseen = Delivery.objects.filter(
        ~Exists(ExceptionCase.objects.filter(delivery=OuterRef("pk"))), state=DeliveryState.DEAD
    )
    rows = list(unseen.select_related("document", "transmission", "connection")[:_AT_ONCE])
    for delivery in rows:
        with transaction.atomic():
            exception_queue.open_case(
                _reason(delivery),
                summary=f"{_WHAT[DeliveryKind(delivery.kind)]} given up: {delivery.last_error}",
                fingerprint=f"dead:{delivery.pk}",
                detail={"why": delivery.last_error, "attempts": delivery.attempts},
                delivery=delivery,
            )
    return len(rows)


def _parked(now: datetime) -> int:
    """An answer whose order did not come in time."""
    overdue = Document.objects.filter(state=DocumentState.PARKED, parked_until__lte=now).order_by("pk")
    opened = 0
    for document in overdue[:_AT_ONCE]:
        try:
            with transaction.atomic():
                states.advance(document, DocumentState.HELD, note={"reason": "order_unknown"})
                exception_queue.open_case(
                    "order_unknown",
                    summary=f"{document.type.replace('_', ' ').capitalize()} {document.number}: its order is not known",
                    fingerprint=f"order_unknown:{document.uid}",
                    detail={"findings": document.findings},
                    document=document,
                )
                opened += 1
        except states.StaleState:
            continue  # its order came just now
    return opened


def _late_answers(now: datetime) -> int:
    """An order whose newest revision the supplier has not answered in the agreed time."""
    answered = Q(acknowledged_revision__gte=F("revision"))
    late = Order.objects.filter(~answered, state=OrderState.OPEN, ack_due_at__lte=now).order_by("pk")
    rows = list(late.select_related("partner")[:_AT_ONCE])
    for order in rows:
        with transaction.atomic():
            # Cleared in the same commit: one case a revision, however often this is swept.
            if not Order.objects.filter(pk=order.pk, ack_due_at=order.ack_due_at).update(ack_due_at=None):
                continue
            events.record("order.ack_late", order=order, revision=order.revision)
            exception_queue.open_case(
                "ack_late",
                summary=f"{order.partner.code} has not answered order {order.number}, revision {order.revision}",
                fingerprint=f"ack_late:{order.pk}",
                detail={"revision": order.revision, "due": order.ack_due_at.isoformat() if order.ack_due_at else ""},
                order=order,
            )
    return len(rows)


_WHAT: Final = {
    DeliveryKind.TRANSLATE: "Translation",
    DeliveryKind.APPLY: "Checking against the order book",
    DeliveryKind.ERP: "Delivery to the ERP",
    DeliveryKind.PARTNER: "Delivery to the supplier",
    DeliveryKind.RECEIPT: "Delivery of a receipt",
}


def _reason(delivery: Delivery) -> str:
    if delivery.last_error.startswith("The worker died") or delivery.kind in {
        DeliveryKind.TRANSLATE,
        DeliveryKind.APPLY,
    }:
        return "poison"
    if delivery.kind == DeliveryKind.ERP:
        return "erp_unreachable"
    return "partner_unreachable" if delivery.attempts > 1 else "transport_failed"
