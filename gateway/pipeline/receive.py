"""Receive: what arrived is stored, once, together with its work and its answer; only then may the answer be given.

A message may bring several documents. Each is a transmission of its own: the first is the message, the others are ``about``
it, and each has its own work.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from gateway import events, exception_queue, logs, metrics, outbox, statements, states
from gateway.archives import message_key, under
from gateway.models import ArchivedRow, Blob, DeliveryKind, Event, Transmission, TransmissionState
from gateway.models.fields import storable
from gateway.pipeline import own_receipts
from gateway.pipeline.own_receipts import OwnReceipt
from partners.profiles import Channel, Direction

log = logging.getLogger(__name__)

#: The format of what is kept as it is, with nothing to translate.
FILE: Final = "file"
#: A captured message can be posted any number of times; so many repeats of one are noted.
MOST_REPEATS_NOTED: Final = 100
_REPEATED: Final = "transmission.repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A further document in a message."""

    format: str  #: "x12" or "file"
    payload: bytes = field(repr=False)
    content_type: str = ""
    file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message of a partner whose identity is established."""

    channel: Channel
    partner_id: int
    format: str  #: "x12", "portal_json", "canonical_json"; "mdn"; "file"
    sheet: str = ""
    #: AS2 Message-ID, always in brackets, or REST Idempotency-Key; empty: repeats cannot be told by it
    message_id: str = ""
    raw: bytes = field(repr=False)  #: as it was on the wire
    payload: bytes | None = field(default=None, repr=False)  #: unwrapped; None: it never got so far
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    file_name: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)  #: algorithm → base64 MIC
    #: How the sender proved who it is, e.g. the certificate's fingerprint or the key's prefix; kept, and in the audit trail.
    evidence: Mapping[str, Any] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    receipt_to: str = ""  #: address at which an asynchronous receipt is wanted, and allowed; empty: none is


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the sender gets, byte for byte, now and at every repeat."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    receipt: OwnReceipt | None = (
        None  #: what goes to ``Incoming.receipt_to`` besides; in the outbox from the same commit on
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    transmission: Transmission | None  #: None: a repeat of what has left the tables
    answer: Answer
    repeated: bool  #: True: nothing new was stored, this is the answer of the first time


class Conflict(Exception):
    """The message id was used before, for other content. ``first`` is the uid of the transmission that holds it."""

    def __init__(self, message_id: str, first: UUID) -> None:
        super().__init__(f"message id {message_id!r} was used for other content")
        self.first = first


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept under a message id."""

    first: Transmission | None
    archived: ArchivedRow | None  #: what is remembered of one that has left the tables


def look_up(incoming: Incoming) -> Known:
    """What is kept under the id of a message, for ``repeated`` and ``receive``."""
    first = _first(incoming)
    return Known(first, None if first else _archived(incoming))


def receive(incoming: Incoming, make_answer: Callable[[Transmission], Answer], known: Known | None = None) -> Accepted:
    """Store a message, its duplicate key, its answer and its work in one commit.

    Args:
        known: from ``look_up``, to spare another; what was kept under the id since then is found all the same.
        make_answer: makes the answer from the row that is about to be stored, e.g. a signed MDN or a 202 with its address.
            Called inside the transaction, so it must be quick and touch no network.

    Raises:
        Conflict: same message id, other content. Nothing is stored here; the door refuses with ``refuse``.
    """
    known = known or look_up(incoming)
    if known.first:
        return _repeat(incoming, known.first)
    if known.archived:
        return _repeat_of_archived(incoming, known.archived)
    _prepare(incoming)
    try:
        with transaction.atomic():
            row = _row(incoming)
            answer = make_answer(row)
            _keep(row, incoming, answer, TransmissionState.STORED, {"bytes": len(incoming.payload or b"")})
            _queue(row)
            for attachment in incoming.attachments:
                _queue(_keep_attachment(row, attachment))
    except IntegrityError:
        # Of two equal messages at once one commits; the other finds it here. Any other integrity error goes on.
        first = _first(incoming)
        if first is None:
            raise
        return _repeat(incoming, first)
    metrics.STORED.labels(row.channel).inc()
    logs.bind(transmission=row.pk, correlation_id=row.correlation_id)
    log.info("stored: %s bytes", len(incoming.raw))
    return Accepted(transmission=row, answer=answer, repeated=False)


def repeated(incoming: Incoming, known: Known | None = None) -> Accepted | None:
    """The stored answer when these very bytes were accepted before under this id; None when they were not.

    For a door that wants to spare itself the unwrapping of a repeat, or must not judge it anew: terms and orders may have
    changed since the first time.
    """
    known = known or look_up(incoming)
    first, archived = known.first, known.archived
    if first is None and archived is None:
        return None
    raw = hashlib.sha256(incoming.raw).hexdigest()
    if first is not None:
        return _again(incoming, first) if first.raw_id == raw else None
    return _answered_of_old(archived) if archived and (archived.facts or {}).get("raw") == raw else None


def refuse(incoming: Incoming, answer: Answer, *, reason: str, summary: str, why: str) -> Transmission:
    """Keep a message that is not accepted, with its answer, and open a case; its message id stays free.

    Its payload, where it was opened so far, is in quarantine: nothing reads it but staff.

    Args:
        reason: a key of ``exception_queue.REASONS``.
        summary: one line for the queue.
        why: the whole reason, for staff only.
    """
    _prepare(incoming)
    with transaction.atomic():
        row = _row(incoming, storable(why))
        _keep(row, incoming, answer, TransmissionState.REFUSED, {"reason": reason})
        exception_queue.open_case(
            reason,
            summary=summary,
            fingerprint=f"{reason}:{incoming.partner_id}:{incoming.channel}:{summary}",
            detail={"why": why, "message_id": incoming.message_id},
            partner_id=incoming.partner_id,
            transmission=row,
        )
    return row


def stored_answer(row: Transmission) -> Answer:
    """The answer as it was given the first time."""
    return Answer(
        status=row.answer_status or 200,
        headers=row.answer_headers,
        body=row.answer.content if row.answer else b"",
    )


def _first(incoming: Incoming) -> Transmission | None:
    if not incoming.message_id:
        return None
    return _UNDER_ID.first(partner=incoming.partner_id, channel=incoming.channel.value, message_id=incoming.message_id)


_UNDER_ID: Final = statements.Query(
    lambda: (
        Transmission.objects.select_related("answer")
        .filter(
            partner_id=statements.Given("partner"),
            channel=statements.Given("channel"),
            direction=Direction.INBOUND,
            message_id=statements.Given("message_id"),
        )
        .exclude(state=TransmissionState.REFUSED)
        .order_by("pk")[:1]
    )
)
_SAME_CONTENT: Final = statements.Query(
    lambda: (
        Transmission.objects.only("uid")
        .filter(
            payload_id=statements.Given("payload"),
            partner_id=statements.Given("partner"),
            direction=Direction.INBOUND,
            pk__lt=statements.Given("pk"),
        )
        .exclude(state=TransmissionState.REFUSED)
        .order_by("pk")[:1]
    )
)


def _archived(incoming: Incoming) -> ArchivedRow | None:
    """What is remembered of a message under this id that has left the tables."""
    if not incoming.message_id:
        return None
    return under(message_key(incoming.partner_id, incoming.channel, incoming.message_id))


def _repeat_of_archived(incoming: Incoming, archived: ArchivedRow) -> Accepted:
    facts: dict[str, Any] = archived.facts or {}
    if not _equal(incoming, facts["digests"], lambda: facts["payloads"]):
        raise Conflict(incoming.message_id, archived.uid or UUID(int=0))
    return _answered_of_old(archived)


def _answered_of_old(archived: ArchivedRow) -> Accepted:
    """The first answer once more. No receipt by a request of its own: the stored one is in the archive."""
    facts: dict[str, Any] = archived.facts or {}
    body = archived.answer.content if archived.answer else b""
    answer = Answer(status=facts.get("status") or 200, headers=facts.get("headers") or {}, body=body)
    return Accepted(transmission=None, answer=answer, repeated=True)


def _repeat(incoming: Incoming, first: Transmission) -> Accepted:
    if not _same_content(incoming, first):
        raise Conflict(first.message_id, first.uid)
    return _again(incoming, first)


def _again(incoming: Incoming, first: Transmission) -> Accepted:
    with transaction.atomic():
        if Event.objects.filter(transmission=first, name=_REPEATED).count() < MOST_REPEATS_NOTED:
            events.record(_REPEATED, transmission=first)
        own_receipts.queue_again(first, to=incoming.receipt_to)
    metrics.REPEATED.labels(first.channel).inc()
    logs.bind(transmission=first.pk, correlation_id=first.correlation_id)
    log.info("repeated: the stored answer was given again")
    return Accepted(transmission=first, answer=stored_answer(first), repeated=True)


def _same_content(incoming: Incoming, first: Transmission) -> bool:
    def payloads() -> list[str | None]:
        attachments = first.belongings.filter(direction=Direction.INBOUND).order_by("pk")
        return [first.payload_id, *attachments.values_list("payload_id", flat=True)]

    return _equal(incoming, first.digests, payloads)


def _equal(incoming: Incoming, digests: Mapping[str, str], payloads: Callable[[], Sequence[str | None]]) -> bool:
    """Equal MIC where both have one (a re-encrypted repeat differs on the wire), else equal documents."""
    for algorithm, digest in incoming.digests.items():
        if algorithm in digests:
            return hmac.compare_digest(digests[algorithm], digest)
    came = [incoming.payload or b"", *(attachment.payload for attachment in incoming.attachments)]
    return list(payloads()) == [hashlib.sha256(content).hexdigest() for content in came]


def _prepare(incoming: Incoming) -> None:
    """Have the bytes on the disk before the transaction begins: on SQLite nobody else writes while it waits."""
    payloads = (attachment.payload for attachment in incoming.attachments)
    Blob.prepare(incoming.raw, *([] if incoming.payload is None else [incoming.payload]), *payloads)


def _row(incoming: Incoming, why: str = "") -> Transmission:
    """A message that is not in the database yet."""
    return Transmission(
        direction=Direction.INBOUND,
        channel=incoming.channel,
        partner_id=incoming.partner_id,
        format=incoming.format,
        sheet=incoming.sheet,
        message_id=incoming.message_id,
        content_type=storable(incoming.content_type)[:255],
        file_name=storable(incoming.file_name)[:255],
        headers=dict(incoming.headers),
        digests=dict(incoming.digests),
        evidence=dict(incoming.evidence),
        reason=why,
    )


def _keep(row: Transmission, incoming: Incoming, answer: Answer, to: str, note: Mapping[str, Any]) -> None:
    """Insert a message with its bytes and its answer, and queue the receipt that goes out by a request of its own."""
    payloads = [] if incoming.payload is None else [incoming.payload]
    row.raw, row.answer, *payload = Blob.put_all([incoming.raw, answer.body, *payloads])
    row.payload = payload[0] if payload else None
    row.answer_status, row.answer_headers = answer.status, dict(answer.headers)
    states.begin(row, to, note={**note, **incoming.evidence})
    if answer.receipt is not None:
        own_receipts.queue(row, answer.receipt, to=incoming.receipt_to)


def _keep_attachment(message: Transmission, attachment: Attachment) -> Transmission:
    blob = Blob.put(attachment.payload)
    row = Transmission(
        direction=message.direction,
        channel=message.channel,
        partner_id=message.partner_id,
        correlation_id=message.correlation_id,
        about=message,
        format=attachment.format,
        content_type=storable(attachment.content_type)[:255],
        file_name=storable(attachment.file_name)[:255],
        raw=blob,
        payload=blob,
    )
    note = {"bytes": len(attachment.payload), "about": str(message.uid)}
    states.begin(row, TransmissionState.STORED, note=note)
    return row


def _queue(row: Transmission) -> None:
    """Give a document that was taken in its work."""
    if row.format == FILE:
        return
    _note_same_content(row)
    outbox.enqueue(DeliveryKind.TRANSLATE, f"translate:{row.uid}", transmission=row)


def _note_same_content(row: Transmission) -> None:
    """Note when this partner sent the very same document before.

    For that it takes no more than a captured message: the signature of AS2 does not cover the Message-ID. What it would do a
    second time is kept from happening where it is known what it says: by the number of its interchange, in the order book.
    """
    first = _SAME_CONTENT.first(payload=row.payload_id, partner=row.partner_id, pk=row.pk)
    if first is not None:
        events.record("transmission.same_content", transmission=row, first=str(first.uid))
