"""Evidence: what the stored rows prove about an AS2 exchange, years later and without asking anybody.

Nothing is taken from the state a row is in. Every step is worked out anew from the bytes as they went and came, the
certificates of then and the audit trail, so that a changed row fails the step it was changed for.

| a message of ours | a message of a partner |
|---|---|
| the bytes have the hashes they are kept under, and are those the audit trail noted | the same |
| what the receipt's digest is over was kept, and holds the payload | what came opens with our key, to the payload |
| the partner's receipt is signed with its certificate of then | it is signed with the partner's certificate of then |
| that receipt names the message, says processed and has our digest | so does the receipt we gave |

``Transmission.evidence`` says where to look, certificates by fingerprint: ``signed_with``, ``encrypted_for`` and
``receipt_signer`` of ours; ``signer``, ``decrypted_with`` and ``layers`` of theirs. Where it names none, all are tried.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from gateway.models import Event, Transmission, TransmissionState
from gateway.transports import as2
from partners import history
from partners.history import KeptCertificate
from partners.profiles import MAX_MESSAGE_MEGABYTES, Algorithms, As2Terms, Channel, Direction

_RESTORE: Final = "Somebody or something changed the row: compare it with a backup."


class Unusable(Exception):
    """There is nothing to prove. The text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at."""

    held: bool | None  #: None: it cannot be shown any more
    what: str  #: a sentence that is true when it held
    why: str = ""  #: when it did not: what is there instead
    todo: str = ""  #: … and what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the rows of one exchange show."""

    transmission: Transmission
    steps: tuple[Step, ...]  #: in the order of the table above; they end where nothing further can be looked at
    conclusion: str

    @property
    def proved(self) -> bool:
        return all(step.held for step in self.steps)


def find(named: str) -> Transmission:
    """The message that ``named`` is about: its own, or that of the receipt or attachment it names.

    Args:
        named: primary key, uid, or Message-ID with or without its angle brackets.

    Raises:
        Unusable: there is none, there are several, or it has not gone over AS2.
    """
    rows = Transmission.objects.select_related("partner", "raw", "payload", "covered", "answer")
    found = list(rows.filter(_naming(named.strip())).order_by("pk")[:20])
    accepted = [row for row in found if row.state != TransmissionState.REFUSED]
    found = accepted or found
    if not found:
        raise Unusable(f"No message is called {named!r}. Give its number, its uid or its Message-ID.")
    if len(found) > 1:
        some = ", ".join(f"{row.pk} ({row.partner.code}, {row.direction})" for row in found)
        raise Unusable(f"Several messages are called {named!r}. Give one by its number: {some}.")
    row = found[0]
    if row.about_id is not None and (row.format == "mdn" or row.direction == Direction.INBOUND):
        row = rows.get(pk=row.about_id)
    if row.channel != Channel.AS2:
        raise Unusable(f"{row} came over {row.channel}: only AS2 has signed messages and receipts.")
    if row.format == "mdn":
        raise Unusable(f"{row} is a receipt that belongs to no message of ours.")
    return row


def prove(row: Transmission, extra: Sequence[KeptCertificate] = ()) -> Proof:
    """Go through an exchange step by step.

    Args:
        row: from ``find``.
        extra: certificates that are in no row any more, to be tried as well.
    """
    ours = row.direction == Direction.OUTBOUND
    steps = tuple(_of_ours(row, extra) if ours else _of_theirs(row, extra))
    proof = Proof(transmission=row, steps=steps, conclusion="")
    return Proof(transmission=row, steps=steps, conclusion=_conclusion(row, proof.proved))


def moment_of(row: Transmission) -> datetime:
    """When the partner's signature came: with its receipt for a message of ours, else with the message."""
    events = Event.objects.filter(transmission=row, name__in=["transmission.receipted", "transmission.rejected"])
    settled = events.order_by("-pk").first() if row.direction == Direction.OUTBOUND else None
    return settled.at if settled else row.at


def terms_of_then(ours: Sequence[KeptCertificate], theirs: Sequence[KeptCertificate], *, signed: bool) -> As2Terms:
    """Terms under which whatever we ever accepted can be opened; what must hold is asked by the steps."""
    return As2Terms(
        our_name="",
        their_name="",
        url=None,
        signed=False,
        encrypted=False,
        signed_mdn=signed,
        algorithms=Algorithms.LEGACY,
        our_decryption=tuple(one.ref for one in ours if one.ref.private_key_pem),
        their_signing=tuple(one.ref for one in theirs),
        max_bytes=MAX_MESSAGE_MEGABYTES * 1024 * 1024,
    )


def receipt_of(row: Transmission) -> tuple[Mapping[str, str], bytes] | None:
    """Headers and body of the MDN of an exchange, whichever way it travelled; None when there is none."""
    if row.answer is not None and "multipart/" in _content_type(row.answer_headers):
        return row.answer_headers, row.answer.found
    apart = row.belongings.filter(format="mdn", direction=Direction.OUTBOUND).select_related("raw").first()
    if row.direction == Direction.INBOUND and apart is not None:
        return apart.headers, apart.raw.found
    return None


def signers_of(row: Transmission, extra: Sequence[KeptCertificate] = ()) -> list[KeptCertificate]:
    """The partner's certificates that may have signed its receipt for our message, or its message."""
    name = row.evidence.get("receipt_signer" if row.direction == Direction.OUTBOUND else "signer")
    known = [*history.certificates_of(row.partner_id), *extra]
    return [one for one in known if name in (None, one.ref.fingerprint)]


# ----------------------------------------------------------------------------------------------------------- the steps
def _of_ours(row: Transmission, extra: Sequence[KeptCertificate]) -> Iterator[Step]:
    yield from _as_kept(row)
    if row.covered is None:
        fixed = bool(row.message_id)
        yield Step(
            held=None if fixed else False,
            what="What the digest in the receipt is over was kept",
            why="the message left before the gateway kept it, and only the partner can open what was sent"
            if fixed
            else f"the message is {row.state}: it has not been signed and sent",
            todo="Its digests and the receipt are kept; the partner still has the message itself."
            if fixed
            else "Wait until it has left.",
        )
        return
    covered = row.covered.found
    digests = as2.Digests({}, lambda: covered)
    wrong = [name for name, fixed in row.digests.items() if _base64(digests[name]) != fixed]
    yield Step(
        held=bool(row.digests) and not wrong,
        what=f"What we protected has the digest that was fixed before it left ({', '.join(row.digests)})",
        why=f"the kept octets have another {' and '.join(wrong) or 'digest'}",
        todo=_RESTORE,
    )
    yield _holds_payload(row, covered)
    receipt = receipt_of(row)
    if receipt is None:
        yield Step(
            held=False,
            what="There is a receipt of the partner",
            why=f"the message is {row.state} and no receipt is kept with it",
            todo="Ask the partner for the receipt, or let the message be sent again.",
        )
        return
    signers = signers_of(row, extra)
    if not signers:
        yield _no_certificate(str(row.evidence.get("receipt_signer", "of the partner")))
        return
    yield from _receipt_says(row, *receipt, digests=digests, signers=signers, by="the partner", at=moment_of(row))


def _of_theirs(row: Transmission, extra: Sequence[KeptCertificate]) -> Iterator[Step]:
    yield from _as_kept(row)
    if row.state == TransmissionState.REFUSED:
        yield Step(held=False, what="We accepted the message", why=f"it was refused: {row.reason}")
        return
    ours, theirs = history.own_certificates(), signers_of(row, extra)
    if row.evidence.get("signer") and not theirs:
        yield _no_certificate(str(row.evidence["signer"]))
        return
    digests = {name: base64.b64decode(value) for name, value in row.digests.items()}
    opened_with = row.evidence.get("decrypted_with")
    keys = [one for one in ours if one.ref.private_key_pem and opened_with in (None, one.ref.fingerprint)]
    if opened_with and not keys:
        yield Step(
            held=None,
            what="What came opens to the payload, and is signed by the partner",
            why=f"the private key of our certificate {short(str(opened_with))} is gone, and only it opens the message",
            todo="Restore the key with its keystore secret from a backup, then ask again.",
        )
    else:
        yield from _opens(row, keys, theirs, digests)
    receipt = receipt_of(row)
    if receipt is not None:
        yield from _receipt_says(row, *receipt, digests=digests, signers=ours, by="us", at=row.at)
    elif "Disposition-Notification-To" in row.headers:
        yield Step(held=False, what="The receipt we gave is kept", why="there is none", todo=_RESTORE)


def _as_kept(row: Transmission) -> Iterator[Step]:
    """The bytes against their own hashes, then all of the row against the audit trail."""
    blobs = {"raw": row.raw, "payload": row.payload, "covered": row.covered, "answer": row.answer}
    blobs |= {f"{one.format} {one.pk}": one.raw for one in row.belongings.select_related("raw")}
    wrong = [name for name, blob in blobs.items() if blob and hashlib.sha256(blob.found).hexdigest() != blob.sha256]
    yield Step(
        held=not wrong,
        what="The stored bytes have the hashes they are kept under",
        why=f"these have not: {', '.join(wrong)}",
        todo=_RESTORE,
    )
    noted = _noted(row)
    changed = [str(one) for one in row.belongings.all() if (event := _noted(one)) and not one.bears(event.data["seal"])]
    if noted is not None and not row.bears(noted.data["seal"]):
        changed.insert(0, str(row))
    yield Step(
        held=None if noted is None else not changed,
        what="Ids, headers, digests and bytes are those the audit trail noted"
        + (f" on {noted.at:%Y-%m-%d %H:%M:%S} UTC" if noted else ""),
        why=f"the audit trail noted others for {', '.join(changed)}" if noted else "the audit trail has noted none",
        todo=_RESTORE if noted else "",
    )


def _noted(row: Transmission) -> Event | None:
    """Where the audit trail last noted how the row was."""
    # Deliveries and documents of the message have seals of their own.
    noted = Event.objects.filter(transmission=row, name__startswith="transmission.", data__has_key="seal")
    return noted.order_by("-pk").first()


def _holds_payload(row: Transmission, covered: bytes) -> Step:
    """That what the partner acknowledged is our document: taken out again, as the partner does it."""
    what = "In it is the payload, byte for byte"
    if row.payload is None:
        return Step(held=False, what=what, why="no payload is kept", todo=_RESTORE)
    if covered == row.payload.found:
        return Step(held=True, what=what)
    try:
        head, _blank, body = covered.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n"))
        named = {"AS2-From": "we", "AS2-To": "they", "Message-ID": "<covered@gateway>", **fields}
        inside = as2.receive(named, body, terms_of_then((), (), signed=False)).payload
    except (ValueError, as2.As2Error) as error:
        return Step(held=False, what=what, why=f"it cannot be read: {error}", todo=_RESTORE)
    same = inside == row.payload.found
    return Step(held=same, what=what, why="another document is in it", todo=_RESTORE)


def _opens(
    row: Transmission,
    keys: Sequence[KeptCertificate],
    theirs: Sequence[KeptCertificate],
    digests: Mapping[str, bytes],
) -> Iterator[Step]:
    """The bytes as they came, opened once more."""
    try:
        received = as2.receive(row.headers, row.raw.found, terms_of_then(keys, theirs, signed=False))
    except as2.As2Error as error:
        todo = "If a certificate of the partner is no longer here, add it with --certificate FILE."
        yield Step(held=False, what="What came opens and is in order", why=str(error), todo=todo)
        return
    layers = ", ".join(f"{layer.kind} {layer.algorithm}" for layer in received.layers) or "no protection"
    yield Step(
        held=row.payload is not None and received.payload == row.payload.found,
        what=f"What came opens to the payload, byte for byte ({layers})",
        why="another document is in it",
        todo=_RESTORE,
    )
    kept = row.belongings.filter(direction=Direction.INBOUND).exclude(format="mdn").order_by("pk")
    if received.attachments or kept.exists():
        yield Step(
            held=[part.content for part in received.attachments] == [one.raw.found for one in kept],
            what="What came with it is kept, byte for byte",
            why="the other documents of the message are not the ones that are kept",
            todo=_RESTORE,
        )
    signer = next((one for one in theirs if one.ref.fingerprint == received.signer_fingerprint), None)
    if signer is None:
        why = "it came unsigned: nothing in it proves who sent it"
        yield Step(held=False, what="It is signed by the partner", why=why, todo="Ask the partner to sign.")
    else:
        yield Step(held=True, what=f"It is signed by the partner, with {named(signer)}")
        yield _was_valid(signer, row.at, in_grace=bool(row.evidence.get("signer_expired")))
    yield Step(
        held=digests.get(received.mic_algorithm) == received.mic,
        what=f"Its digest is the one we noted ({received.mic_algorithm} {_base64(received.mic)})",
        why="we noted another",
        todo=_RESTORE,
    )


def _receipt_says(
    row: Transmission,
    headers: Mapping[str, str],
    body: bytes,
    *,
    digests: Mapping[str, bytes],
    signers: Sequence[KeptCertificate],
    by: str,
    at: datetime,
) -> Iterator[Step]:
    """An MDN, read as on the day it came; the engine says at which of its own steps it failed."""
    signed = "multipart/signed" in _content_type(headers)
    terms = terms_of_then((), signers, signed=signed)
    receipt = as2.read_mdn(headers, body, message_id=row.message_id, digests=digests, terms=terms)
    if receipt.verdict in (as2.Verdict.REJECTED, as2.Verdict.INVALID):
        says_no = receipt.verdict is as2.Verdict.REJECTED
        yield Step(
            held=False,
            what=f"The receipt given by {by} proves that the message arrived",
            why=f"it says no: {receipt.text}" if says_no else receipt.text,
            todo="" if says_no else _RESTORE + " If a certificate is no longer here, add it with --certificate FILE.",
        )
        return
    signer = next((one for one in signers if one.ref.fingerprint == receipt.signer_fingerprint), None)
    if signer is not None:
        yield Step(held=True, what=f"The receipt is signed by {by}, with {named(signer)}")
        yield _was_valid(signer, at)
    elif by != "us" or "signed-receipt-protocol" in row.headers.get("Disposition-Notification-Options", ""):
        why = "it is unsigned: anybody could have written it"
        yield Step(held=False, what=f"The receipt is signed by {by}", why=why, todo="Agree on signed receipts.")
    yield Step(held=True, what=f"The receipt names this message, {row.message_id}")
    yield Step(held=True, what=f"The receipt says: {receipt.text}")
    name = receipt.mic_algorithm or ""
    yield Step(held=True, what=f"The digest in the receipt is that of the message ({name} {_base64(digests[name])})")


def _was_valid(certificate: KeptCertificate, at: datetime, *, in_grace: bool = False) -> Step:
    """Whether it counted ``at`` that moment; ``in_grace``: we noted then that it had expired and was accepted as agreed."""
    if in_grace and certificate.not_after < at:
        return Step(
            held=True, what=f"That certificate had expired by {at:%Y-%m-%d} and was accepted in its days of grace"
        )
    until = min(certificate.not_after, certificate.used_until or certificate.not_after)
    return Step(
        held=certificate.was_good_at(at),
        what=f"That certificate was valid and in use on {at:%Y-%m-%d}",
        why=f"it was from {certificate.not_before:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC",
        todo="The signature holds; whether it counts is a matter between you and the partner.",
    )


def _no_certificate(fingerprint: str) -> Step:
    return Step(
        held=False,
        what="The certificate that signed is here",
        why=f"no row holds certificate {short(fingerprint)}",
        todo="Add it with --certificate FILE.",
    )


def _conclusion(row: Transmission, proved: bool) -> str:
    size, code = row.payload.size_bytes if row.payload else 0, row.partner.code
    if not proved:
        return "Not proved. What is missing stands above."
    if row.direction == Direction.OUTBOUND:
        day = f"{moment_of(row):%Y-%m-%d %H:%M:%S} UTC"
        return f"Proved: {code} has said, signed and by {day}, that it received exactly these {size} bytes."
    return f"Proved: {code} has sent, signed and by {row.at:%Y-%m-%d %H:%M:%S} UTC, exactly these {size} bytes."


# ------------------------------------------------------------------------------------------------------------- words
def named(certificate: KeptCertificate) -> str:
    return f"{certificate.subject} ({short(certificate.ref.fingerprint)})"


def short(fingerprint: str) -> str:
    """The first 16 of 64 hexadecimal digits: enough to tell certificates apart, short enough to read."""
    return f"{fingerprint[:16]}…" if len(fingerprint) > 16 else fingerprint


def _naming(text: str) -> Q:
    if text.isdecimal() and len(text) < 19:
        return Q(pk=int(text))
    try:
        return Q(uid=uuid.UUID(text))
    except ValueError:
        bare = text.removeprefix("<").removesuffix(">")
        return Q(message_id__in=[bare, f"<{bare}>"]) & ~Q(message_id="")


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "").lower()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
