"""CMS SignedData, detached: one signer, with signed attributes. Source: RFC 5652 sections 5 and 11."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import algos, cms, core
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import SECURE_DIGESTS, digest_of
from gateway.transports.as2.certificates import Identity
from gateway.transports.as2.errors import Disposition, Rejected, UnusableTerms
from gateway.transports.as2.mime import Span

#: A signature with a chain of certificates has a few kilobytes.
MAX_SIGNATURE_BYTES: Final = 64 * 1024

_ONE: Final = b"\x02\x01\x01"
_RSA: Final = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), b"\x05\x00")
_BINARY: Final = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[ \t]*binary[ \t]*\r?$")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that holds."""

    signer: Identity
    algorithm: str  #: of the digest
    digest: bytes
    octets: Span  #: exactly what was signed; whoever reads on reads here


# ------------------------------------------------------------------------------------------------------------ sign
def sign(digest: bytes, signer: Identity, *, algorithm: str, at: datetime) -> bytes:
    """SignedData over content whose digest is known.

    Raises:
        UnusableTerms: the signer has no private key.
    """
    if signer.private_key is None:
        raise UnusableTerms(f"certificate {signer.fingerprint[:16]}… has no private key to sign with")
    attributes = b"".join(
        sorted(  # DER orders the members of a SET
            (
                _attribute(_CONTENT_TYPE, der.OID_DATA),
                _attribute(_SIGNING_TIME, core.UTCTime(at.replace(microsecond=0)).dump()),
                _attribute(_MESSAGE_DIGEST, der.joined(der.OCTET_STRING, digest)),
            )
        )
    )
    # What is signed is the SET; in the message the same octets carry the tag [0].
    value = signer.private_key.sign(der.joined(der.SET, attributes), padding.PKCS1v15(), SECURE_DIGESTS[algorithm]())
    digest_algorithm = algos.DigestAlgorithm({"algorithm": algorithm}).dump()
    signer_info = der.joined(
        der.SEQUENCE,
        _ONE,
        der.joined(der.SEQUENCE, signer.issuer, core.Integer(signer.serial).dump()),
        digest_algorithm,
        der.joined(der.CONTEXT_0_CONSTRUCTED, attributes),
        _RSA,
        der.joined(der.OCTET_STRING, value),
    )
    signed_data = der.joined(
        der.SEQUENCE,
        _ONE,
        der.joined(der.SET, digest_algorithm),
        der.joined(der.SEQUENCE, der.OID_DATA),
        der.joined(der.CONTEXT_0_CONSTRUCTED, signer.der),
        der.joined(der.SET, signer_info),
    )
    return der.joined(der.SEQUENCE, der.OID_SIGNED, der.joined(der.CONTEXT_0_CONSTRUCTED, signed_data))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.joined(der.SEQUENCE, kind, der.joined(der.SET, value))


# ---------------------------------------------------------------------------------------------------------- verify
def verify(entity: Span, signature: bytes | bytearray, pinned: Sequence[Identity]) -> Signature:
    """Find the one pinned certificate that signed these octets.

    The signature over the attributes is checked first, so that only somebody with a pinned key makes us hash the content
    in more than one form.

    Raises:
        Rejected: for any reason; ``why`` tells them apart.
    """
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise Rejected(Disposition.AUTHENTICATION_FAILED, f"a signature of {len(signature)} octets")
    try:
        signer_info = _only_signer(bytes(signature))
        algorithm = signer_info["digest_algorithm"]["algorithm"].native
        if algorithm not in SECURE_DIGESTS:
            raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, f"signed with the digest {str(algorithm)[:40]}")
        named = _named(signer_info["sid"], pinned)
        if not named:
            raise Rejected(Disposition.AUTHENTICATION_FAILED, "the signer is none of the partner's certificates")
        attributes = signer_info["signed_attrs"]
        if not attributes:
            raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, "no signed attributes")
        claimed = _claimed_digest(attributes)
        signer = _signer_of(attributes.untag().dump(), signer_info, algorithm, named)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as exc:
        raise Rejected(
            Disposition.AUTHENTICATION_FAILED, f"signature: {type(exc).__name__}: {str(exc)[:200]}"
        ) from None
    for octets in _forms(entity):
        digest = digest_of(algorithm, [octets.view])
        if hmac.compare_digest(digest, claimed):
            return Signature(signer, algorithm, digest, octets)
    raise Rejected(Disposition.AUTHENTICATION_FAILED, "the content is not what was signed: its digest differs")


def _only_signer(signature: bytes) -> Any:
    info = cms.ContentInfo.load(signature)
    if info["content_type"].native != "signed_data":
        raise ValueError("not SignedData")
    signers = info["content"]["signer_infos"]
    if len(signers) != 1:  # none verifies trivially, two say different things to different readers
        raise ValueError(f"{len(signers)} signers")
    return signers[0]


def _named(signer_id: Any, pinned: Sequence[Identity]) -> list[Identity]:
    """The pinned certificates with this id: several, when a renewed one kept issuer and serial number."""
    if signer_id.name == "issuer_and_serial_number":
        issuer, serial = signer_id.chosen["issuer"], signer_id.chosen["serial_number"].native
        return [identity for identity in pinned if identity.is_issued_as(issuer, serial)]
    key_id = signer_id.chosen.native
    return [identity for identity in pinned if identity.has_key_id(key_id)]


def _claimed_digest(attributes: Any) -> bytes:
    """The message-digest attribute; it and content-type must be there once, with one value each (section 11)."""
    values: dict[bytes, Any] = {}
    for attribute in attributes:
        kind = attribute["type"].dump()
        if kind in values or len(attribute["values"]) != 1:
            raise ValueError("a signed attribute is repeated")
        values[kind] = attribute["values"][0]
    if _CONTENT_TYPE not in values or values[_CONTENT_TYPE].dump() != der.OID_DATA:
        raise ValueError("no signed content-type of data")
    if _MESSAGE_DIGEST not in values:
        raise ValueError("no signed message-digest")
    digest = values[_MESSAGE_DIGEST].native
    if not isinstance(digest, bytes):
        raise ValueError("the message-digest is no octet string")
    return digest


def _signer_of(attributes: bytes, signer_info: Any, algorithm: str, named: Sequence[Identity]) -> Identity:
    value: bytes = signer_info["signature"].native
    for identity in named:
        try:
            _check(identity, value, attributes, signer_info["signature_algorithm"], algorithm)
            return identity
        except (InvalidSignature, UnsupportedAlgorithm):
            continue
    raise Rejected(Disposition.AUTHENTICATION_FAILED, "the signature does not verify with the partner's key")


def _check(identity: Identity, value: bytes, octets: bytes, method: Any, algorithm: str) -> None:
    """Verify by key type; a PSS signature by the parameters it carries."""
    digest = SECURE_DIGESTS[algorithm]()
    if isinstance(identity.public_key, ec.EllipticCurvePublicKey):
        identity.public_key.verify(value, octets, ec.ECDSA(digest))
    elif method["algorithm"].native == "rsassa_pss":
        stated = method["parameters"]
        hashed_with = stated["hash_algorithm"]["algorithm"].native
        mask = stated["mask_gen_algorithm"]["parameters"]["algorithm"].native
        if hashed_with != algorithm or mask not in SECURE_DIGESTS:
            raise ValueError("PSS with another digest than it states")
        pss = padding.PSS(mgf=padding.MGF1(SECURE_DIGESTS[mask]()), salt_length=stated["salt_length"].native)
        identity.public_key.verify(value, octets, pss, digest)
    else:
        identity.public_key.verify(value, octets, padding.PKCS1v15(), digest)


def _forms(entity: Span) -> Iterator[Span]:
    """The octets a signer may have meant: as they came, with canonical line ends, without one surplus CRLF at the end.

    Whatever form verifies is also the form that is read on: what nobody signed is never used.
    """
    yield entity
    received = bytes(entity)
    if not _BINARY.search(received.partition(b"\r\n\r\n")[0]):
        canonical = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if canonical != received:
            yield Span.over(canonical)
    if received.endswith(b"\r\n"):
        yield Span(received, 0, len(received) - 2)
