"""The MDN: the receipt we write, and the receipt that proves a delivery. Source: RFC 4130 section 7, RFC 8098."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

from gateway.transports.as2.algorithms import digest_called, digest_of
from gateway.transports.as2.certificates import first_of, identity
from gateway.transports.as2.errors import Disposition, MalformedRequest, Rejected
from gateway.transports.as2.features import feature_headers, link_policy
from gateway.transports.as2.headers import is_printable, printable, value_of
from gateway.transports.as2.mime import (
    Entity,
    Part,
    Span,
    field,
    fields,
    multipart_signed,
    new_boundary,
    parameters,
    signed_parts,
    split,
)
from gateway.transports.as2.names import MAX_MESSAGE_ID, bare_id, new_message_id, request_names
from gateway.transports.as2.receipts import ReceiptRequest, requested_receipt
from gateway.transports.as2.signatures import sign, verify
from partners.profiles import As2Terms

_MAX_PARTS: Final = 20
#: Of a request, to see whether it is an MDN.
_MAX_LOOK_BYTES: Final = 256 * 1024
#: Fields that say in words what the disposition names in a token (RFC 8098 section 3.2.7, RFC 3798 for the other two).
_REASON_FIELDS: Final = {"error": "Error", "failure": "Failure", "warning": "Warning"}
#: Of a line of ours (RFC 5322 section 2.1.1), and of a partner's words.
_MAX_LINE: Final = 900
_MAX_WORDS: Final = 1000
_NO_REQUEST: Final = ReceiptRequest(signed=False, micalgs=(), delivery_url=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mdn:
    """A receipt ready to answer with; store it and answer a repeat with the same bytes."""

    headers: dict[str, str]
    body: bytes


class Verdict(StrEnum):
    """What an MDN proves about a message of ours."""

    DELIVERED = "delivered"  #: the partner has exactly what we sent
    WARNING = "warning"  #: the same, and something for a person to read
    REJECTED = "rejected"  #: the partner says no, or that something else arrived: final
    INVALID = "invalid"  #: it proves nothing; the message still waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """An MDN as read."""

    verdict: Verdict
    text: str  #: for staff: the partner's disposition, or why it proves nothing
    mic_algorithm: str | None = None  #: of the MIC that agreed; None unless delivered or warning
    signer_fingerprint: str | None = None  #: of the pinned certificate that signed it; None: not signed, or not proved
    explanation: str = ""  #: the part for people of an MDN that counts, cleaned and cut


# ------------------------------------------------------------------------------------------------------------ build
def build_mdn(
    received_headers: Mapping[str, str],
    *,
    terms: As2Terms,
    disposition: str = Disposition.PROCESSED,
    mic: tuple[bytes, str] | None,
    text: str,
) -> Mdn:
    """Answer a request: signed when it asks for that with a digest we use, else unsigned.

    The names are the request's, swapped, in the request's spelling; its Message-ID is repeated byte for byte.

    Args:
        disposition: what stands behind the semicolon, see ``Disposition``.
        mic: digest and its name, from ``Received``; None when none could be computed.
        text: the part for people; of an error, failure or warning it stands in the field of that name as well.

    Raises:
        MalformedRequest: the headers do not name a message.
        UnusableTerms: a signature is asked for and we have no signing certificate, or the version is none we speak.
        ValueError: the disposition cannot stand in a header.
    """
    request_names(received_headers)  # what is repeated below has passed these rules
    asked = requested_receipt(received_headers) or _NO_REQUEST
    them = value_of(received_headers, "AS2-From") or ""
    us = value_of(received_headers, "AS2-To") or ""
    said = [
        "Reporting-UA: supplier-gateway",
        f"Original-Recipient: rfc822; {us}",
        f"Final-Recipient: rfc822; {us}",
        f"Original-Message-ID: {value_of(received_headers, 'Message-ID')}",
        f"Disposition: automatic-action/MDN-sent-automatically; {printable(disposition, 'disposition')}",
    ]
    level = disposition.partition("/")[2].partition(":")[0].strip().lower()
    if level in _REASON_FIELDS:
        said.append(f"{_REASON_FIELDS[level]}: {' '.join(_lines(text))[:_MAX_LINE]}")
    if mic is not None:
        digest, algorithm = mic
        said.append(f"Received-Content-MIC: {base64.b64encode(digest).decode()}, {asked.label(algorithm)}")
    part = _report(text, said)
    now = datetime.now(UTC)
    algorithm_of_signature = asked.digest(link_policy(terms))
    if asked.signed and algorithm_of_signature is not None:
        covered = part.octets()
        signer = first_of(terms.our_signing, "our signing certificate")
        digest = digest_of(algorithm_of_signature, covered)
        signature = sign(digest, signer, algorithm=algorithm_of_signature, scheme=terms.signature_scheme, at=now)
        part = multipart_signed(covered, signature, micalg=asked.label(algorithm_of_signature))
    body = b"".join(part.body)
    return Mdn(
        headers={
            **feature_headers(terms),
            "AS2-From": us,
            "AS2-To": them,
            "Message-ID": new_message_id(terms.our_name),
            "Date": format_datetime(now, usegmt=True),
            "MIME-Version": "1.0",
            **dict(part.fields),
            "Content-Length": str(len(body)),
        },
        body=body,
    )


def _lines(text: str) -> list[str]:
    return [line[:_MAX_LINE] for line in re.sub(r"[^ -~\r\n]", "?", text).splitlines()]


def _report(text: str, said: list[str]) -> Part:
    boundary = new_boundary()
    body = (
        b"--%s\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s\r\n"
        b"--%s\r\nContent-Type: message/disposition-notification\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s\r\n\r\n"
        b"--%s--\r\n"
    ) % (boundary, "\r\n".join(_lines(text)).encode(), boundary, "\r\n".join(said).encode("ascii"), boundary)
    content_type = f'multipart/report; report-type=disposition-notification; boundary="{boundary.decode()}"'
    return Part((("Content-Type", content_type),), [body])


# ------------------------------------------------------------------------------------------------------------- read
def read_mdn(
    headers: Mapping[str, str], body: bytes, *, message_id: str, digests: Mapping[str, bytes], terms: As2Terms
) -> Receipt:
    """Judge an MDN for one message of ours. Never raises for what came; everything doubtful is ``INVALID``.

    The report is read from the verified octets only. "Delivered" needs exactly one notification, for this message, with a
    MIC that agrees; a MIC that differs is a signed statement that something else arrived.

    Args:
        message_id: of our message, with or without brackets.
        digests: ``Outgoing.digests``.
        terms: a signature by one of ``their_signing`` is demanded when ``signed_mdn`` is True.

    Raises:
        UnusableTerms: a certificate of the terms cannot be used.
    """
    try:
        report, signer = _report_of(headers, body, terms)
        notification, explanation = _notification(report), _explanation(report)
        named = field(notification, b"original-message-id").decode("latin-1")
        if not named:
            return Receipt(verdict=Verdict.INVALID, text="the MDN names no message")
        if bare_id(named) != bare_id(message_id):
            return Receipt(verdict=Verdict.INVALID, text="the MDN is for another message")
        kind, levels, said = _disposition(notification)
        if terms.signed_mdn and signer is None:
            return Receipt(verdict=Verdict.INVALID, text=f"a signed MDN was asked for; unsigned, it says: {said}")
        if kind == "failed" or levels & {"error", "failure"}:
            return Receipt(verdict=Verdict.REJECTED, text=said, signer_fingerprint=signer, explanation=explanation)
        if kind != "processed":
            return Receipt(verdict=Verdict.INVALID, text=f"a disposition that says neither yes nor no: {said}")
        value, _comma, spelling = field(notification, b"received-content-mic").decode("latin-1").partition(",")
        algorithm = digest_called(spelling)
        if not value or algorithm is None or algorithm not in digests:
            return Receipt(verdict=Verdict.INVALID, text=f"no usable Received-Content-MIC beside: {said}")
        if not hmac.compare_digest(base64.b64decode("".join(value.split()), validate=True), digests[algorithm]):
            text = f"the MIC differs: the partner received something else ({said})"
            return Receipt(verdict=Verdict.REJECTED, text=text, signer_fingerprint=signer, explanation=explanation)
        return Receipt(
            verdict=Verdict.WARNING if said != "processed" else Verdict.DELIVERED,
            text=said,
            mic_algorithm=algorithm,
            signer_fingerprint=signer,
            explanation=explanation,
        )
    except (Rejected, MalformedRequest) as exc:
        return Receipt(verdict=Verdict.INVALID, text=exc.why)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as exc:
        return Receipt(verdict=Verdict.INVALID, text=f"the MDN cannot be read: {str(exc)[:200]}")


def original_message_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """The Message-ID that a request names when it is an MDN; nothing of it is verified.

    For looking the message up, which ``read_mdn`` then judges. A request is an MDN when a multipart/report for a
    disposition notification is all of it, or the first part of a multipart/signed. Never raises for what came.

    Returns:
        The id as it stands there; empty when the MDN names none that could be ours; None when this is no MDN.
    """
    try:
        entity = Entity.of_http(headers, body)
        # The beginning is enough: a receipt is short, and an order of 100 MB must not be searched for what it is.
        start = Span(entity.body.buffer, entity.body.start, min(entity.body.end, entity.body.start + _MAX_LOOK_BYTES))
        entity = Entity(entity.head, start, start)
        if entity.media_type == b"multipart/signed":
            entity = Entity.read(split(start, _boundary(entity), most=_MAX_PARTS).parts[0])
        if not _is_report(entity):
            return None
    except (ValueError, IndexError, MalformedRequest):
        return None
    try:
        named = field(_notification(entity), b"original-message-id").decode("latin-1")
    except (ValueError, IndexError):
        return ""
    return named if len(named) <= MAX_MESSAGE_ID and is_printable(named) else ""


def _is_report(entity: Entity) -> bool:
    """A report-type is demanded by RFC 6522 and left out by some; another one is another kind of report."""
    if entity.media_type != b"multipart/report":
        return False
    kind = parameters(entity.field(b"content-type")).get(b"report-type", b"disposition-notification")
    return kind.lower() == b"disposition-notification"


def _boundary(entity: Entity) -> bytes:
    return parameters(entity.field(b"content-type")).get(b"boundary", b"")


def _report_of(headers: Mapping[str, str], body: bytes, terms: As2Terms) -> tuple[Entity, str | None]:
    """The multipart/report, and the fingerprint of the pinned certificate that signed it."""
    entity = Entity.of_http(headers, body)
    signer = None
    if entity.media_type == b"multipart/signed":
        pinned = [identity(ref) for ref in terms.their_signing]
        content, signature = signed_parts(entity.body, _boundary(entity))
        good = verify(content, bytes(Entity.read(signature).content()), pinned, link_policy(terms))
        entity, signer = Entity.read(good.octets), good.signer.fingerprint
    if not _is_report(entity):
        raise ValueError("there is no multipart/report in the answer")
    return entity, signer


def _parts(report: Entity) -> list[Entity]:
    return [Entity.read(span) for span in split(report.body, _boundary(report), most=_MAX_PARTS).parts]


def _notification(report: Entity) -> bytes:
    """The fields of the one disposition-notification."""
    found = [part for part in _parts(report) if part.media_type == b"message/disposition-notification"]
    if len(found) != 1:
        raise ValueError(f"{len(found)} disposition notifications")
    return bytes(found[0].content()).strip(b"\r\n") + b"\r\n"


def _explanation(report: Entity) -> str:
    """The part for people; one that cannot be read costs the words, not the receipt."""
    part = next((part for part in _parts(report) if part.media_type == b"text/plain"), None)
    if part is None:
        return ""
    try:
        return _words(bytes(part.content()))
    except ValueError:
        return ""


def _words(octets: bytes) -> str:
    """A partner's text on one line, without what could be played with on a page or in a log."""
    text = octets[: 4 * _MAX_WORDS].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_WORDS]


def _disposition(notification: bytes) -> tuple[str, set[str], str]:
    """Type, levels (error, failure, warning; mostly none or one) and all of it as read, with the reason, for people.

    Historic forms are understood: ``processed/warning: duplicate-document``, ``failed/failure: …``, ``processed/Error``,
    a disposition without its mode; the reason may stand behind the modifier, in fields of its own, or in both.
    """
    mode, semicolon, rest = field(notification, b"disposition").partition(b";")
    said = _words(rest if semicolon else mode)
    kind, _slash, modifier = said.partition("/")
    levels = {level.strip().lower() for level in modifier.partition(":")[0].split(",")} - {""}
    kind = kind.partition(":")[0].strip().lower()
    reasons = [_words(value) for name in _REASON_FIELDS for value in fields(notification, name.encode())]
    if reasons := [reason for reason in reasons if reason]:
        said = f"{said} ({'; '.join(reasons)})"
    return kind, levels, (kind if said.lower() == kind else said)[:_MAX_WORDS]
