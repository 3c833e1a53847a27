"""Receipts: what a partner's MDN proves about a message of ours, and what follows from it.

A receipt comes in the answer to our POST, or by a request of its own and then at any time: before our POST has returned, in
time, after we gave up, twice. Whoever settles a message holds its row first, the worker who sends it as much as the door, so
of two receipts at once one counts and the other finds it.

| receipt | message | delivery | kept |
|---|---|---|---|
| valid, and the message waits | receipted or rejected | delivered or dead, given up or not | on the message; by a request of its own, as a row besides |
| valid, says the same again | as it is | as it is | an event |
| valid, says something else | as it is | as it is | a row, and a case |
| forged, unsigned where signed was asked, without a usable MIC, for nothing of ours | as it is | as it is | a refused row, and a case; both within bounds |

A delivery that a worker holds at that moment is left to the worker, who finds the message settled. Whoever sends a receipt
by a request of its own gets one and the same answer for all of this: guessing at ids teaches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from gateway import events, exception_queue, outbox, states
from gateway.models import (
    Blob,
    DeliveryKind,
    DeliveryState,
    DocumentState,
    Event,
    Transmission,
    TransmissionState,
)
from gateway.models.fields import storable
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from partners.profiles import As2Terms, Channel, Direction, Profile

log = logging.getLogger(__name__)

#: ``Transmission.format`` of a receipt.
MDN: Final = "mdn"
#: A receipt has a few kilobytes.
MAX_BYTES: Final = 1024 * 1024
#: Receipts that prove nothing are kept up to here, of one partner; more are answered and leave a line in the log.
REFUSED_AN_HOUR: Final = 20
#: So many receipts of one message are kept, and so often is it noted that one changed nothing.
MOST_OF_A_MESSAGE: Final = 20

_TAKEN: Final = Answer(
    status=200, headers={"Content-Type": "text/plain; charset=us-ascii"}, body=b"The receipt was taken.\n"
)
_TOO_LONG: Final = Answer(
    status=413, headers={"Content-Type": "text/plain; charset=us-ascii"}, body=b"A receipt is not as long as this.\n"
)
_SETTLED: Final = frozenset({TransmissionState.RECEIPTED, TransmissionState.REJECTED})


# ------------------------------------------------------------------------------------------- for the one who sends
def held(message: Transmission) -> Transmission:
    """The message as it is now, its row locked until the transaction ends; before a delivery of it is settled."""
    return Transmission.objects.select_for_update(no_key=True).get(pk=message.pk)


def read(message: Transmission, terms: As2Terms, headers: Mapping[str, str], body: bytes) -> as2.Receipt:
    """Judge what should be a receipt for ``message``; it must be signed when the message as it left asks for that.

    Raises:
        UnusableTerms: a certificate of the terms cannot be used.
    """
    asked = as2.requested_receipt(message.headers)
    return as2.read_mdn(
        headers,
        body,
        message_id=message.message_id,
        digests=digests_of(message),
        terms=terms if asked is None else replace(terms, signed_mdn=asked.signed),
    )


def digests_of(message: Transmission) -> Mapping[str, bytes]:
    """Of what its receipt is about: the one asked for, as it was fixed before the message left, and others from the octets."""
    fixed = {name: base64.b64decode(value) for name, value in message.digests.items()}
    if message.covered_id is None:
        return fixed
    return as2.Digests(fixed, lambda: Blob.objects.get(pk=message.covered_id).content)


def is_awaited(message: Transmission) -> bool:
    """Whether ``message`` as it left asks for its receipt by a request of its own."""
    asked = as2.requested_receipt(message.headers)
    return asked is not None and asked.delivery_url is not None


def take(
    message: Transmission,
    receipt: as2.Receipt,
    *,
    headers: Mapping[str, str],
    body: bytes,
    status: int | None = None,
) -> bool:
    """Let a valid receipt count for a message that is ``held``: its state, its documents, its cases.

    Args:
        headers, body: the receipt as it came.
        status: of the answer it came in; None: it came by a request of its own.

    Returns:
        Whether it settled the message. What is settled stays as it is.
    """
    rejected = receipt.verdict is as2.Verdict.REJECTED
    to = TransmissionState.REJECTED if rejected else TransmissionState.RECEIPTED
    if message.state == to:
        _ignore(message, receipt)
        return False
    if message.state in _SETTLED:
        _contradicted(message, receipt, headers, body)
        return False
    answer: dict[str, Any] = {"answer": Blob.put(body), "answer_headers": dict(headers)}
    if status is not None:
        answer["answer_status"] = status
    proved = {"receipt_signer": receipt.signer_fingerprint, "mic_algorithm": receipt.mic_algorithm}
    states.advance(message, to, reason=receipt.text, evidence={**message.evidence, **proved}, **answer)
    exception_queue.settle(_overdue_case(message), note=f"The receipt came: {receipt.text}")
    if rejected:
        _open_rejected(message, receipt)
    else:
        for document in message.documents.filter(state=DocumentState.TRANSLATED):
            states.advance(document, DocumentState.RELAYED)
    return True


def close(claim: outbox.Claim, message: Transmission) -> bool:
    """End a claim on a message that is ``held`` by what its receipt says; False while it waits for one."""
    if message.state not in _SETTLED:
        return False
    try:
        if message.state == TransmissionState.RECEIPTED:
            outbox.finish(claim, message.message_id)
        else:
            outbox.bury(claim, _rejection(message))
    except outbox.Fenced as lost:
        # The receipt counts all the same: whoever has the claim by now finds it.
        log.warning("delivery=%s %s", claim.delivery.pk, lost)
    return True


def overdue(message: Transmission, tries: int) -> None:
    """The receipt of a message that was taken has not come in time."""
    events.record("receipt.overdue", transmission=message, tries=tries)
    exception_queue.open_case(
        "receipt_overdue",
        summary=f"No receipt has come for {message.file_name}, tried {'once' if tries == 1 else f'{tries} times'}",
        fingerprint=_overdue_case(message),
        detail={"message_id": message.message_id, "tries": tries},
        # Without its delivery: closing this case must not give the delivery up.
        document=message.documents.first(),
        transmission=message,
    )


def given_up(message: Transmission) -> None:
    """The message is sent no more; its dead letter has a case of its own."""
    exception_queue.settle(_overdue_case(message), note="Every try was used up; the delivery was given up.")


# --------------------------------------------------------------------------------- by a request of its own, at the door
def arrived(incoming: Incoming, profile: Profile, original_message_id: str) -> Answer:
    """Take a receipt that a partner sent by a request of its own.

    Args:
        incoming: ``raw`` is the body, ``headers`` what was kept of the header; Content-Type is needed to judge it.
        original_message_id: of the message it says it is for, with or without brackets; not verified.

    Raises:
        UnusableTerms: a certificate of the partner cannot be used; nothing was stored.
        DatabaseError: nothing was stored, so it must be sent again.
    """
    if profile.as2 is None:
        raise ValueError(f"{profile.code} has no AS2 link")
    if len(incoming.raw) > MAX_BYTES:
        return _TOO_LONG
    message = _sent(profile, profile.as2, original_message_id)
    if message is None:
        _refuse(incoming, profile, None, "it is for no message of ours")
        return _TAKEN
    receipt = read(message, profile.as2, incoming.headers, incoming.raw)
    if receipt.verdict is as2.Verdict.INVALID:
        _refuse(incoming, profile, message, receipt.text)
        return _TAKEN
    with transaction.atomic():
        message = held(message)
        if take(message, receipt, headers=incoming.headers, body=incoming.raw):
            kept = _keep(incoming.headers, incoming.raw, profile.id, message)
            states.advance(kept, TransmissionState.STORED, note={"about": str(message.uid), "verdict": receipt.verdict})
            _conclude(message)
    return _TAKEN


def _sent(profile: Profile, terms: As2Terms, original_message_id: str) -> Transmission | None:
    """The message of ours with this id that went to this partner, from and to the names of its link."""
    bare = original_message_id.strip().removeprefix("<").removesuffix(">")
    if not bare or not bare.isprintable():
        return None
    found = Transmission.objects.filter(
        direction=Direction.OUTBOUND,
        channel=Channel.AS2,
        partner_id=profile.id,
        message_id__in=[f"<{bare}>", bare],
    ).exclude(format=MDN)
    for message in found:
        pair = as2.request_names(message.headers)
        if (pair.as2_from, pair.as2_to) == (terms.our_name, terms.their_name):
            return message
    return None


def _conclude(message: Transmission) -> None:
    """Settle the deliveries of a message that was settled while nobody was sending it."""
    for delivery in message.deliveries.filter(kind=DeliveryKind.PARTNER):
        if message.state == TransmissionState.RECEIPTED:
            outbox.conclude(delivery, DeliveryState.DELIVERED, message.message_id)
            note = "The receipt came after all: the partner has it."
        else:
            outbox.conclude(delivery, DeliveryState.DEAD, _rejection(message))
            note = "The receipt came after all and rejects it; that has a case of its own."
        exception_queue.settle(f"dead:{delivery.pk}", note=note)


def _refuse(incoming: Incoming, profile: Profile, message: Transmission | None, why: str) -> None:
    """Keep what proves nothing, for staff to look at. Anybody may post it, so there is an end to that."""
    refused = Transmission.objects.filter(partner_id=profile.id, format=MDN, state=TransmissionState.REFUSED)
    if refused.filter(at__gte=timezone.now() - timedelta(hours=1)).count() >= REFUSED_AN_HOUR:
        log.warning("partner=%s another receipt that proves nothing, not kept", profile.code)
        return
    with transaction.atomic():
        row = _keep(incoming.headers, incoming.raw, profile.id, message, reason=why)
        states.advance(row, TransmissionState.REFUSED, note={"reason": "receipt_unmatched"})
        exception_queue.open_case(
            "receipt_unmatched",
            summary=f"A receipt in the name of {profile.code} proves nothing: {why}",
            fingerprint=f"receipt_unmatched:{profile.id}",
            detail={"why": why, "message_id": message.message_id if message else ""},
            partner_id=profile.id,
            transmission=row,
        )


# ------------------------------------------------------------------------------------------------------------ both
def _keep(
    headers: Mapping[str, str], body: bytes, partner_id: int, message: Transmission | None, *, reason: str = ""
) -> Transmission:
    """A row for a receipt. Its own id stays among its headers: it must not take one from a message to come."""
    return Transmission.objects.create(
        direction=Direction.INBOUND,
        channel=Channel.AS2,
        partner_id=partner_id,
        format=MDN,
        about=message,
        headers=dict(headers),
        content_type=storable(
            next((value for name, value in headers.items() if name.lower() == "content-type"), "")[:255]
        ),
        raw=Blob.put(body),
        reason=storable(reason),
        **({"correlation_id": message.correlation_id} if message else {}),
    )


def _ignore(message: Transmission, receipt: as2.Receipt) -> None:
    """A captured receipt can be posted any number of times; some of them are noted."""
    if Event.objects.filter(transmission=message, name="receipt.ignored").count() < MOST_OF_A_MESSAGE:
        events.record("receipt.ignored", transmission=message, verdict=receipt.verdict)


def _contradicted(message: Transmission, receipt: as2.Receipt, headers: Mapping[str, str], body: bytes) -> None:
    others = message.belongings.filter(format=MDN)
    if others.filter(raw_id=hashlib.sha256(body).hexdigest()).exists() or others.count() >= MOST_OF_A_MESSAGE:
        _ignore(message, receipt)
        return
    row = _keep(headers, body, message.partner_id, message, reason=receipt.text)
    states.advance(row, TransmissionState.STORED, note={"about": str(message.uid), "verdict": receipt.verdict})
    exception_queue.open_case(
        "receipt_contradicts",
        summary=f"{message.file_name} is {message.state} by its first receipt, and a second one says: {receipt.text}",
        fingerprint=f"receipt_contradicts:{message.uid}",
        detail={"first": message.reason, "second": receipt.text, "message_id": message.message_id},
        document=message.documents.first(),
        transmission=row,
    )


def _open_rejected(message: Transmission, receipt: as2.Receipt) -> None:
    exception_queue.open_case(
        "receipt_rejected",
        summary=f"The partner's receipt rejects {message.file_name}: {receipt.text}",
        fingerprint=f"receipt_rejected:{message.uid}",
        detail={"why": receipt.text, "partner_says": receipt.explanation, "message_id": message.message_id},
        transmission=message,
        delivery=message.deliveries.filter(kind=DeliveryKind.PARTNER).order_by("-pk").first(),
    )


def _rejection(message: Transmission) -> str:
    return f"the partner's receipt rejects it: {message.reason}"


def _overdue_case(message: Transmission) -> str:
    return f"receipt_overdue:{message.uid}"
