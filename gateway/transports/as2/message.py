"""One AS2 message: built from a payload, or received and opened under a partner's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import MICALG, digest_of
from gateway.transports.as2.certificates import first_of, identity
from gateway.transports.as2.compression import compress, inflate
from gateway.transports.as2.digests import Digests
from gateway.transports.as2.envelopes import decrypt, encrypt
from gateway.transports.as2.errors import Disposition, MalformedRequest, Rejected, UnusableTerms
from gateway.transports.as2.features import feature_headers, link_policy
from gateway.transports.as2.headers import printable
from gateway.transports.as2.mime import Entity, Part, Span, multipart_signed, parameters, signed_parts
from gateway.transports.as2.names import bare_id, bracketed, quoted, request_names
from gateway.transports.as2.receipts import ReceiptRequest, requested_receipt
from gateway.transports.as2.related import Attachment, document, documents, related
from gateway.transports.as2.signatures import Signature, sign, verify
from partners.profiles import As2Terms

#: An inflated message may be this many times the partner's limit for one on the wire.
INFLATED_FACTOR: Final = 4
#: encrypted, compressed, signed and the document itself, and two to spare for saying what is wrong.
_MAX_LAYERS: Final = 6
_PKCS7: Final = {b"application/pkcs7-mime", b"application/x-pkcs7-mime"}


class LayerKind(StrEnum):
    ENCRYPTED = "encrypted"
    SIGNED = "signed"
    COMPRESSED = "compressed"


@dataclass(frozen=True, slots=True)
class Layer:
    """One wrapping that was taken off."""

    kind: LayerKind
    algorithm: str  #: "aes256_cbc", "sha256", "zlib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message that meets the terms."""

    message_id: str  #: as received, brackets and all
    payload: bytes = field(repr=False)  #: the document, octet for octet what was signed, its transfer encoding undone
    content_type: str  #: of the document, with parameters, as sent; empty when the sender gave none
    file_name: str | None  #: as the sender calls it, without folders; a label, never a path
    attachments: tuple[Attachment, ...]  #: what came with it, of a multipart/related or multipart/mixed
    mic: bytes  #: digest for the receipt
    mic_algorithm: str  #: of ``mic``: "sha256", "sha384", "sha512"
    layers: tuple[Layer, ...]  #: outermost first
    signer_fingerprint: str | None  #: of the pinned certificate that verified; None: not signed
    decrypted_with: str | None  #: fingerprint of our certificate whose key opened it; None: not encrypted
    receipt: ReceiptRequest | None  #: None: no MDN is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message ready to post: store all of it first, and post the same bytes again on every retry."""

    headers: dict[str, str]
    body: bytes
    message_id: str  #: in brackets, as it stands in the headers
    covered: bytes = field(repr=False)  #: what the MIC of the receipt is over
    signed_with: str | None  #: fingerprint of our certificate; None: not signed
    encrypted_for: tuple[str, ...]  #: fingerprints of the partner's certificates; empty: not encrypted
    mic_algorithm: str  #: of the digest the receipt is asked for
    digests: Mapping[str, bytes] = field(repr=False)  #: of ``covered``: "sha1", "sha256", "sha384", "sha512"


# ------------------------------------------------------------------------------------------------------------ build
def build_message(
    payload: bytes,
    *,
    terms: As2Terms,
    message_id: str,
    content_type: str = "application/edi-x12",
    file_name: str | None,
    subject: str = "",
    attachments: Sequence[Attachment] = (),
) -> Outgoing:
    """Wrap a payload as the terms say: compressed, signed, encrypted, each when it is True.

    Compression comes before the signature, or between it and the encryption when ``compressed_after_signing`` is True.

    Args:
        message_id: with or without angle brackets; the same one for every retry.
        file_name: told to the partner; None or empty: nothing is told.
        attachments: more documents, which travel with the payload in one multipart/related.

    Raises:
        UnusableTerms: a certificate or key the terms need is missing or unfit.
        ValueError: a name, the message id, a content type or the subject cannot stand in a header, or there are too
            many attachments.
    """
    link_policy(terms).demand(terms)
    now = datetime.now(UTC)
    part = document(payload, content_type, file_name)
    if attachments:
        part = related(part, attachments)
    covered = part.octets() if terms.encrypted or terms.compressed else part.body
    if terms.compressed and not terms.compressed_after_signing:
        part = _compressed(part)
    if terms.signed:
        covered = part.octets()
    digest = digest_of(terms.digest, covered)
    signed_with: str | None = None
    encrypted_for: tuple[str, ...] = ()
    if terms.signed:
        signer = first_of(terms.our_signing, "our signing certificate")
        signed_with = signer.fingerprint
        signature = sign(digest, signer, algorithm=terms.digest, scheme=terms.signature_scheme, at=now)
        part = multipart_signed(covered, signature, micalg=MICALG[terms.digest])
    if terms.compressed and terms.compressed_after_signing:
        part = _compressed(part)
    if terms.encrypted:
        newest = first_of(terms.their_encryption, "the partner's encryption certificate")
        recipients = [identity(ref) for ref in terms.their_encryption] if terms.all_recipients else [newest]
        encrypted_for = tuple(recipient.fingerprint for recipient in recipients)
        kind = "authEnveloped-data" if terms.cipher.endswith("gcm") else "enveloped-data"
        blob = encrypt(part.octets(), recipients, cipher=terms.cipher, key_transport=terms.key_transport)
        part = _pkcs7_part(kind, "smime.p7m", blob)
    identifier, octets = bracketed(message_id), b"".join(covered)
    return Outgoing(
        headers={
            "Message-ID": identifier,
            "Date": format_datetime(now, usegmt=True),
            **feature_headers(terms),
            "AS2-From": quoted(terms.our_name),
            "AS2-To": quoted(terms.their_name),
            "Subject": printable(subject or "Business documents", "subject"),
            "MIME-Version": "1.0",
            **_receipt_wanted(terms),
            **dict(part.fields),
        },
        body=b"".join(part.body),
        message_id=identifier,
        covered=octets,
        signed_with=signed_with,
        encrypted_for=encrypted_for,
        mic_algorithm=terms.digest,
        digests=Digests({terms.digest: digest}, lambda: octets),
    )


def _receipt_wanted(terms: As2Terms) -> dict[str, str]:
    """The headers that ask for a receipt: always one, signed and by a request of its own as the terms say."""
    headers = {"Disposition-Notification-To": quoted(terms.our_name)}
    if terms.signed_mdn:
        micalg = MICALG[terms.digest if terms.digest in link_policy(terms).digests else "sha256"]
        headers["Disposition-Notification-Options"] = (
            f"signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, {micalg}"
        )
    if terms.async_mdn:
        if terms.our_url is None:
            raise UnusableTerms("our own AS2 address is missing: asynchronous receipts have nowhere to come to")
        headers["Receipt-Delivery-Option"] = printable(terms.our_url, "our AS2 address")
    return headers


def _compressed(part: Part) -> Part:
    return _pkcs7_part("compressed-data", "smime.p7z", compress(part.octets()))


def _pkcs7_part(kind: str, name: str, blob: list[der.Octets]) -> Part:
    return Part(
        (
            ("Content-Type", f"application/pkcs7-mime; smime-type={kind}; name={name}"),
            ("Content-Transfer-Encoding", "binary"),
            ("Content-Disposition", f"attachment; filename={name}"),
        ),
        blob,
    )


# ---------------------------------------------------------------------------------------------------------- receive
def receive(headers: Mapping[str, str], body: bytes, terms: As2Terms) -> Received:
    """Open one message and enforce the terms of the partner it names.

    What ``terms.signed`` and ``terms.encrypted`` demand must be there, with encryption outermost; whatever is there beyond
    that is checked as well. A signer must be one of ``terms.their_signing``: pinned, so which certificates count today is
    decided by whoever makes the terms.

    Args:
        headers: of the HTTP request, in any spelling; names other than the ones AS2 knows are ignored.

    Raises:
        MalformedRequest: the headers do not name a message.
        Rejected: the message does not meet the terms; what the partner may learn of it is explained in ``errors``.
        UnusableTerms: a certificate of the terms cannot be used.
    """
    names = request_names(headers)
    receipt = requested_receipt(headers)
    if not re.fullmatch(r"[!-~]+", names.message_id) or not bare_id(names.message_id):
        raise Rejected(Disposition.INVALID_MESSAGE_ID, "the Message-ID is empty or holds a space")
    if receipt is not None and receipt.digest(link_policy(terms)) is None:
        raise Rejected(
            Disposition.UNSUPPORTED_MIC_ALGORITHMS, "only digests we do not support are asked for the receipt"
        )
    if len(body) > terms.max_bytes:
        raise Rejected(
            Disposition.UNEXPECTED_PROCESSING_ERROR, f"{len(body)} octets where {terms.max_bytes} are agreed"
        )
    opening = _Opening(terms, receipt)
    try:
        entity = opening.open(Entity.of_http(headers, body))
        root, *attachments = documents(entity)
        mic, algorithm = opening.mic(entity)
        return Received(
            message_id=names.message_id,
            payload=root.content,
            content_type=root.content_type,
            file_name=root.file_name,
            attachments=tuple(attachments),
            mic=mic,
            mic_algorithm=algorithm,
            layers=tuple(opening.layers),
            signer_fingerprint=opening.signature.signer.fingerprint if opening.signature else None,
            decrypted_with=opening.decrypted_with,
            receipt=receipt,
        )
    except Rejected as rejected:
        raise opening.told(rejected) from None
    except MalformedRequest as malformed:
        raise opening.told(Rejected(Disposition.UNEXPECTED_PROCESSING_ERROR, malformed.why)) from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as exc:
        why = f"reading: {type(exc).__name__}: {str(exc)[:200]}"
        raise opening.told(Rejected(Disposition.UNEXPECTED_PROCESSING_ERROR, why)) from None


class _Opening:
    """Takes the layers off one message and remembers what they were."""

    def __init__(self, terms: As2Terms, receipt: ReceiptRequest | None) -> None:
        self._terms = terms
        self._policy = link_policy(terms)
        self._receipt = receipt
        self._reached: Entity | None = None  #: inside the layers that were taken off, verified or not
        self._is_garbage = False  #: the padding was wrong, which must not show before the rest has failed or not
        self.layers: list[Layer] = []
        self.decrypted_with: str | None = None
        self.signature: Signature | None = None  #: found good

    def open(self, entity: Entity) -> Entity:
        """The innermost entity: the document."""
        for _layer in range(_MAX_LAYERS):
            media = entity.media_type
            if media in _PKCS7:
                entity = self._unwrapped(entity)
            elif media == b"multipart/signed":
                self._demand_encryption_outside()
                entity = self._verified(entity)
            else:
                self._demand_encryption_outside()
                if self._terms.signed and self.signature is None:
                    raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, "it is not signed")
                if self._is_garbage:
                    raise Rejected(Disposition.AUTHENTICATION_FAILED, "everything else is in order")
                return entity
        raise ValueError("too many layers")

    def told(self, failure: Rejected) -> Rejected:
        """What the partner is told instead, at this stage of opening; staff see the cause."""
        if self._is_garbage:
            why = f"decrypting: the padding is wrong: it was altered, or encrypted for another key ({failure.why})"
            return Rejected(Disposition.AUTHENTICATION_FAILED, why, salvaged=self._salvaged())
        if self.signature is not None:
            return Rejected(
                failure.disposition, failure.why, salvaged=self._salvaged(), mic=self._mic_of_signed(self.signature)
            )
        rests_on_plain_text = bool(self.layers) and self.layers[0].kind is LayerKind.ENCRYPTED
        anyone_can_see = failure.disposition is Disposition.INSUFFICIENT_MESSAGE_SECURITY and not rests_on_plain_text
        disposition = failure.disposition if anyone_can_see else Disposition.AUTHENTICATION_FAILED
        return Rejected(disposition, failure.why, salvaged=self._salvaged())

    def _salvaged(self) -> bytes | None:
        """What was reached, good padding or not: to keep the one and not the other takes a time that can be measured."""
        reached = self._reached
        if reached is None or reached.body.end - reached.body.start > self._terms.max_bytes:
            return None
        try:
            return bytes(reached.content())
        except ValueError:
            return bytes(reached.body)

    def _reach(self, octets: Span) -> None:
        try:
            self._reached = Entity.read(octets)
        except ValueError:
            self._reached = Entity(b"", octets, octets)

    def mic(self, document: Entity) -> tuple[bytes, str]:
        """The digest for the receipt and its name, over what RFC 4130 section 7.3.1 and RFC 5402 section 4 say.

        That is what was signed; else the document with its header, when it came inside a layer; else the body alone.
        """
        if self.signature is not None:
            return self._mic_of_signed(self.signature)
        algorithm = self._asked or "sha256"
        covered = document.whole if self.layers else document.body
        return digest_of(algorithm, [covered.view]), algorithm

    def _mic_of_signed(self, signature: Signature) -> tuple[bytes, str]:
        algorithm = self._asked or signature.algorithm
        if algorithm == signature.algorithm:
            return signature.digest, algorithm
        return digest_of(algorithm, [signature.octets.view]), algorithm

    @property
    def _asked(self) -> str | None:
        """The digest the request names for its receipt."""
        return self._receipt.digest(self._policy) if self._receipt is not None and self._receipt.micalgs else None

    def _demand_encryption_outside(self) -> None:
        if self._terms.encrypted and not self.layers:
            raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, "the outermost layer is not encryption")

    def _unwrapped(self, entity: Entity) -> Entity:
        """The type inside the blob decides, not the smime-type beside it: that one is wrong often enough."""
        blob = entity.body.view
        if entity.transfer_encoding == b"base64" and bytes(blob[:1]) != b"\x30":
            blob = memoryview(entity.content())
        kind, _content = der.content_info(blob)
        if kind in (der.OID_ENVELOPED, der.OID_AUTH_ENVELOPED):
            if self.layers:
                raise ValueError("encryption inside another layer")
            opened = decrypt(blob, [identity(ref) for ref in self._terms.our_decryption], self._policy)
            self.decrypted_with = opened.opened_with
            self._is_garbage = not opened.is_well_padded
            self.layers.append(Layer(LayerKind.ENCRYPTED, opened.cipher))
            self._reach(opened.octets)
            return Entity.read(opened.octets)
        self._demand_encryption_outside()
        if kind != der.OID_COMPRESSED:
            raise ValueError("neither encrypted nor compressed")
        if any(layer.kind is LayerKind.COMPRESSED for layer in self.layers):
            raise ValueError("compressed twice")
        inflated = Span.over(inflate(blob, max_bytes=INFLATED_FACTOR * self._terms.max_bytes))
        self.layers.append(Layer(LayerKind.COMPRESSED, "zlib"))
        self._reach(inflated)
        return Entity.read(inflated)

    def _verified(self, entity: Entity) -> Entity:
        if self.signature is not None:
            raise ValueError("signed twice")
        pinned = [identity(ref) for ref in self._terms.their_signing]
        boundary = parameters(entity.field(b"content-type")).get(b"boundary", b"")
        content, signature = signed_parts(entity.body, boundary)
        self._reach(content)
        good = verify(content, bytes(Entity.read(signature).content()), pinned, self._policy)
        self.signature = good
        self.layers.append(Layer(LayerKind.SIGNED, good.algorithm))
        return Entity.read(good.octets)
