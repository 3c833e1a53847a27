"""Keys and certificates of one run: both sides' AS2 identities, and those of their TLS servers and clients."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from partners.profiles import CertificateRef
from tests.certificates import make_identity


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def ref(self) -> CertificateRef:
        fingerprint = self.certificate.fingerprint(hashes.SHA256()).hex()
        return CertificateRef(fingerprint=fingerprint, certificate_pem=self.pem, private_key_pem=self.key_pem)


def issue(common_name: str, *, by: Issued | None = None, is_authority: bool = False) -> Issued:
    """A certificate on P-256, for 127.0.0.1 as a server; signed by itself unless ``by`` an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=by.certificate.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    if by is not None:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(authority, critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everybody's keys, and the folder in which the peers find theirs as PEM files."""

    folder: Path
    gateway: CertificateRef
    peer: CertificateRef
    stranger: CertificateRef  #: of nobody the gateway or a peer knows
    gateway_curve: CertificateRef  #: the gateway's, on an elliptic curve
    peer_curve: CertificateRef
    self_signed: Issued  #: a TLS server that is its own authority
    authority: Issued  #: a private one, of the other TLS server
    server: Issued
    client_authority: Issued  #: of the clients a server with mutual TLS takes
    client: Issued
    other_client: Issued  #: of the same authority, and not the peer


def make(folder: Path) -> Credentials:
    authority = issue("Private authority", is_authority=True)
    client_authority = issue("Authority of clients", is_authority=True)
    made = Credentials(
        folder=folder,
        gateway=make_identity("as2.plant.example"),
        peer=make_identity("as2.peer.example"),
        stranger=make_identity("nobody.example"),
        gateway_curve=issue("as2.plant.example").ref,
        peer_curve=issue("as2.peer.example").ref,
        self_signed=issue("self-signed.example"),
        authority=authority,
        server=issue("server.example", by=authority),
        client_authority=client_authority,
        client=issue("client.example", by=client_authority),
        other_client=issue("other.example", by=client_authority),
    )
    for name, content in {
        "gateway.pem": made.gateway.certificate_pem,
        "peer.pem": (made.peer.private_key_pem or b"") + made.peer.certificate_pem,
        "stranger.pem": (made.stranger.private_key_pem or b"") + made.stranger.certificate_pem,
        "tls-self.pem": made.self_signed.key_pem + made.self_signed.pem,
        "tls-server.pem": made.server.key_pem + made.server.pem,
        "tls-authority.pem": made.authority.pem,
        "tls-client-authority.pem": made.client_authority.pem,
        "tls-client.pem": made.client.key_pem + made.client.pem,
    }.items():
        Path(folder, name).write_bytes(content)
    return made
