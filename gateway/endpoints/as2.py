"""POST /as2: a partner's message in, its receipt out; or its receipt for a message of ours.

    guard → body → open and verify → sign the receipt → one commit → answer

Nothing is answered ``processed`` that is not committed, and the receipt is committed with the message: whoever repeats the
message gets the same receipt byte for byte. What cannot be accepted is kept as it came, with its answer, and holds no
message id, so that the corrected message under the same id gets in.

| answer | when | kept |
|---|---|---|
| 200 and an MDN, or 200 and nothing where none was asked for | stored, or a repeat of what is stored | message, receipt, work |
| 200 and an MDN with an error, or 400 where none was asked for | well addressed, not acceptable | message, answer, case |
| 204, and either MDN by a request of our own | a receipt at an address of the partner's was asked for | the same, and a delivery |
| 200 and a line of text | it is a receipt, whatever it is worth; see ``pipeline.receipts`` | see there |
| 400, 403, 411, 413 | see ``as2_guard`` | at most a case |
| 405, 429 | not a POST; too many failures in a partner's name, from one address or in all | nothing |
| 503 | we cannot store, or cannot use our own keys: send it again | nothing, or message and case |

A message is one by its Message-ID, with or without the angle brackets, and by its content. A repeat gets what the first got, the
same way: whoever asks in the answer this time and asked at an address then gets it at that address, once more.

Source: RFC 4130 sections 5 to 7.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from gateway import logs, metrics
from gateway.blob_store import StoreError
from gateway.endpoints import as2_guard
from gateway.endpoints.as2_documents import opened
from gateway.endpoints.as2_guard import FAILURES, KEPT_BYTES, KEPT_FAILURES, Exchange, text
from gateway.pipeline import receipts, receive
from gateway.pipeline.own_receipts import OwnReceipt
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from gateway.transports.as2 import Disposition
from partners.keystore import KeystoreError
from partners.profiles import Channel, PartnerState

log = logging.getLogger(__name__)

ACTIVE: Final = frozenset({PartnerState.TESTING, PartnerState.LIVE})
#: Seconds after which it makes sense to send again when we could not store.
AGAIN_S: Final = 60
#: Before a good signature every failure reads like one of these; see ``gateway.transports.as2.errors``.
_UNPROVEN: Final = frozenset({Disposition.AUTHENTICATION_FAILED, Disposition.INSUFFICIENT_MESSAGE_SECURITY})
#: The two names make no relationship at present. Source: draft-ietf-ediint-rfc4130bis, disposition modifiers.
_NO_RELATIONSHIP: Final = "processed/error: unknown-trading-relationship"
_NO_KEYS: Final = "We cannot open messages or sign receipts at the moment. Send it again."
#: Kept with a message: what AS2 means by them. Never Authorization or cookies.
_KEPT_HEADERS: Final = (
    "AS2-From",
    "AS2-To",
    "AS2-Version",
    "Content-Disposition",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "Disposition-Notification-Options",
    "Disposition-Notification-To",
    "EDIINT-Features",
    "Message-ID",
    "Receipt-Delivery-Option",
    "Subject",
    "User-Agent",
)


@csrf_exempt
def receive_message(request: HttpRequest) -> HttpResponse:
    """Answer one request; see the table above."""
    began = time.perf_counter()
    try:
        answer = _answer(request)
    except UnreadablePostError:
        _count("body_cut_off")
        answer = text(400, "The body ended before its announced length.")
    except (DatabaseError, StoreError) as error:
        # What a database says may quote values, so only its class is logged. Nothing was committed, so nothing may be
        # acknowledged.
        log.error("as2: nothing can be stored: %s", error if isinstance(error, StoreError) else type(error).__name__)
        _count("database")
        answer = _again_later("We cannot store messages at the moment. Send it again.")
    except KeystoreError as error:
        # So nobody can say who this is: the partner's terms come with our keys. The words hold no secret, and what to do.
        log.error("as2: %s", error)
        _count("keystore")
        answer = _again_later(_NO_KEYS)
    if answer.status < 400:
        metrics.AS2_ANSWER_SECONDS.observe(time.perf_counter() - began)
    response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    response["Content-Length"] = str(len(answer.body))
    return response


def _answer(request: HttpRequest) -> Answer:
    try:
        exchange = as2_guard.admit(request)
    except as2_guard.TurnedAway as turned_away:
        _count(turned_away.reason)
        return turned_away.answer
    logs.bind(partner=exchange.profile.code)
    body = request.read()
    if len(body) != exchange.length:
        _count("body_cut_off")
        return text(400, "The body ended before its announced length.")
    receipt_for = as2.original_message_id(exchange.headers, body)
    try:
        message_id = as2.request_names(exchange.headers).message_id if receipt_for is None else ""
    except as2.MalformedRequest as malformed:
        _count("not_as2")
        return as2_guard.not_as2(malformed)
    logs.bind(message_id=message_id)
    incoming = Incoming(
        channel=Channel.AS2,
        partner_id=exchange.profile.id,
        format="x12" if receipt_for is None else receipts.MDN,
        # One id, whether its brackets came along or not; as it came it is among the headers.
        message_id=f"<{as2.bare_id(message_id)}>" if message_id else "",
        raw=body,
        headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
        content_type=request.headers.get("Content-Type", ""),
        receipt_to=exchange.receipt_to,
    )
    try:
        if receipt_for is not None:
            return receipts.arrived(incoming, exchange.profile, receipt_for)
        return _settle(exchange, incoming)
    except as2.UnusableTerms as unusable:
        answer = _again_later(_NO_KEYS)
        summary = f"Messages of {exchange.profile.code} cannot be opened or receipted"
        # Not the sender's fault, so it is asked to come again even when this one is not kept.
        _refuse(exchange, incoming, answer, reason="terms_unusable", summary=summary, why=str(unusable))
        return answer


def _settle(exchange: Exchange, incoming: Incoming) -> Answer:
    """Open the message, then store it or refuse it, each with its answer.

    Raises:
        UnusableTerms: a certificate or key of ours is missing or unfit; nothing was stored.
    """
    code, state = exchange.profile.code, exchange.profile.state
    known = receive.look_up(incoming)
    if again := receive.repeated(incoming, known):
        return again.answer
    try:
        received = as2.receive(exchange.headers, incoming.raw, exchange.terms)
    except as2.Rejected as rejected:
        FAILURES.use(exchange.source)
        answer = _receipt(exchange, rejected.disposition, rejected.disposition.explanation, rejected.mic)
        reason = "signature_refused" if rejected.disposition in _UNPROVEN else "unreadable_message"
        summary = f"{code} sent an AS2 message we refuse: {rejected.disposition}"
        quarantined = replace(incoming, payload=rejected.salvaged)
        return _refuse(exchange, quarantined, answer, reason=reason, summary=summary, why=rejected.why)
    incoming, mic = opened(incoming, received, exchange.terms), (received.mic, received.mic_algorithm)
    if state not in ACTIVE:
        answer = _receipt(exchange, _NO_RELATIONSHIP, "No messages are exchanged with you at present. Contact us.", mic)
        summary = f"{code} sent an AS2 message and is {state}"
        why = f"the partner is {state}"
        return _refuse(exchange, incoming, answer, reason="partner_inactive", summary=summary, why=why)
    # Signed before the transaction, so that it is short, and stored with the message in its one commit.
    answer = _receipt(exchange, Disposition.PROCESSED, Disposition.PROCESSED.explanation, mic)
    try:
        return receive.receive(incoming, lambda row: answer, known).answer
    except receive.Conflict as conflict:
        words = "This Message-ID was used before, for other content. Send it under an id of its own."
        answer = _receipt(exchange, Disposition.UNEXPECTED_PROCESSING_ERROR, words, mic)
        summary = f"{code} used an AS2 Message-ID again for other content"
        why = f"transmission {conflict.first} holds the id"
        return _refuse(exchange, incoming, answer, reason="id_conflict", summary=summary, why=why)


def _refuse(exchange: Exchange, incoming: Incoming, answer: Answer, *, reason: str, summary: str, why: str) -> Answer:
    """Keep what is not accepted and give ``answer``; beyond the allowance keep nothing and say so."""
    code = exchange.profile.code
    _count(reason)
    if KEPT_FAILURES.used_up(code) or KEPT_BYTES.used_up(code):
        return as2_guard.too_many(KEPT_FAILURES)
    KEPT_FAILURES.use(code)
    KEPT_BYTES.use(code, len(incoming.raw) + len(incoming.payload or b""))
    receive.refuse(incoming, answer, reason=reason, summary=summary, why=why)
    return answer


def _receipt(exchange: Exchange, disposition: str, words: str, mic: tuple[bytes, str] | None = None) -> Answer:
    """The receipt asked for, in the answer or beside it; where none is, a status that says the same.

    Raises:
        UnusableTerms: a signature is asked for and we have nothing to sign with.
    """
    if exchange.receipt is None:
        return Answer(status=200) if disposition == Disposition.PROCESSED else text(400, words)
    made = as2.build_mdn(exchange.headers, terms=exchange.terms, disposition=disposition, mic=mic, text=words)
    if exchange.receipt_to:
        # Its length is said by whoever posts it.
        headers = {name: value for name, value in made.headers.items() if name != "Content-Length"}
        return Answer(status=204, receipt=OwnReceipt(headers=headers, body=made.body))
    return Answer(status=200, headers=made.headers, body=made.body)


def _count(reason: str) -> None:
    metrics.REFUSED.labels("as2", reason).inc()


def _again_later(words: str) -> Answer:
    return text(503, words, **{"Retry-After": str(AGAIN_S)})
