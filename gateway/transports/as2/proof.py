"""What a third party needs to check a signature with any other program: the octets that were signed, and the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import policy_of
from gateway.transports.as2.certificates import identity
from gateway.transports.as2.compression import inflate
from gateway.transports.as2.envelopes import decrypt
from gateway.transports.as2.errors import Disposition, Rejected
from gateway.transports.as2.mime import Entity, Span, parameters, signed_parts
from gateway.transports.as2.signatures import verify
from partners.profiles import Algorithms, As2Terms

#: Encrypted and compressed once each are all there should be; what has more says nothing we could show.
_MAX_LAYERS: Final = 4
#: The link may have been allowed more in its time than it is today.
_POLICY: Final = policy_of(Algorithms.LEGACY)
_PKCS7: Final = {b"application/pkcs7-mime", b"application/x-pkcs7-mime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """A signature apart from what it is over."""

    octets: bytes = field(repr=False)  #: exactly what was signed, MIME header and all
    signature: bytes = field(repr=False)  #: CMS SignedData, DER
    signer_fingerprint: str  #: of the pinned certificate that verifies it


def detach(headers: Mapping[str, str], body: bytes, terms: As2Terms) -> Detached | None:
    """Take a message or MDN apart down to what was signed.

    Args:
        terms: with the keys to decrypt and the certificates to verify with; what they demand is not asked again.

    Returns:
        None when nothing in it is signed.

    Raises:
        Rejected: it does not open, or the signature does not hold.
        UnusableTerms: a certificate of the terms cannot be used.
    """
    entity = Entity.of_http(headers, body)
    try:
        for _layer in range(_MAX_LAYERS):
            if entity.media_type not in _PKCS7:
                break
            entity = Entity.read(_unwrapped(entity, terms))
        if entity.media_type != b"multipart/signed":
            return None
        boundary = parameters(entity.field(b"content-type")).get(b"boundary", b"")
        content, signature_part = signed_parts(entity.body, boundary)
        signature = bytes(Entity.read(signature_part).content())
        good = verify(content, signature, [identity(ref) for ref in terms.their_signing], _POLICY)
    except (ValueError, IndexError) as exc:
        raise Rejected(Disposition.UNEXPECTED_PROCESSING_ERROR, f"reading: {exc}") from None
    return Detached(octets=bytes(good.octets), signature=signature, signer_fingerprint=good.signer.fingerprint)


def _unwrapped(entity: Entity, terms: As2Terms) -> Span:
    """What is inside one envelope or compression."""
    blob = entity.body.view
    if entity.transfer_encoding == b"base64" and bytes(blob[:1]) != b"\x30":
        blob = memoryview(entity.content())
    kind, _content = der.content_info(blob)
    if kind == der.OID_COMPRESSED:
        return Span.over(inflate(blob, max_bytes=4 * terms.max_bytes))
    return decrypt(blob, [identity(ref) for ref in terms.our_decryption], _POLICY).octets
