"""Certificates and keys, as the terms hold them and as CMS names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.transports.as2 import der
from gateway.transports.as2.errors import UnusableTerms
from partners.profiles import CertificateRef

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A certificate ready for work, with its private key when it is ours."""

    fingerprint: str  #: as the terms name it
    certificate: bytes  #: DER
    issuer: bytes  #: DER of the Name
    serial: int
    issuer_and_serial: bytes  #: DER of the IssuerAndSerialNumber, by which CMS names the certificate
    subject_key_id: bytes
    public_key: PublicKey
    private_key: PrivateKey | None = field(repr=False)  #: an elliptic curve only signs

    def is_named_by(self, identifier: der.Node) -> bool:
        """Whether a SignerIdentifier or RecipientIdentifier means this certificate.

        Issuers are compared in whatever string types the names are written.

        Raises:
            ValueError: it is neither issuer and serial number nor a key identifier.
        """
        if identifier.tag == der.CONTEXT_0:
            return identifier.content == self.subject_key_id
        if identifier.whole == self.issuer_and_serial:
            return True
        issuer, serial = identifier.members()
        if der.number(serial) != self.serial:
            return False
        return issuer.whole == self.issuer or bool(
            asn1_x509.Name.load(issuer.whole) == asn1_x509.Name.load(self.issuer)
        )


@lru_cache(maxsize=512)
def identity(ref: CertificateRef) -> Identity:
    """Parse once per process; a changed certificate or key is another entry.

    Raises:
        UnusableTerms: the PEM cannot be read, key and certificate do not belong together, or the key is neither RSA nor EC.
    """
    try:
        certificate = x509.load_pem_x509_certificate(ref.certificate_pem)
        public_key = certificate.public_key()
        private_key = (
            serialization.load_pem_private_key(ref.private_key_pem, None) if ref.private_key_pem is not None else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as exc:
        raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: {type(exc).__name__}, it cannot be read") from None
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: neither RSA nor EC")
    if private_key is not None:
        if not isinstance(private_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: its private key is neither RSA nor EC")
        if private_key.public_key() != public_key:
            raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: the private key belongs to another certificate")
    issuer = certificate.issuer.public_bytes()
    return Identity(
        fingerprint=ref.fingerprint,
        certificate=certificate.public_bytes(serialization.Encoding.DER),
        issuer=issuer,
        serial=certificate.serial_number,
        issuer_and_serial=der.joined(der.SEQUENCE, issuer, der.integer(certificate.serial_number)),
        subject_key_id=_subject_key_id(certificate),
        public_key=public_key,
        private_key=private_key,
    )


def first_of(refs: Sequence[CertificateRef], what: str) -> Identity:
    """The certificate of the terms that is in use now.

    Raises:
        UnusableTerms: there is none.
    """
    if not refs:
        raise UnusableTerms(f"{what} is missing")
    return identity(refs[0])


def _subject_key_id(certificate: x509.Certificate) -> bytes:
    """As the certificate says; else the digest of the key that most products take. Source: RFC 5280 section 4.2.1.2."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):  # ValueError: another extension of it is malformed
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
