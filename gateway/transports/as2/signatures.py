"""CMS SignedData, detached: one signer, with signed attributes. Source: RFC 5652 sections 5 and 11."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from asn1crypto import algos
from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import DIGEST_ALGORITHMS, DIGESTS, DIGESTS_BY_OID, Policy, digest_of
from gateway.transports.as2.certificates import Identity
from gateway.transports.as2.errors import Disposition, Rejected, UnusableTerms
from gateway.transports.as2.mime import Span
from gateway.transports.as2.rsa_parameters import OID_PSS, pss_algorithm, read_pss

#: A signature with a chain of certificates has a few kilobytes.
MAX_SIGNATURE_BYTES: Final = 64 * 1024

Scheme: TypeAlias = padding.AsymmetricPadding | ec.ECDSA

_ONE: Final = der.integer(1)
_OID_RSA: Final = der.oid("1.2.840.113549.1.1.1")
_RSA: Final = der.joined(der.SEQUENCE, _OID_RSA, der.NULL)
#: Where the name of the scheme holds the digest as well, it is the one of the signature.
_RSA_WITH: Final = {
    der.oid("1.2.840.113549.1.1.5"): "sha1",
    der.oid("1.2.840.113549.1.1.11"): "sha256",
    der.oid("1.2.840.113549.1.1.12"): "sha384",
    der.oid("1.2.840.113549.1.1.13"): "sha512",
}
_ECDSA_WITH: Final = {
    der.oid("1.2.840.10045.4.1"): "sha1",
    der.oid("1.2.840.10045.4.3.2"): "sha256",
    der.oid("1.2.840.10045.4.3.3"): "sha384",
    der.oid("1.2.840.10045.4.3.4"): "sha512",
}
_ECDSA: Final = {digest: der.joined(der.SEQUENCE, oid) for oid, digest in _ECDSA_WITH.items()}
_BINARY: Final = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[ \t]*binary[ \t]*\r?$")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_ALGORITHM_PROTECTION: Final = der.oid("1.2.840.113549.1.9.52")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that holds."""

    signer: Identity
    algorithm: str  #: of the digest
    digest: bytes
    octets: Span  #: exactly what was signed; whoever reads on reads here


# ------------------------------------------------------------------------------------------------------------ sign
def sign(digest: bytes, signer: Identity, *, algorithm: str, scheme: str = "pkcs1v15", at: datetime) -> bytes:
    """SignedData over content whose digest is known. There are always signed attributes.

    Args:
        algorithm: of the digest.
        scheme: of an RSA key, "pkcs1v15" or "pss"; an EC key signs with ECDSA whatever this says.

    Raises:
        UnusableTerms: the signer has no private key, or the scheme is none of the two.
    """
    attributes = b"".join(
        sorted(  # DER orders the members of a SET
            (
                _attribute(_CONTENT_TYPE, der.OID_DATA),
                _attribute(_SIGNING_TIME, der.time(at)),
                _attribute(_MESSAGE_DIGEST, der.joined(der.OCTET_STRING, digest)),
            )
        )
    )
    # What is signed is the SET; in the message the same octets carry the tag [0].
    method, value = _signed(der.joined(der.SET, attributes), signer, algorithm, scheme)
    digest_algorithm = DIGEST_ALGORITHMS[algorithm]
    signer_info = der.joined(
        der.SEQUENCE,
        _ONE,
        signer.issuer_and_serial,
        digest_algorithm,
        der.joined(der.CONTEXT_0_CONSTRUCTED, attributes),
        method,
        der.joined(der.OCTET_STRING, value),
    )
    signed_data = der.joined(
        der.SEQUENCE,
        _ONE,
        der.joined(der.SET, digest_algorithm),
        der.joined(der.SEQUENCE, der.OID_DATA),
        der.joined(der.CONTEXT_0_CONSTRUCTED, signer.certificate),
        der.joined(der.SET, signer_info),
    )
    return der.joined(der.SEQUENCE, der.OID_SIGNED, der.joined(der.CONTEXT_0_CONSTRUCTED, signed_data))


def _signed(octets: bytes, signer: Identity, algorithm: str, scheme: str) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and value of the signature."""
    digest = DIGESTS[algorithm]
    match signer.private_key, scheme:
        case None, _:
            raise UnusableTerms(f"certificate {signer.fingerprint[:16]}… has no private key to sign with")
        case ec.EllipticCurvePrivateKey() as key, _:
            return _ECDSA[algorithm], key.sign(octets, ec.ECDSA(digest))
        case rsa.RSAPrivateKey() as key, "pkcs1v15":
            return _RSA, key.sign(octets, padding.PKCS1v15(), digest)
        case rsa.RSAPrivateKey() as key, "pss":
            return pss_algorithm(algorithm), key.sign(
                octets, padding.PSS(padding.MGF1(digest), digest.digest_size), digest
            )
    raise UnusableTerms(f"the signature scheme {scheme!r} is neither pkcs1v15 nor pss")


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.joined(der.SEQUENCE, kind, der.joined(der.SET, value))


# ---------------------------------------------------------------------------------------------------------- verify
def verify(entity: Span, signature: bytes | bytearray, pinned: Sequence[Identity], policy: Policy) -> Signature:
    """Find the one pinned certificate that signed these octets.

    The signature over the attributes is checked first, so that only somebody with a pinned key makes us hash the content
    in more than one form. Signed attributes must be there: who takes a signature with and without them has two readings
    of the same octets, and a forger picks the one he likes. Certificates beside the signature are not even read.

    Raises:
        Rejected: for any reason; ``why`` tells them apart.
    """
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise Rejected(Disposition.AUTHENTICATION_FAILED, f"a signature of {len(signature)} octets")
    try:
        signer_info = _SignerInfo.read(bytes(signature))
        algorithm = signer_info.digest(policy)
        named = [identity for identity in pinned if identity.is_named_by(signer_info.signer)]
        if not named:
            why = f"the signer is none of the partner's certificates: {_described(signer_info.signer)}"
            raise Rejected(Disposition.AUTHENTICATION_FAILED, why)
        if not signer_info.attributes:
            raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, "no signed attributes")
        claimed = _claimed_digest(signer_info)
        signer = _signer_of(signer_info, _scheme(signer_info.method, algorithm, policy), algorithm, named)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as exc:
        raise Rejected(
            Disposition.AUTHENTICATION_FAILED, f"signature: {type(exc).__name__}: {str(exc)[:200]}"
        ) from None
    for octets in _forms(entity):
        digest = digest_of(algorithm, [octets.view])
        if hmac.compare_digest(digest, claimed):
            return Signature(signer, algorithm, digest, octets)
    raise Rejected(Disposition.AUTHENTICATION_FAILED, "the content is not what was signed: its digest differs")


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    """What the one signer says."""

    signer: der.Node
    digest_algorithm: der.Node
    attributes: bytes  #: signed, one after the other; empty when there are none
    method: der.Node
    value: bytes

    @classmethod
    def read(cls, signature: bytes) -> _SignerInfo:
        kind, wrapped = der.node(signature).members()
        if kind.whole != der.OID_SIGNED:
            raise ValueError("not SignedData")
        (signed_data,) = wrapped.members(der.CONTEXT_0_CONSTRUCTED)
        _version, _digests, content, *_certificates, signers = signed_data.members()
        if content.members()[0].whole != der.OID_DATA:
            raise ValueError("signed content that is not data")
        infos = signers.members(der.SET)
        if len(infos) != 1:  # none verifies trivially, two say different things to different readers
            raise ValueError(f"{len(infos)} signers")
        _version, signer, digest_algorithm, *attributes, method, value = _without_unsigned(infos[0].members())
        if len(attributes) > 1 or any(found.tag != der.CONTEXT_0_CONSTRUCTED for found in attributes):
            raise ValueError("no SignerInfo")
        signed = attributes[0].content if attributes else b""
        return cls(signer, digest_algorithm, signed, method, der.octets_of(value))

    def digest(self, policy: Policy) -> str:
        oid, _parameters = der.algorithm(self.digest_algorithm)
        name = DIGESTS_BY_OID.get(oid)
        if name is None or name not in policy.digests:
            spelled = algos.DigestAlgorithmId.map(der.dotted(oid))
            raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, f"signed with the digest {spelled[:40]}")
        return name


def _without_unsigned(members: list[der.Node]) -> list[der.Node]:
    """The fields of a SignerInfo but for the attributes nobody signed, which stand last."""
    return members[:-1] if members[-1].tag == der.CONTEXT_1_CONSTRUCTED else members


def _described(signer: der.Node) -> str:
    """How a signer names its certificate, for staff to compare with what the partner says. Anybody may have written it."""
    if signer.tag == der.CONTEXT_0:
        return f"it names one with the key identifier {signer.content.hex()[:40]}"
    issuer, serial = signer.members()
    name = "".join(mark if mark.isprintable() else "?" for mark in asn1_x509.Name.load(issuer.whole).human_friendly)
    return f"it names one issued by {name[:100]} with the serial number {der.number(serial):x}"[:200]


def _claimed_digest(signer_info: _SignerInfo) -> bytes:
    """What the signer says the digest of the content is. Source: RFC 5652 section 11."""
    values: dict[bytes, der.Node] = {}
    for attribute in der.nodes(signer_info.attributes):
        kind, value = attribute.members()
        found = value.members(der.SET)
        if kind.whole in values or len(found) != 1:
            raise ValueError("a signed attribute is repeated")
        values[kind.whole] = found[0]
    if _CONTENT_TYPE not in values or values[_CONTENT_TYPE].whole != der.OID_DATA:
        raise ValueError("no signed content-type of data")
    if _MESSAGE_DIGEST not in values:
        raise ValueError("no signed message-digest")
    digest = values[_MESSAGE_DIGEST]
    if digest.tag != der.OCTET_STRING:
        raise ValueError("the message-digest is no octet string")
    if _ALGORITHM_PROTECTION in values:
        _agree(values[_ALGORITHM_PROTECTION], signer_info)
    return digest.content


def _agree(protection: der.Node, signer_info: _SignerInfo) -> None:
    """Refuse algorithms other than the ones the signer signed that he used. Source: RFC 6211."""
    digest_algorithm, method = protection.members()
    if method.tag != der.CONTEXT_1_CONSTRUCTED:
        raise ValueError("an algorithm protection that is not for a signature")
    stated = der.algorithm(digest_algorithm), der.algorithm(method._replace(tag=der.SEQUENCE))
    if stated != (der.algorithm(signer_info.digest_algorithm), der.algorithm(signer_info.method)):
        raise ValueError("other algorithms than the signer protected")


def _scheme(method: der.Node, algorithm: str, policy: Policy) -> Scheme:
    """How the signature was made; a PSS signature says most of it in its parameters."""
    oid, parameters = der.algorithm(method)
    if oid == _OID_RSA or _RSA_WITH.get(oid) == algorithm:
        return padding.PKCS1v15()
    if _ECDSA_WITH.get(oid) == algorithm:
        return ec.ECDSA(DIGESTS[algorithm])
    if oid != OID_PSS:
        raise ValueError(f"signed by {algos.SignedDigestAlgorithmId.map(der.dotted(oid))} over {algorithm}")
    stated = read_pss(parameters, signed_with=algorithm)
    if stated.digest != algorithm or stated.mask_digest not in policy.digests:
        raise ValueError("PSS with another digest than it states")
    return stated.padding()


def _signer_of(signer_info: _SignerInfo, scheme: Scheme, algorithm: str, named: Sequence[Identity]) -> Identity:
    """Whose key it is: several are named when a renewed certificate kept issuer and serial number."""
    signed = der.joined(der.SET, signer_info.attributes)
    for identity in named:
        try:
            match identity.public_key, scheme:
                case rsa.RSAPublicKey() as key, padding.AsymmetricPadding() as padded:
                    key.verify(signer_info.value, signed, padded, DIGESTS[algorithm])
                    return identity
                case ec.EllipticCurvePublicKey() as key, ec.ECDSA() as ecdsa:
                    key.verify(signer_info.value, signed, ecdsa)
                    return identity
        except (InvalidSignature, UnsupportedAlgorithm):
            continue
    raise Rejected(Disposition.AUTHENTICATION_FAILED, "the signature does not verify with the partner's key")


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
