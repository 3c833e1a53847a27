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
from dataclasses import replace
from typing import Final

from django.core.cache import cache
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from gateway import exception_queue
from gateway.models import CaseState, ExceptionCase
from gateway.pipeline import receive
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from partners import directory
from partners.profiles import As2Terms, Channel, PartnerState, Profile

log = logging.getLogger(__name__)

ACTIVE: Final = frozenset({PartnerState.TESTING, PartnerState.LIVE})
#: Headers kept with a message: what AS2 means by them. Never Authorization or cookies.
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
#: So many pairs of names nobody has may each have a case; those beyond share one.
_MOST_STRANGERS: Final = 50
_AGAIN_S: Final = 60
_DUPLICATE: Final = "This Message-ID was used before, for other content. Send it under an id of its own."
_INACTIVE: Final = "No messages are exchanged with you at present. Please contact us."
#: Says that no relationship exists now. Source: draft-ietf-ediint-rfc4130bis, section on disposition modifiers.
_NO_RELATIONSHIP: Final = "processed/error: unknown-trading-relationship"


class Allowance:
    """How often something may happen in a while, counted per who and per process; more is not an error, only too much."""

    def __init__(self, name: str, *, most: int, per_s: int) -> None:
        self._name, self._most, self.per_s = name, most, per_s

    def used_up(self, who: str = "") -> bool:
        return int(cache.get(self._key(who), 0)) >= self._most

    def use(self, who: str = "") -> None:
        key = self._key(who)
        if cache.add(key, 1, self.per_s):
            return
        try:
            cache.incr(key)
        except ValueError:  # it ended between the two
            cache.set(key, 1, self.per_s)

    def _key(self, who: str) -> str:
        return f"allowance:{self._name}:{who}"


#: What unproven headers may cost us in rows; beyond it they get the same answer and leave no trace.
HEARSAY: Final = Allowance("as2-hearsay", most=60, per_s=60)
#: Failed messages in one partner's name from one address: whoever guesses at our keys needs thousands.
FAILURES: Final = Allowance("as2-failures", most=20, per_s=600)


@csrf_exempt
def receive_message(request: HttpRequest) -> HttpResponse:
    """Answer one request; see the table above."""
    try:
        return _http(_answer(request))
    except UnreadablePostError:
        return _http(_text(400, "The body ended before its announced length."))
    except DatabaseError as error:
        # The text may quote values, so only its class is logged. Nothing was committed, so nothing may be acknowledged.
        log.error("as2: nothing can be stored: %s", type(error).__name__)
        return _http(_again_later("We cannot store messages at the moment. Send it again."))


def _answer(request: HttpRequest) -> Answer:
    if request.method != "POST":
        return _text(405, "This address takes AS2 messages by POST.", Allow="POST")
    headers = dict(request.headers)
    try:
        names = as2.request_names(headers)
        receipt = as2.requested_receipt(headers)
    except as2.MalformedRequest as malformed:
        return _text(400, f"This is not an AS2 message: {malformed.why}.")
    profile = directory.by_as2_pair(our_name=names.as2_to, their_name=names.as2_from)
    if profile is None or profile.as2 is None:
        _stranger(names)
        return _text(403, "No trading partnership covers this message.")
    if refusal := _guard(request, profile, profile.as2, receipt):
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
    return _settle(incoming, headers, profile, profile.as2, receipt, address=request.META.get("REMOTE_ADDR", ""))


def _guard(
    request: HttpRequest, profile: Profile, terms: As2Terms, receipt: as2.ReceiptRequest | None
) -> Answer | None:
    """What the headers alone decide, before the body is touched; None when it may be read."""
    if FAILURES.used_up(_source(profile, request.META.get("REMOTE_ADDR", ""))):
        return _text(429, "Too many messages failed. Wait, then send again.", **{"Retry-After": str(FAILURES.per_s)})
    if receipt is not None and receipt.delivery_url is not None:
        _hearsay("refused_unread", f"{profile.code} asks for asynchronous receipts", f"async:{profile.id}", profile.id)
        return _text(400, "Receipts are given in the answer only. Leave out Receipt-Delivery-Option.")
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit() and len(length) <= 12):
        # A server that does not unpack chunked bodies hands over none, and an empty message must never be acknowledged.
        return _text(411, "The length of the body is not known. Send Content-Length.")
    if int(length) > terms.max_bytes:
        _hearsay(
            "refused_unread",
            f"{profile.code} sends more than {terms.max_bytes} bytes",
            f"size:{profile.id}",
            profile.id,
        )
        return _text(413, f"A message may have {terms.max_bytes} bytes.")
    return None


def _settle(
    incoming: Incoming,
    headers: Mapping[str, str],
    profile: Profile,
    terms: As2Terms,
    receipt: as2.ReceiptRequest | None,
    *,
    address: str,
) -> Answer:
    """Open the message, then store it or refuse it, each with its answer."""
    if known := receive.repeated(incoming):
        return known.answer

    def mdn(disposition: str, text: str, mic: tuple[bytes, str] | None = None) -> Answer:
        if receipt is None:
            return Answer(status=200) if disposition == as2.Disposition.PROCESSED else _text(400, text)
        made = as2.build_mdn(headers, terms=terms, disposition=disposition, mic=mic, text=text)
        return Answer(status=200, headers=made.headers, body=made.body)

    try:
        try:
            received = as2.receive(headers, incoming.raw, terms)
        except as2.Rejected as rejected:
            FAILURES.use(_source(profile, address))
            answer = mdn(rejected.disposition, rejected.disposition.explanation)
            reason = "signature_refused" if rejected.disposition in _UNPROVEN else "unreadable_message"
            summary = f"{profile.code} sent an AS2 message we refuse: {rejected.disposition}"
            receive.refuse(incoming, answer, reason=reason, summary=summary, why=rejected.why)
            return answer
        mic = (received.mic, received.mic_algorithm)
        incoming = replace(
            incoming,
            payload=received.payload,
            content_type=received.content_type,
            file_name=received.file_name or "",
            digests={received.mic_algorithm: base64.b64encode(received.mic).decode()},
        )
        if profile.state not in ACTIVE:
            answer = mdn(_NO_RELATIONSHIP, _INACTIVE, mic)
            summary = f"{profile.code} sent an AS2 message and is {profile.state}"
            receive.refuse(incoming, answer, reason="partner_inactive", summary=summary, why=f"state {profile.state}")
            return answer
        # Signed before the transaction, so that it is short, and stored with the message in its one commit.
        answer = mdn(as2.Disposition.PROCESSED, as2.Disposition.PROCESSED.explanation, mic)
        try:
            return receive.receive(incoming, lambda row: answer).answer
        except receive.Conflict as conflict:
            answer = mdn(as2.Disposition.UNEXPECTED_PROCESSING_ERROR, _DUPLICATE, mic)
            summary = f"{profile.code} used an AS2 Message-ID again for other content"
            receive.refuse(
                incoming, answer, reason="id_conflict", summary=summary, why=f"first used by {conflict.first.uid}"
            )
            return answer
    except as2.UnusableTerms as unusable:
        answer = _again_later("We cannot open messages or sign receipts at the moment. Send it again.")
        summary = f"Messages of {profile.code} cannot be opened or receipted"
        receive.refuse(incoming, answer, reason="terms_unusable", summary=summary, why=str(unusable))
        return answer


#: Before a good signature everything reads like this; see ``gateway.transports.as2.errors``.
_UNPROVEN: Final = frozenset({as2.Disposition.AUTHENTICATION_FAILED, as2.Disposition.INSUFFICIENT_MESSAGE_SECURITY})


def _stranger(names: as2.Names) -> None:
    """Tell staff of a pair of names that is nobody's: a mistyped identifier looks like this too."""
    pair = f"{names.as2_from} → {names.as2_to}"
    fingerprint = f"unknown_partner:as2:{pair}"
    open_now = ExceptionCase.objects.filter(reason="unknown_partner", state=CaseState.OPEN)
    if open_now.count() >= _MOST_STRANGERS and not open_now.filter(fingerprint=fingerprint).exists():
        pair, fingerprint = "many pairs of names", "unknown_partner:as2:others"
    _hearsay("unknown_partner", f"An AS2 message from somebody we do not know: {pair}", fingerprint)


def _hearsay(reason: str, summary: str, fingerprint: str, partner_id: int | None = None) -> None:
    """Count up a case for something only unproven headers say; within an allowance, for anybody can send headers."""
    if HEARSAY.used_up():
        return
    HEARSAY.use()
    with transaction.atomic():
        exception_queue.open_case(reason, summary=summary, fingerprint=fingerprint, partner_id=partner_id)


def _source(profile: Profile, address: str) -> str:
    return f"{profile.id}:{address}"


def _text(status: int, text: str, **headers: str) -> Answer:
    return Answer(
        status=status, headers={"Content-Type": "text/plain; charset=us-ascii", **headers}, body=f"{text}\n".encode()
    )


def _again_later(text: str) -> Answer:
    return _text(503, text, **{"Retry-After": str(_AGAIN_S)})


def _http(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    response["Content-Length"] = str(len(answer.body))
    return response
