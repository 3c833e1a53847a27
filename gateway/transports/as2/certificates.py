"""Certificates and keys, as the terms hold them and as CMS names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.transports.as2.errors import UnusableTerms
from partners.profiles import CertificateRef

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A certificate ready for work, with its private key when it is ours."""

    fingerprint: str  #: as the terms name it
    der: bytes
    issuer: bytes  #: DER of the Name
    serial: int
    subject_key_id: bytes | None
    public_key: PublicKey
    private_key: rsa.RSAPrivateKey | None = field(repr=False)

    def is_issued_as(self, issuer: asn1_x509.Name, serial: int) -> bool:
        """True when issuer and serial number name this certificate, in whatever string types the name is written."""
        if serial != self.serial:
            return False
        return issuer.dump() == self.issuer or bool(issuer == asn1_x509.Name.load(self.issuer))

    def has_key_id(self, key_id: bytes) -> bool:
        return self.subject_key_id is not None and self.subject_key_id == key_id


@lru_cache(maxsize=512)
def identity(ref: CertificateRef) -> Identity:
    """Parse once per process; a changed certificate or key is another entry.

    Raises:
        UnusableTerms: the PEM cannot be read, key and certificate do not belong together, or the key is neither RSA nor
            (for a partner's signature) EC.
    """
    try:
        certificate = x509.load_pem_x509_certificate(ref.certificate_pem)
        public_key = certificate.public_key()
        private_key = (
            serialization.load_pem_private_key(ref.private_key_pem, None) if ref.private_key_pem is not None else None
        )
    except (ValueError, TypeError) as exc:
        raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: {type(exc).__name__}, it cannot be read") from None
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: neither RSA nor EC")
    if private_key is not None:
        if not isinstance(private_key, rsa.RSAPrivateKey):
            raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: our own keys are RSA")
        if private_key.public_key() != public_key:
            raise UnusableTerms(f"certificate {ref.fingerprint[:16]}…: the private key belongs to another certificate")
    return Identity(
        fingerprint=ref.fingerprint,
        der=certificate.public_bytes(serialization.Encoding.DER),
        issuer=certificate.issuer.public_bytes(),
        serial=certificate.serial_number,
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


def _subject_key_id(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):  # ValueError: another extension of it is malformed
        return None
