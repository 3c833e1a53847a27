"""POST /as2: a partner's message in, its receipt out.

    headers → partner → length → body → open and verify → sign the receipt → one commit → answer

Nothing is answered ``processed`` that is not committed, and the receipt is committed with the message: whoever repeats the
message gets the same receipt byte for byte. What cannot be accepted is kept as it came, with its answer, and holds no
message id, so that the corrected message under the same id gets in.

| answer | when | kept |
|---|---|---|
| 200 and an MDN, or 200 and nothing where none was asked for | stored, or a repeat of what is stored | message, receipt, work |
| 200 and an MDN with an error, or 400 where none was asked for | well addressed, not acceptable | message, answer, case |
| 400, 411, 413 | headers that name no message; no length; longer than agreed; an asynchronous receipt | at most a case |
| 403 | the pair of names is nobody's; one constant text | a case per pair, counted |
| 405, 429 | not a POST; too many failures from one address in a partner's name | nothing |
| 503 | we cannot store, or cannot use our own keys: send it again | nothing, or message and case |

Asynchronous receipts are refused before anything is stored: a receipt that goes to an address chosen by the sender is not
offered, and silence would make the sender repeat the message for ever.

Source: RFC 4130 sections 5 to 7.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from gateway import exception_queue
from gateway.endpoints.allowance import Allowance
from gateway.models import CaseState, ExceptionCase
from gateway.pipeline import receive
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from gateway.transports.as2 import Disposition
from partners import directory
from partners.profiles import As2Terms, Channel, PartnerState, Profile

log = logging.getLogger(__name__)

ACTIVE: Final = frozenset({PartnerState.TESTING, PartnerState.LIVE})
#: What unproven headers may cost us in rows; beyond it they get the same answer and leave no trace.
HEARSAY: Final = Allowance("as2-hearsay", most=60, per_s=60)
#: Failed messages in one partner's name from one address: whoever guesses at our keys needs thousands.
FAILURES: Final = Allowance("as2-failures", most=20, per_s=600)
#: So many pairs of names nobody has may each have a case; those beyond share one.
MOST_STRANGERS: Final = 50
#: Seconds after which it makes sense to send again when we could not store.
AGAIN_S: Final = 60
#: Before a good signature every failure reads like one of these; see ``gateway.transports.as2.errors``.
_UNPROVEN: Final = frozenset({Disposition.AUTHENTICATION_FAILED, Disposition.INSUFFICIENT_MESSAGE_SECURITY})
#: The two names make no relationship at present. Source: draft-ietf-ediint-rfc4130bis, disposition modifiers.
_NO_RELATIONSHIP: Final = "processed/error: unknown-trading-relationship"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    """One request of a known pair, and the means to answer it."""

    headers: Mapping[str, str]
    receipt: as2.ReceiptRequest | None
    profile: Profile
    terms: As2Terms
    address: str  #: where it came from; behind a proxy the server must be told to trust it, or it is the proxy's

    @property
    def source(self) -> str:
        return f"{self.profile.id}:{self.address}"

    def mdn(self, disposition: str, text: str, mic: tuple[bytes, str] | None = None) -> Answer:
        """The receipt asked for; where none is, a status that says the same.

        Raises:
            UnusableTerms: a signature is asked for and we have nothing to sign with.
        """
        if self.receipt is None:
            return Answer(status=200) if disposition == Disposition.PROCESSED else _text(400, text)
        made = as2.build_mdn(self.headers, terms=self.terms, disposition=disposition, mic=mic, text=text)
        return Answer(status=200, headers=made.headers, body=made.body)


@csrf_exempt
def receive_message(request: HttpRequest) -> HttpResponse:
    """Answer one request; see the table above."""
    try:
        answer = _answer(request)
    except UnreadablePostError:
        answer = _text(400, "The body ended before its announced length.")
    except DatabaseError as error:
        # The text may quote values, so only its class is logged. Nothing was committed, so nothing may be acknowledged.
        log.error("as2: nothing can be stored: %s", type(error).__name__)
        answer = _again_later("We cannot store messages at the moment. Send it again.")
    response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    response["Content-Length"] = str(len(answer.body))
    return response


def _answer(request: HttpRequest) -> Answer:
    if request.method != "POST":
        return _text(405, "This address takes AS2 messages by POST.", Allow="POST")
    headers = dict(request.headers)
    try:
        names, receipt = as2.request_names(headers), as2.requested_receipt(headers)
    except as2.MalformedRequest as malformed:
        return _text(400, f"This is not an AS2 message: {malformed.why}.")
    profile = directory.by_as2_pair(our_name=names.as2_to, their_name=names.as2_from)
    if profile is None or profile.as2 is None:
        _stranger(names)
        return _text(403, "No trading partnership covers this message.")
    exchange = _Exchange(
        headers=headers,
        receipt=receipt,
        profile=profile,
        terms=profile.as2,
        address=request.META.get("REMOTE_ADDR", ""),
    )
    if refusal := _guard(exchange):
        return refusal
    body = request.read()
    if len(body) != int(request.headers["Content-Length"]):
        return _text(400, "The body ended before its announced length.")
    incoming = Incoming(
        channel=Channel.AS2,
        partner_id=profile.id,
        format="x12",
        message_id=names.message_id,
        raw=body,
        headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
        content_type=request.headers.get("Content-Type", ""),
    )
    try:
        return _settle(exchange, incoming)
    except as2.UnusableTerms as unusable:
        answer = _again_later("We cannot open messages or sign receipts at the moment. Send it again.")
        summary = f"Messages of {profile.code} cannot be opened or receipted"
        receive.refuse(incoming, answer, reason="terms_unusable", summary=summary, why=str(unusable))
        return answer


def _guard(exchange: _Exchange) -> Answer | None:
    """What the headers alone decide, before the body is touched; None when it may be read."""
    profile, terms, receipt = exchange.profile, exchange.terms, exchange.receipt
    if FAILURES.used_up(exchange.source):
        return _text(429, "Too many messages failed. Wait, then send again.", **{"Retry-After": str(FAILURES.per_s)})
    if receipt is not None and receipt.delivery_url is not None:
        summary = f"{profile.code} asks for asynchronous receipts"
        _hearsay("refused_unread", summary, f"refused_unread:{profile.id}:receipt", profile.id)
        return _text(400, "Receipts are given in the answer only. Leave out Receipt-Delivery-Option.")
    length = exchange.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit() and len(length) <= 12):
        # A server that does not unpack chunked bodies hands over none, and an empty message must never be acknowledged.
        return _text(411, "The length of the body is not known. Send Content-Length.")
    if int(length) > terms.max_bytes:
        summary = f"{profile.code} sends more than the {terms.max_bytes} bytes agreed"
        _hearsay("refused_unread", summary, f"refused_unread:{profile.id}:size", profile.id)
        return _text(413, f"A message may have {terms.max_bytes} bytes.")
    return None


def _settle(exchange: _Exchange, incoming: Incoming) -> Answer:
    """Open the message, then store it or refuse it, each with its answer.

    Raises:
        UnusableTerms: a certificate or key of ours is missing or unfit; nothing was stored.
    """
    code, state = exchange.profile.code, exchange.profile.state
    if known := receive.repeated(incoming):
        return known.answer
    try:
        received = as2.receive(exchange.headers, incoming.raw, exchange.terms)
    except as2.Rejected as rejected:
        FAILURES.use(exchange.source)
        answer = exchange.mdn(rejected.disposition, rejected.disposition.explanation)
        reason = "signature_refused" if rejected.disposition in _UNPROVEN else "unreadable_message"
        summary = f"{code} sent an AS2 message we refuse: {rejected.disposition}"
        receive.refuse(incoming, answer, reason=reason, summary=summary, why=rejected.why)
        return answer
    incoming, mic = _opened(incoming, received), (received.mic, received.mic_algorithm)
    if state not in ACTIVE:
        answer = exchange.mdn(_NO_RELATIONSHIP, "No messages are exchanged with you at present. Contact us.", mic)
        summary = f"{code} sent an AS2 message and is {state}"
        receive.refuse(incoming, answer, reason="partner_inactive", summary=summary, why=f"the partner is {state}")
        return answer
    # Signed before the transaction, so that it is short, and stored with the message in its one commit.
    answer = exchange.mdn(Disposition.PROCESSED, Disposition.PROCESSED.explanation, mic)
    try:
        return receive.receive(incoming, lambda row: answer).answer
    except receive.Conflict as conflict:
        text = "This Message-ID was used before, for other content. Send it under an id of its own."
        answer = exchange.mdn(Disposition.UNEXPECTED_PROCESSING_ERROR, text, mic)
        summary = f"{code} used an AS2 Message-ID again for other content"
        why = f"transmission {conflict.first.uid} holds the id"
        receive.refuse(incoming, answer, reason="id_conflict", summary=summary, why=why)
        return answer


def _opened(incoming: Incoming, received: as2.Received) -> Incoming:
    """With what was inside, and who proved to have sent it."""
    return replace(
        incoming,
        payload=received.payload,
        content_type=received.content_type,
        file_name=received.file_name or "",
        digests={received.mic_algorithm: base64.b64encode(received.mic).decode()},
        evidence={
            "signer": received.signer_fingerprint,
            "layers": [f"{layer.kind} {layer.algorithm}" for layer in received.layers],
        },
    )


def _stranger(names: as2.Names) -> None:
    """Tell staff of a pair of names that is nobody's: a mistyped identifier looks like this too."""
    if HEARSAY.used_up():
        return
    pair = f"{names.as2_from} → {names.as2_to}"
    fingerprint = f"unknown_partner:as2:{pair}"
    open_now = ExceptionCase.objects.filter(reason="unknown_partner", state=CaseState.OPEN)
    if open_now.count() >= MOST_STRANGERS and not open_now.filter(fingerprint=fingerprint).exists():
        pair, fingerprint = "many pairs of names", "unknown_partner:as2:others"
    _hearsay("unknown_partner", f"An AS2 message from somebody we do not know: {pair}", fingerprint)


def _hearsay(reason: str, summary: str, fingerprint: str, partner_id: int | None = None) -> None:
    """Open or count up a case for what only headers say, within an allowance: anybody can send headers."""
    if HEARSAY.used_up():
        return
    HEARSAY.use()
    with transaction.atomic():
        exception_queue.open_case(reason, summary=summary, fingerprint=fingerprint, partner_id=partner_id)


def _text(status: int, text: str, **headers: str) -> Answer:
    headers = {"Content-Type": "text/plain; charset=us-ascii", **headers}
    return Answer(status=status, headers=headers, body=f"{text}\n".encode("ascii"))


def _again_later(text: str) -> Answer:
    return _text(503, text, **{"Retry-After": str(AGAIN_S)})
