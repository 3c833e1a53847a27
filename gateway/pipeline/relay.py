"""Relay: claim what is due, hand it to its consumer, write down what came of it.

The network is never touched inside a transaction. Every outside call has three outcomes: yes, no, and in doubt; what is in
doubt is looked up (the ERP, by key) or sent again as the very same bytes under the same id (AS2, where a repeat gets the
first receipt).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import DatabaseError, transaction
from django.utils import timezone

from edi_maps import canonical
from edi_maps.canonical import OrderAcknowledgment, ShipNotice
from gateway import exception_queue, logs, metrics, order_book, outbox, statements, states, tracing
from gateway.blob_store import Full, Unreachable
from gateway.erp.port import AuthFailed, InDoubt, NeedsHuman, Permanent, Submission, Submitted, Transient
from gateway.models import (
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    ErpConnection,
)
from gateway.pipeline import apply, erp_calls, release, send, translate
from partners import directory

log = logging.getLogger(__name__)


def work(kind: DeliveryKind, owner: str, *, most: int = 1000) -> int:
    """Handle what is due of one kind, one claim at a time; returns how many claims there were."""
    for done in range(most):
        claim = outbox.claim(kind, owner)
        if claim is None:
            return done
        handle(claim, now=timezone.now())
    return most


def handle(claim: outbox.Claim, *, now: datetime) -> None:
    """Hand one claimed delivery to its consumer. Whatever goes wrong ends in the row, never in the caller."""
    delivery = claim.delivery
    known: dict[str, str | int | None] = {"queue": delivery.kind, "delivery": delivery.pk, "token": claim.token}
    try:
        with logs.bound(**known), tracing.span(f"try {delivery.kind}", **known), metrics.timed_try(delivery.kind):
            _handle(claim, now=now)
    finally:
        outbox.end_probe(claim)


def _handle(claim: outbox.Claim, *, now: datetime) -> None:
    try:
        _say_whose(claim.delivery)
        _HANDLERS[DeliveryKind(claim.delivery.kind)](claim, now=now)
    except outbox.Fenced as lost:
        _fenced(lost)
    except Exception as error:  # the outer edge: an unforeseen fault is one more reason to try again
        log.exception("the try failed")
        claim.delivery.refresh_from_db()  # it says what was about to be written and was rolled back
        try:
            # What reaches outside may have had its effect before the fault: it is looked up, not assumed.
            reaches_out = claim.delivery.kind in {DeliveryKind.ERP, DeliveryKind.PARTNER, DeliveryKind.RECEIPT}
            outbox.retry(
                claim, logs.told(error), in_doubt=claim.doubtful or reaches_out, charged=not _is_for_want_of_room(error)
            )
        except outbox.Fenced as lost:
            _fenced(lost)


def _is_for_want_of_room(error: Exception) -> bool:
    """Whether nothing could be kept or read at the moment, for which no delivery is to blame."""
    if isinstance(error, DatabaseError):
        said = error.__cause__  # 53100: disk_full of PostgreSQL
        return getattr(said, "sqlstate", "") == "53100" or getattr(said, "sqlite_errorname", "") == "SQLITE_FULL"
    return isinstance(error, (Full, Unreachable))


def _say_whose(delivery: Delivery) -> None:
    """Have every line and the span of this try name what it is about."""
    source = delivery.transmission if delivery.transmission_id else delivery.document
    if source is not None:
        about: dict[str, str | int | None] = {
            "transmission": delivery.transmission_id,
            "document": delivery.document_id,
            "partner_id": source.partner_id,
            "correlation_id": str(source.correlation_id),
        }
        logs.bind(**about)
        tracing.tell(**about)


def _fenced(lost: outbox.Fenced) -> None:
    metrics.FENCED.inc()
    log.warning("%s", lost)


def to_erp(claim: outbox.Claim, *, now: datetime) -> None:
    """Hand a document to its ERP, once."""
    delivery, document = claim.delivery, claim.delivery.document
    if document is None or delivery.connection is None:
        raise ValueError(f"{delivery} names no document or no ERP")
    if not delivery.connection.active or delivery.connection.blocked_reason:
        outbox.retry(claim, "the ERP connection is stopped", charged=False, after_s=60)
        return
    submission = _submission(delivery, document)
    try:
        with erp_calls.watched(delivery.connection.pk):
            submitted = _submit(delivery.connection, submission, look_first=claim.doubtful)
    except Transient as later:
        outbox.retry(claim, str(later), in_doubt=claim.doubtful, after_s=later.retry_after_s)
    except InDoubt as unknown:
        outbox.retry(claim, str(unknown), in_doubt=True, after_s=unknown.retry_after_s)
    except AuthFailed as refused:
        release.block(delivery.connection, str(refused), since=claim.began)
        outbox.retry(claim, str(refused), in_doubt=claim.doubtful, charged=False, after_s=60)
    except (Permanent, NeedsHuman) as refused:
        _refused_by_erp(claim, document, refused)
    else:
        if submitted.state == "pending":
            outbox.retry(claim, "the ERP has it and has not decided", in_doubt=True, charged=False)
        else:
            _arrived_in_erp(claim, document, submitted.erp_ref or "")


def _submit(erp: ErpConnection, submission: Submission, *, look_first: bool) -> Submitted:
    """Submit it, or find that the ERP has it."""
    port = release.port_of(erp)
    if look_first and (found := port.find(submission.kind, submission.key)) is not None:
        return Submitted(state="done", erp_ref=found, replayed=True)
    return port.submit(submission)


def _submission(delivery: Delivery, document: Document) -> Submission:
    """What the ERP gets: the document as it is, an answer to orders in the orders' own terms."""
    record = canonical.load(document.record)
    if isinstance(record, OrderAcknowledgment | ShipNotice):
        record = _in_the_orders_terms(record, delivery, document)
    profile = directory.profile(document.partner_id)
    number = profile.supplier_numbers[0] if profile.supplier_numbers else profile.code
    return Submission(key=delivery.key, company=delivery.company, supplier_number=number, record=record)


def _in_the_orders_terms(
    answer: OrderAcknowledgment | ShipNotice, delivery: Delivery, document: Document
) -> OrderAcknowledgment | ShipNotice:
    """An answer with the orders' own line numbers, and of a ship notice only what is about the orders of this company."""
    company = (delivery.connection_id, delivery.company)
    answered = [document.order] if isinstance(answer, OrderAcknowledgment) else apply.orders_of(document)
    orders = [one for one in answered or [] if one is not None and (one.connection_id, one.company) == company]
    if not orders:
        raise ValueError(f"{document} answers no order of {delivery.company}")
    if isinstance(answer, ShipNotice):
        numbers = {order.number for order in orders}
        mine = tuple(item for item in answer.items if (item.order_number or "").strip() in numbers)
        return order_book.as_ordered(answer.model_copy(update={"items": mine}), orders)
    return order_book.as_ordered(answer, orders)


def _arrived_in_erp(claim: outbox.Claim, document: Document, reference: str) -> None:
    with transaction.atomic():
        outbox.finish(claim, reference)
        if document.state in {DocumentState.APPLIED, DocumentState.TRANSLATED} and not _OTHERS.all(
            document=document.pk
        ):
            states.advance(document, DocumentState.RELAYED, note={"erp_ref": reference})


#: What of a document is not in an ERP yet: it may be for several.
_OTHERS: Final = statements.Query(
    lambda: (
        Delivery.objects.only("pk")
        .filter(document_id=statements.Given("document"), kind=DeliveryKind.ERP)
        .exclude(state=DeliveryState.DELIVERED)[:1]
    )
)


def _refused_by_erp(claim: outbox.Claim, document: Document, refused: Permanent | NeedsHuman) -> None:
    reason = "erp_question" if isinstance(refused, NeedsHuman) else "erp_refused"
    with transaction.atomic():
        outbox.bury(claim, str(refused))
        exception_queue.open_case(
            reason,
            summary=f"ERP says to {document.type.replace('_', ' ')} {document.number}: {refused}"[:255],
            fingerprint=f"{reason}:{claim.delivery.pk}",
            detail={"why": str(refused)},
            partner_id=document.partner_id,
            order=document.order,
            document=document,
            delivery=claim.delivery,
        )


_HANDLERS: Final[dict[DeliveryKind, Callable[..., None]]] = {
    DeliveryKind.TRANSLATE: translate.run,
    DeliveryKind.APPLY: apply.run,
    DeliveryKind.ERP: to_erp,
    DeliveryKind.PARTNER: send.to_partner,
    DeliveryKind.RECEIPT: send.receipt,
}
