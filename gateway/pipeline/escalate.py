"""Escalate: what nobody acted on in time becomes an exception case.

A sweep looks at rows, not at what a process remembers, so it may run anywhere, at any time and twice at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from gateway import events, exception_queue, outbox, states
from gateway.models import (
    CaseState,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    EntryState,
    ExceptionCase,
    Order,
    OrderState,
    QueueEntry,
    TransmissionState,
)
from gateway.pipeline import apply
from partners import expiry

#: Rows taken in one transaction, so that a sweep never holds the database for long.
_AT_ONCE: Final = 100


def sweep(*, now: datetime) -> int:
    """Wake what was overlooked, open the cases that are due; returns how many were opened."""
    apply.wake_overlooked()
    return _dead_letters() + _parked(now) + _late_answers(now) + _certificates(now)


def _dead_letters() -> int:
    """A dead letter nobody is told of: its worker died, or gave up, before it could open a case, the first time or again."""
    told = ExceptionCase.objects.filter(delivery=OuterRef("delivery"), state=CaseState.OPEN)
    unseen = QueueEntry.objects.filter(~Exists(told), state=EntryState.DEAD)
    with_it = ("delivery__document", "delivery__transmission", "delivery__connection")
    opened = 0
    for delivery in [entry.delivery for entry in unseen.select_related(*with_it)[:_AT_ONCE]]:
        with transaction.atomic():
            message = delivery.transmission
            if delivery.kind == DeliveryKind.PARTNER and message and message.state == TransmissionState.RECEIPTED:
                # Its receipt came while a worker held it that died once too often: the partner has it.
                outbox.conclude(delivery, DeliveryState.DELIVERED, message.message_id)
                continue
            opened += 1
            exception_queue.open_case(
                _reason(delivery),
                summary=f"{_WHAT[DeliveryKind(delivery.kind)]} given up: {delivery.last_error}",
                fingerprint=f"dead:{delivery.pk}",
                detail={"why": delivery.last_error, "attempts": delivery.attempts},
                delivery=delivery,
            )
    return opened


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
    # In the words of the index order_unanswered.
    unanswered = Q(acknowledged_revision=None) | Q(acknowledged_revision__lt=F("revision"))
    late = Order.objects.filter(unanswered, state=OrderState.OPEN, ack_due_at__lte=now).order_by("ack_due_at", "pk")
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


def _certificates(now: datetime) -> int:
    """Certificates that have come to a day on which their end is announced, and cases of those that need nobody any more."""
    opened = 0
    for certificate in expiry.expiring(now, at_most=_AT_ONCE):
        with transaction.atomic():
            # Marked in the same commit: each day is announced once, however often this is swept.
            if expiry.announce(certificate):
                opened += _announced(certificate, now)
    _settle_certificates(now)
    return opened


def _announced(certificate: expiry.Expiring, now: datetime) -> int:
    successor = certificate.successor
    events.record(
        "certificate.expired" if certificate.expired else "certificate.expiring",
        partner_id=certificate.partner_id,
        at=now,
        days=(certificate.not_after - now).days,
        owner=certificate.owner,
        role=certificate.role,
        fingerprint=certificate.fingerprint,
        not_after=certificate.not_after.isoformat(),
        successor=successor.fingerprint if successor else None,
    )
    if certificate.expired:
        soon = _case_of(certificate.id, "certificate_expiring")
        exception_queue.settle(soon, note="It has expired.", now=now)
    reason = "certificate_expired" if certificate.expired else "certificate_expiring"
    case = _case_of(certificate.id, reason)
    if successor and not ExceptionCase.objects.filter(fingerprint=case, state=CaseState.OPEN).exists():
        return 0
    exception_queue.open_case(
        reason,
        summary=_end_of(certificate, now),
        fingerprint=case,
        detail={
            "certificate": certificate.subject,
            "fingerprint": certificate.fingerprint,
            "valid_until": certificate.not_after.isoformat(),
        },
        partner_id=certificate.partner_id,
        now=now,
    )
    return 1


def _settle_certificates(now: datetime) -> None:
    """Close the cases of certificates that were ended or replaced."""
    rows = ExceptionCase.objects.filter(
        reason__in=("certificate_expiring", "certificate_expired"), state=CaseState.OPEN
    )
    cases = {
        fingerprint: int(fingerprint.rpartition(":")[2]) for fingerprint in rows.values_list("fingerprint", flat=True)
    }
    reasons = expiry.settled(cases.values(), now)
    for fingerprint, certificate in cases.items():
        if certificate in reasons:
            exception_queue.settle(fingerprint, note=reasons[certificate], now=now)


def _case_of(certificate: int, reason: str) -> str:
    return f"{reason}:{certificate}"


def _end_of(certificate: expiry.Expiring, now: datetime) -> str:
    """In words, e.g. ``Certificate CN=acme of ACME (sign) expires in 29 days, on 2027-03-31.``"""
    whose = f"of {certificate.owner}" if certificate.partner_id is not None else f"of ours ({certificate.owner})"
    left = (certificate.not_after - now).days
    if certificate.expired:
        end = "has expired"
    elif left < 1:
        end = "expires within a day"
    else:
        end = f"expires in {left} day{'' if left == 1 else 's'}"
    text = f"Certificate {certificate.subject[:80]} {whose}, to {_FOR[certificate.role]}, {end}: {certificate.not_after:%Y-%m-%d}."
    if certificate.successor is None:
        return f"{text} There is no successor."
    begins = certificate.successor.used_from
    return f"{text} Its successor is here and {f'used from {begins:%Y-%m-%d} on' if begins else 'in use'}."


_FOR: Final = {"sign": "sign", "encrypt": "encrypt", "both": "sign and encrypt", "tls": "open TLS connections"}

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
    if delivery.kind == DeliveryKind.RECEIPT:
        return "receipt_undeliverable"
    return "partner_unreachable" if delivery.attempts > 1 else "transport_failed"
