"""Keys and certificates for tests, made when they run: none is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from partners import certificates
from partners.profiles import CertificateRef


def make_identity(name: str, *, days: int = 365, now: datetime | None = None) -> CertificateRef:
    """A certificate with its private key. 2048 bits: tests make many."""
    pem, key = certificates.self_signed(name, now=now or datetime.now(UTC), valid_for=timedelta(days=days), bits=2048)
    fingerprint = certificates.read(pem.encode()).fingerprint
    return CertificateRef(fingerprint=fingerprint, certificate_pem=pem.encode(), private_key_pem=key)
