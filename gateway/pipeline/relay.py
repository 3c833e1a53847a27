"""Relay: claim what is due, hand it to its consumer, write down what came of it.

The network is never touched inside a transaction. Every outside call has three outcomes: yes, no, and in doubt; what is in
doubt is looked up (the ERP, by key) or sent again as the very same bytes under the same id (AS2, where a repeat gets the
first receipt).
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from edi_maps import canonical
from edi_maps.canonical import OrderAcknowledgment, ShipNotice
from gateway import exception_queue, order_book, outbox, states
from gateway.erp.port import AuthFailed, InDoubt, NeedsHuman, Permanent, Submission, Transient
from gateway.models import (
    Blob,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    Transmission,
    TransmissionState,
)
from gateway.pipeline import apply, release, translate
from gateway.transports import as2, http
from gateway.transports.errors import InDoubt as NoAnswer
from gateway.transports.errors import Refused, Unreachable
from partners import directory
from partners.profiles import As2Terms

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
    try:
        _HANDLERS[DeliveryKind(claim.delivery.kind)](claim, now=now)
    except outbox.Fenced as lost:
        log.warning("delivery=%s %s", claim.delivery.pk, lost)
    except Exception as error:  # the outer edge: an unforeseen fault is one more reason to try again
        log.exception("delivery=%s token=%s failed", claim.delivery.pk, claim.token)
        try:
            # What reaches outside may have had its effect before the fault: it is looked up, not assumed.
            reaches_out = claim.delivery.kind in {DeliveryKind.ERP, DeliveryKind.PARTNER}
            outbox.retry(claim, f"{type(error).__name__}: {error}", in_doubt=claim.doubtful or reaches_out)
        except outbox.Fenced as lost:
            log.warning("delivery=%s %s", claim.delivery.pk, lost)


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
        port = release.port_of(delivery.connection)
        if claim.doubtful and (found := port.find(submission.kind, submission.key)) is not None:
            _arrived_in_erp(claim, document, found)
            return
        submitted = port.submit(submission)
        if submitted.state == "pending":
            outbox.retry(claim, "the ERP has it and has not decided", in_doubt=True, charged=False)
            return
    except Transient as later:
        outbox.retry(claim, str(later), in_doubt=claim.doubtful, after_s=later.retry_after_s)
    except InDoubt as unknown:
        outbox.retry(claim, str(unknown), in_doubt=True)
    except AuthFailed as refused:
        release.block(delivery.connection, str(refused))
        outbox.retry(claim, str(refused), in_doubt=claim.doubtful, charged=False, after_s=60)
    except (Permanent, NeedsHuman) as refused:
        _refused_by_erp(claim, document, refused)
    else:
        _arrived_in_erp(claim, document, submitted.erp_ref or "")


def to_partner(claim: outbox.Claim, *, now: datetime) -> None:
    """Post a prepared transmission to its partner over AS2 and read the receipt."""
    transmission = claim.delivery.transmission
    if transmission is None or transmission.payload is None:
        raise ValueError(f"{claim.delivery} names no transmission")
    terms = directory.profile(transmission.partner_id).as2
    if terms is None or terms.url is None:
        outbox.bury(claim, "the partner has no AS2 address: enter its URL, then retry")
        return
    if not transmission.message_id:
        _fix_bytes(transmission, terms)
    try:
        answer = http.post(
            terms.url,
            transmission.headers,
            transmission.raw.content,
            timeout_s=min(terms.timeout_s, settings.LEASE.total_seconds() / 2),
            verify_tls=terms.verify_tls,
        )
    except Unreachable as error:
        outbox.retry(claim, str(error), in_doubt=claim.doubtful)
        return
    except NoAnswer as error:
        outbox.retry(claim, str(error), in_doubt=True)
        return
    except Refused as error:
        outbox.bury(claim, str(error))
        return
    if answer.status in _RETRY_STATUS or answer.status >= 500:
        outbox.retry(claim, f"HTTP {answer.status}", in_doubt=answer.status >= 500)
    elif answer.status >= 300:
        outbox.bury(claim, f"HTTP {answer.status}: the partner's server refuses the message")
    else:
        _read_receipt(claim, transmission, terms, answer)


#: Request time-out, too early, too many requests: the partner says "again, later".
_RETRY_STATUS: Final = frozenset({408, 425, 429})


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
    orders = [one for one in apply.orders_of(document) or [] if (one.connection_id, one.company) == company]
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
        others = document.deliveries.filter(kind=DeliveryKind.ERP).exclude(state=DeliveryState.DELIVERED)
        if document.state in {DocumentState.APPLIED, DocumentState.TRANSLATED} and not others.exists():
            states.advance(document, DocumentState.RELAYED, note={"erp_ref": reference})


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


def _fix_bytes(transmission: Transmission, terms: As2Terms) -> None:
    """Sign and encrypt once: id, bytes and digests are kept before the first byte leaves, and every repeat is the same."""
    if transmission.payload is None:
        raise ValueError(f"{transmission} has no payload")
    message_id = f"<{transmission.uid}@{_domain(terms.our_name)}>"
    message = as2.build_message(
        transmission.payload.content,
        terms=terms,
        message_id=message_id,
        content_type=transmission.content_type,
        file_name=transmission.file_name,
        subject=f"{terms.our_name} to {terms.their_name}",
    )
    with transaction.atomic():
        kept = Transmission.objects.filter(pk=transmission.pk, message_id="").update(
            message_id=message_id,
            headers=dict(message.headers),
            raw=Blob.put(message.body),
            digests={name: base64.b64encode(digest).decode() for name, digest in message.digests.items()},
        )
    if not kept:
        log.info("transmission=%s was prepared by another worker", transmission.pk)
    transmission.refresh_from_db()


def _domain(name: str) -> str:
    """Our AS2 name as the right side of a Message-ID."""
    return "".join(mark if mark.isalnum() else "-" for mark in name.lower()).strip("-") or "gateway"


def _read_receipt(claim: outbox.Claim, transmission: Transmission, terms: As2Terms, answer: http.HttpAnswer) -> None:
    receipt = as2.read_mdn(
        answer.headers,
        answer.body,
        message_id=transmission.message_id,
        digests={name: base64.b64decode(value) for name, value in transmission.digests.items()},
        terms=terms,
    )
    if receipt.verdict is as2.Verdict.INVALID:
        # Accepted by HTTP without a receipt that proves it: sent again as it is, the partner answers a repeat alike.
        outbox.retry(claim, f"no valid receipt: {receipt.text}", in_doubt=True)
        return
    with transaction.atomic():
        evidence: dict[str, Any] = {"answer": Blob.put(answer.body), "answer_headers": dict(answer.headers)}
        if receipt.verdict is as2.Verdict.REJECTED:
            outbox.bury(claim, f"the partner's receipt rejects it: {receipt.text}")
            states.advance(
                transmission, TransmissionState.REJECTED, reason=receipt.text, answer_status=answer.status, **evidence
            )
            exception_queue.open_case(
                "receipt_rejected",
                summary=f"The partner's receipt rejects {transmission.file_name}: {receipt.text}"[:255],
                fingerprint=f"receipt_rejected:{transmission.uid}",
                detail={"why": receipt.text, "message_id": transmission.message_id},
                partner_id=transmission.partner_id,
                document=claim.delivery.document,
                order=claim.delivery.document.order if claim.delivery.document else None,
                transmission=transmission,
                delivery=claim.delivery,
            )
            return
        outbox.finish(claim, transmission.message_id)
        states.advance(
            transmission, TransmissionState.RECEIPTED, reason=receipt.text, answer_status=answer.status, **evidence
        )
        for document in transmission.documents.filter(state=DocumentState.TRANSLATED):
            states.advance(document, DocumentState.RELAYED)


_HANDLERS: Final[dict[DeliveryKind, Callable[..., None]]] = {
    DeliveryKind.TRANSLATE: translate.run,
    DeliveryKind.APPLY: apply.run,
    DeliveryKind.ERP: to_erp,
    DeliveryKind.PARTNER: to_partner,
}
