"""The registry of business events: the timeline of an order, the audit trail and later webhooks all read this one list."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone

from gateway import statements
from gateway.models import Event

if TYPE_CHECKING:
    from gateway.models import Delivery, Document, ExceptionCase, Order, Transmission


@dataclass(frozen=True, slots=True)
class Kind:
    """What one event means to a reader. ``lane`` says on whose side of the picture it stands."""

    title: str
    lane: str  #: "erp", "gateway" or "partner"


EVENTS: Final[dict[str, Kind]] = {
    "order.released": Kind("Order released by the ERP", "erp"),
    "order.changed": Kind("Order changed by the ERP", "erp"),
    "order.cancelled": Kind("Order cancelled by the ERP", "erp"),
    "order.unchanged": Kind("ERP change without a difference for the supplier", "erp"),
    "order.offered": Kind("Order ready for the supplier to fetch", "gateway"),
    "order.acknowledged": Kind("Supplier answered the order", "partner"),
    "order.shipped": Kind("Supplier announced a shipment", "partner"),
    "order.ack_late": Kind("Supplier's answer is late", "gateway"),
    "transmission.stored": Kind("Message received and stored", "partner"),
    "transmission.repeated": Kind("Message repeated; the stored answer was given again", "partner"),
    "transmission.same_content": Kind("The same content came before under another message id", "partner"),
    "transmission.refused": Kind("Message refused at the door", "partner"),
    "transmission.answered": Kind("Message translated", "gateway"),
    "transmission.prepared": Kind("Message prepared for the supplier", "gateway"),
    "transmission.sent": Kind("Message taken by the supplier's server; its receipt is awaited", "gateway"),
    "transmission.receipted": Kind("Receipt verified: the supplier has it", "partner"),
    "transmission.rejected": Kind("Supplier's receipt rejects the message", "partner"),
    "receipt.asked_at": Kind("Receipt wanted at an address of its own", "partner"),
    "receipt.sent": Kind("Receipt delivered to the supplier", "gateway"),
    "receipt.ignored": Kind("Receipt that changes nothing", "partner"),
    "receipt.overdue": Kind("Receipt did not come in time", "gateway"),
    "certificate.expiring": Kind("Certificate expires soon", "gateway"),
    "certificate.expired": Kind("Certificate has expired", "gateway"),
    "document.translated": Kind("Document translated", "gateway"),
    "document.parked": Kind("Document waits for its order", "gateway"),
    "document.applied": Kind("Document checked against the order book", "gateway"),
    "document.relayed": Kind("Document arrived where it was going", "gateway"),
    "document.held": Kind("Document held for a person", "gateway"),
    "document.rejected": Kind("Document rejected", "gateway"),
    "document.discarded": Kind("Document discarded", "gateway"),
    "document.replayed": Kind("Document read anew", "gateway"),
    "document.acknowledged": Kind("Functional acknowledgment received", "partner"),
    "interchange.acknowledged": Kind("Envelope acknowledged (TA1)", "partner"),
    "acknowledgment.unmatched": Kind("Acknowledgment of something we did not send", "partner"),
    "document.advised": Kind("Supplier's system said whether it can use the document", "partner"),
    "delivery.retry": Kind("Delivery waits for its next try", "gateway"),
    "delivery.taken": Kind("Taken by the other side, whose verdict comes later", "gateway"),
    "delivery.crashed": Kind("A try ended without a word", "gateway"),
    "delivery.open": Kind("Delivery tried again by a person", "gateway"),
    "delivery.in_doubt": Kind("Delivery without an answer: looked up next", "gateway"),
    "delivery.delivered": Kind("Delivered", "gateway"),
    "delivery.dead": Kind("Delivery given up", "gateway"),
    "delivery.cancelled": Kind("Delivery closed by a person", "gateway"),
    "breaker.opened": Kind("A system does not answer: what goes to it waits", "gateway"),
    "breaker.closed": Kind("The system answers again: what waited goes on", "gateway"),
    "breaker.tried": Kind("A person had the system tried at once", "gateway"),
    "case.opened": Kind("Exception case opened", "gateway"),
    "case.assigned": Kind("Exception case assigned", "gateway"),
    "case.resolved": Kind("Exception case resolved", "gateway"),
    "case.open": Kind("Exception case opened again", "gateway"),
    "hold.placed": Kind("Legal hold placed: nothing of it is archived", "gateway"),
    "hold.ended": Kind("Legal hold ended", "gateway"),
    "archive.made": Kind("Finished work left the tables for an archive", "gateway"),
    "archive.restored": Kind("An archive came back into the tables", "gateway"),
    "delivery.pending": Kind("Delivery waits for its next try", "gateway"),  # recorded until 0.1
    "delivery.sending": Kind("Delivery being tried", "gateway"),  # recorded until 0.1
    "delivery.tried": Kind("Delivery tried", "gateway"),  # moved here by the upgrade from 0.1
    "payload.viewed": Kind("Bytes of a message looked at", "gateway"),
    "order.open": Kind("Order open", "gateway"),
    "order.closed": Kind("Order closed", "gateway"),
}

#: Data for the machinery, which says nothing to a reader: seals of rows as they were, see ``models/seals.py``. ``seal`` is that
#: of the row the event's name says, the others of a row that was written with it.
UNREAD: Final = frozenset({"seal", "document_seal", "revision_seal", "entry", "entry_seal"})


def record(
    name: str,
    *,
    correlation_id: uuid.UUID | None = None,
    actor: str = "gateway",
    partner_id: int | None = None,
    order: Order | None = None,
    transmission: Transmission | None = None,
    document: Document | None = None,
    delivery: Delivery | None = None,
    case: ExceptionCase | None = None,
    at: datetime | None = None,
    **data: Any,
) -> Event:
    """Add one event, in the transaction of what it tells.

    Order, partner and correlation are taken from the document or transmission when not given. ``data`` holds ids, codes
    and counts, never document contents.
    """
    made = _event(
        name,
        correlation_id=correlation_id,
        actor=actor,
        partner_id=partner_id,
        order=order,
        transmission=transmission,
        document=document,
        delivery=delivery,
        case=case,
        at=at,
        data=data,
    )
    statements.insert(made)
    return made


def record_all(
    name: str, documents: Sequence[Document], data: Sequence[Mapping[str, Any]], *, actor: str = "gateway"
) -> None:
    """Add one event for each of these documents, as ``record`` does for one; ``data`` in the same order."""
    made = [_event(name, actor=actor, document=one, data=facts) for one, facts in zip(documents, data, strict=True)]
    statements.insert_all(made)


def _event(
    name: str,
    *,
    data: Mapping[str, Any],
    actor: str,
    correlation_id: uuid.UUID | None = None,
    partner_id: int | None = None,
    order: Order | None = None,
    transmission: Transmission | None = None,
    document: Document | None = None,
    delivery: Delivery | None = None,
    case: ExceptionCase | None = None,
    at: datetime | None = None,
) -> Event:
    if name not in EVENTS:
        raise KeyError(f"{name} is not in the registry of events")
    document = document or (delivery.document if delivery else None) or (case.document if case else None)
    transmission = transmission or (delivery.transmission if delivery else None)
    source = document or transmission
    if source is not None:
        correlation_id = correlation_id or source.correlation_id
        partner_id = partner_id or source.partner_id
    order = order or (document.order if document else None) or (case.order if case else None)
    return Event(
        name=name,
        at=at or timezone.now(),
        correlation_id=correlation_id,
        actor=actor,
        partner_id=partner_id or (order.partner_id if order else None) or (case.partner_id if case else None),
        order=order,
        transmission=transmission,
        document=document,
        delivery=delivery,
        case=case,
        data=data,
    )
