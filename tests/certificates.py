"""Keys and certificates for tests, made when they run: none is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from partners import certificates
from partners.profiles import CertificateRef


def make_identity(name: str, *, days: int = 365, now: datetime | None = None) -> CertificateRef:
    """A certificate with its private key. 2048 bits: tests make many."""
    pem, key = certificates.self_signed(name, now=now or datetime.now(UTC), valid_for=timedelta(days=days), bits=2048)
    fingerprint = certificates.read(pem.encode()).fingerprint
    return CertificateRef(fingerprint=fingerprint, certificate_pem=pem.encode(), private_key_pem=key)


def issued(common_name: str, serial: int, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> CertificateRef:
    """A self-signed certificate such as other software makes: any key, no extension."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, now, now + timedelta(days=1))
    signed_by_itself = builder.sign(key, hashes.SHA256())
    certificate = signed_by_itself.public_bytes(serialization.Encoding.PEM)
    fingerprint = signed_by_itself.fingerprint(hashes.SHA256()).hex()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return CertificateRef(fingerprint=fingerprint, certificate_pem=certificate, private_key_pem=pem)
