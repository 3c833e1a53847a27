"""One buyer and its suppliers, invented, with keys made for the occasion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from partners import certificates
from partners.models import Certificate, CertificateRole, OwnIdentity, TradingPartner

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def pair(name: str, *, made: datetime = NOW - timedelta(days=30), days: int = 365) -> tuple[str, bytes]:
    """A certificate and its private key; the same for the same arguments, because RSA keys are slow to make."""
    return _pair(name, made, days)


@cache
def _pair(name: str, made: datetime, days: int) -> tuple[str, bytes]:
    return certificates.self_signed(name, now=made, valid_for=timedelta(days=days), bits=2048)


@cache
def tls_only(name: str) -> str:
    """A certificate for a server and client of HTTPS, good for nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), 7, NOW - timedelta(days=30), NOW + timedelta(days=335)
        )
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def give_certificate(
    owner: OwnIdentity | TradingPartner,
    name: str,
    *,
    role: CertificateRole = CertificateRole.BOTH,
    days: int = 365,
    **more: object,
) -> Certificate:
    """Add the certificate of ``pair(name, days=days)``; ours come with their key."""
    pem, key = pair(name, days=days)
    side = {"own_identity": owner} if isinstance(owner, OwnIdentity) else {"partner": owner}
    certificate = Certificate.objects.create(role=role, certificate_pem=pem, **side, **more)
    if isinstance(owner, OwnIdentity):
        certificate.keep_private_key(certificates.read_private_key(key))
    return certificate


@pytest.fixture
def plant(db: None) -> OwnIdentity:
    return OwnIdentity.objects.create(name="Main plant", as2_name="PLANT-AS2", isa_qualifier="01", isa_id="004512377")


@pytest.fixture
def acme(plant: OwnIdentity) -> TradingPartner:
    return TradingPartner.objects.create(code="ACME", name="ACME Castings", state="live")
