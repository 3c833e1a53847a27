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

from gateway.transports.as2.algorithms import digest_called, digest_of, policy_of
from gateway.transports.as2.certificates import first_of, identity
from gateway.transports.as2.errors import Disposition, MalformedRequest, Rejected
from gateway.transports.as2.headers import is_printable, printable, value_of
from gateway.transports.as2.mime import (
    Entity,
    Part,
    Span,
    field,
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
        text: the part for people.

    Raises:
        MalformedRequest: the headers do not name a message.
        UnusableTerms: a signature is asked for and we have no signing certificate.
        ValueError: the disposition cannot stand in a header.
    """
    request_names(received_headers)  # what is repeated below has passed these rules
    asked = requested_receipt(received_headers) or _NO_REQUEST
    them = value_of(received_headers, "AS2-From") or ""
    us = value_of(received_headers, "AS2-To") or ""
    fields = [
        "Reporting-UA: supplier-gateway",
        f"Original-Recipient: rfc822; {us}",
        f"Final-Recipient: rfc822; {us}",
        f"Original-Message-ID: {value_of(received_headers, 'Message-ID')}",
        f"Disposition: automatic-action/MDN-sent-automatically; {printable(disposition, 'disposition')}",
    ]
    if mic is not None:
        digest, algorithm = mic
        fields.append(f"Received-Content-MIC: {base64.b64encode(digest).decode()}, {asked.label(algorithm)}")
    part = _report(text, fields)
    now = datetime.now(UTC)
    algorithm_of_signature = asked.digest(policy_of(terms.algorithms))
    if asked.signed and algorithm_of_signature is not None:
        covered = part.octets()
        signer = first_of(terms.our_signing, "our signing certificate")
        digest = digest_of(algorithm_of_signature, covered)
        signature = sign(digest, signer, algorithm=algorithm_of_signature, scheme=terms.signature_scheme, at=now)
        part = multipart_signed(covered, signature, micalg=asked.label(algorithm_of_signature))
    body = b"".join(part.body)
    return Mdn(
        headers={
            "AS2-Version": "1.2",
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


def _report(text: str, fields: list[str]) -> Part:
    boundary = new_boundary()
    lines = re.sub(r"[^ -~\r\n]", "?", text).splitlines()
    body = (
        b"--%s\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s\r\n"
        b"--%s\r\nContent-Type: message/disposition-notification\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s\r\n\r\n"
        b"--%s--\r\n"
    ) % (boundary, "\r\n".join(lines).encode(), boundary, "\r\n".join(fields).encode("ascii"), boundary)
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
        fields = _notification(report)
        if bare_id(field(fields, b"original-message-id").decode("latin-1")) != bare_id(message_id):
            return Receipt(verdict=Verdict.INVALID, text="the MDN is for another message")
        kind, level, said = _disposition(fields)
        if terms.signed_mdn and signer is None:
            return Receipt(verdict=Verdict.INVALID, text=f"a signed MDN was asked for; unsigned, it says: {said}")
        if kind == "failed" or level in {"error", "failure"}:
            return Receipt(verdict=Verdict.REJECTED, text=said, signer_fingerprint=signer)
        if kind != "processed":
            return Receipt(verdict=Verdict.INVALID, text=f"a disposition that says neither yes nor no: {said}")
        value, _comma, spelling = field(fields, b"received-content-mic").decode("latin-1").partition(",")
        algorithm = digest_called(spelling)
        if not value or algorithm is None or algorithm not in digests:
            return Receipt(verdict=Verdict.INVALID, text=f"no usable Received-Content-MIC beside: {said}")
        if not hmac.compare_digest(base64.b64decode("".join(value.split()), validate=True), digests[algorithm]):
            text = f"the MIC differs: the partner received something else ({said})"
            return Receipt(verdict=Verdict.REJECTED, text=text, signer_fingerprint=signer)
        verdict = Verdict.WARNING if level else Verdict.DELIVERED
        return Receipt(verdict=verdict, text=said, mic_algorithm=algorithm, signer_fingerprint=signer)
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
        good = verify(content, bytes(Entity.read(signature).content()), pinned, policy_of(terms.algorithms))
        entity, signer = Entity.read(good.octets), good.signer.fingerprint
    if not _is_report(entity):
        raise ValueError("there is no multipart/report in the answer")
    return entity, signer


def _notification(report: Entity) -> bytes:
    """The fields of the one disposition-notification."""
    parts = [Entity.read(span) for span in split(report.body, _boundary(report), most=_MAX_PARTS).parts]
    found = [part for part in parts if part.media_type == b"message/disposition-notification"]
    if len(found) != 1:
        raise ValueError(f"{len(found)} disposition notifications")
    return bytes(found[0].content()).strip(b"\r\n") + b"\r\n"


def _disposition(fields: bytes) -> tuple[str, str, str]:
    """Type, level (error, failure, warning or empty) and both with the modifier, as read, for people.

    Historic forms are understood: ``processed/warning: duplicate-document``, ``failed/failure: …``, ``processed/Error``.
    """
    said = field(fields, b"disposition").decode("latin-1").partition(";")[2].strip()
    kind, _slash, modifier = said.partition("/")
    level = modifier.partition(":")[0].strip().lower()
    return kind.partition(":")[0].strip().lower(), level, "".join(c if c.isprintable() else " " for c in said)[:400]
