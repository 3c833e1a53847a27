"""Certificates and keys, as the terms hold them and as CMS names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.transports.as2.errors import UnusableTerms
from partners.profiles import CertificateRef

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


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


def fingerprint(certificate_pem: bytes) -> str:
    """SHA-256 over the DER of a PEM certificate, 64 hexadecimal digits.

    Raises:
        ValueError: not a certificate.
    """
    return x509.load_pem_x509_certificate(certificate_pem).fingerprint(hashes.SHA256()).hex()


def make_certificate(common_name: str, *, days: int, now: datetime) -> tuple[bytes, bytes]:
    """A self-signed RSA-2048 certificate and its private key, both PEM (the key PKCS #8, not encrypted).

    It may sign and receive keys and is no authority. The subject alternative name is a DNS name when ``common_name`` is
    one, else ``urn:as2:`` with the name percent-encoded.

    Args:
        common_name: 1 to 64 characters (X.520's limit).
        days: validity from ``now``; it begins five minutes earlier, for partners whose clocks are late.

    Raises:
        ValueError: ``common_name`` is too long or empty.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    alternative: x509.GeneralName = (
        x509.DNSName(common_name)
        if _HOST_NAME.fullmatch(common_name)
        else x509.UniformResourceIdentifier(f"urn:as2:{quote(common_name, safe='')}")
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
