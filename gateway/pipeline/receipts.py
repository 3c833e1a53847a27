"""Receipts: what a partner's MDN proves about a message of ours, and what follows from it."""

from __future__ import annotations

import base64
from typing import Any

from django.db import transaction

from gateway import exception_queue, outbox, states
from gateway.models import Blob, DocumentState, Transmission, TransmissionState
from gateway.transports import as2, http
from partners.profiles import As2Terms


def in_the_answer(claim: outbox.Claim, transmission: Transmission, terms: As2Terms, answer: http.HttpAnswer) -> None:
    """Judge the receipt that came in the answer to our POST."""
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
